"""The smallest change of declared weights that changes who is last; exact, because totals are linear in weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jokbo.league.statistics.score_table import TIED, ScoreTable

ROUNDING = 1e-11
"""Weights (of one in all) that differ by less are the same crossing."""


@dataclass(frozen=True, slots=True)
class WeightFlip:
    """Where the last place changes when one category counts for more or less.

    Attributes
    ----------
    category : str
    declared : float
        Its points in the round, of `of`.
    weight : float or None
        Nearest number of points, the others scaled in proportion, at which the last place changes hands: there the
        teams are tied, and beyond it `last_after` are last. None: no number of points changes it.
    last_before, last_after : tuple of str
    """

    category: str
    declared: float
    weight: float | None
    last_before: tuple[str, ...]
    last_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SmallestChange:
    """The least points that have to move from some categories to others until the last team is last alone no more.

    Attributes
    ----------
    moved : float
        Points taken from some categories and given to others; half the L1 distance of the two weightings.
    weights : tuple of float
        Points of each category after it.
    last_before, last_after : tuple of str
        After it, the teams are tied.
    """

    moved: float
    weights: tuple[float, ...]
    last_before: tuple[str, ...]
    last_after: tuple[str, ...]


def weight_flips(table: ScoreTable) -> tuple[WeightFlip, ...]:
    """For each category the nearest weight at which the last place changes.

    A total is ``w x + (1 - w) y``, `x` the team's mean in the category and `y` its mean in the others at their declared
    proportions: a straight line in `w`. Who is last is the lower envelope of these lines, which changes only where two
    of them cross, so that only crossings are looked at. Where two teams are last together as declared, the change is
    at the declared weight itself.
    """
    means, whole = table.by_category(), table.points.sum()
    flips = []
    for k, category in enumerate(table.categories):
        others = np.delete(table.points, k)
        if not others.sum() > 0:
            continue  # the only category that counts has no weight to change
        rest = np.delete(means, k, axis=1) @ (others / others.sum())
        found = _nearest(means[:, k], rest, float(table.points[k] / whole))
        before = _lowest(table.declared())
        weight, after = (None, before) if found is None else (float(found[0] * whole), found[1])
        flips.append(
            WeightFlip(category, float(table.points[k]), weight, _named(table, before), _named(table, after))
        )
    return tuple(flips)


def _nearest(x: np.ndarray, y: np.ndarray, start: float) -> tuple[float, list[int]] | None:
    """Nearest crossing at which the lower envelope changes, and who is last beyond it."""
    slopes, found = x - y, []
    before = _lowest(y + start * slopes)
    i, j = np.triu_indices(len(x), 1)
    apart = slopes[i] - slopes[j]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.where(np.abs(apart) > 1e-12, (y[j] - y[i]) / apart, np.nan)
    # A crossing at the declared weight itself is exactly there, whatever the last digit of a quotient.
    crossings = np.where(np.abs(crossings - start) <= ROUNDING, start, crossings)
    crossings = crossings[(crossings >= 0) & (crossings <= 1)]
    for up in (True, False):
        side = crossings[crossings > start] if up else crossings[crossings < start]
        stops = np.append(start, _apart(np.sort(side) if up else np.sort(side)[::-1]))
        for here, following in zip(stops, np.append(stops[1:], 1.0 if up else 0.0), strict=True):
            if abs(following - here) <= ROUNDING:
                continue
            # Between two crossings nobody passes anybody, so that any point there will do.
            after = _lowest(y + (here + following) / 2 * slopes)
            if after != before:
                found.append((abs(here - start), float(here), after))
                break
    if not found:
        return None
    _, weight, after = min(found, key=lambda each: (round(each[0], TIED), each[1]))
    return weight, after


def _apart(stops: np.ndarray) -> np.ndarray:
    """Stops in their order without those that only rounding parts from the one before."""
    return stops[np.abs(np.diff(stops, prepend=np.inf)) > ROUNDING]


def smallest_change(table: ScoreTable) -> SmallestChange | None:
    """The smallest move of points between categories that ends the last team's being last alone.

    The last team `l` is passed by, or tied with, another team `j` when ``sum(w * d) <= 0`` for the differences
    ``d = x_j - x_l`` of category means. Moving a point from category a to b lowers the sum by ``d_a - d_b``, so the
    cheapest way is to move points from the categories where `j` leads most to the one where it leads least, each
    until it is empty: a linear programme with one constraint beside the simplex, solved by taking in order. The least
    over all `j` is exact: as long as no total is at or below `l`'s, `l` is last.

    Returns
    -------
    SmallestChange or None
        None where every weighting leaves the same team last alone.
    """
    means, totals = table.by_category(), table.declared()
    last = _lowest(totals)
    if len(last) > 1:
        names = _named(table, last)
        return SmallestChange(0.0, tuple(map(float, table.points)), names, names)
    best: tuple[float, np.ndarray] | None = None
    for j in range(len(table.teams)):
        moved = None if j in last else _move(means[j] - means[last[0]], table.points)
        if moved is not None and (best is None or moved[0] < best[0]):
            best = moved
    if best is None:
        return None
    after = _lowest(means @ best[1] / 100)
    return SmallestChange(best[0], tuple(map(float, best[1])), _named(table, last), _named(table, after))


def _move(d: np.ndarray, points: np.ndarray) -> tuple[float, np.ndarray] | None:
    """Points moved, and the weights after it, until ``sum(w * d)`` is zero; None where it stays above."""
    lowest = int(np.argmin(d))
    if d[lowest] > 0:
        return None
    weights, lead, moved = points.astype(float).copy(), float(points @ d), 0.0
    for k in np.argsort(-d, kind="stable"):
        gain = float(d[k] - d[lowest])
        if lead <= 0 or gain <= 0:
            break
        step = min(float(weights[k]), lead / gain)
        weights[k] -= step
        weights[lowest] += step
        moved += step
        lead -= step * gain
    return moved, weights


def _lowest(totals: np.ndarray) -> list[int]:
    rounded = np.round(totals, TIED)
    return np.flatnonzero(rounded == rounded.min()).tolist()


def _named(table: ScoreTable, rows: list[int]) -> tuple[str, ...]:
    return tuple(table.teams[i] for i in rows)
