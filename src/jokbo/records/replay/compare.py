"""One segment held against its replays: how alike the claimed and the repeated displacement are.

Let ``d`` be the claimed displacement ``W_b - W_a``, ``r`` that of the replay on the declared windows, ``h`` that
of a *simulated honest record* (the same replay begun from weights rounded as stored, with the optimizer
state as uncertain as it is, the batch split otherwise, its end rounded again), and ``w`` that of a
replay on other windows of the record. With ``c_x = cos(r, x)``:

    share = (c_d - c_w) / (c_h - c_w)

is 1 for an honest segment up to what storing and arithmetic do, and 0 for one trained on other data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import log_ndtr

from jokbo.records.replay.segment import cosine

SLACK = 0.1
"""Deviation of an honest share that is granted whatever the simulation says: settings that no declaration
carries (an epsilon placed otherwise, fused kernels, a rate logged one step late)."""

MIN_MARGIN = 0.02
"""Least ``c_h - c_w`` at which a segment is judged: below, true and wrong data move the weights alike."""

NOISE_FLOOR = 0.01
"""Least relative distance that counts as one unit of repeat noise where the state is known."""

LOG_SPREAD = 0.35
"""Deviation of the logarithm of an honest distance in units of the repeat noise."""

ROUGHNESS = 2.0**-18
"""Least relative change of the weights that a simulated record begins with: 64 roundings of float32. Where training
is chaotic a repetition of one rounding strays by anything from .004 to .13 (SGD at its largest stable
rate, measured), so more is simulated than arithmetic does; elsewhere it costs nothing."""

STRAY = 2.0
"""How much further than the simulation an honest record may stray."""

MAX_SCALING = 1.1
"""Replay and claim may differ in length by this factor: rates are logged before or after their update."""


@dataclass(frozen=True, slots=True)
class Yardstick:
    """What honest and wrong displacements of one segment look like, from replays.

    Attributes
    ----------
    replayed : ndarray
        Displacement of the replay on the declared windows.
    honest : float
        ``c_h``, of the simulated honest record.
    wrong : float
        ``c_w``, of a replay on other windows.
    noise : float
        Distance between replay and simulated honest record, over the replay's length.
    exact : bool
        The optimizer's state at the start is known, and its update is defined in full.
    """

    replayed: Float64[np.ndarray, " n"]
    honest: float
    wrong: float
    noise: float
    exact: bool

    @property
    def margin(self) -> float:
        """Honest over wrong, in cosine."""
        return self.honest - self.wrong

    @property
    def powered(self) -> bool:
        """Whether false data would be told from true."""
        return self.margin >= MIN_MARGIN and judge(self, self.wrong, math.inf) < math.log(1e-8)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A displacement, claimed or planted, held against the yardstick.

    Attributes
    ----------
    cosine, share : float
    distance : float
        Relative to the replay's length.
    log_pvalue : float
        Under an honest record.
    """

    cosine: float
    share: float
    distance: float
    log_pvalue: float


def judge(yardstick: Yardstick, found: float, distance: float) -> float:
    """Log p-value of a cosine and a distance under an honest record."""
    margin = max(yardstick.margin, MIN_MARGIN)
    # Where a repetition itself strays (chaotic training), as much is granted to the record.
    spread = max(SLACK, STRAY * (1 - yardstick.honest) / margin)
    share = (found - yardstick.wrong) / margin if yardstick.margin >= MIN_MARGIN else 1.0
    log_pvalue = float(log_ndtr(min((share - 1) / spread, 0.0)))
    if yardstick.exact and math.isfinite(distance):
        units = distance / max(yardstick.noise, NOISE_FLOOR)
        log_pvalue = min(log_pvalue, float(log_ndtr(-math.log(max(units, 1.0)) / LOG_SPREAD)))
        log_pvalue += math.log(2)
    return min(log_pvalue, 0.0)


def compare(yardstick: Yardstick, claimed: Float64[np.ndarray, " n"]) -> Comparison:
    """Hold a displacement against the yardstick."""
    found = cosine(yardstick.replayed, claimed)
    distance = relative_distance(yardstick.replayed, claimed)
    share = (found - yardstick.wrong) / max(yardstick.margin, MIN_MARGIN)
    return Comparison(found, share, distance, judge(yardstick, found, distance))


def relative_distance(replayed: Float64[np.ndarray, " n"], claimed: Float64[np.ndarray, " n"]) -> float:
    """Distance over the replay's length, the replay stretched by at most :data:`MAX_SCALING` either way.

    Examples
    --------
    >>> relative_distance(np.array([1.0, 0.0]), np.array([1.05, 0.0]))
    0.0
    >>> relative_distance(np.array([1.0, 0.0]), np.array([1.0, 0.5]))
    0.5
    """
    length = float(np.linalg.norm(replayed))
    if length == 0:
        return float(np.linalg.norm(claimed) > 0)
    scale = float(np.clip(replayed @ claimed / length**2, 1 / MAX_SCALING, MAX_SCALING))
    return float(np.linalg.norm(scale * replayed - claimed)) / length


def roughened(
    weights: Mapping[str, np.ndarray], roundoff: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Weights moved as much as storing moved them: relative, uniform within the rounding."""
    return {
        name: (value * (1 + roundoff * rng.uniform(-1, 1, value.shape))).astype(np.float32)
        for name, value in weights.items()
    }


def shuffled(weights: Mapping[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """A stand-in for another model of the same kind: every tensor's own numbers in another order."""
    return {name: rng.permuted(value.ravel()).reshape(value.shape) for name, value in weights.items()}
