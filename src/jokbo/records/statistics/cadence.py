"""How often a process logged, and where it should have and did not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

NEIGHBOURS = 8
"""Intervals on each side that say how often a log was written there."""

REGULAR = 0.75
"""Share of those that must agree for an interval between them to be called a hole."""

MAX_CANDIDATES = 20_000


@dataclass(frozen=True, slots=True)
class Cadence:
    """Logging intervals of one process.

    Attributes
    ----------
    every : int
        The most usual interval in updates; 1 where there is only one row.
    regular : bool
        Whether neighbouring intervals mostly agree, so that a hole can be told from a habit.
    holes : ndarray of int64, shape (holes, 2)
        Last step before each and first after it.
    """

    every: int
    regular: bool
    holes: Int64[np.ndarray, "holes 2"]


def cadence(steps: Int64[np.ndarray, " n"]) -> Cadence:
    """Intervals between ascending, distinct steps.

    A hole is an interval longer than is usual on *both* sides of it; logging less often from some step on
    is none, and neither is an extra row between two others.

    Examples
    --------
    >>> cadence(np.array([1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13])).holes.tolist()
    [[6, 9]]
    >>> cadence(np.array([10, 20, 30, 40, 50, 100, 150, 200, 250])).holes.tolist()
    []
    """
    none = np.zeros((0, 2), dtype=np.int64)
    gaps = np.diff(steps)
    if len(gaps) < 2:
        return Cadence(int(gaps[0]) if len(gaps) else 1, False, none)
    sizes, counts = np.unique(gaps, return_counts=True)
    every = int(sizes[counts.argmax()])
    least = np.minimum(np.concatenate([gaps[:1], gaps[:-1]]), np.concatenate([gaps[1:], gaps[-1:]]))
    candidates = np.flatnonzero(gaps > least)
    regular = bool(np.mean(gaps[1:] == gaps[:-1]) >= REGULAR) if len(gaps) > 2 else False
    if not regular or len(candidates) > MAX_CANDIDATES:
        return Cadence(every, False, none)
    found = [int(k) for k in candidates if _is_hole(gaps, int(k))]
    return Cadence(
        every, True, np.array([[steps[k], steps[k + 1]] for k in found], dtype=np.int64).reshape(-1, 2)
    )


def _is_hole(gaps: Int64[np.ndarray, " n"], place: int) -> bool:
    left = gaps[max(place - NEIGHBOURS, 0) : place]
    right = gaps[place + 1 : place + 1 + NEIGHBOURS]
    sides = [side for side in (left, right) if len(side)]
    usual = [int(np.median(side)) for side in sides]
    steady = all(
        bool(np.mean(side == size) >= REGULAR) or len(side) < 3
        for side, size in zip(sides, usual, strict=True)
    )
    return steady and bool(gaps[place] > max(usual))
