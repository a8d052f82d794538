"""All scores of a round, before anybody is told them: events, categories, axes, the total, and what ranks teams.

Pure: from a round and its measured events to numbers. :mod:`jokbo.league.board` writes them down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jokbo.league.measured import EventDraws, Measured
from jokbo.league.round import Axis, EventKind, Round
from jokbo.league.scores.axes import NO, UNRESOLVED, YES, RangeRow, absolute_axis, range_axis
from jokbo.league.scores.events import SCORED, Composite, EventScores, score_event
from jokbo.league.scores.pareto import Front, pareto_front
from jokbo.league.scores.totals import Totals, totals
from jokbo.league.statistics.bootstrap import draw_event
from jokbo.league.statistics.ranks import RankSets, rank_sets
from jokbo.league.statistics.resampling import event_generator
from jokbo.league.statistics.shared import sharing
from jokbo.views.component import Reason


@dataclass(frozen=True, slots=True)
class RangeRanks:
    """Rank sets by the number of events finished, from answers that all hold at once.

    A team has finished at least those that are resolved above their floors, and at most those that are not resolved
    below. Where one team's least exceeds another's most, the two are parted; so the sets hold at the level of the
    answers.
    """

    best_rank: np.ndarray
    worst_rank: np.ndarray


@dataclass(frozen=True, slots=True)
class Standings:
    """Scores of a round.

    Attributes
    ----------
    drawn : tuple of EventDraws
    events : tuple of EventScores
        In the round's order, of all its teams.
    absolute : Composite or None
    range : tuple of RangeRow
        Empty where no event is on that axis.
    fronts : tuple of Front
        Each race's cost against the absolute axis.
    """

    round: Round
    measured: tuple[Measured, ...]
    drawn: tuple[EventDraws, ...]
    events: tuple[EventScores, ...]
    totals: Totals
    absolute: Composite | None
    range: tuple[RangeRow, ...]
    fronts: tuple[Front, ...]

    def composite(self) -> Composite | None:
        """What the round eliminates by; None where that is the number of events finished."""
        by = self.round.elimination.by
        if by == Axis.RANGE:
            return None
        if by == Axis.ABSOLUTE:
            return self.absolute
        if by == "total":
            return self.totals.total
        return next(each for each in self.totals.categories if each.id == by)

    def ranks(self, teams: Sequence[str]) -> RankSets | RangeRanks:
        """Rank sets of some of the teams by what the round eliminates by."""
        whole = self.composite()
        if whole is None:
            return range_ranks([row for row in self.range if row.team in teams])
        part = whole.among(teams)
        return rank_sets(part.value, part.draws, level=self.round.level, degrees=part.degrees)

    def scores(self) -> Mapping[str, float]:
        """Every team's point estimate of what the round eliminates by."""
        whole = self.composite()
        if whole is None:
            return {row.team: float(row.count) for row in self.range}
        return dict(zip(whole.teams, map(float, whole.value), strict=True))

    def figures(self) -> dict[tuple[str, str | None], dict[str, float | None]]:
        """Whatever a step of the tie rule may look at: higher is better; None for a race that was not finished."""
        found: dict[tuple[str, str | None], dict[str, float | None]] = {}
        for each in self.totals.categories:
            found["category", each.id] = _by_team(each)
        if self.totals.total is not None:
            found["total", None] = _by_team(self.totals.total)
        if self.absolute is not None:
            found["axis", str(Axis.ABSOLUTE)] = _by_team(self.absolute)
        if self.range:
            found["axis", str(Axis.RANGE)] = {row.team: float(row.count) for row in self.range}
        for scored in self.events:
            known = dict(zip(scored.points.teams, scored.status, strict=True))
            race = scored.event.kind is EventKind.RACE
            found["event", scored.event.id] = {
                team: None if race and known[team] != SCORED else value
                for team, value in _by_team(scored.points).items()
            }
        return found


def standings(round: Round, measured: Sequence[Measured]) -> Standings:
    """Score every event, and all that the round makes of events.

    Parameters
    ----------
    measured : sequence of Measured
        One an event, in the round's order.

    Raises
    ------
    FormatError
        Results that cannot be scored: one cluster, one rater, a logarithm of nothing.
    """
    teams = [team.id for team in round.teams]
    drawn, scored = [], []
    shared = sharing(round.events, measured)
    for event, results, how in zip(round.events, measured, shared, strict=True):
        rng = event_generator(round.seed, how.generator)
        copies = draw_event(event, results, rng=rng, draws=round.draws, raters=how.raters)
        drawn.append(copies)
        scored.append(score_event(event, copies, teams))
    absolute = absolute_axis(scored)
    races = [each for each in scored if each.event.kind is EventKind.RACE]
    return Standings(
        round=round,
        measured=tuple(
            replace(each, notes=(*each.notes, *how.notes, *absent_above(points), *beyond_scale(points)))
            for each, how, points in zip(measured, shared, scored, strict=True)
        ),
        drawn=tuple(drawn),
        events=tuple(scored),
        totals=totals(round.categories, scored),
        absolute=absolute,
        range=range_axis(scored, level=round.level),
        fronts=() if absolute is None else tuple(pareto_front(race, absolute) for race in races),
    )


def absent_above(scored: EventScores) -> tuple[Reason, ...]:
    """A remark where 0 points of who did not run or finish are more than somebody reached who did.

    The rule is the round's and stands; that it pays to stay away is for people to see.
    """
    points = scored.points
    below = [
        team
        for team, value, status in zip(points.teams, points.value, scored.status, strict=True)
        if status == SCORED and value < 0
    ]
    if not points.floored or not below:
        return ()
    return (Reason("absent_above", {"teams": ", ".join(points.floored), "below": ", ".join(below)}),)


def beyond_scale(scored: EventScores) -> tuple[Reason, ...]:
    """A remark where somebody lies further from floor or anchor than these two from each other.

    An anchor set close to the floor makes an event count for more than its weight says.
    """
    points = scored.points
    far = [
        team
        for team, value, status in zip(points.teams, points.value, scored.status, strict=True)
        if status == SCORED and not -100 <= round(float(value), 6) <= 200
    ]
    return (Reason("beyond_scale", {"teams": ", ".join(far)}),) if far else ()


def range_ranks(rows: Sequence[RangeRow]) -> RangeRanks:
    """Rank sets of teams by events finished.

    Examples
    --------
    >>> rows = [RangeRow("a", (("x", "yes"), ("y", "yes"))), RangeRow("b", (("x", "unresolved"), ("y", "no")))]
    >>> sets = range_ranks(rows)
    >>> sets.best_rank.tolist(), sets.worst_rank.tolist()
    ([1, 2], [1, 2])
    """
    least = np.array([sum(answer == YES for _, answer in row.finished) for row in rows], np.int64)
    most = np.array([sum(answer != NO for _, answer in row.finished) for row in rows], np.int64)
    above = least[:, None] > most[None, :]
    return RangeRanks(1 + above.sum(0), len(rows) - above.sum(1))


def range_ends(row: RangeRow) -> tuple[int, int]:
    """Least and most events that a team has finished."""
    open_ = sum(answer == UNRESOLVED for _, answer in row.finished)
    return row.count, row.count + open_


def _by_team(each: Composite) -> dict[str, float | None]:
    return dict(zip(each.teams, map(float, each.value), strict=True))
