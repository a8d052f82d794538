"""Grids of weights: near the declared ones, and the whole simplex; bounded, and in a fixed order."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np

from jokbo.league.statistics.score_table import TIED

MOST_NEAR = 10_000
"""Weightings near the declared one: three categories in steps of one point are 9,261."""

MOST_SIMPLEX = 1_500
"""Weightings of the whole simplex, each of which is listed: three categories in steps of two points are 1,326."""


def near_declared(points: np.ndarray, *, near: float = 10.0) -> np.ndarray:
    """Weightings whose points differ from the declared by at most `near` of 100, brought to 100 in all.

    Parameters
    ----------
    points : numpy.ndarray, shape (categories,)

    Returns
    -------
    numpy.ndarray, shape (weightings, categories)
        A grid in steps of 1, 2, 5 or 10 points: the finest of at most 10,000 weightings. Where even the coarsest
        has more, one category at a time is changed. Weightings with a negative weight are left out.

    Examples
    --------
    >>> near_declared(np.array([40.0, 35.0, 25.0])).shape
    (9261, 3)
    """
    declared = points / points.sum() * 100
    fits = [step for step in (1, 2, 5, 10) if (2 * int(near // step) + 1) ** len(points) <= MOST_NEAR]
    if fits:
        steps = np.arange(-int(near // fits[0]), int(near // fits[0]) + 1) * float(fits[0])
        grid = declared + np.array(list(itertools.product(steps, repeat=len(points))))
    else:
        moves = np.eye(len(points)) * near
        grid = declared + np.concatenate([np.zeros((1, len(points))), moves, -moves])
    grid = grid[(grid >= -1e-9).all(axis=1) & (grid.sum(axis=1) > 1e-9)].clip(min=0)
    return grid / grid.sum(axis=1, keepdims=True) * 100


def most_points(categories: int) -> int:
    """Into how many steps the simplex is cut, so that it has at most 1,500 weightings."""
    return max(
        (
            n
            for n in (100, 50, 20, 10, 5, 4, 2)
            if math.comb(n + categories - 1, categories - 1) <= MOST_SIMPLEX
        ),
        default=1,
    )


def whole_simplex(categories: int) -> np.ndarray:
    """All weightings of 100 points in equal steps, shape (weightings, categories), first category falling.

    Examples
    --------
    >>> whole_simplex(3).shape
    (1326, 3)
    """
    n = most_points(categories)
    rows = [
        tuple(b - a - 1 for a, b in itertools.pairwise((-1, *cuts, n + categories - 1)))
        for cuts in itertools.combinations(range(n + categories - 1), categories - 1)
    ]
    return np.array(rows[::-1], dtype=float) * (100 / n)


def winners(means: np.ndarray, grid: np.ndarray, teams: tuple[str, ...]) -> dict[str, Mapping[str, float]]:
    """In what share of weightings each team is last, and first; tied teams count in equal parts.

    Parameters
    ----------
    means : numpy.ndarray, shape (teams, categories)
    grid : numpy.ndarray, shape (weightings, categories)
    """
    totals = np.round(means @ grid.T / 100, TIED)
    found: dict[str, Mapping[str, float]] = {}
    for end, at in (("last", totals.min(axis=0)), ("first", totals.max(axis=0))):
        there = totals == at
        shares = (there / there.sum(axis=0)).mean(axis=1)
        found[end] = {team: round(float(share), 4) for team, share in zip(teams, shares, strict=True)}
    return found
