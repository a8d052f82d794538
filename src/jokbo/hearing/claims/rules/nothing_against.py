"""Nothing is named that would have counted against the claim, so that nothing could have."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """Something is concluded."""
    return case.claim.claims_dependence


def check(case: Case) -> Iterator[Finding]:
    """Find an empty list."""
    if not case.claim.against:
        yield Finding("nothing_against", Severity.MISSING, in_file(case, "conclusion"))
