"""Evidence that is counted in favour whichever way it comes out."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.groups import group
from jokbo.hearing.claims.rules.base import Finding, Severity, in_table, rounded
from jokbo.hearing.claims.table import Row


def applies(case: Case) -> bool:
    """More than the headline counts for the conclusion, and a boundary is known."""
    return case.claim.claims_dependence and case.boundary is not None and bool(_others(case))


def check(case: Case) -> Iterator[Finding]:
    """Find rows that count in favour although they lie on the side of unrelated models."""
    boundary, effect = case.boundary, case.effect
    assert boundary is not None and effect is not None
    rows = [row for row in _others(case) if case.closeness(row.value) < boundary]
    found = group(rows)
    if found is not None:
        numbers = {
            "n": len(rows),
            "value": rounded(effect.mean),
            "low": rounded(found.low),
            "high": rounded(found.high),
        }
        yield Finding("either_way", Severity.FAULT, in_table(case, rows), numbers)


def _others(case: Case) -> list[Row]:
    """Further rows of the claim's pair and measure that it counts in its favour.

    Not the headline's own: a layer among them that scores low is spread, which its mean carries already.
    """
    return [row for row in case.rows("other", counts=("for",)) if row.pair == case.pair]
