"""Tokens and learning rates that a declaration implies, held against logged ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jokbo.records.statistics.grid import Grid, GridKind, find_grid

UNITS = (1.0, 1e3, 1e6, 1e9, 1e12)
"""Tokens are logged as such, or in thousands, millions, billions, trillions."""

SLACK = 2
"""Updates by which conventions differ: before or after the update, first counted as 0 or 1, ``(k + 1) / (n + 1)``."""


def print_slack(values: Float64[np.ndarray, " n"], grid: Grid | None = None) -> Float64[np.ndarray, " n"]:
    """How far a logged value may lie from what was logged: one unit of its last place, cut or rounded.

    A value that passed through float32 may also have been computed in it: one part in 10^5, and doubles
    may have been computed in another order: one part in 10^9.
    """
    grid = grid or find_grid(values)
    computed = 1e-9 if grid.kind in (GridKind.DOUBLE, GridKind.PRINTED) else 1e-5
    return 1.01 * grid.unit(values) + computed * np.abs(values)


@dataclass(frozen=True, slots=True)
class Band:
    """The least and the greatest of what is implied within :data:`SLACK` updates of update 0, 1, 2, ..."""

    implied: Float64[np.ndarray, " updates"]
    low: Float64[np.ndarray, " updates"]
    high: Float64[np.ndarray, " updates"]

    def within(
        self,
        values: Float64[np.ndarray, " n"],
        steps: Int64[np.ndarray, " n"],
        slack: Float64[np.ndarray, " n"],
    ) -> Bool[np.ndarray, " n"]:
        """Whether each value, logged at its step, lies in the band, give or take its slack."""
        near = np.clip(steps, 0, len(self.implied) - 1)
        return (values >= self.low[near] - slack) & (values <= self.high[near] + slack)


def band(implied: Float64[np.ndarray, " updates"]) -> Band:
    """The band around what is implied.

    Examples
    --------
    >>> band(np.array([0.0, 1.0, 2.0, 3.0])).high.tolist()
    [2.0, 3.0, 3.0, 3.0]
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    size = 2 * SLACK + 1
    return Band(
        implied,
        minimum_filter1d(implied, size, mode="nearest"),
        maximum_filter1d(implied, size, mode="nearest"),
    )


def token_unit(values: Float64[np.ndarray, " n"], expected: Float64[np.ndarray, " n"]) -> float:
    """In what unit tokens were logged: 1, or the power of a thousand that brings the middle value within 1 %.

    Examples
    --------
    >>> token_unit(np.array([1.0, 2.0]), np.array([1e9, 2e9]))
    1000000000.0
    """
    kept = (expected > 0) & (values > 0)
    if not kept.any():
        return 1.0
    ratio = float(np.median(expected[kept] / values[kept]))
    for unit in UNITS[1:]:
        if abs(ratio / unit - 1) < 0.01:
            return unit
    return 1.0


def label_unit(total: int) -> int:
    """One unit of the last digit of a round number: 19,700,000,000,000 was said to a tenth of a trillion.

    Examples
    --------
    >>> label_unit(19_700_000_000_000), label_unit(307_200), label_unit(7)
    (100000000000, 100, 1)
    """
    unit = 1
    while total and total % (unit * 10) == 0:
        unit *= 10
    return unit


def offsets(
    first_steps: Sequence[int], last_steps: Sequence[int], seen: Float64[np.ndarray, " updates"]
) -> list[tuple[float, ...]]:
    """By how much each process's count may differ from `seen` (tokens after update 0, 1, 2, ...).

    Nothing; what was run again before it, where its count goes on; what was done before it, where it counts
    from nothing.

    Examples
    --------
    >>> offsets([1, 6], [10, 20], 100.0 * np.arange(21))
    [(0.0,), (0.0, 500.0, -500.0)]
    """
    found: list[tuple[float, ...]] = []
    extra, before = 0.0, 0
    for k, (first, last) in enumerate(zip(first_steps, last_steps, strict=True)):
        begun = float(seen[min(max(first - 1, 0), len(seen) - 1)])
        if k and first <= before:
            extra += float(seen[min(before, len(seen) - 1)]) - begun
        found.append(tuple(dict.fromkeys((0.0, extra, -begun))) if k else (0.0,))
        before = last
    return found
