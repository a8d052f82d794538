"""Evidence that is about other models, or finds something else than the claim concludes."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.evidence.findings import DEPENDENCE, VerdictKind
from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file

OPEN = frozenset({VerdictKind.NO_EVIDENCE, VerdictKind.INCONCLUSIVE, VerdictKind.UNTESTABLE})


def applies(case: Case) -> bool:
    """There is evidence of `jokbo compare`."""
    return case.evidence is not None


def check(case: Case) -> Iterator[Finding]:
    """Hold models and verdict against the claim."""
    evidence = case.evidence
    assert evidence is not None
    for side, label in (("reference", case.claim.reference), ("candidate", case.claim.candidate)):
        named, found = case.claim.models[label].digest, evidence[side]["digest"]
        if named and named != found:
            numbers = {"label": label, "named": named[:16], "found": found[:16]}
            places = in_file(case, f"models/{label}/digest")
            yield Finding("evidence_disagrees", Severity.FAULT, places, numbers, "digest")
    kind = evidence["verdict"]["kind"]
    if not _supports(case, kind):
        numbers = {"verdict": kind, "says": case.claim.says}
        places = in_file(case, "conclusion/says")
        yield Finding("evidence_disagrees", Severity.FAULT, places, numbers)


def _supports(case: Case, kind: str) -> bool:
    found = VerdictKind(kind)
    if case.claim.says == "derived":
        known = (
            case.evidence is not None and case.evidence["verdict"]["direction"] == "candidate_from_reference"
        )
        return found in (VerdictKind.IDENTICAL, VerdictKind.DERIVED) or (found in DEPENDENCE and known)
    if case.claim.says == "dependent":
        part = found in (VerdictKind.COMPONENT_REUSE, VerdictKind.SHARED_BASIS)
        return found in DEPENDENCE and not (part and case.claim.about == "model")
    return found in OPEN
