"""What the decision hangs on: orders by other rules, the multiverse, and the few rows that decide.

Takes what a round measured and hands over three parts of the board: ``aggregations``, ``multiverse``, ``influence``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jokbo.league.measured import ItemScores, Measured, PanelScores
from jokbo.league.round import Axis, Event, Round
from jokbo.league.scores.anchored import anchored
from jokbo.league.scores.events import EventScores
from jokbo.league.statistics.aggregation import orderings
from jokbo.league.statistics.alternatives import item_alternatives, panel_alternatives, panel_value
from jokbo.league.statistics.influence import (
    Influence,
    few_items_curved,
    fewest_items,
    fewest_raters,
)
from jokbo.league.statistics.multiverse import Affiliations, Alternative, multiverse
from jokbo.league.statistics.panels import combined_scores
from jokbo.league.statistics.score_table import ScoreTable


def robustness(
    round: Round, measured: Sequence[Measured], scores: Sequence[EventScores], *, teams: Sequence[str]
) -> dict[str, Any]:
    """Parts of the board that say how much the decision depends on choices nobody measured.

    Parameters
    ----------
    measured : sequence of Measured
        Rows, one an event.
    scores : sequence of EventScores
        Of every event that the elimination is by.
    teams : sequence of str
        Among whom the decision is made: the eligible ones.

    Returns
    -------
    dict
        ``aggregations`` (list), ``multiverse`` (mapping or None), ``influence`` (mapping or None). None, and an empty
        list, where the decision is by the number of events finished, or fewer than two teams are left.
    """
    table = score_table(round, scores, teams)
    if table is None:
        return {"aggregations": [], "multiverse": None, "influence": None}
    context = _Rows(round, table, {each.event: each for each in measured})
    affiliations = Affiliations(
        {team.id: team.affiliations for team in round.teams},
        {event: round.event(event).affiliations for event in table.events},
    )
    found = orderings(table.scores, table.shares(), table.teams)
    return {
        "aggregations": [
            {
                "method": method,
                "order": None if each is None else [list(group) for group in each.order],
                "orders": 0 if each is None else each.count,
                "among": "eligible",
            }
            for method, each in found.items()
        ],
        "multiverse": multiverse(table, affiliations=affiliations, alternatives=context.alternatives()),
        "influence": context.influence(),
    }


def score_table(round: Round, scores: Sequence[EventScores], teams: Sequence[str]) -> ScoreTable | None:
    """Scores that the elimination is by, among `teams`; None where it is by events finished, or of one team.

    Events that weigh nothing are left out. A team that did not run or finish an event scores the floor there, as in
    the declared total; whether it may is decided where events are scored.
    """
    by = round.elimination.by
    if by == Axis.RANGE or len(teams) < 2:
        return None
    events: list[Event]
    if by == Axis.ABSOLUTE:
        events = [e for e in round.events if Axis.ABSOLUTE in e.axes and e.weight > 0]
        names, points = [str(by)], [100.0]
        of = dict.fromkeys((e.id for e in events), 0)
    else:
        chosen = [c for c in round.categories if by in ("total", c.id)]
        events = [e for e in round.events if e.category in {c.id for c in chosen} and e.weight > 0]
        chosen = [c for c in chosen if any(e.category == c.id for e in events)]
        names, points = [c.id for c in chosen], [c.points for c in chosen]
        of = {e.id: names.index(str(e.category)) for e in events}
    found = {each.event.id: each for each in scores}
    raw = np.array([[_value(found[event.id], team) for event in events] for team in teams])
    return ScoreTable(
        tuple(teams),
        tuple(event.id for event in events),
        np.column_stack([anchored(raw[:, k], event) for k, event in enumerate(events)]),
        np.column_stack([_upwards(raw[:, k], event) for k, event in enumerate(events)]),
        np.array([event.weight for event in events], dtype=float),
        tuple(names),
        np.array([of[event.id] for event in events], dtype=np.int64),
        np.array(points, dtype=float),
    )


def _value(scores: EventScores, team: str) -> float:
    value = float(scores.raw[scores.points.teams.index(team)])
    return value if np.isfinite(value) else float(scores.event.floor)


def _upwards(values: np.ndarray, event: Event) -> np.ndarray:
    """More is better: costs turned round, quantities whose ratios count as logarithms."""
    scaled = np.log(values) if event.scale == "log" else values
    return -scaled if event.direction == "lower" else scaled


class _Rows:
    """Rows of a round's events, and scores after some of them are gone."""

    def __init__(self, round: Round, table: ScoreTable, measured: Mapping[str, Measured]) -> None:
        self.round, self.table = round, table
        self.measured = {event: measured[event] for event in table.events if event in measured}

    def rescored(self, event: str, values: np.ndarray) -> np.ndarray:
        column, entrants = self.table.events.index(event), self.measured[event].entrants
        scores = self.table.scores.copy()
        points = anchored(values, self.round.event(event))
        for row, team in enumerate(self.table.teams):
            if team in entrants:
                scores[row, column] = points[entrants.index(team)]
        return scores

    def alternatives(self) -> list[Alternative]:
        found: list[Alternative] = []
        for id, measured in self.measured.items():
            event = self.round.event(id)
            if isinstance(measured, ItemScores):
                found += item_alternatives(event, measured, self.rescored)
            elif isinstance(measured, PanelScores):
                found += panel_alternatives(event, measured, self.rescored)
        return found

    def influence(self) -> dict[str, Any]:
        items, raters = [], []
        for id, measured in self.measured.items():
            event = self.round.event(id)
            if isinstance(measured, ItemScores) and set(self.table.teams) <= set(measured.entrants):
                items.append(self._shown(id, self._items(event, measured)))
            elif isinstance(measured, PanelScores) and set(self.table.teams) <= set(measured.entrants):
                raters.append(self._shown(id, self._raters(event, measured)))
        return {"items": items, "raters": raters}

    def _share(self, event: Event) -> float:
        """Points of the total that 100 points of the event make."""
        shares = self.table.shares()
        return float(shares[self.table.events.index(event.id)] * self.table.points.sum())

    def _items(self, event: Event, measured: ItemScores) -> Influence:
        rows = [measured.entrants.index(team) for team in self.table.teams]
        share, declared = self._share(event), self.table.declared()
        if event.scale != "linear":
            return few_items_curved(
                measured.scores[rows], declared, lambda means: anchored(means, event) * share / 100
            )
        gain = share / (event.anchor.value - event.floor)
        groups = measured.groups if event.average == "groups" and len(measured.group_names) > 1 else None
        return fewest_items(measured.scores[rows], declared, gain, groups=groups)

    def _raters(self, event: Event, measured: PanelScores) -> Influence:
        assert event.panel is not None
        dropped = event.panel.drop_each_side
        scores = combined_scores(measured, event.panel)
        rows = [measured.entrants.index(team) for team in self.table.teams]
        if not dropped and not np.isnan(scores).any() and event.scale == "linear":
            # Raters who all rate everybody make plain means, as items do.
            gain = self._share(event) / (event.anchor.value - event.floor)
            return fewest_items(scores[:, rows].T, self.table.declared(), gain)

        def totals(keep: np.ndarray) -> np.ndarray | None:
            values = panel_value(scores[keep], measured, dropped)
            return None if values is None else self.table.totals(self.rescored(event.id, values))

        return fewest_raters(len(scores), totals)

    def _shown(self, event: str, found: Influence) -> dict[str, Any]:
        return {
            "event": event,
            "dropped": found.dropped,
            "of": found.of,
            "exact": found.exact,
            "last_before": [self.table.teams[i] for i in found.last_before],
            "last_after": [self.table.teams[i] for i in found.last_after],
        }
