"""The multi-power law of loss curves: what a loss curve owes to its learning rates.

``L(t) = L0 + A (S1(t) + S0)^-a - B sum_k (r_{k-1} - r_k) (1 - (1 + C (S1(t) - S1(k)))^-b)`` with ``S1`` the sum of
the learning rates: a power law in the summed rate, and what is gained wherever the rate falls (Luo et
al. 2025, A multi-power law for loss curve prediction across learning rate schedules, ICLR; their
``r_k^-g`` inside the bracket is left at ``g = 0``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

POINTS = 80
"""Places along the log at which the law is fitted, each the mean of its neighbourhood."""

FALLS = 120
"""Places at which the rate is followed."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A loss curve in so few points that a fit is quick.

    Attributes
    ----------
    steps : ndarray of float64
    losses : ndarray of float64
        Means over neighbouring rows.
    summed : ndarray of float64
        Sum of the learning rates up to each point, as a share of the whole.
    rates : ndarray of float64, shape (falls,)
        Along the run, as shares of the largest.
    at : ndarray of float64, shape (falls,)
        Summed rate at each of those.
    """

    steps: Float64[np.ndarray, " points"]
    losses: Float64[np.ndarray, " points"]
    summed: Float64[np.ndarray, " points"]
    rates: Float64[np.ndarray, " falls"]
    at: Float64[np.ndarray, " falls"]


def thin_curve(
    steps: Int64[np.ndarray, " n"], losses: Float64[np.ndarray, " n"], rates: Float64[np.ndarray, " updates"]
) -> Curve:
    """Average a log over stretches that lie evenly in the logarithm of the step."""
    edges = np.unique(np.round(np.geomspace(1, len(steps) + 1, POINTS + 1)).astype(int)) - 1
    counts = np.diff(edges)
    sums = np.add.reduceat(losses, edges[:-1])
    places = np.add.reduceat(steps.astype(np.float64), edges[:-1]) / counts
    total = np.concatenate([[0.0], np.cumsum(rates)])
    whole = max(float(total[-1]), np.finfo(float).tiny)
    summed = np.interp(places, np.arange(len(total)), total) / whole
    picked = np.unique(np.linspace(0, len(rates) - 1, FALLS).astype(int))
    return Curve(places, sums / counts, summed, rates[picked] / rates.max(), total[picked + 1] / whole)


@dataclass(frozen=True, slots=True)
class LossLaw:
    """A fitted law: floor, size, shift and exponent of the power, and size, speed and exponent of the gain."""

    floor: float
    size: float
    shift: float
    exponent: float
    gain: float
    speed: float
    bend: float

    def at(self, curve: Curve) -> Float64[np.ndarray, " points"]:
        """The law along a curve."""
        power = self.size * (curve.summed + self.shift) ** -self.exponent
        return self.floor + power - self.gain * _gained(curve, self.speed, self.bend)


def _gained(curve: Curve, speed: float, bend: float) -> Float64[np.ndarray, " points"]:
    falls = np.maximum(-np.diff(curve.rates), 0.0)
    since = np.maximum(curve.summed[:, None] - curve.at[1:][None, :], 0.0)
    return np.asarray((falls * (1 - (1 + speed * since) ** -bend)).sum(axis=1))


def fit_law(curve: Curve, begin: int, upto: int) -> LossLaw:
    """Least squares on points `begin` to `upto`, each counting alike (they lie evenly in log time).

    The fit is robust (soft absolute values beyond a hundredth of the whole drop), and bounded: a floor between 0
    and the least loss, exponents up to 2.
    """
    from scipy.optimize import least_squares

    part = Curve(
        curve.steps[begin:upto], curve.losses[begin:upto], curve.summed[begin:upto], curve.rates, curve.at
    )
    least, most = float(part.losses.min()), float(part.losses.max())
    drop = max(most - least, 1e-9)

    def law(x: Float64[np.ndarray, " seven"]) -> LossLaw:
        return LossLaw(x[0], float(np.exp(x[1])), float(np.exp(x[2])), x[3], x[4], float(np.exp(x[5])), x[6])

    low = np.array([0.0, np.log(1e-6), np.log(1e-6), 0.02, 0.0, np.log(0.1), 0.1])
    high = np.array([least, np.log(1e3), np.log(10.0), 2.0, 2 * drop, np.log(1e4), 2.0])
    best = None
    for floor, exponent in ((0.5, 0.3), (0.9, 0.6)):
        start = np.array(
            [floor * least, np.log(0.3 * drop), np.log(0.02), exponent, 0.1 * drop, np.log(20.0), 0.5]
        )
        found = least_squares(
            lambda x: (law(x).at(part) - part.losses) / drop,
            np.clip(start, low + 1e-9, high - 1e-9),
            bounds=(low, high),
            loss="soft_l1",
            f_scale=0.01,
            max_nfev=80,
        )
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    return law(best.x)
