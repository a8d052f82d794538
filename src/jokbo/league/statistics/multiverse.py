"""Who would be first and last had the round been declared otherwise: every universe said, none hidden.

A universe changes one choice and keeps all others: weights, the scale of scores, an event left out, how a mean is
taken, one rater, the rule that adds up. What only this module can know comes from a table of scores; universes that
need rows (other averages, a rater less) come as alternatives (:mod:`jokbo.league.statistics.alternatives`).
The order is fixed and the number bounded, so that the same round gives the same list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jokbo.league.statistics.aggregation import orderings
from jokbo.league.statistics.flips import smallest_change, weight_flips
from jokbo.league.statistics.score_table import ScoreTable, tied_sets
from jokbo.league.statistics.weightings import most_points, near_declared, whole_simplex, winners

KINDS = (
    "weights",
    "normalisation",
    "leave_out_event",
    "leave_out_affiliated",
    "average",
    "drop_raters",
    "aggregation",
)
MOST_ALTERNATIVES = 2_000


@dataclass(frozen=True, slots=True)
class Alternative:
    """A universe whose scores were computed from rows in another way.

    Attributes
    ----------
    kind : str
        ``average`` or ``drop_raters``.
    name : str
        Code of its text, ``league.universe.<kind>.<name>``.
    values : mapping
        What the text names: ``event``, ``rater``...
    scores : numpy.ndarray, shape (teams, events), float64
        Anchored, of all events.
    """

    kind: str
    name: str
    values: Mapping[str, Any]
    scores: np.ndarray


@dataclass(frozen=True, slots=True)
class Affiliations:
    """Who is affiliated with whom, as the round says; compared without regard to case and spaces around.

    Attributes
    ----------
    teams, events : mapping of str to sequence of str
        By id.
    """

    teams: Mapping[str, Sequence[str]]
    events: Mapping[str, Sequence[str]]

    def of(self, team: str) -> tuple[str, ...]:
        """Events affiliated with a team, in the round's order."""
        mine = {each.strip().casefold() for each in self.teams.get(team, ())}
        return tuple(
            event
            for event, theirs in self.events.items()
            if mine & {each.strip().casefold() for each in theirs}
        )


def multiverse(
    table: ScoreTable,
    *,
    affiliations: Affiliations | None = None,
    alternatives: Sequence[Alternative] = (),
    near: float = 10.0,
) -> dict[str, Any]:
    """Every universe, who is first and last in each, and how often.

    Parameters
    ----------
    affiliations : Affiliations, optional
        For universes without a team's own events.
    alternatives : sequence of Alternative
        At most 2,000 are listed; the summary counts all.
    near : float
        Weights within this many points of the declared ones (of 100) are tried, on a grid.

    Returns
    -------
    dict
        ``universes`` (kind, name, values, order, first, last), ``summary`` by kind, ``simplex``, ``flips`` and
        ``smallest_change``, ``skipped`` (universes that cannot be: nothing would be left). In shares, teams that are
        tied count in equal parts, so that shares sum to one. Weights are listed one category at a time; their summary
        is of the whole grid. All weights are points of 100, whatever the round's points add up to.
    """
    listed: list[dict[str, Any]] = []
    skipped: list[dict[str, Any]] = []
    for universe in _scored(table, affiliations, alternatives[:MOST_ALTERNATIVES]):
        kind, name, values, totals = universe
        if totals is None:
            skipped.append({"kind": kind, "name": name, "values": dict(values)})
        else:
            listed.append(_universe(kind, name, values, tied_sets(totals, table.teams)))
    listed += _aggregated(table)
    order = {kind: k for k, kind in enumerate(KINDS)}
    listed.sort(key=lambda each: order[each["kind"]])
    means = table.by_category()
    grid = near_declared(table.points, near=near)
    summary = [_summary(table, listed, kind) for kind in KINDS if any(u["kind"] == kind for u in listed)]
    close = winners(means, grid, table.teams)
    if len(table.points) > 1:
        summary[0] = {"kind": "weights", "count": len(grid)} | close
    if len(alternatives) > MOST_ALTERNATIVES:
        _count_all(table, summary, alternatives)
    change, of_100 = smallest_change(table), 100 / float(table.points.sum())
    return {
        "universes": listed,
        "summary": summary,
        "simplex": _simplex(table, means, close),
        "flips": [
            {
                "category": flip.category,
                "weight": None if flip.weight is None else round(flip.weight * of_100, 6),
                "last_before": list(flip.last_before),
                "last_after": list(flip.last_after),
            }
            for flip in weight_flips(table)
        ],
        "smallest_change": None
        if change is None
        else {
            "moved": round(change.moved * of_100, 6),
            "weights": [round(weight * of_100, 6) for weight in change.weights],
            "last_before": list(change.last_before),
            "last_after": list(change.last_after),
        },
        "skipped": skipped,
    }


Scored = tuple[str, str, Mapping[str, Any], np.ndarray | None]


def _scored(
    table: ScoreTable, affiliations: Affiliations | None, alternatives: Sequence[Alternative]
) -> Iterator[Scored]:
    yield from _weights(table)
    yield from _normalisations(table)
    for k, event in enumerate(table.events):
        yield _without(table, "leave_out_event", "event", {"event": event}, [k])
    if affiliations is not None:
        yield from _affiliated(table, affiliations)
    for each in alternatives:
        yield each.kind, each.name, each.values, table.totals(each.scores)


def _weights(table: ScoreTable) -> Iterator[Scored]:
    yield "weights", "declared", {}, table.declared()
    means, whole = table.by_category(), table.points.sum()
    for k, category in enumerate(table.categories if len(table.categories) > 1 else ()):
        others = np.delete(table.points, k)
        for name, step in (("less", -0.1), ("more", 0.1)) if others.sum() > 0 else ():
            share = float(np.clip(table.points[k] / whole + step, 0.0, 1.0))
            points = np.insert(others * ((1 - share) / others.sum()), k, share) * whole
            shown = {"category": category, "points": round(share * 100, 6)}
            yield "weights", name, shown, means @ points / 100


def _normalisations(table: ScoreTable) -> Iterator[Scored]:
    yield "normalisation", "anchored", {}, table.declared()
    values = table.values
    low, high = values.min(axis=0), values.max(axis=0)
    equal = high == low  # parts nobody, on any scale
    wide = np.where(equal, 1.0, high - low)
    yield "normalisation", "min_max", {}, table.totals((values - low) / wide * 100)
    spread = np.where(equal, 1.0, values.std(axis=0))
    yield "normalisation", "z_score", {}, table.totals((values - values.mean(axis=0)) / spread)
    behind = (np.sign(values[:, None, :] - values[None, :, :]) + 1).sum(axis=1) / 2
    yield "normalisation", "ranks", {}, table.totals(behind)
    # "First = 25": a share of the best value, which means something only from zero up.
    top = table.totals(values / np.where(high > 0, high, 1.0) * 100) if (low >= 0).all() else None
    yield "normalisation", "top", {}, top
    yield "normalisation", "raw", {}, table.totals(values)


def _affiliated(table: ScoreTable, affiliations: Affiliations) -> Iterator[Scored]:
    column = {event: k for k, event in enumerate(table.events)}
    every: set[int] = set()
    for team in affiliations.teams:  # teams that the gate removed may have events all the same
        mine = [column[event] for event in affiliations.of(team) if event in column]
        every |= set(mine)
        if mine:
            values = {"team": team, "events": [table.events[k] for k in mine]}
            yield _without(table, "leave_out_affiliated", "team", values, mine)
    if every:
        values = {"events": [table.events[k] for k in sorted(every)]}
        yield _without(table, "leave_out_affiliated", "all", values, sorted(every))


def _without(
    table: ScoreTable, kind: str, name: str, values: Mapping[str, Any], columns: list[int]
) -> Scored:
    keep = np.ones(len(table.events), bool)
    keep[columns] = False
    left = set(table.category[keep])
    gone = [category for k, category in enumerate(table.categories) if k not in left]
    if gone:
        name, values = f"{name}_and_category", dict(values) | {"categories": gone}
    points = sum(table.points[k] for k in left)
    return kind, name, values, table.totals(keep=keep) if points > 0 else None


def _aggregated(table: ScoreTable) -> Iterator[dict[str, Any]]:
    for method, ordering in orderings(table.scores, table.shares(), table.teams).items():
        if ordering is not None:
            found = _universe("aggregation", method, {}, [list(group) for group in ordering.order])
            yield found | {"first": list(ordering.first), "last": list(ordering.last)}


def _universe(kind: str, name: str, values: Mapping[str, Any], sets: list[list[str]]) -> dict[str, Any]:
    order = [team for group in sets for team in group]
    return {
        "kind": kind,
        "name": name,
        "values": dict(values),
        "order": order,
        "first": sets[0],
        "last": sets[-1],
    }


def _summary(table: ScoreTable, listed: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    mine = [universe for universe in listed if universe["kind"] == kind]
    found: dict[str, Any] = {"kind": kind, "count": len(mine)}
    for end in ("last", "first"):
        shares = dict.fromkeys(table.teams, 0.0)
        for universe in mine:
            for team in universe[end]:
                shares[team] += 1 / len(universe[end]) / len(mine)
        found[end] = {team: round(share, 4) for team, share in shares.items()}
    return found


def _count_all(table: ScoreTable, summary: list[dict[str, Any]], alternatives: Sequence[Alternative]) -> None:
    """Alternatives beyond those listed count in the summary all the same."""
    for k, row in enumerate(summary):
        mine = [each for each in alternatives if each.kind == row["kind"]]
        universes = [
            _universe(each.kind, each.name, {}, tied_sets(table.totals(each.scores), table.teams))
            for each in mine
        ]
        if mine:
            summary[k] = _summary(table, universes, row["kind"])


def _simplex(table: ScoreTable, means: np.ndarray, close: Mapping[str, Any]) -> dict[str, Any] | None:
    if len(table.points) < 2:
        return None
    grid = whole_simplex(len(table.points))
    totals = np.round(means @ grid.T / 100, 9)
    return {
        "categories": list(table.categories),
        "grid": [
            {
                "weights": [round(float(w), 4) for w in weights],
                "last": [table.teams[i] for i in np.flatnonzero(column == column.min())],
            }
            for weights, column in zip(grid, totals.T, strict=True)
        ],
        "step": round(100 / most_points(len(table.points)), 4),
        "share": winners(means, grid, table.teams)["last"],
        "near": close["last"],
    }
