"""C9, residual noise: the loss scatters as batches of the declared size make it (soft).

Claim
    Each logged loss is the mean over a batch of the declared size.
Statistic
    Two. The scatter of the detrended loss times the square root of a batch's tokens: in nats a token, where
    honest logs give 1 to 50. And across declared changes of the batch size the exponent ``b`` of ``variance ~
    1 / tokens^b``, 1 for fresh batches and 0 for noise that knows nothing of them, from up to 400 rows on each side.
Why it is valid
    The loss of a token varies by more than a nat once a model predicts at all, and tokens of one text vary together,
    so that a mean over n tokens scatters by at least .5 / sqrt(n). The first tenth is left out: before anything is
    learnt all tokens cost alike. Where a row averages all updates since the one before, n counts those
    too. Variance of fresh batches is inverse to their size; ``b`` below .25 and four deviations below 1 is flagged. A
    log that was smoothed (neighbouring residuals correlated above .3) is not judged.
What it catches
    A curve without noise, or with too little; noise of one size through a batch ramp.
What fools it
    Noise of the right size: a forger who scales it with the batch is not found by this check.
Power
    A plant is found where the check would not pass it. Plants, counted apart: this curve without noise; with a
    fiftieth to a half of the least scatter; with Gaussian noise of the log's mean size throughout, found only across
    a ramp. None of them is a careful invention, so that a pass never excludes one. Autocorrelation and kurtosis are
    shown; honest noise is nearly Gaussian too.
References
    McCandlish et al. (2018), An empirical model of large-batch training, arXiv:1812.06162 (noise and batch size).
    ``training-record.md`` section 6, check 9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.series import Series
from jokbo.records.statistics.detrend import local_scale, residuals
from jokbo.records.statistics.grid import find_grid
from jokbo.records.statistics.planting import plant, standing
from jokbo.views.component import Reason

MIN_ROWS = 100
LEAST_SCATTER = 0.5
"""Nats a token."""

SMOOTHED = 0.3
SIDE_ROWS = 400
LEAST_SIDE = 30
LEAST_CHANGE = 1.9
"""Ratio of batch sizes that can be told from none."""

DEVIATIONS = 4.0
WAYS = ("no_noise", "little_noise", "one_noise")
"""Plants; the check passes where it finds every one of some kind, and speaks of that kind only."""

PLANTED_ROWS = 8_000


@dataclass(frozen=True, slots=True)
class Scatter:
    """What the noise of a log looks like.

    Attributes
    ----------
    per_token : float
        Middle scatter times the square root of a row's tokens.
    exponent, error : float or None
        Of the variance over batch size, and its standard error; None without a declared change.
    neighbours : float
        Correlation of residuals with the next.
    kurtosis : float
    """

    per_token: float
    exponent: float | None
    error: float | None
    neighbours: float
    kurtosis: float

    @property
    def too_smooth(self) -> bool:
        """Less scatter than any batch of this size leaves."""
        return self.per_token < LEAST_SCATTER

    @property
    def ramp_unseen(self) -> bool:
        """The noise does not know that the batches changed."""
        if self.exponent is None or self.error is None:
            return False
        return self.exponent < 0.25 and (1 - self.exponent) > DEVIATIONS * self.error


class ResidualNoise(Check):
    """Compare the scatter of the loss with the size of the batches."""

    number = 9
    name = "residual_noise"
    kind = CheckKind.SOFT
    catches = (Forgery.INVENTED_LOG,)
    needs = ("log", "loss", "batch")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Measure the scatter."""
        loss = record.log.effective("loss") if record.log is not None else None
        if loss is None:
            return unknown("no_loss", missing=["log" if record.log is None else "loss"])
        batches = record.batch_tokens()
        if batches is None:
            return unknown("no_batch", missing=["batch"])
        loss = _thin(loss)
        if len(loss) < MIN_ROWS:
            return unknown("few_rows", missing=["loss"], rows=len(loss), least=MIN_ROWS)
        tokens = batches[np.clip(loss.steps - 1, 0, len(batches) - 1)]
        found = scatter(loss.values, tokens, _every(loss))
        details = {"per_token": found.per_token, "exponent": found.exponent, "exponent_error": found.error,
                   "neighbours": found.neighbours, "kurtosis": found.kurtosis}  # fmt: skip
        if found.neighbours > SMOOTHED:
            reason = Reason("smoothed", {"correlation": found.neighbours})
            return CheckResult(
                Observation.UNKNOWN, (reason,), found.per_token, LEAST_SCATTER, details=details
            )
        reasons = []
        if found.too_smooth:
            reasons.append(Reason("too_smooth", {"scatter": found.per_token, "least": LEAST_SCATTER}))
        if found.ramp_unseen:
            reasons.append(
                Reason("ramp_unseen", {"exponent": found.exponent or 0.0, "error": found.error or 0.0})
            )
        if reasons:
            return CheckResult(
                Observation.VIOLATED, tuple(reasons), found.per_token, LEAST_SCATTER, details=details
            )
        rng = context.draw(record, self.name, "plant")
        planted = tuple(_plant(way, loss, tokens, context.n_plants, rng) for way in WAYS)
        seen, notes = standing(planted, sampled=record.log is not None and record.log.sampled)
        return CheckResult(seen, notes, found.per_token, LEAST_SCATTER, planted=planted, details=details)


def _thin(loss: Series) -> Series:
    """Rows around the changes of long logs would be lost to thinning: the log is cut into whole stretches instead."""
    if len(loss) <= 25 * PLANTED_ROWS:
        return loss
    pieces = np.linspace(0, len(loss) - PLANTED_ROWS // 4, 100).astype(int)
    kept = np.unique((pieces[:, None] + np.arange(PLANTED_ROWS // 4)).ravel())
    return Series(loss.rows[kept], loss.steps[kept], loss.values[kept])


def _every(loss: Series) -> float:
    return float(np.median(np.diff(loss.steps)))


def scatter(values: Float64[np.ndarray, " n"], tokens: Int64[np.ndarray, " n"], every: float) -> Scatter:
    """Scatter of a loss whose rows are `every` updates apart, with so many tokens an update."""
    noise = residuals(values)[len(values) // 10 :]
    tokens = tokens[len(values) // 10 :]
    scale = local_scale(noise)
    per_token = float(np.median(scale * np.sqrt(tokens * every)))
    unit = np.divide(noise, scale, out=np.zeros_like(noise), where=scale > 0)
    power = float(np.mean(unit**2))
    neighbours = float(np.mean(unit[1:] * unit[:-1]) / power) if power > 0 else 0.0
    kurtosis = float(np.mean(unit**4) / power**2) if power > 0 else 0.0
    exponent, error = _exponent(noise, tokens)
    return Scatter(per_token, exponent, error, neighbours, kurtosis)


def _exponent(
    noise: Float64[np.ndarray, " n"], tokens: Int64[np.ndarray, " n"]
) -> tuple[float | None, float | None]:
    """Weighted mean over the declared changes of log variance ratio over log size ratio, and its error."""
    changes = np.flatnonzero(np.diff(tokens) != 0) + 1
    bounds = np.concatenate([[0], changes, [len(tokens)]])
    top = bottom = 0.0
    for before, at, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        left, right = noise[max(at - SIDE_ROWS, before) : at], noise[at : min(at + SIDE_ROWS, after)]
        ratio = float(np.log(tokens[at] / tokens[at - 1]))
        if min(len(left), len(right)) < LEAST_SIDE or abs(ratio) < np.log(LEAST_CHANGE):
            continue
        powers = float(np.mean(left**2)), float(np.mean(right**2))
        if min(powers) <= 0:
            continue
        # The log of a mean of n squares of kurtosis k has variance (k - 1) / n; k up to 4 is usual.
        variance = 3.0 / len(left) + 3.0 / len(right)
        top += ratio * float(np.log(powers[0] / powers[1])) / variance
        bottom += ratio**2 / variance
    return (top / bottom, bottom**-0.5) if bottom else (None, None)


def _plant(
    way: str, loss: Series, tokens: Int64[np.ndarray, " n"], tries: int, rng: np.random.Generator
) -> Planted:
    def found(r: np.random.Generator) -> bool:
        return _caught(way, loss, tokens, r)

    return plant(Forgery.INVENTED_LOG, tries, rng, found, variant=way)


def _caught(way: str, loss: Series, tokens: Int64[np.ndarray, " n"], rng: np.random.Generator) -> bool:
    """Invent a log on this curve; True where its noise would not pass."""
    changes = np.flatnonzero(np.diff(tokens) != 0)
    last = max(len(loss) - PLANTED_ROWS, 0)
    # Of long logs a stretch, around a change of the batch where there is one.
    begin = int(rng.integers(0, last + 1))
    if len(changes):
        begin = int(np.clip(rng.choice(changes) - PLANTED_ROWS // 2, 0, last))
    part = slice(begin, begin + PLANTED_ROWS)
    values, tokens = loss.values[part], tokens[part]
    noise = residuals(values)
    every = _every(loss)
    size = np.zeros(len(values))
    if way == "little_noise":
        size = LEAST_SCATTER * float(np.exp(rng.uniform(np.log(0.02), np.log(0.5)))) / np.sqrt(tokens * every)
    elif way == "one_noise":
        size = np.full(len(values), float(np.median(local_scale(noise))))
    smooth = values - noise
    forged = find_grid(values).put(_smoother(smooth) + size * rng.standard_normal(len(values)))
    found = scatter(forged, tokens, every)
    return found.too_smooth or found.ramp_unseen or found.neighbours > SMOOTHED


def _smoother(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """The trend without what a local parabola takes over of the noise."""
    from scipy.signal import savgol_filter

    wide = min(len(values) // 2 * 2 - 1, 99)
    return np.asarray(savgol_filter(values, wide, 2), dtype=np.float64)
