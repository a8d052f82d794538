"""On which grid numbers lie: a print format's decimals, or the floating-point type they came from.

A value read from ``3.1416`` is the double nearest to a decimal of four places, and one that passed
through float32 has 29 trailing zero bits. Neither happens to a double computed afresh.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float64, Int64

MAX_DECIMALS = 15
"""Beyond this a double's own digits end."""

PRINTED_DIGITS = 9
"""At most so many significant digits are taken for a print format: float32 needs nine."""

EXAMINED = 4096
"""Values looked at, evenly spaced: a grid that holds for these holds for a share 1 - 1e-3 of all."""


class GridKind(StrEnum):
    """What the numbers look like."""

    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT32 = "float32"
    PRINTED = "printed"
    DOUBLE = "double"


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid that all values lie on.

    Attributes
    ----------
    kind : GridKind
    decimals, significant : int
        Most places after the point, and most significant digits, of any value (printed numbers only; else 0).
    """

    kind: GridKind
    decimals: int = 0
    significant: int = 0

    def unit(self, values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """One unit of the last place at each value: the coarser of both digit counts.

        Examples
        --------
        >>> Grid(GridKind.PRINTED, decimals=4, significant=5).unit(np.array([3.1416])).tolist()
        [0.0001]
        """
        size = np.abs(values)
        if self.kind is GridKind.PRINTED:
            return np.maximum(10.0**-self.decimals, 10.0 ** (_exponent(values) - self.significant + 1))
        bits = {GridKind.BFLOAT16: 8, GridKind.FLOAT16: 11, GridKind.FLOAT32: 24, GridKind.DOUBLE: 53}
        return np.maximum(size * 2.0 ** (1 - bits[self.kind]), np.finfo(np.float64).tiny)

    def put(self, values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
        """Values rounded to the grid."""
        if self.kind is GridKind.PRINTED:
            places = np.round(-np.log10(self.unit(values)))
            return np.round(values * 10.0**places) / 10.0**places
        if self.kind is GridKind.FLOAT32:
            return values.astype(np.float32).astype(np.float64)
        if self.kind is GridKind.FLOAT16:
            return values.astype(np.float16).astype(np.float64)
        if self.kind is GridKind.BFLOAT16:
            bits = values.astype(np.float32).view(np.uint32)
            rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
            return rounded.view(np.float32).astype(np.float64)
        return values.copy()


def _exponent(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    size = np.abs(values)
    return np.floor(np.log10(np.where(size > 0, size, 1.0)))


def decimals(values: Float64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
    """Places after the point of the shortest decimal that is read as each value; 99 where there is none.

    ``rint(v 10^d) / 10^d`` is the double nearest to a decimal of d places as long as the numerator is
    below 2^53, since both operands of the division are exact.

    Examples
    --------
    >>> decimals(np.array([2.0, 2.5, 3.1416, 1 / 3])).tolist()
    [0, 1, 4, 99]
    """
    found = np.full(len(values), 99, dtype=np.int64)
    left = np.flatnonzero(np.isfinite(values))
    for places in range(23):
        if left.size == 0:
            break
        scaled = values[left] * 10.0**places
        exact = (np.rint(scaled) / 10.0**places == values[left]) & (np.abs(scaled) < 10.0**MAX_DECIMALS)
        found[left[exact]] = places
        left = left[~exact]
    return found


def on_grid(values: Float64[np.ndarray, " n"], grid: Grid) -> Bool[np.ndarray, " n"]:
    """Whether each value lies on `grid`."""
    if grid.kind is GridKind.PRINTED:
        places = decimals(values)
        digits = places + _exponent(values) + 1
        return (places <= grid.decimals) | (digits <= grid.significant)
    return grid.put(values) == values


def find_grid(values: Float64[np.ndarray, " n"]) -> Grid:
    """The coarsest grid that holds all finite, non-zero values; doubles where none does.

    Examples
    --------
    >>> find_grid(np.array([3.1416, 2.7183])).kind
    <GridKind.PRINTED: 'printed'>
    >>> find_grid(np.float32([0.1, 0.2, 1.7]).astype(float)).kind
    <GridKind.FLOAT32: 'float32'>
    """
    kept = values[np.isfinite(values) & (values != 0)]
    if kept.size == 0:
        return Grid(GridKind.DOUBLE)
    kept = kept[:: max(1, len(kept) // EXAMINED)]
    places = decimals(kept)
    digits = int((places + _exponent(kept) + 1).max())
    printed = Grid(GridKind.PRINTED, int(places.max()), max(digits, 1))
    if printed.decimals == 0:
        return printed  # whole numbers are counted, however large
    for kind in (GridKind.BFLOAT16, GridKind.FLOAT16):
        if _all_on(kept, kind):
            return Grid(kind)
    if printed.decimals < 99 and digits <= PRINTED_DIGITS:
        return printed
    return Grid(GridKind.FLOAT32 if _all_on(kept, GridKind.FLOAT32) else GridKind.DOUBLE)


def _all_on(values: Float64[np.ndarray, " n"], kind: GridKind) -> bool:
    with np.errstate(over="ignore"):
        return bool(on_grid(values, Grid(kind)).all())
