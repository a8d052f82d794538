"""Pareto fronts: what a race cost against an ability; who is beaten at both by the same team, and who by none."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jokbo.league.scores.events import SCORED, Composite, EventScores


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One team of a front.

    Attributes
    ----------
    cost : float
        In the race's unit.
    ability : float
        Points.
    on_front : bool
        By point estimates: no other team is at least as good at both and better at one.
    dominated_by : tuple of str
    front_share : float or None
        Share of resampled tables in which the team is on the front; None where somebody's spread is not known.
    """

    team: str
    cost: float
    ability: float
    on_front: bool
    dominated_by: tuple[str, ...]
    front_share: float | None


@dataclass(frozen=True, slots=True)
class Front:
    """A front, and who is not in it for not having finished the race."""

    cost: str
    ability: str
    points: tuple[FrontPoint, ...]
    did_not_finish: tuple[str, ...]


def pareto_front(race: EventScores, ability: Composite) -> Front:
    """The front of a race's cost and an ability's points.

    Parameters
    ----------
    race : EventScores
        Its points order the cost, whatever the direction of its unit.
    ability : Composite
        Of the same teams: the absolute axis, or one event's points.
    """
    teams = race.points.teams
    at = [k for k, status in enumerate(race.status) if status == SCORED]
    cost, points = race.points.value[at], ability.value[at]
    beaten = dominated(cost, points)
    shares = _shares(race.points, ability, at)
    rows = [
        FrontPoint(
            team=teams[k],
            cost=float(race.raw[k]),
            ability=float(points[n]),
            on_front=not beaten[:, n].any(),
            dominated_by=tuple(teams[at[m]] for m in np.flatnonzero(beaten[:, n])),
            front_share=None if shares is None else float(shares[n]),
        )
        for n, k in enumerate(at)
    ]
    left = tuple(team for k, team in enumerate(teams) if k not in at)
    return Front(race.event.id, ability.id, tuple(rows), left)


def dominated(cost: np.ndarray, ability: np.ndarray) -> np.ndarray:
    """Who beats whom; higher is better for both.

    Parameters
    ----------
    cost, ability : numpy.ndarray, shape (..., teams)

    Returns
    -------
    numpy.ndarray, shape (..., teams, teams), bool
        Row's team is at least as good as column's at both, and better at one.

    Examples
    --------
    >>> dominated(np.array([2.0, 1.0]), np.array([5.0, 5.0])).tolist()
    [[False, True], [False, False]]
    """
    first, second = (x[..., :, None] - x[..., None, :] for x in (cost, ability))
    return (first >= 0) & (second >= 0) & ((first > 0) | (second > 0))


def _shares(race: Composite, ability: Composite, at: list[int]) -> np.ndarray | None:
    if race.draws is None or ability.draws is None or not at:
        return None
    cost, points = race.draws[:, at], ability.draws[:, at]
    if not (np.isfinite(cost).all() and np.isfinite(points).all()):
        return None
    on = np.zeros(len(at))
    for first in range(0, len(cost), 256):
        rows = slice(first, first + 256)
        on += (~dominated(cost[rows], points[rows]).any(-2)).sum(0)
    return on / len(cost)
