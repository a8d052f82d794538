"""C25, memorisation: a segment lowers the loss of its own windows more than of others (calibrated).

Claim
    Between two checkpoints the declared windows were trained on, and the held-out ones were not.
Statistic
    Chance that the loss of a segment's window fell further over the segment than that of a window never
    trained on (held out, or used only later): .5 where neither was trained on, more where the claim is
    true. The headline number is the share of chance left, as a quantile: one minus this.
Why it is valid
    Both kinds of windows are drawn alike, so only training separates them (Mann and Whitney 1947). How much
    an honest segment separates them is measured: the segment is replayed from its first checkpoint on the
    declared windows, and an honest record is granted half of the replay's effect. The p-value is that of
    the statistic below this half; segments are joined by Stouffer's method, and each alone by Bonferroni's.
What it catches
    False data: a segment said to have been trained on windows that it was not trained on.
What fools it
    Training on the declared windows and others as well, small additions or subtractions, and a forger who trains on
    the declared windows, anchored or not. Several epochs weaken it; the replay then says so.
Power
    Untrained windows are passed off as a segment's. On runs of 0.16M parameters the chance is .57 to .64 up to
    step 64 and .73 to .92 from there on, with 256 windows of each kind.
References
    Choi, Shavit and Duvenaud 2023, "Tools for verifying neural models' training data"; Mann and Whitney 1947.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import log_ndtr

from jokbo.records.checks.base import FOUND_LOG_PVALUE, CheckContext, CheckKind, CheckResult, Observation
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.replay.gate import CannotRun, ReplayCheck
from jokbo.records.replay.material import Material, collect, need_data
from jokbo.records.replay.optimizers import State, stepper
from jokbo.records.replay.segment import replay
from jokbo.records.statistics.planting import plant
from jokbo.views.component import Reason

AGREES = math.log(1e-3)
WINDOWS = 256
GRANTED = 0.5
"""Share of the replay's effect that an honest segment must show."""

MIN_EFFECT = 0.02


@dataclass(frozen=True, slots=True)
class Effect:
    """What one segment did to its windows and to others.

    Attributes
    ----------
    start, stop : int
    trained, untrained : ndarray
        Fall of the loss of each window over the segment, as claimed.
    expected : float
        Chance of separation by the replay.
    events : tuple of int
    """

    start: int
    stop: int
    trained: Float64[np.ndarray, " n"]
    untrained: Float64[np.ndarray, " m"]
    expected: float
    events: tuple[int, ...]

    def z(self, trained: Float64[np.ndarray, " n"], untrained: Float64[np.ndarray, " m"]) -> float:
        """Deviations by which the separation falls short of what an honest segment is granted; above 0 it does not."""
        n, m = len(trained), len(untrained)
        granted = 0.5 + GRANTED * max(self.expected - 0.5, 0.0)
        return (separation(trained, untrained) - granted) / math.sqrt((n + m + 1) / (12 * n * m))


def separation(a: Float64[np.ndarray, " n"], b: Float64[np.ndarray, " m"]) -> float:
    """Chance that a number of `a` is above one of `b`, ties half.

    Examples
    --------
    >>> separation(np.array([1.0, 3.0]), np.array([0.0, 2.0]))
    0.75
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([a, b]))
    return float((ranks[: len(a)].sum() - len(a) * (len(a) + 1) / 2) / (len(a) * len(b)))


class Memorisation(ReplayCheck):
    """Compare what segments did to their own windows and to others."""

    number = 25
    name = "memorisation"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.FALSE_DATA,)
    needs = ("checkpoints", "windows", "order", "held_out")

    def measure(self, record: Record, context: CheckContext) -> CheckResult:
        """Measure as many segments as the budget allows."""
        need_data(record, "windows", "order")
        if record.rates is None:
            raise CannotRun("no_rates", missing=["learning_rate"])
        material = collect(record, at_least=2)
        rng = context.draw(record, self.name)
        found = _effects(material, record.rates, rng, context)
        kept = [e for e in found if e.expected >= 0.5 + MIN_EFFECT and not _excused(e)]
        if not kept:
            raise CannotRun("no_power", missing=["checkpoints"], segments=len(found))
        return _result(kept, len(material.steps) - 1, context, context.draw(record, self.name, "plants"))


def _excused(effect: Effect) -> bool:
    return bool(effect.events) and effect.z(effect.trained, effect.untrained) < -3


def _effects(
    material: Material, rates: Float64[np.ndarray, " steps"], rng: np.random.Generator, context: CheckContext
) -> list[Effect]:
    steps, left, found = material.steps, context.flops, []
    size = material.load(steps[0]).network.size
    prices = {
        k: size * (6.0 * sum(material.tokens(u) for u in range(steps[k] + 1, steps[k + 1] + 1)))
        for k in range(len(steps) - 1)
    }
    width = 0 if material.record.windows is None else material.record.windows.shape[1]
    fixed = 2.0 * size * 6 * WINDOWS * width
    for k in rng.permutation(len(steps) - 1):
        if prices[int(k)] + fixed > left:
            continue
        left -= prices[int(k)] + fixed
        effect = _effect(material, steps[k], steps[k + 1], rates, rng)
        found += [] if effect is None else [effect]
    return sorted(found, key=lambda e: e.start)


def _effect(
    material: Material, start: int, stop: int, rates: Float64[np.ndarray, " steps"], rng: np.random.Generator
) -> Effect | None:
    before, after, batches = material.load(start), material.load(stop), material.segment(start, stop)
    if batches is None or before.network is not after.network:
        return None
    others = untrained_windows(material, stop, rng)
    if others is None:
        raise CannotRun("no_held_out", missing=["held_out"])
    own = np.concatenate(batches)
    own = own[np.sort(rng.permutation(len(own))[:WINDOWS])]
    make = stepper(material.record.declaration.optimizer, before.network)
    end = replay(make, before.weights, State(start), batches, rates[start:stop]).weights
    first = before.losses(own), before.losses(others)
    last = after.losses(own), after.losses(others)
    again = before.network.losses(end, own), before.network.losses(end, others)
    expected = separation(first[0] - again[0], first[1] - again[1])
    events = material.broken(start + 1, stop)
    return Effect(start, stop, first[0] - last[0], first[1] - last[1], expected, events)


def untrained_windows(material: Material, stop: int, rng: np.random.Generator) -> np.ndarray | None:
    """Held-out windows, else windows that the order uses only after update `stop`; None where there are too few."""
    record = material.record
    if record.held_out is not None and len(record.held_out) >= WINDOWS // 4:
        chosen = np.sort(rng.permutation(len(record.held_out))[:WINDOWS])
        return np.asarray(record.held_out[chosen], dtype=np.int64)
    if record.windows is None or record.order is None:
        return None
    used = np.unique(np.asarray(record.order[:stop]))
    later = np.setdiff1d(np.unique(np.asarray(record.order[stop:])), used)
    later = later[(later >= 0) & (later < len(record.windows))]
    if len(later) < WINDOWS // 4:
        return None
    return np.asarray(record.windows[np.sort(rng.permutation(later)[:WINDOWS])], dtype=np.int64)


def joined_log_pvalue(z: Float64[np.ndarray, " n"]) -> float:
    """Log p-value of the least z (Bonferroni) and of all together (Stouffer).

    Examples
    --------
    >>> joined_log_pvalue(np.array([1.0, 2.0]))
    0.0
    """
    least = math.log(len(z)) + float(log_ndtr(min(z.min(), 0.0)))
    together = float(log_ndtr(min(np.minimum(z, 0.0).sum() / math.sqrt(len(z)), 0.0)))
    return min(0.0, math.log(2) + min(least, together))


def _result(
    kept: list[Effect], n_segments: int, context: CheckContext, rng: np.random.Generator
) -> CheckResult:
    z = np.array([e.z(e.trained, e.untrained) for e in kept])
    log_pvalue = joined_log_pvalue(z)

    def found(draw: np.random.Generator) -> bool:
        """One segment's windows, of all segments, replaced by untrained ones."""
        place = int(draw.integers(n_segments))
        if place >= len(kept):
            return False  # a segment that was not measured, or without power
        effect = kept[place]
        mixed = draw.choice(effect.untrained, len(effect.trained)), draw.permutation(effect.untrained)
        forged = z.copy()
        forged[place] = effect.z(*mixed)
        return joined_log_pvalue(forged) <= FOUND_LOG_PVALUE

    planted = plant(Forgery.FALSE_DATA, context.n_plants, rng, found, variant="other_data")
    worst = kept[int(np.argmin(z))]
    chance = separation(worst.trained, worst.untrained)
    values = {"segments": len(kept), "start": worst.start, "stop": worst.stop, "chance": chance}
    observation, code = Observation.HOLDS, "remembers"
    if log_pvalue <= FOUND_LOG_PVALUE:
        observation, code = Observation.VIOLATED, "no_trace"
    elif log_pvalue < AGREES:
        observation, code = Observation.UNKNOWN, "unclear"
    elif not planted.powered:
        observation, code = Observation.UNKNOWN, "no_power"
    rows = [
        {
            "start": e.start,
            "stop": e.stop,
            "chance": separation(e.trained, e.untrained),
            "expected": e.expected,
        }
        for e in kept
    ]
    return CheckResult(
        observation,
        (Reason(code, values),),
        statistic=1 - chance,
        threshold=0.5,
        log_pvalue=log_pvalue,
        planted=(planted,),
        events=tuple(sorted({k for e in kept for k in e.events})),
        details={"segments": rows},
    )
