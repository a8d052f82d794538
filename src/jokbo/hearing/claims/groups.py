"""What follows from rows of a table: means, spreads, effect sizes, standard errors, p-values.

A table is rounded, so each statistic is an interval: what it can be, given that every value lies within half a unit
of its last decimal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from jokbo.hearing.claims.numbers import step_of
from jokbo.hearing.claims.table import Row

SMALL = 1e-280
"""Below this a p-value is computed by its logarithm."""


@dataclass(frozen=True, slots=True)
class Interval:
    """What a number can be."""

    low: float
    high: float

    @property
    def middle(self) -> float:
        """Its best guess."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, slots=True)
class Group:
    """Rows taken together.

    Attributes
    ----------
    n : int
        Values that they stand for.
    mean : float
    sd : float or None
        Standard deviation of the values; None for one value, and where a row is a mean without one.
    low, high : float
        Least and greatest row.
    rounding : float
        How far the mean may be off, because the rows are rounded.
    rows : tuple of Row
    """

    n: int
    mean: float
    sd: float | None
    low: float
    high: float
    rounding: float
    rows: tuple[Row, ...]


def group(rows: Sequence[Row]) -> Group | None:
    """Take rows together; None where there are none.

    Examples
    --------
    >>> found = group([Row("effect", "a", "b", value, 1) for value in (0.5, 0.75)])
    >>> found.n, found.mean, round(found.sd, 4)
    (2, 0.625, 0.1768)
    """
    if not rows:
        return None
    n = sum(row.count for row in rows)
    mean = math.fsum(row.count * row.value for row in rows) / n
    values = [row.value for row in rows]
    rounding = max(step_of(value) for value in values) / 2
    return Group(n, mean, _deviation(rows, n, mean), min(values), max(values), rounding, tuple(rows))


def _deviation(rows: Sequence[Row], n: int, mean: float) -> float | None:
    if n < 2 or any(row.count > 1 and row.sd is None for row in rows):
        return None
    within = math.fsum((row.count - 1) * (row.sd or 0.0) ** 2 for row in rows)
    between = math.fsum(row.count * (row.value - mean) ** 2 for row in rows)
    return math.sqrt((within + between) / (n - 1))


def difference(effect: Group, baseline: Group) -> Interval:
    """Difference of two means."""
    gap, slack = effect.mean - baseline.mean, effect.rounding + baseline.rounding
    return Interval(gap - slack, gap + slack)


def effect_size(effect: Group, baseline: Group) -> Interval | None:
    """Cohen's d: the difference in units of the pooled standard deviation of *single values*.

    Cohen, Statistical Power Analysis for the Behavioral Sciences (1988), 2.5. None where a spread is not known.
    """
    if effect.sd is None or baseline.sd is None or effect.n + baseline.n < 3:
        return None
    free = effect.n + baseline.n - 2
    pooled = math.sqrt(((effect.n - 1) * effect.sd**2 + (baseline.n - 1) * baseline.sd**2) / free)
    return _ratio(difference(effect, baseline), pooled, max(effect.rounding, baseline.rounding))


def standard_errors(effect: Group, baseline: Group) -> Interval | None:
    """The difference in units of its own standard error, which is what "sigma" means of a difference.

    Welch's statistic, Biometrika 34 (1947), 28-35. None where a spread is not known.
    """
    if effect.sd is None or baseline.sd is None:
        return None
    error = math.sqrt(effect.sd**2 / effect.n + baseline.sd**2 / baseline.n)
    slack = max(effect.rounding, baseline.rounding) / math.sqrt(min(effect.n, baseline.n))
    return _ratio(difference(effect, baseline), error, slack)


def _ratio(gap: Interval, scale: float, slack: float) -> Interval:
    """A rounded difference over a rounded spread; unbounded where the spread may be zero."""
    least = scale - slack
    ends = [
        end / width for end in (gap.low, gap.high) for width in (max(least, 0.0), scale + slack) if width > 0
    ]
    if least > 0:
        return Interval(min(ends), max(ends))
    return Interval(
        min(*ends, 0.0) if gap.low > 0 else -math.inf, math.inf if gap.high > 0 else max(*ends, 0.0)
    )


def t_of_effect_size(d: float, n: int, m: int) -> float:
    """Student's statistic of Cohen's d between `n` and `m` values.

    Examples
    --------
    >>> t_of_effect_size(2.0, 4, 4)
    2.8284271247461903
    """
    return d * math.sqrt(n * m / (n + m))


def log10_t_pvalue(t: float, free: int) -> float:
    """Decimal logarithm of the two-sided p-value of Student's statistic, also where no float holds the p-value.

    The p-value is the regularised incomplete beta function I_x(n/2, 1/2) at x = n / (n + t²), n the degrees of freedom
    (Abramowitz and Stegun, 26.7.1). Where that is too small for a float, it is taken apart (26.5.4 with 15.3.3)::

        I_x(a, b) = x^a (1 - x)^b / (a B(a, b)) · F(a + b, 1; a + 1; x)

    of which each factor has a logarithm.

    Examples
    --------
    >>> round(10 ** log10_t_pvalue(2.447, 6), 3)
    0.05
    >>> round(log10_t_pvalue(1e60, 6))
    -358
    """
    from scipy.special import betainc, betaln, hyp2f1

    a, b = free / 2, 0.5
    x = free / (free + t * t)
    p = float(betainc(a, b, x))
    if p > SMALL:
        return math.log10(p)
    # x itself may be too small for a float; its logarithm is not.
    log_x = math.log(free) - 2 * math.log(abs(t)) - math.log1p(free / t / t)
    series = float(hyp2f1(a + b, 1.0, a + 1, x))
    natural = a * log_x + b * math.log1p(-x) - math.log(a) - float(betaln(a, b)) + math.log(series)
    return natural / math.log(10)


def log10_permutation_floor(n: int, m: int) -> float:
    """Decimal logarithm of the least p-value that relabelling `n` and `m` values can give: one order in all.

    Examples
    --------
    >>> round(10 ** -log10_permutation_floor(4, 4))
    70
    """
    return (math.lgamma(n + 1) + math.lgamma(m + 1) - math.lgamma(n + m + 1)) / math.log(10)
