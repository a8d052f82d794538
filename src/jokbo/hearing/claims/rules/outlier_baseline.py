"""A baseline that rests on one layer which is unlike all others: it makes any effect look large."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.groups import group
from jokbo.hearing.claims.rules.base import Finding, Severity, in_table, rounded
from jokbo.hearing.claims.table import Row

MIN_VALUES = 2


def applies(case: Case) -> bool:
    """There is a baseline between layers of one model."""
    return case.effect is not None and bool(_rows(case))


def check(case: Case) -> Iterator[Finding]:
    """Find a layer that is on one side of every comparison of the baseline, and none of the effect's."""
    rows = _rows(case)
    found = group(rows)
    assert found is not None and case.effect is not None
    shared = frozenset.intersection(*map(_alone, rows)) - {k for row in case.headline for k in row.layers}
    if not shared or found.n < MIN_VALUES:
        return
    layer = min(shared)
    within = [row for row in case.rows("baseline", "other", "unrelated") if row.within and row.layers]
    elsewhere = group([row for row in within if layer not in row.layers])
    lasts = {case.claim.models[row.reference].layers for row in rows if row.reference in case.claim.models}
    at_the_end = layer == 0 or lasts == {layer + 1}
    numbers: dict[str, float | int | str] = {"layer": layer, "n": found.n, "mean": rounded(found.mean)}
    if elsewhere is not None:
        effect, base, other = (case.closeness(g.mean) for g in (case.effect, found, elsewhere))
        if other - base > 0.25 * (effect - base):
            numbers["elsewhere"] = rounded(elsewhere.mean)
            yield Finding("outlier_baseline", Severity.FAULT, in_table(case, rows), numbers, "elsewhere")
    elif at_the_end:
        yield Finding("outlier_baseline", Severity.FAULT, in_table(case, rows), numbers)


def _rows(case: Case) -> list[Row]:
    return [row for row in case.rows("baseline") if row.within and row.layers]


def _alone(row: Row) -> frozenset[int]:
    """Layers that are all of one side of a comparison: the only ones that all its values share."""
    return frozenset(
        layer for side in (row.reference_layers, row.candidate_layers) if len(side) == 1 for layer in side
    )
