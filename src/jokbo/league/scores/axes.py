"""The axes *range* and *absolute*: how many events a team finishes, and how far it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jokbo.errors import UsageError
from jokbo.league.round import Axis
from jokbo.league.scores.events import DID_NOT_FINISH, Composite, EventScores, weighted_sum
from jokbo.league.statistics.ranks import TINY, seedless, stretch, strict, upper_quantile, widen

YES, NO, UNRESOLVED = "yes", "no", "unresolved"


@dataclass(frozen=True, slots=True)
class RangeRow:
    """One team's range: events at or above their floors.

    Attributes
    ----------
    finished : tuple of (event id, str)
        ``yes`` (resolved above the floor), ``no`` (below it, or did not run or finish), ``unresolved``.
    """

    team: str
    finished: tuple[tuple[str, str], ...]

    @property
    def count(self) -> int:
        """Events resolved as finished."""
        return sum(answer == YES for _, answer in self.finished)


def range_axis(scores: Sequence[EventScores], *, level: float) -> tuple[RangeRow, ...]:
    """Which events of the axis every team finished; all answers hold at once with probability `level`.

    Each score against 0 points, by the resampled maximum of studentised deviations over all teams and events
    (as :func:`jokbo.league.statistics.ranks.rank_sets` does for differences). Where a team scored the same in every
    cluster no error is seen; it is taken to be what one more cluster at the floor would have caused, |score| / n. And
    no error is taken to be smaller than that of a team at the floor: the question is whether it is there.

    Returns
    -------
    tuple of RangeRow
        In the order of teams; empty where the axis has no event.
    """
    own = [each for each in scores if Axis.RANGE in each.event.axes]
    if not own:
        return ()
    teams = own[0].points.teams
    value = np.array([each.points.value for each in own])
    degrees = np.array([_degrees(each.points) for each in own])
    error = np.array([np.maximum(_errors(each.points), each.floor_error) for each in own])
    critical = _critical([each.points for each in own], level)
    draws = max((len(each.points.draws) for each in own if each.points.draws is not None), default=1)
    reach = error * stretch(draws) * widen(critical, degrees, tests=value.size, level=level)
    answers = np.full(value.shape, UNRESOLVED, dtype=object)
    answers[value - reach > 0] = YES
    answers[value + reach < 0] = NO
    for row, each in enumerate(own):
        for k, team in enumerate(teams):
            if team in each.points.floored:
                answers[row, k] = NO
    return tuple(
        RangeRow(team, tuple((each.event.id, str(answers[row, k])) for row, each in enumerate(own)))
        for k, team in enumerate(teams)
    )


def _errors(points: Composite) -> np.ndarray:
    """Standard errors; NaN where not known, and never 0 for a score other than 0."""
    error = points.error
    n = _degrees(points) + 1
    flat = error <= TINY * np.maximum(np.abs(points.value), 1.0)
    return np.where(flat & np.isfinite(n), np.abs(points.value) / n, error)


def _degrees(points: Composite) -> np.ndarray:
    """Of each team's own score; an event of this axis has one spread."""
    return np.asarray(points.degrees.own().degrees.min(0))


def _critical(points: Sequence[Composite], level: float) -> float:
    """Of all teams and events together."""
    largest = None
    for each in points:
        errors = each.error
        usable = errors > TINY * np.maximum(np.abs(each.value), 1.0)
        if each.draws is None or not usable.any():
            continue
        apart = (np.abs(each.draws[:, usable] - each.value[usable]) / errors[usable]).max(1)
        largest = apart if largest is None else np.maximum(largest, apart)
    # Nobody spread at all: the share of Bonferroni stands alone.
    return 0.0 if largest is None else upper_quantile(largest, seedless(strict(level), len(largest)))


def absolute_axis(scores: Sequence[EventScores]) -> Composite | None:
    """Weighted mean of the anchored points of the axis' events; None where it has none.

    Raises
    ------
    UsageError
        The events weigh nothing.
    """
    own = [each for each in scores if Axis.ABSOLUTE in each.event.axes]
    if not own:
        return None
    weight = sum(each.event.weight for each in own)
    if not weight > 0:
        raise UsageError(
            f"the absolute axis has {len(own)} events that weigh {weight:g} in all; expected above 0."
        )
    return weighted_sum(
        "absolute", [each.points for each in own], [each.event.weight / weight for each in own]
    )


def unfinished(scores: Sequence[EventScores]) -> tuple[tuple[str, str], ...]:
    """(team, event) of all who began an event and did not finish it."""
    return tuple(
        (team, each.event.id)
        for each in scores
        for team, status in zip(each.points.teams, each.status, strict=True)
        if status == DID_NOT_FINISH
    )
