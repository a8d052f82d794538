"""Random vectors that score as high as the effect: the measure does not look at what was learned."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_table, rounded


def applies(case: Case) -> bool:
    """Dependence is concluded, and random vectors were measured."""
    return case.claim.claims_dependence and case.effect is not None and bool(case.alike("random"))


def check(case: Case) -> Iterator[Finding]:
    """Compare the highest random control with the effect."""
    assert case.effect is not None
    rows = case.alike("random")
    highest = max(rows, key=lambda row: case.closeness(row.value))
    if case.closeness(highest.value) >= case.closeness(case.effect.mean):
        numbers = {"random": rounded(highest.value), "value": rounded(case.effect.mean)}
        places = in_table(case, (highest, *case.headline))
        yield Finding("random_above_effect", Severity.FAULT, places, numbers)
