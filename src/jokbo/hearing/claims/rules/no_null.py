"""Nothing to hold the effect against: a number alone says neither much nor little."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """Dependence is concluded, and not from a test that brings its own null."""
    return case.claim.claims_dependence and case.evidence is None


def check(case: Case) -> Iterator[Finding]:
    """Find that no row says what unrelated models score."""
    held = (*case.rows("baseline", "unrelated", "random"), *case.shuffled)
    if not held and case.again is None:
        yield Finding("no_null", Severity.MISSING, in_file(case, "null" if case.claim.null else "measure"))
