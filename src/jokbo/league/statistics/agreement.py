"""Krippendorff's alpha: how far raters agree, beyond what their own spread of scores would give by chance.

Krippendorff (2019), Content Analysis, 4th edition, chapter 12.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jokbo.errors import FormatError


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha with an interval; 1 is perfect agreement, 0 what chance gives.

    Attributes
    ----------
    alpha : float
    low, high : float or None
        None with fewer than three raters, or where leaving one out leaves nothing to compare.
    """

    alpha: float
    low: float | None
    high: float | None


def krippendorff_alpha(ratings: np.ndarray, *, metric: str = "interval", level: float = 0.95) -> Agreement:
    """Krippendorff's alpha of raters over units.

    Raters are resampled, not units: the teams are these, another panel would have other raters. The interval is
    that of the delete-one-rater jackknife, alpha -+ t se with raters - 1 degrees of freedom, cut at 1.

    Parameters
    ----------
    ratings : numpy.ndarray, shape (raters, units), float64
        NaN where not rated. Units rated once are left out, as the definition has it.
    metric : {"interval", "ordinal"}
        Ordinal: the same of mid-ranks, which is Krippendorff's ordinal difference.
    level : float

    Raises
    ------
    FormatError
        No unit has two ratings, or all ratings are the same: there is nothing to agree on.

    Examples
    --------
    >>> krippendorff_alpha(np.array([[1.0, 2, 3, 4], [1, 2, 3, 4], [1, 2, 3, 4]])).alpha
    1.0
    """
    from scipy.special import stdtrit

    alpha = _alpha(ratings, metric)
    if alpha is None:
        raise FormatError("Krippendorff's alpha: no unit has two ratings, or all ratings are equal.")
    raters = len(ratings)
    without = [_alpha(np.delete(ratings, r, axis=0), metric) for r in range(raters)]
    rest = np.array([a for a in without if a is not None])
    if raters < 3 or len(rest) < raters:
        return Agreement(alpha, None, None)
    error = float(np.sqrt((raters - 1) / raters * ((rest - rest.mean()) ** 2).sum()))
    reach = float(stdtrit(raters - 1, 0.5 + level / 2)) * error
    return Agreement(alpha, alpha - reach, min(alpha + reach, 1.0))


def _alpha(ratings: np.ndarray, metric: str) -> float | None:
    """Alpha, or None where it is not defined."""
    rated = ~np.isnan(ratings)
    pairable = rated.sum(0) >= 2
    values, on = ratings[:, pairable], rated[:, pairable]
    count = int(on.sum())
    if count == 0:
        return None
    if metric == "ordinal":
        values = _midranks(values, on)
    elif metric != "interval":
        raise ValueError(f"metric {metric!r}; expected interval or ordinal")
    filled = np.where(on, values - values[on].mean(), 0.0)
    per_unit = on.sum(0)
    # Sums of squared differences over ordered pairs, from sums and sums of squares.
    observed = 2 * (per_unit * (filled**2).sum(0) - filled.sum(0) ** 2) / (per_unit - 1)
    expected = 2 * (count * (filled**2).sum() - filled.sum() ** 2) / (count - 1)
    if not expected > 0:
        return None
    return float(1 - observed.sum() / expected)


def _midranks(values: np.ndarray, on: np.ndarray) -> np.ndarray:
    distinct, index, counts = np.unique(values[on], return_inverse=True, return_counts=True)
    del distinct
    middle = np.cumsum(counts) - (counts - 1) / 2
    out = np.full(values.shape, np.nan)
    out[on] = middle[index]
    return out
