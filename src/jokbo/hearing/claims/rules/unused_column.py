"""A column of the claim's own table that contradicts it, and of which the claim makes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.groups import group
from jokbo.hearing.claims.measures import CENTRED, MEASURES
from jokbo.hearing.claims.rules.base import Finding, Severity, in_table, rounded

NEAR_CHANCE = 0.1


def applies(case: Case) -> bool:
    """The table has the claim's pair by a measure of which chance is known, beside the claim's own."""
    return case.claim.claims_dependence and case.claim.measure.name not in CENTRED and bool(case.centred)


def check(case: Case) -> Iterator[Finding]:
    """Find a measure that sits at chance where the headline is told as agreement."""
    for name in sorted(CENTRED):
        rows = [row for row in case.centred if case.measure_of(row) == name and row.counts in ("", "unused")]
        found, chance = group(rows), MEASURES[name].chance
        if found is not None and chance is not None and abs(found.mean - chance) < NEAR_CHANCE:
            numbers: dict[str, float | int | str] = {
                "measure": name,
                "mean": rounded(found.mean),
                "n": found.n,
            }
            yield Finding("unused_column", Severity.FAULT, in_table(case, rows), numbers)
