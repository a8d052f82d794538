"""C23, re-evaluation: a checkpoint on the next batch gives the loss that was logged (calibrated).

Claim
    The loss logged at update k + 1 is that of the weights after k updates on the declared batch.
Statistic
    Largest and joint deviation of logged from recomputed losses over the checkpoints, in units of what
    printing, storing and arithmetic do: half a printed unit, the spread of the loss when the weights are moved
    within their stored rounding, and the difference between two splits of the batch (and bfloat16,
    where that is declared).
Why it is valid
    The loss is a function of weights and batch. Units come from this record's own checkpoints; a single
    deviation is judged by Student's t with four degrees of freedom, heavier than any rounding error, and
    all together by chi-squared with deviations of twice the measured ones, none counted above 50.
What it catches
    Logs that were not printed by these weights: invented or spliced ones; weights that are not those of the log,
    also of equal quality; a false order of the data. Losses that another convention explains (shifted and
    scaled alike at every checkpoint, or along a curve that leaves a seventh of the scatter of batches: label smoothing,
    a balance or z loss) are "cannot tell", never inconsistent; so are deviations at fewer than five checkpoints.
What fools it
    A log recomputed from the forged checkpoints at their own steps; another model's weights with their own log, or
    permuted into the same function; anchored training, whose log is real.
Power
    On runs of 0.16M parameters in float32 honest deviations are at most 1.1e-6 (2.3e-4 with weights stored in
    bfloat16), and those of forgeries .03 (another checkpoint of like quality) to 2.3 (another model); 59 of 59
    planted logs, orders and swaps are found.
References
    Choi, Shavit and Duvenaud 2023, "Tools for verifying neural models' training data".
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.checks.base import (
    FOUND_LOG_PVALUE,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
)
from jokbo.records.declaration import EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.replay.compare import roughened
from jokbo.records.replay.gate import CannotRun, ReplayCheck
from jokbo.records.replay.material import Material, collect, in_halves, logged_loss, need_data, spread
from jokbo.records.series import Series
from jokbo.records.statistics.detrend import WINDOW, residuals
from jokbo.records.statistics.grid import find_grid
from jokbo.records.statistics.planting import plant
from jokbo.views.component import Reason

AGREES = math.log(1e-3)
OTHERS = 4
"""Other batches a checkpoint is evaluated on, for planted orders."""

ROUGH = 3
"""Times the weights are moved within their rounding."""

EVALUATIONS = 4 + OTHERS + ROUGH
ARITHMETIC = 2.0**-22
"""Least relative deviation of a loss in float32: sums over a vocabulary and a batch, a few roundings."""

CAP = 50.0
PIECES = (0.05, 0.4)
"""Lengths of planted splices, of the run: short ones may lie between two checkpoints, and then escape."""

FEW = 5
"""Checkpoints from which on another convention can be told from wrong numbers: two more than a parabola takes."""

FEW_FOR_LINE = 8
"""The same for a line that leaves no more than roundings."""

FOLLOWS = 0.15
"""What a parabola may leave of the scatter of batches. Label smoothing of .1 left .09 over ten checkpoints; of wrong
numbers one in 45 leaves so little at five checkpoints, and one in 4,500 at eight."""

EXCUSES = (
    EventKind.ROLLBACK,
    EventKind.BACKBONE_CHANGE,
    EventKind.PRECISION_CHANGE,
    EventKind.DATA_CHANGE,
    EventKind.LOG_EDIT,
)


@dataclass(frozen=True, slots=True)
class Points:
    """Checkpoints evaluated on the batch of the update that follows.

    Attributes
    ----------
    steps : ndarray of int64
        Of the checkpoints.
    logged, recomputed, unit : ndarray
        Losses, and the deviation of their difference in an honest record.
    neighbour : ndarray
        Loss of the next checkpoint on the same batch.
    others : ndarray, (points, OTHERS)
        Loss on other batches of the run.
    """

    steps: Int64[np.ndarray, " n"]
    logged: Float64[np.ndarray, " n"]
    recomputed: Float64[np.ndarray, " n"]
    unit: Float64[np.ndarray, " n"]
    neighbour: Float64[np.ndarray, " n"]
    others: Float64[np.ndarray, "n others"]


class ReEvaluation(ReplayCheck):
    """Evaluate checkpoints on the batches that the log speaks of."""

    number = 23
    name = "re_evaluation"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.INVENTED_LOG, Forgery.SPLICED_LOG, Forgery.SWAPPED_MIDDLE, Forgery.FALSE_ORDER)
    needs = ("loss", "checkpoints", "windows", "order")

    def measure(self, record: Record, context: CheckContext) -> CheckResult:
        """Recompute logged losses."""
        series = logged_loss(record)
        need_data(record, "windows", "order")
        material = collect(record, at_least=2)
        points, events = _points(material, series, context)
        if len(points.steps) < 2:
            raise CannotRun("few_points", missing=["checkpoints", "loss"])
        log_pvalue = deviation_log_pvalue(points.logged - points.recomputed, points.unit)
        return _result(points, series, log_pvalue, events, context.draw(record, self.name, "plants"), context)


def deviation_log_pvalue(deviation: Float64[np.ndarray, " n"], unit: Float64[np.ndarray, " n"]) -> float:
    """Log p-value of deviations under rounding alone: the largest one, and all together.

    Examples
    --------
    >>> deviation_log_pvalue(np.array([0.5, -1.0]), np.array([1.0, 1.0]))
    0.0
    >>> deviation_log_pvalue(np.array([1e4, 0.0]), np.array([1.0, 1.0])) < -30
    True
    """
    from scipy.stats import chi2, t

    z = np.abs(deviation) / unit
    largest = math.log(2 * len(z)) + float(t.logsf(z.max(), 4))
    together = float(chi2.logsf(np.minimum(z**2, CAP).sum() / 4, len(z)))
    return min(0.0, math.log(2) + min(largest, together))


def _points(material: Material, series: Series, context: CheckContext) -> tuple[Points, tuple[int, ...]]:
    """Evaluate as many checkpoints as the budget allows."""
    record, logged = material.record, dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))
    rng = context.draw(record, ReEvaluation.name)
    usable = [k for k in material.steps if k + 1 in logged and material.batch(k + 1) is not None]
    if not usable:
        raise CannotRun("few_points", missing=["checkpoints", "loss"])
    size = material.load(usable[0]).network.size
    price = 2.0 * size * material.tokens(usable[0] + 1) * EVALUATIONS
    if context.flops < 2 * price:
        raise CannotRun("too_slow", needed=2 * price, allowed=context.flops)
    rows: list[tuple[int, float, float, float, float, list[float]]] = []
    events: set[int] = set()
    for step in spread(usable, int(context.flops // price), rng):
        context.tell(f"checkpoint {step}")
        if material.load(step).network.dropout:
            raise CannotRun("dropout")
        found = record.events(*EXCUSES, first=step + 1, last=step + 1)
        row = _point(material, step, logged[step + 1], rng)
        if found and abs(row[1] - row[2]) > 4 * row[3]:
            events.update(found)  # declared to have gone otherwise here
        else:
            rows.append(row)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    unit = np.asarray(columns[3], dtype=np.float64)
    printed = find_grid(series.values).unit(np.asarray(columns[1], dtype=np.float64)) / math.sqrt(12)
    return Points(
        np.asarray(columns[0], dtype=np.int64),
        np.asarray(columns[1], dtype=np.float64),
        np.asarray(columns[2], dtype=np.float64),
        np.hypot(unit, printed),
        np.asarray(columns[4], dtype=np.float64),
        np.asarray(columns[5], dtype=np.float64).reshape(len(rows), OTHERS),
    ), tuple(sorted(events))


def _point(
    material: Material, step: int, logged: float, rng: np.random.Generator
) -> tuple[int, float, float, float, float, list[float]]:
    loaded, batch = material.load(step), material.batch(step + 1)
    if batch is None:
        raise CannotRun("no_data", missing=["order"])
    loss = loaded.mean_loss(batch)
    splits = abs(loaded.mean_loss(batch, split=max(1, len(batch) // 3)) - loss)
    halves = abs(loaded.mean_loss(batch, half=True) - loss) if in_halves(material.record) else 0.0
    moved = [
        loaded.network.losses(roughened(loaded.weights, loaded.roundoff, rng), batch).mean() - loss
        for _ in range(ROUGH)
    ]
    stored = float(np.sqrt(np.mean(np.square(moved))))
    unit = math.hypot(splits, 3 * halves, stored, ARITHMETIC * loss)
    later = [s for s in material.steps if s > step and material.load(s).network is loaded.network]
    neighbour = material.load(later[0]).mean_loss(batch) if later else loss
    total = len(material.record.order) if material.record.order is not None else 0
    picked = (material.batch(int(k)) for k in rng.integers(1, total + 1, OTHERS))
    others = [loss if other is None else loaded.mean_loss(other) for other in picked]
    return step, logged, loss, unit, neighbour, others


def _result(
    points: Points,
    series: Series,
    log_pvalue: float,
    events: tuple[int, ...],
    rng: np.random.Generator,
    context: CheckContext,
) -> CheckResult:
    deviation = points.logged - points.recomputed
    worst = int(np.argmax(np.abs(deviation) / points.unit))
    planted = _plants(points, series, rng, context.n_plants)
    values = {
        "checkpoints": len(deviation),
        "deviation": float(deviation[worst]),
        "unit": float(points.unit[worst]),
        "step": int(points.steps[worst]) + 1,
    }
    observation, code = Observation.HOLDS, "agrees"
    if log_pvalue < AGREES:
        observation, code = Observation.VIOLATED, "differs"
        if log_pvalue > FOUND_LOG_PVALUE:
            observation, code = Observation.UNKNOWN, "unclear"
        elif _averaged(series):
            observation, code = Observation.UNKNOWN, "averaged"
        elif _other_convention(points):
            observation, code = Observation.UNKNOWN, "other_convention"
    elif not all(p.powered for p in planted):
        code = "agrees_partly"
        if not any(p.powered for p in planted):
            observation, code = Observation.UNKNOWN, "no_power"
    return CheckResult(
        observation,
        (Reason(code, values),),
        statistic=float(np.abs(deviation).max()),
        threshold=float(6 * points.unit[worst]),
        log_pvalue=log_pvalue if observation is not Observation.UNKNOWN or code == "unclear" else None,
        planted=planted,
        events=events,
        details={
            "steps": (points.steps + 1).tolist(),
            "logged": points.logged.tolist(),
            "recomputed": points.recomputed.tolist(),
            "unit": points.unit.tolist(),
        },
    )


def _averaged(series: Series) -> bool:
    """Rows farther apart than one update: a logged loss may be the mean since the row before."""
    return bool(np.median(np.diff(series.steps)) > 1)


def _other_convention(points: Points) -> bool:
    """Whether a curve explains the deviations: bits for nats, or another term in the logged loss.

    To a few units by a line; or, for a term that follows the batch (label smoothing, a balance or z loss), to
    :data:`FOLLOWS` of what batches differ by, along a rising parabola. Too few checkpoints exclude neither.
    """
    n, logged, recomputed = len(points.steps), points.logged, points.recomputed
    if n < FEW:
        return True
    slope, shift = np.polyfit(recomputed, logged, 1)
    left = float(np.abs(logged - (slope * recomputed + shift)).max())
    if slope > 0 and n >= FEW_FOR_LINE and left <= 10 * np.median(points.unit) * max(1.0, abs(slope)):
        return True
    bend = np.polyfit(recomputed - recomputed.mean(), logged, 2)
    ends = np.array([recomputed.min(), recomputed.max()]) - recomputed.mean()
    spread = math.sqrt(
        float(np.sum((logged - np.polyval(bend, recomputed - recomputed.mean())) ** 2)) / (n - 3)
    )
    scatter = math.sqrt(float(np.mean(points.others.var(axis=1, ddof=1))))
    return bool((np.polyval(np.polyder(bend), ends) > 0).all() and spread <= FOLLOWS * scatter)


def _plants(points: Points, series: Series, rng: np.random.Generator, tries: int) -> tuple[Planted, ...]:
    """Forgeries of the numbers that were evaluated."""
    n = len(points.steps)
    rows = np.searchsorted(series.steps, points.steps + 1)
    noise = residuals(series.values) if len(series) >= WINDOW else series.values - series.values.mean()

    def seen(logged: np.ndarray, recomputed: np.ndarray) -> bool:
        forged = replace(points, logged=logged, recomputed=recomputed)
        found = deviation_log_pvalue(logged - recomputed, points.unit) <= FOUND_LOG_PVALUE
        return found and not _other_convention(forged)

    def invented(draw: np.random.Generator) -> bool:
        other = draw.integers(0, len(noise), n)
        return seen(points.logged - noise[rows] + noise[other], points.recomputed)

    def spliced(draw: np.random.Generator) -> bool:
        piece = draw.uniform(*PIECES)
        start = draw.uniform(0, series.steps[-1] * (1 - piece))
        inside = (points.steps >= start) & (points.steps <= start + piece * series.steps[-1])
        other = draw.integers(0, len(series), n)
        level = series.values[rows] - noise[rows] + noise[other]
        return seen(np.where(inside, level, points.logged), points.recomputed)

    def swapped(draw: np.random.Generator) -> bool:
        later = np.arange(n) >= draw.integers(0, n)
        return seen(points.logged, np.where(later, points.neighbour, points.recomputed))

    def reordered(draw: np.random.Generator) -> bool:
        chosen = points.others[np.arange(n), draw.integers(0, OTHERS, n)]
        return seen(points.logged, chosen)

    # Swapped weights show only where they stand beside a log that is not theirs, an invented log only where nobody
    # recomputed it at the checkpoints, and a false order only where it is false for the updates after them: these
    # exclude nothing by themselves.
    makers = (
        (Forgery.INVENTED_LOG, "own_noise", invented),
        (Forgery.SPLICED_LOG, "pasted", spliced),
        (Forgery.SWAPPED_MIDDLE, "under_another_log", swapped),
        (Forgery.FALSE_ORDER, "shuffled_everywhere", reordered),
    )
    return tuple(plant(forgery, tries, rng, make, variant=way) for forgery, way, make in makers)
