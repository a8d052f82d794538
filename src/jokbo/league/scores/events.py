"""One event's points for all teams of a round, with who did not run or finish, and sums of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from jokbo.errors import FormatError, UsageError
from jokbo.league.measured import EventDraws
from jokbo.league.round import Event
from jokbo.league.scores.anchored import anchored
from jokbo.league.statistics.degrees import Spreads, joined
from jokbo.league.statistics.ranks import TINY, pair_variances

SCORED, DID_NOT_RUN, DID_NOT_FINISH = "scored", "did_not_run", "did_not_finish"


@dataclass(frozen=True, slots=True)
class Composite:
    """Scores of all teams on one scale, and their resampled copies: an event's points, an axis, a category, a total.

    Attributes
    ----------
    id : str
    teams : tuple of str
    value : numpy.ndarray, shape (teams,)
        Finite for every team.
    draws : numpy.ndarray, shape (draws, teams), or None
        A column of NaN where a team's spread is not known; None where nobody's is.
    degrees : Spreads
        Degrees of freedom of differences; on the diagonal, of each team's own score.
    floored : mapping of str to tuple of str
        Events that a team did not run or finish and that count 0 points in its score.
    assumed : bool
        Some of the spread is assumed.
    """

    id: str
    teams: tuple[str, ...]
    value: np.ndarray
    draws: np.ndarray | None
    degrees: Spreads
    floored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assumed: bool = False

    @property
    def error(self) -> np.ndarray:
        """Standard errors, shape (teams,); NaN where the spread is not known."""
        if self.draws is None:
            return np.full(len(self.teams), np.nan)
        known = np.isfinite(self.draws).all(0)
        return np.where(known, np.where(known, self.draws, 0.0).std(axis=0, ddof=1), np.nan)

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Each team's own interval (not simultaneous), by Student's t; NaN where the spread is not known."""
        t = self.degrees.own().student(0.5 - level / 2)
        return self.value - t * self.error, self.value + t * self.error

    def among(self, teams: Sequence[str]) -> Composite:
        """The same for some of the teams; nobody's score changes."""
        at = [self.teams.index(team) for team in teams]
        draws = None if self.draws is None else self.draws[:, at]
        kept = {team: events for team, events in self.floored.items() if team in teams}
        return Composite(
            self.id, tuple(teams), self.value[at], draws, self.degrees.among(at), kept, self.assumed
        )


@dataclass(frozen=True, slots=True)
class EventScores:
    """One event's points.

    Attributes
    ----------
    event : Event
    status : tuple of str
        ``scored``, ``did_not_run``, ``did_not_finish``, by team.
    raw : numpy.ndarray, shape (teams,)
        In the event's own unit; NaN where there is none.
    raw_error, naive_error : numpy.ndarray, shape (teams,)
        Standard errors in that unit; NaN where not known.
    points : Composite
    floor_error : float
        Standard error of the points, at the most, of a team that is truly at the floor; 0 where not known.
    """

    event: Event
    status: tuple[str, ...]
    raw: np.ndarray
    raw_error: np.ndarray
    naive_error: np.ndarray
    points: Composite
    floor_error: float = 0.0


def score_event(event: Event, drawn: EventDraws, teams: Sequence[str]) -> EventScores:
    """Points of all teams of a round at one event.

    A team that did not finish scores the floor, 0 points; so does one that did not run, where the event's
    `missing` says ``floor``. What is set by that rule has no spread, except that one unfinished run says nothing of
    others.

    Raises
    ------
    FormatError
        A team did not run, and the event refuses that.
    """
    absent = [team for team in teams if team not in drawn.entrants]
    if absent and event.missing != "floor":
        raise FormatError(
            f"event {event.id}: no results of {', '.join(absent)}; expected every team's, for `missing: refuse`. "
            "Add the results, or state `missing: floor` before the round is frozen."
        )
    stranger = [team for team in drawn.entrants if team not in teams]
    if stranger:
        raise UsageError(
            f"event {event.id}: results of {', '.join(stranger)}, not among the teams to be scored."
        )
    raw = np.full(len(teams), np.nan)
    raw_error, naive = raw.copy(), raw.copy()
    points = np.zeros(len(teams))
    copies = None if drawn.draws is None else np.zeros((len(drawn.draws), len(teams)))
    status, floored = [], {}
    for k, team in enumerate(teams):
        if team in absent:
            status.append(DID_NOT_RUN)
            floored[team] = (event.id,)
            continue
        at = drawn.entrants.index(team)
        raw[k] = drawn.value[at]
        if drawn.naive_error is not None:
            naive[k] = drawn.naive_error[at]
        finished = bool(np.isfinite(raw[k]))
        status.append(SCORED if finished else DID_NOT_FINISH)
        if not finished:
            floored[team] = (event.id,)
        else:
            points[k] = anchored(raw[k], event)
        if copies is None or drawn.draws is None:
            continue
        column = drawn.draws[:, at]
        if finished:
            copies[:, k] = anchored(column, event)
            raw_error[k] = column.std(ddof=1)
        elif np.isnan(column).any():
            copies[:, k] = np.nan
    degrees = _aligned(drawn, teams)
    whole = Composite(event.id, tuple(teams), points, copies, degrees, floored, drawn.assumed)
    steep = (
        event.floor * np.log(event.anchor.value / event.floor)
        if event.scale == "log"
        else event.anchor.value - event.floor
    )
    return EventScores(
        event, tuple(status), raw, raw_error, naive, whole, 100 * drawn.floor_error / abs(float(steep))
    )


def _aligned(drawn: EventDraws, teams: Sequence[str]) -> Spreads:
    """Spreads by team; a team that did not run has none, so a difference from it has the other's."""
    own = Spreads.of(drawn.degrees, len(drawn.entrants))
    at = [drawn.entrants.index(team) if team in drawn.entrants else -1 for team in teams]
    k = len(teams)
    share, degrees = np.ones((len(own.share), k, k)), np.ones((len(own.share), k, k))
    for i, a in enumerate(at):
        for j, b in enumerate(at):
            first, second = (b if a < 0 else a), (a if b < 0 else b)
            if first >= 0:
                share[:, i, j], degrees[:, i, j] = own.share[:, first, second], own.degrees[:, first, second]
    return Spreads(share, degrees)


def weighted_sum(id: str, parts: Sequence[Composite], weights: Sequence[float]) -> Composite:
    """Sum of composites of the same teams with these weights; their draws are independent of each other.

    Every part keeps its degrees of freedom (:class:`jokbo.league.statistics.degrees.Spreads`). Where one part's spread
    is not known, the sum's is not either (unless it weighs nothing). That holds for a pair, too: two teams that lie
    apart by the same in each of three passages show no spread, which must not pass for certainty beside other parts.
    """
    teams = parts[0].teams
    value = np.zeros(len(teams))
    terms: list[tuple[np.ndarray, Spreads]] = []
    draws: np.ndarray | None = None
    unknown = False
    blind = np.zeros((len(teams), len(teams)), bool)
    floored: dict[str, tuple[str, ...]] = {}
    assumed = False
    for part, weight in zip(parts, weights, strict=True):
        if part.teams != teams:
            raise UsageError(
                f"{id}: {part.id} has scores of other teams; expected the same teams in every part."
            )
        if weight == 0:
            continue
        value = value + weight * part.value
        for team, events in part.floored.items():
            floored[team] = (*floored.get(team, ()), *events)
        assumed |= part.assumed
        if part.draws is None:
            unknown = True
            continue
        term = weight * part.draws
        draws = term if draws is None else draws + term
        variance = pair_variances(term)
        terms.append((variance, part.degrees))
        blind |= _blind(weight * part.value, variance) & ~part.degrees.certain
    if draws is None or unknown:
        return Composite(id, teams, value, None, Spreads.of(np.inf, len(teams)), floored, assumed)
    return Composite(id, teams, value, draws, joined(terms, blind), floored, assumed)


def _blind(value: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Pairs that lie apart without any spread, shape (teams, teams)."""
    apart = np.abs(value[:, None] - value[None, :])
    scale = TINY * max(float(np.abs(value).max(initial=0.0)), float(np.sqrt(variance.max(initial=0.0))))
    return np.asarray((apart > scale) & (np.sqrt(variance) <= scale))
