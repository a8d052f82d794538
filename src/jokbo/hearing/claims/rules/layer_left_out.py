"""A layer that was measured and left out of the headline, which it would have changed."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.groups import Group, group
from jokbo.hearing.claims.rules.base import Finding, Severity, in_table, layers_text, rounded
from jokbo.hearing.claims.table import Row

MIN_CHANGE = 0.02
"""Share of the mean; a smaller change is no other result, and told as a note."""


def applies(case: Case) -> bool:
    """The headline names its layers."""
    return case.effect is not None and any(row.layers for row in case.headline)


def check(case: Case) -> Iterator[Finding]:
    """Compare the mean of the headline with the one that has the rows left out."""
    assert case.effect is not None
    mine = {layer for row in case.headline for layer in row.layers}
    kinds = {case.kind_of(row) for row in case.headline}
    # Of a further row without a word on what the claim makes of it, the claim makes nothing.
    left = [
        row
        for row in (*case.rows("effect", counts=("unused",)), *case.rows("other", counts=("unused", "")))
        if row.pair == case.pair and case.kind_of(row) in kinds and row.layers - mine
    ]
    if not left:
        return
    whole = _with(case, left, mine)
    change = abs(whole.mean - case.effect.mean)
    numbers: dict[str, float | int | str] = {
        "layers": layers_text([*left]) if not any(row.layers >= mine for row in left) else _missing(left, mine),
        "value": rounded(case.effect.mean), "whole": rounded(whole.mean),
        "n": case.effect.n, "all": whole.n,
    }  # fmt: skip
    severity = Severity.FAULT if change > MIN_CHANGE * abs(case.effect.mean) else Severity.NOTE
    yield Finding("layer_left_out", severity, in_table(case, (*case.headline, *left)), numbers)


def _with(case: Case, left: list[Row], mine: set[int]) -> Group:
    """The headline with what was left out; a row that is the mean over all of them stands for itself."""
    whole = [row for row in left if row.layers >= mine]
    found = group(whole if whole else [*case.headline, *left])
    assert found is not None
    return found


def _missing(left: list[Row], mine: set[int]) -> str:
    return ", ".join(map(str, sorted({layer for row in left for layer in row.layers} - mine)))
