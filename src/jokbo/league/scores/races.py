"""The axis *efficiency*: each race by itself, in its own unit; no ratio of one to another is ever formed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from jokbo.league.measured import EventDraws, RaceRuns
from jokbo.league.round import Event
from jokbo.league.scores.events import EventScores, score_event


@dataclass(frozen=True, slots=True)
class RaceRow:
    """One team in one race.

    Attributes
    ----------
    status : str
        ``scored``, ``did_not_run``, ``did_not_finish``.
    value, low, high : float or None
        In the race's unit; the interval is None where one run, or an unfinished one, leaves the spread unknown.
    score, score_error : float or None
        Anchored points (0 for who did not finish), and their standard error.
    finished, started : int
        Runs.
    """

    team: str
    status: str
    value: float | None
    low: float | None
    high: float | None
    score: float
    score_error: float | None
    finished: int
    started: int


def race_rows(
    event: Event, measured: RaceRuns, drawn: EventDraws, teams: Sequence[str], *, level: float
) -> tuple[RaceRow, ...]:
    """A race's table, best first; who did not finish comes last, in the order of `teams`.

    The interval is Student's t of the runs' mean (of logarithms on the log scale), each team by itself with its own
    number of runs.

    Raises
    ------
    FormatError
        A team is missing, and the event refuses that.
    """
    scored = score_event(event, drawn, teams)
    rows = [_row(event, measured, scored, k, level) for k in range(len(teams))]
    sign = 1 if event.direction == "lower" else -1
    return tuple(sorted(rows, key=lambda row: (row.value is None, sign * (row.value or 0.0))))


def _row(event: Event, measured: RaceRuns, scored: EventScores, k: int, level: float) -> RaceRow:
    from scipy.special import stdtrit

    team = scored.points.teams[k]
    at = measured.entrants.index(team) if team in measured.entrants else None
    runs = np.asarray(measured.runs[at] if at is not None else [], np.float64)
    started = int(measured.started[at]) if at is not None else 0
    low = high = None
    if 2 <= len(runs) == started:
        logs = event.scale == "log"
        own = np.log(runs) if logs else runs
        reach = float(stdtrit(len(own) - 1, 0.5 + level / 2) * own.std(ddof=1) / np.sqrt(len(own)))
        low, high = float(own.mean() - reach), float(own.mean() + reach)
        if logs:
            low, high = float(np.exp(low)), float(np.exp(high))
    error = float(scored.points.error[k])
    return RaceRow(
        team=team,
        status=scored.status[k],
        value=float(scored.raw[k]) if np.isfinite(scored.raw[k]) else None,
        low=low,
        high=high,
        score=float(scored.points.value[k]),
        score_error=error if np.isfinite(error) else None,
        finished=len(runs),
        started=started,
    )
