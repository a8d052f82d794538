"""Rows that rest on a small part of what could have been compared."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, in_table, rounded

SMALL = 0.1
SMALL_SHARE = 0.01


def applies(case: Case) -> bool:
    """Rows tell how much was available, or a model how many layers it has."""
    layers = case.claim.models[case.claim.candidate].layers
    rows = any(row.available for row in case.claim.rows)
    return rows or bool(layers and case.headline) or _concludes_much(case)


def check(case: Case) -> Iterator[Finding]:
    """Tell rows below a tenth of what was there, and headlines of few layers."""
    for row in case.claim.rows:
        if row.column == "value" and row.entries and row.available and row.entries < SMALL * row.available:
            numbers: dict[str, float | int | str] = {
                "entries": row.entries, "available": row.available, "share": rounded(row.entries / row.available)
            }  # fmt: skip
            yield Finding("few_of_many", Severity.NOTE, in_table(case, [row]), numbers)
    share = case.claim.share
    if share is not None and share < SMALL_SHARE and _concludes_much(case):
        numbers = {"share": rounded(share)}
        yield Finding("few_of_many", Severity.NOTE, in_file(case, "measure/share"), numbers, "share")
    layers = case.claim.models[case.claim.candidate].layers
    mine = {layer for row in case.headline for layer in row.layers}
    if layers and mine and len(mine) < SMALL * layers:
        numbers = {"entries": len(mine), "available": layers}
        places = (*in_file(case, f"models/{case.claim.candidate}/layers"), *in_table(case, case.headline))
        yield Finding("few_of_many", Severity.NOTE, places, numbers, "layers")


def _concludes_much(case: Case) -> bool:
    """Whether the whole model is concluded upon, from other tensors than norms, which have a rule of their own."""
    kinds = {case.kind_of(row) for row in case.headline} or set(case.claim.tensors)
    return case.claim.claims_dependence and case.claim.about == "model" and kinds != {"norm"}
