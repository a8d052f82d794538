"""Numbers of a document: rounded so that the last bits of a sum do not show, absent where nothing is known."""

from __future__ import annotations

import math

DECIMALS = 6
PROBABILITY_DECIMALS = 4


def figure(value: float | None) -> float | None:
    """A score, value or interval end with six decimals; None for NaN, infinity and None.

    Examples
    --------
    >>> figure(-1e-9), figure(2 / 3), figure(float("nan"))
    (0.0, 0.666667, None)
    """
    return _rounded(value, DECIMALS)


def probability(value: float | None) -> float | None:
    """A share with four decimals; None where there is none."""
    return _rounded(value, PROBABILITY_DECIMALS)


def _rounded(value: float | None, decimals: int) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), decimals) + 0.0  # no negative zero
