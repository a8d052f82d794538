"""A direction concluded from a measure that is the same both ways."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """The candidate is said to come from the reference."""
    return case.claim.says == "derived" and case.evidence is None


def check(case: Case) -> Iterator[Finding]:
    """Find that neither the measure nor dates tell which was first."""
    first, second = (
        case.claim.models[label].public_since for label in (case.claim.reference, case.claim.candidate)
    )
    if not case.claim.measure.directed and not (first and second and first < second):
        yield Finding("direction_not_shown", Severity.NOTE, in_file(case, "conclusion/says"))
