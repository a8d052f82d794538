"""C26, palimpsest: the final model remembers late windows better than early ones (calibrated).

Claim
    The published weights are the end of this run: windows seen last left the freshest trace.
Statistic
    Spearman's correlation of a window's position in the order with its loss under the final model, less its loss
    under an early checkpoint of the run that has seen none of these windows. Negative in an honest record.
Why it is valid
    The order was shuffled, so position says nothing about a window but when it was trained on. How strong
    an honest trace is, is measured on a later checkpoint of the same run; an honest final model is granted
    half of it. The p-value is that of Fisher's z short of this half.
What it catches
    Published weights that are not the end of the run, however good. Anchored training leaves a weaker trace
    (measured elsewhere: -.13 for -.29), too near to call, and is not claimed.
What fools it
    Any model trained on the declared windows in the declared order. Small models, long runs and rates that decay
    to nothing leave traces too faint; then it cannot tell.
Power
    Positions are shuffled, as for a model of other origin. At 0.16M parameters and 300 updates the trace is
    -.00 to -.11, too faint: "cannot tell". At .9M parameters and 1500 updates it was -.35.
References
    Kuditipudi et al. 2025, "Blackbox model provenance via palimpsestic membership inference".
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import log_ndtr

from jokbo.records.checks.base import FOUND_LOG_PVALUE, CheckContext, CheckKind, CheckResult, Observation
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.replay.gate import CannotRun, ReplayCheck
from jokbo.records.replay.material import Material, collect, final_model, need_data
from jokbo.records.statistics.planting import plant
from jokbo.views.component import Reason

AGREES = math.log(1e-3)
WINDOWS = 4000
FEWEST = 200
GRANTED = 0.5
EARLY = (0.03, 0.4)
"""Where in the run the early checkpoint may lie: able to read, and before most windows."""

LATE = 0.98
"""The measuring checkpoint lies before this share of the run."""


class Palimpsest(ReplayCheck):
    """Look for the order of training in the final model."""

    number = 26
    name = "palimpsest"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.SWAPPED_WEIGHTS,)
    needs = ("final", "checkpoints", "windows", "order")

    def measure(self, record: Record, context: CheckContext) -> CheckResult:
        """Correlate position and loss."""
        need_data(record, "windows", "order")
        final = final_model(record)
        if final is None:
            raise CannotRun("no_final", missing=["final"])
        material = collect(record, at_least=2)
        early, late = _early_and_late(material, record.declaration.steps)
        rng = context.draw(record, self.name)
        place, windows = _positions(record, early, late, rng)
        size = material.load(early).network.size
        room = int(context.flops // (2.0 * size * windows.shape[1] * 3))
        if room < FEWEST:
            raise CannotRun("too_slow", needed=FEWEST * 6.0 * size * windows.shape[1], allowed=context.flops)
        place, windows = place[:room], windows[:room]
        reference = material.load(early).losses(windows)
        measured = material.load(late).losses(windows) - reference
        ended = material.open(final[1], final[0].step).losses(windows) - reference
        return _result(
            place, ended, measured, (early, late), context, context.draw(record, self.name, "plants")
        )


def _early_and_late(material: Material, steps: int) -> tuple[int, int]:
    early = [s for s in material.steps if EARLY[0] * steps <= s <= EARLY[1] * steps]
    late = [s for s in material.steps if EARLY[1] * steps < s < LATE * steps]
    if not early or not late:
        raise CannotRun("few_checkpoints", missing=["checkpoints"], found=len(material.steps), needed=3)
    return early[0], late[-1]


def _positions(
    record: Record, early: int, late: int, rng: np.random.Generator
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, "n length"]]:
    """Windows used once, after the early and up to the late checkpoint: both models then speak of the same ones."""
    if record.order is None or record.windows is None:
        raise CannotRun("no_data", missing=["order"])
    order = np.asarray(record.order, dtype=np.int64)
    update = np.broadcast_to(np.arange(1, len(order) + 1)[:, None], order.shape)
    used, counts = np.unique(order[order >= 0], return_counts=True)
    once = np.isin(order, used[counts == 1]) & (order < len(record.windows))
    kept = once & (update > early) & (update <= late)
    rows, place = order[kept], update[kept]
    if len(rows) < FEWEST:
        raise CannotRun("few_windows", missing=["order"], found=len(rows), needed=FEWEST)
    chosen = rng.permutation(len(rows))[:WINDOWS]
    return place[chosen], np.asarray(record.windows[rows[chosen]], dtype=np.int64)


def trace_log_pvalue(found: float, expected: float, count: int) -> float:
    """Log p-value of a trace no stronger than `found` in an honest record (both positive for a trace).

    Examples
    --------
    >>> trace_log_pvalue(0.3, 0.3, 1000)
    0.0
    >>> trace_log_pvalue(0.0, 0.35, 4000) < -20
    True
    """
    granted = math.atanh(GRANTED * min(max(expected, 0.0), 0.99))
    z = (math.atanh(float(np.clip(found, -0.999, 0.999))) - granted) * math.sqrt(max(count - 3, 1) / 1.06)
    return float(log_ndtr(z)) if z < 0 else 0.0


def _result(
    place: Int64[np.ndarray, " n"],
    ended: Float64[np.ndarray, " n"],
    measured: Float64[np.ndarray, " n"],
    steps: tuple[int, int],
    context: CheckContext,
    rng: np.random.Generator,
) -> CheckResult:
    from scipy.stats import spearmanr

    trace, expected = (-float(spearmanr(place, v).statistic) for v in (ended, measured))
    log_pvalue = trace_log_pvalue(trace, expected, len(place))

    def found(draw: np.random.Generator) -> bool:
        foreign = -float(spearmanr(draw.permutation(place), ended).statistic)
        return trace_log_pvalue(foreign, expected, len(place)) <= FOUND_LOG_PVALUE

    planted = plant(Forgery.SWAPPED_WEIGHTS, context.n_plants, rng, found, variant="another_model")
    values = {
        "trace": -trace,
        "expected": -expected,
        "windows": len(place),
        "early": steps[0],
        "late": steps[1],
    }
    observation, code = Observation.HOLDS, "traces"
    if log_pvalue <= FOUND_LOG_PVALUE:
        observation, code = Observation.VIOLATED, "no_trace"
    elif not planted.powered:
        observation, code = Observation.UNKNOWN, "no_power"
    elif log_pvalue < AGREES:
        observation, code = Observation.UNKNOWN, "unclear"
    return CheckResult(
        observation,
        (Reason(code, values),),
        statistic=-trace,
        log_pvalue=log_pvalue,
        planted=(planted,),
        details={"trace": -trace, "expected": -expected},
    )
