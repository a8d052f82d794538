"""Categories and the total: only what the round declared, by its own weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jokbo.errors import UsageError
from jokbo.league.round import Category
from jokbo.league.scores.events import Composite, EventScores, weighted_sum


@dataclass(frozen=True, slots=True)
class Totals:
    """Points by category, and their sum.

    Attributes
    ----------
    categories : tuple of Composite
        In the round's order; value is `points` times the weighted mean of its events' points / 100.
    total : Composite or None
        None where the round declared no categories: then nothing is added.
    """

    categories: tuple[Composite, ...]
    total: Composite | None


def totals(categories: Sequence[Category], scores: Sequence[EventScores]) -> Totals:
    """Category points and the total.

    A team that did not finish an event has 0 points there, and `floored` names it.

    Raises
    ------
    UsageError
        A category has no events, or its events weigh nothing.
    """
    if not categories:
        return Totals((), None)
    rows = []
    for category in categories:
        own = [each for each in scores if each.event.category == category.id]
        weight = sum(each.event.weight for each in own)
        if not weight > 0:
            raise UsageError(
                f"category {category.id}: {len(own)} events that weigh {weight:g} in all; expected at least one of "
                "weight above 0."
            )
        factors = [category.points * each.event.weight / weight / 100 for each in own]
        rows.append(weighted_sum(category.id, [each.points for each in own], factors))
    return Totals(tuple(rows), weighted_sum("total", rows, [1.0] * len(rows)))
