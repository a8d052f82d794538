"""A conclusion on a whole model from its norm parameters alone."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, rounded


def applies(case: Case) -> bool:
    """Dependence of the whole model is concluded."""
    return case.claim.claims_dependence and case.claim.about == "model" and case.evidence is None


def check(case: Case) -> Iterator[Finding]:
    """Find that everything on the effect's side is a norm."""
    boundary = case.boundary
    rows = [
        row
        for row in case.rows("effect", "other", counts=("", "for"))
        if row.pair == case.pair and (row.role == "effect" or row.counts == "for")
        and (boundary is None or case.closeness(row.value) >= boundary)
    ]  # fmt: skip
    kinds = {case.kind_of(row) for row in rows} or set(case.claim.tensors)
    if kinds != {"norm"}:
        return
    share = case.claim.share
    if share is None and case.models is not None and case.models.norm_parameters:
        share = case.models.norm_parameters / case.models.parameters
    places = in_file(case, "measure/tensors", "conclusion/about")
    if share is None:
        yield Finding("norms_alone", Severity.FAULT, places, {}, "unknown")
    else:
        yield Finding("norms_alone", Severity.FAULT, places, {"share": rounded(share)})
