"""C24, batch echo: logged losses rise and fall with the difficulty of the declared batches (calibrated).

Claim
    The loss logged at each update is that of some model on that update's declared windows.
Statistic
    Correlation, over updates, of the logged loss with a reference model's loss on the declared batches, both less
    their running parabola and in units of their local deviation; by quarters of the run, then joined.
    The reference is a model of ``against`` where one runs on these tokens, else the record's checkpoint nearest to
    each quarter's middle, else a bigram model counted from the windows; the result says which.
Why it is valid
    Harder windows are harder for every model of the language. How much an honest log must echo is
    measured with two models known to be trained alike: the correlation between the reference and a second
    checkpoint on the same batches. An honest record must show six tenths of it; the p-value
    is that of Fisher's z below this. The plain null "no echo" is measured by shuffling batches within windows.
What it catches
    Logs that no run printed on these data: invented, or recycled from another run; a false order of the data.
What fools it
    A log of any real training on the declared batches, also of another model or an anchored one. Without
    checkpoints or another model, a bigram model seldom has the power.
Power
    Plants: noise drawn anew, noise of another stretch, batches in another order. On runs of 0.16M parameters and 300
    updates honest mean correlations are .89 to .96; an invented log had .03.
References
    Kuditipudi et al. 2025, "Blackbox model provenance via palimpsestic membership inference"; Fisher 1921.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import log_ndtr

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
from jokbo.records.replay.gate import CannotRun, ReplayCheck
from jokbo.records.replay.material import Material, collect, logged_loss, need_data
from jokbo.records.replay.reference import bigram_losses, foreign_reference
from jokbo.records.statistics.detrend import WINDOW, local_scale, residuals
from jokbo.records.statistics.planting import plant
from jokbo.views.component import Reason

AGREES = math.log(1e-3)
QUARTERS = 4
BEGIN = 0.1
"""Share of the run left out at the beginning, where models change too much to resemble each other."""

HEARS = 0.5
"""Correlation with the record's own checkpoints from which another model is a reference."""

GRANTED = 0.6
"""Share of the expected correlation that an honest record must show."""

EXCUSES = (EventKind.ROLLBACK, EventKind.DATA_CHANGE, EventKind.LOG_EDIT)


Noise = tuple[Float64[np.ndarray, " _"], ...]
"""Noise by quarter of the run."""


@dataclass(frozen=True, slots=True)
class Echo:
    """Noise of the log and of models on the same batches, by quarter.

    Attributes
    ----------
    logged, reference, second : tuple of ndarray
        One array a quarter; `second` is empty where nothing says how much to expect.
    """

    logged: tuple[Float64[np.ndarray, " _"], ...]
    reference: tuple[Float64[np.ndarray, " _"], ...]
    second: tuple[Float64[np.ndarray, " _"], ...]

    def strength(self, logged: tuple[Float64[np.ndarray, " _"], ...]) -> float:
        """Fisher's z of the correlations with the reference, joined; standard normal where there is no echo."""
        return _joined([_z(a, b) for a, b in zip(logged, self.reference, strict=True)])

    def honest_log_pvalue(self, logged: tuple[Float64[np.ndarray, " _"], ...]) -> float | None:
        """Log p-value of so little echo in an honest record; None where nothing says how much to expect."""
        if not self.second:
            return None
        gaps = []
        for noise, first, second in zip(logged, self.reference, self.second, strict=True):
            granted = GRANTED * max(correlation(first, second), 0.0)
            root = math.sqrt(max(len(noise) - 3, 1))
            gaps.append(_z(noise, first) - math.atanh(min(granted, 0.99)) * root)
        return float(log_ndtr(min(_joined(gaps), 0.0)))


def correlation(a: Float64[np.ndarray, " n"], b: Float64[np.ndarray, " n"]) -> float:
    """Correlation; 0 where one does not vary."""
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale > 0 else 0.0


def _z(a: Float64[np.ndarray, " n"], b: Float64[np.ndarray, " n"]) -> float:
    bounded = float(np.clip(correlation(a, b), -0.999, 0.999))
    return math.atanh(bounded) * math.sqrt(max(len(a) - 3, 1))


def _joined(values: list[float]) -> float:
    return sum(values) / math.sqrt(len(values))


class BatchEcho(ReplayCheck):
    """Correlate logged losses with a model's on the declared batches."""

    number = 24
    name = "batch_echo"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.INVENTED_LOG, Forgery.RECYCLED_LOG, Forgery.FALSE_ORDER)
    needs = ("loss", "windows", "order")

    def measure(self, record: Record, context: CheckContext) -> CheckResult:
        """Evaluate models on the batches of every logged update."""
        series = logged_loss(record)
        need_data(record, "windows", "order")
        material = collect(record, at_least=0)
        begin = int(BEGIN * record.declaration.steps)
        rows = [
            row
            for row, step in enumerate(series.steps.tolist())
            if step > begin
            and material.batch(step) is not None
            and not record.events(*EXCUSES, first=step, last=step)
        ]
        if len(rows) < QUARTERS * WINDOW:
            raise CannotRun("few_rows", missing=["loss"], rows=len(rows), needed=QUARTERS * WINDOW)
        steps, values = series.steps[rows], series.values[rows]
        # A row every few updates may be the mean since the row before: whichever fits better is the log's convention.
        spans = sorted({1, int(np.median(np.diff(series.steps)))})
        found = [_echo(material, steps, values, span, context) for span in spans]
        made, name = max(found, key=lambda pair: pair[0].strength(pair[0].logged))
        return _result(made, name, context, context.draw(record, self.name, "plants"))


def _echo(
    material: Material,
    steps: Int64[np.ndarray, " n"],
    values: Float64[np.ndarray, " n"],
    span: int,
    context: CheckContext,
) -> tuple[Echo, str]:
    """The log's noise and the models' on the last `span` updates up to each row, and which model was the reference."""
    batches = [_windows(material, int(step), span) for step in steps]
    parts = np.array_split(np.arange(len(steps)), QUARTERS)
    logged = _cut(values, parts)
    usable = [s for s in material.steps if s > 0]
    rough = sum(b.size for b in batches)
    pairs = [_nearest(usable, float(steps[part].mean())) for part in parts]
    if len(usable) >= 2:
        price = 2.0 * material.load(usable[0]).network.size * rough * 2
        if price > context.flops:
            raise CannotRun("too_slow", needed=price, allowed=context.flops)
    foreign = foreign_reference(material, batches, context)
    own: list[list[Float64[np.ndarray, " _"]]] = []
    others: list[Float64[np.ndarray, " _"]] = []
    for part, near in zip(parts, pairs, strict=True):
        wide = np.arange(max(part[0] - WINDOW, 0), min(part[-1] + WINDOW + 1, len(steps)))
        inside = np.isin(wide, part)
        chosen = [batches[k] for k in wide]
        losses = [np.array([material.load(s).mean_loss(b) for b in chosen]) for s in near]
        if foreign is None and not losses:
            losses = [bigram_losses(material.record, chosen)]
        own.append([_noise(each)[inside] for each in losses])
        if foreign is not None:
            others.append(_noise(foreign[wide])[inside])
    if others and _hears(others, own):
        found, name = [[other, *mine] for other, mine in zip(others, own, strict=True)], "against"
    else:
        found, name = own, "checkpoint" if usable else "bigram"
    second = tuple(each[1] for each in found if len(each) > 1)
    complete = second if len(second) == len(parts) else ()
    return Echo(tuple(logged), tuple(each[0] for each in found), complete), name


def _hears(others: list[Float64[np.ndarray, " _"]], own: list[list[Float64[np.ndarray, " _"]]]) -> bool:
    """Whether a model of others finds the same batches hard: one of another tokenizer hears nothing of them."""
    if not all(own):
        return True
    return float(np.mean([correlation(a, b[0]) for a, b in zip(others, own, strict=True)])) >= HEARS


def _windows(material: Material, step: int, span: int) -> Int64[np.ndarray, "n length"]:
    """Windows of the updates that a logged loss is the mean over."""
    found = (material.batch(update) for update in range(max(1, step - span + 1), step + 1))
    return np.concatenate([batch for batch in found if batch is not None])


def _nearest(steps: list[int], middle: float) -> list[int]:
    """The two checkpoints nearest to a step; one where there is only one, none where there is none."""
    return sorted(steps, key=lambda s: (abs(s - middle), s))[:2]


def _noise(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    left = residuals(values)
    return left / np.maximum(local_scale(left), 1e-12)


def _cut(
    values: Float64[np.ndarray, " n"], parts: list[Int64[np.ndarray, " _"]]
) -> list[Float64[np.ndarray, " _"]]:
    noise = _noise(values)
    return [noise[part] for part in parts]


def _result(echo: Echo, reference: str, context: CheckContext, rng: np.random.Generator) -> CheckResult:
    strength, log_pvalue = echo.strength(echo.logged), echo.honest_log_pvalue(echo.logged)
    shuffles = [echo.strength(_shuffled(echo.logged, rng)) for _ in range(199)]
    spread = max(float(np.std(shuffles)), 1.0)
    middle = float(np.mean(shuffles))

    def echoes(logged: tuple[Float64[np.ndarray, " _"], ...]) -> bool:
        return float(log_ndtr(-(echo.strength(logged) - middle) / spread)) <= FOUND_LOG_PVALUE

    def found(logged: tuple[Float64[np.ndarray, " _"], ...]) -> bool:
        honest = echo.honest_log_pvalue(logged)
        return not echoes(logged) if honest is None else honest <= FOUND_LOG_PVALUE

    def planted_as(
        make: Callable[[Noise, np.random.Generator], Noise], forgery: Forgery, way: str
    ) -> Planted:
        return plant(forgery, context.n_plants, rng, lambda draw: found(make(echo.logged, draw)), variant=way)

    planted = (
        planted_as(_drawn, Forgery.INVENTED_LOG, "careful"),
        planted_as(_moved, Forgery.RECYCLED_LOG, "moved"),
        planted_as(_shuffled, Forgery.FALSE_ORDER, "shuffled"),
    )
    by_quarter = [correlation(a, b) for a, b in zip(echo.logged, echo.reference, strict=True)]
    mean = float(np.mean(by_quarter))
    values = {"correlation": mean, "rows": sum(len(a) for a in echo.logged)}
    observation, code = Observation.HOLDS, "echoes"
    if log_pvalue is not None and log_pvalue <= FOUND_LOG_PVALUE:
        observation, code = Observation.VIOLATED, "no_echo"
    elif not echoes(echo.logged) or not any(p.powered for p in planted):
        observation, code = Observation.UNKNOWN, "no_power"
    elif log_pvalue is not None and log_pvalue < AGREES:
        observation, code = Observation.UNKNOWN, "unclear"
    return CheckResult(
        observation,
        (Reason(code, values), Reason(f"reference_{reference}")),
        statistic=mean,
        log_pvalue=log_pvalue if log_pvalue is not None or observation is Observation.UNKNOWN else 0.0,
        planted=planted,
        missing=("checkpoints",) if code == "no_power" and reference == "bigram" else (),
        details={
            "quarters": by_quarter,
            "expected": [correlation(a, b) for a, b in zip(echo.reference, echo.second, strict=False)],
            "strength": strength,
            "reference": reference,
        },
    )


def _shuffled(logged: Noise, rng: np.random.Generator) -> Noise:
    """Batches in another order within short windows, so that slow changes stay where they are."""
    return tuple(
        np.concatenate(
            [rng.permutation(piece) for piece in np.array_split(part, max(1, len(part) // WINDOW))]
        )
        for part in logged
    )


def _drawn(logged: Noise, rng: np.random.Generator) -> Noise:
    """Noise drawn anew with the log's own distribution."""
    return tuple(rng.choice(part, len(part)) for part in logged)


def _moved(logged: Noise, rng: np.random.Generator) -> Noise:
    """Another run's noise: the log's own, moved along by at least a fifth of the run."""
    whole = np.concatenate(logged)
    n = len(whole)
    moved = np.roll(whole, int(rng.integers(n // 5, n - n // 5)))
    return tuple(np.split(moved, np.cumsum([len(part) for part in logged])[:-1]))
