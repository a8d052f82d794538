"""All rules on one claim, and the document of what they found.

Exit status, as everywhere in Jokbo: 0 no fault, and nothing that is missing; 10 at least one fault; 11 no fault, but
something is missing without which nobody can tell; 2 the claim cannot be read. Notes change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jokbo import __version__
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing.claims.case import Case, OpenedModels
from jokbo.hearing.claims.claim import read_claim
from jokbo.hearing.claims.groups import group
from jokbo.hearing.claims.measures import ROLES
from jokbo.hearing.claims.rerun import run_again
from jokbo.hearing.claims.rules import RULES, load_rule
from jokbo.hearing.claims.rules.base import Finding, Severity, rounded
from jokbo.hearing.claims.schema import LINT
from jokbo.hearing.claims.vectors import SHUFFLES, Again

if TYPE_CHECKING:
    from jokbo.sources.base import OpenOptions

EXIT_CLEAR, EXIT_FAULT, EXIT_MISSING = 0, 10, 11


@dataclass(frozen=True, slots=True)
class LintResult:
    """What :func:`lint_claim` returns.

    Attributes
    ----------
    document : mapping
        Valid under ``jokbo.claim-lint/1``; equal claims give equal bytes.
    findings : tuple of Finding
    exit_status : int
    """

    document: Mapping[str, Any]
    findings: tuple[Finding, ...]
    exit_status: int

    def to_json(self) -> bytes:
        """Canonical JSON with a final newline."""
        return canonical_bytes(dict(self.document)) + b"\n"


def lint_claim(
    path: Path,
    *,
    open_models: bool = False,
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> LintResult:
    """Check a claim: compute its numbers again, run again what can be, and apply every rule.

    Parameters
    ----------
    path : Path
        The claim's YAML file; its other files lie beside it.
    open_models : bool
        Also open the two models that the claim names, which may fetch them from wherever it says.
    options : OpenOptions, optional
        How to reach and cache remote models.
    progress : callable, optional
        Called with (stage, what).

    Raises
    ------
    InputError
        The claim, a file beside it or a model cannot be read or believed.
    """
    case = run_again(read_claim(path), open_models=open_models, options=options, progress=progress)
    return lint_case(case)


def lint_case(case: Case) -> LintResult:
    """Apply every rule to a claim that was read, in the order of :data:`~jokbo.hearing.claims.rules.RULES`."""
    findings: list[Finding] = []
    outcomes = []
    for code in RULES:
        rule = load_rule(code)
        applies = rule.applies(case)
        found = list(rule.check(case)) if applies else []
        findings += found
        outcomes.append((code, "found" if found else "clear" if applies else "not_applicable"))
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))  # stable: rules keep their order
    counts = {each: sum(finding.severity is each for finding in findings) for each in Severity}
    status = EXIT_CLEAR
    if counts[Severity.FAULT]:
        status = EXIT_FAULT
    elif counts[Severity.MISSING]:
        status = EXIT_MISSING
    document = {
        "schema": LINT,
        "jokbo": __version__,
        "claim": _claim(case),
        "rerun": _rerun(case),
        "statistics": _statistics(case),
        "rules": [{"code": code, "outcome": outcome} for code, outcome in outcomes],
        "findings": [_finding(finding) for finding in findings],
        "faults": counts[Severity.FAULT],
        "missing": counts[Severity.MISSING],
        "notes": counts[Severity.NOTE],
        "exit_status": status,
    }
    return LintResult(document, tuple(findings), status)


def _claim(case: Case) -> dict[str, Any]:
    claim = case.claim
    plain = {
        key: getattr(claim, key)
        for key in (
            "title",
            "claimant",
            "date",
            "source",
            "says",
            "about",
            "reference",
            "candidate",
            "text",
            "digest",
        )
    }
    models = {
        label: {key: getattr(model, key) for key in ("name", "repository", "commit", "digest")}
        for label, model in claim.models.items()
    }
    files = [
        {"file": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        for name, data in sorted(claim.files.items())
    ]
    return plain | {"measure": claim.measure.name, "models": models, "files": files}


def _rerun(case: Case) -> dict[str, Any]:
    evidence = case.claim.evidence
    return {
        "rows": case.repeated,
        "headline": None if case.again is None else _again(case.again),
        "evidence": hashlib.sha256(case.claim.files[evidence]).hexdigest() if evidence else None,
        "models": None if case.models is None else _opened(case.models),
    }


def _again(again: Again) -> dict[str, Any]:
    return _rounded(asdict(again)) | {"shuffles": SHUFFLES}


def _opened(models: OpenedModels) -> dict[str, Any]:
    return _rounded(asdict(models)) | {"digests": dict(models.digests)}


def _rounded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: rounded(value) if isinstance(value, float) else value for key, value in values.items()}


def _statistics(case: Case) -> dict[str, Any]:
    # Other rows are of several kinds, so that a mean over them is of nothing.
    groups = {
        role: case.effect if role == "effect" else group(case.rows(role)) for role in ROLES if role != "other"
    }
    return {
        role: _rounded({"n": g.n, "mean": g.mean, "sd": g.sd, "low": g.low, "high": g.high})
        for role, g in groups.items()
        if g is not None
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "variant": finding.variant,
        "severity": finding.severity.value,
        "places": [asdict(place) for place in finding.places],
        "numbers": dict(finding.numbers),
    }
