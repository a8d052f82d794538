"""What a disclosure gives away: the exact interval that published numbers leave for every figure that stays closed.

A total, a mean and a gap together may say what none of them says alone. Before anything is published, this asks for
each closed figure which values are still possible, whether that is as good as the figure itself, and which published
number does most of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jokbo import __version__
from jokbo.errors import FormatError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.league.leak.model import Model, build_model
from jokbo.league.leak.plan import Plan, figure_ranges
from jokbo.league.leak.solver import Budget, Contradiction, Extremes, extremes, feasible

SCHEMA = "jokbo.league-leak/1"
ROOM = 1e-5
"""A figure published to one decimal is told to within 0.1, whatever a solver's tolerance and outward rounding add."""

EXIT_CLOSED, EXIT_GIVEN_AWAY = 0, 10


@dataclass(frozen=True, slots=True)
class LeakResult:
    """What :func:`check_leak` returns.

    Attributes
    ----------
    document : mapping
        ``jokbo.league-leak/1``; equal plans give equal bytes.
    exit_status : int
        0: no closed figure is given away; 10: at least one is.
    """

    document: Mapping[str, Any]
    exit_status: int

    def to_json(self) -> bytes:
        """Canonical JSON with a final newline."""
        return canonical_bytes(dict(self.document)) + b"\n"


def check_leak(plan: Plan, *, one_by_one: bool = True) -> LeakResult:
    """What a plan's published facts leave of every closed figure.

    Parameters
    ----------
    one_by_one : bool
        Also leave out each fact in turn, to say what it gives away.

    Raises
    ------
    FormatError
        The published figures contradict each other; the message names a set that does, none of which can be spared.
    UsageError
        The plan has too many cases.
    """
    model, budget = build_model(plan), Budget()
    cells = plan.closed()
    columns = [model.variables[cell] for cell in cells]
    whole = frozenset(range(len(plan.facts)))
    try:
        found = extremes(model, columns, budget)
    except Contradiction:
        raise FormatError(_contradiction(plan, model, whole, budget)) from None
    intervals = found.outwards()
    told = found.high - found.low <= plan.tolerance + ROOM
    rows = [_cell(plan, *each) for each in zip(cells, intervals, told, strict=True)]
    ranked = _ranked(plan, model, found, budget) if one_by_one else []
    given = sum(row["determined"] for row in rows)
    status = EXIT_GIVEN_AWAY if given else EXIT_CLOSED
    document = {
        "schema": SCHEMA,
        "jokbo": __version__,
        "title": dict(plan.title),
        "source": plan.source or None,
        "tolerance": round(plan.tolerance, 6),
        "teams": [{"id": team, "name": dict(name)} for team, name in plan.names.items()],
        "figures": _figures(plan),
        "facts": [
            {
                "kind": fact.kind,
                "of": fact.of,
                "teams": list(fact.teams),
                "values": list(fact.values),
                "rounded": fact.rounded,
                "source": fact.source or None,
            }
            for fact in plan.facts
        ],
        "cells": rows,
        "gives_away": ranked,
        "outer": any(figure.rescaled_from is not None for figure in plan.figures),
        "determined": given,
        "closed": len(rows),
        "exit_status": status,
    }
    return LeakResult(document, status)


def _figures(plan: Plan) -> list[dict[str, Any]]:
    ranges = figure_ranges(plan.figures)
    return [
        {
            "id": figure.id,
            "title": dict(figure.title),
            "lowest": round(ranges[figure.id][0], 6),
            "highest": round(ranges[figure.id][1], 6),
            "closed": figure.closed,
        }
        for figure in plan.figures
    ]


def _cell(
    plan: Plan, cell: tuple[str, str], interval: tuple[float, float], determined: bool
) -> dict[str, Any]:
    figure, team = cell
    low, high = interval
    lowest, highest = figure_ranges(plan.figures)[figure]
    low, high = max(low, np.floor(lowest * 1000) / 1000), min(high, np.ceil(highest * 1000) / 1000)
    true = plan.table.get(team, {}).get(figure)
    if true is not None and not low <= true <= high:
        raise FormatError(
            f"table: {figure} of {team} is {true:g}, and what is to be published leaves {low:g} to {high:g}. Correct "
            "the table or what is published."
        )
    return {
        "team": team,
        "figure": figure,
        "low": round(float(low), 3),
        "high": round(float(high), 3),
        "width": round(float(high - low), 3),
        "determined": bool(determined),
        "true": None if true is None else round(true, 6),
    }


def _ranked(plan: Plan, model: Model, found: Extremes, budget: Budget) -> list[dict[str, Any]]:
    """Every fact with what would stay closed without it, the one that gives away most first."""
    whole = frozenset(range(len(plan.facts)))
    width = found.high - found.low
    rows = []
    for k in range(len(plan.facts)):
        without = extremes(model.only(whole - {k}), found.columns, budget, within=found)
        wider = without.high - without.low
        closed_again = (width <= plan.tolerance + ROOM) & (wider > plan.tolerance + ROOM)
        rows.append(
            {
                "fact": k,
                "closed_again": int(closed_again.sum()),
                "wider_by": round(float((wider - width).sum()), 3),
            }
        )
    return sorted(rows, key=lambda row: (-row["closed_again"], -row["wider_by"], row["fact"]))


def _contradiction(plan: Plan, model: Model, whole: frozenset[int], budget: Budget) -> str:
    """Facts that cannot all be true and of which none can be spared: each is left out if the rest still clash."""
    left = whole
    for k in sorted(whole):
        if not feasible(model.only(left - {k}), budget):
            left -= {k}
    if not left:
        return "the plan's scales contradict each other: no table fits them. Correct lowest and highest."
    named = "; ".join(describe(plan, k) for k in sorted(left))
    return (
        f"the published figures contradict each other: no table on these scales fits all of: {named}. Without any one "
        "of these the others can be true. Correct one, its rounding, or the scales."
    )


def describe(plan: Plan, k: int) -> str:
    """Fact number `k` in the words of its file."""
    fact = plan.facts[k]
    named = f" [{', '.join(fact.teams)}]" if fact.teams else ""
    values = f" is {', '.join(fact.values)}" if fact.values else ""
    return f"fact {k + 1} ({fact.kind} of {fact.of}{named}{values})"
