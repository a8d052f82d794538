"""C11, curve law: the loss falls as its own first half and its learning rates let it (soft).

Claim
    The loss curve is that of a run with these learning rates.
Statistic
    How far the mean loss of the last tenth lies below what the multi-power law, fitted to the first half
    after the warm-up, foretells: as a share of the whole fall up to there. Flagged above .15, if the loss also
    falls three times as far in the second half as foretold.
Why it is valid
    Loss curves of one run follow a power law in the summed learning rate, and gain wherever the rate falls
    (module ``statistics.loss_law``). The law is rough for short runs: 32 honest runs of 300 updates gave shares
    from -.5 to .09. So the check asks a question and settles nothing. A declared change of backbone, data
    or precision in the first four fifths makes another curve, and a curve that has not begun to flatten (on a
    logarithmic scale, by the end of its first half) foretells nothing: then it cannot tell.
What it catches
    A loss too good for its tokens: training that is pulled to weights that were there before, or an invented end.
What fools it
    A pull from the first step on, which the first half shows as well; and the law itself, which anyone can draw.
Power
    Plants: the second half lowered, more and more, by .05 to .6 of the fall. A small help is within what honest
    curves do, so that power is rare; the details give the least that would be found.
References
    Luo et al. (2025), A multi-power law for loss curve prediction across learning rate schedules, arXiv:2503.12811.
    ``training-record.md`` section 6, check 11 (anchored 1.61 against honest 2.17 at step 300).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from jokbo.records.checks.base import Check, CheckContext, CheckKind, CheckResult, Observation, unknown
from jokbo.records.declaration import EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.statistics.loss_law import Curve, fit_law, thin_curve
from jokbo.records.statistics.planting import plant, standing
from jokbo.views.component import Reason

MIN_ROWS = 100
MIN_POINTS = 12
TOO_GOOD = 0.15
AS_FAR = 3.0
SKIPPED = 0.03
"""Share of the run at its beginning that no law follows."""

CHANGED = 0.8
FLATTER = 0.8
HELP = (0.05, 0.6)
ANOTHER_CURVE = (
    EventKind.BACKBONE_CHANGE,
    EventKind.DATA_CHANGE,
    EventKind.PRECISION_CHANGE,
)


class CurveLaw(Check):
    """Foretell the end of the curve from its first half."""

    number = 11
    name = "curve_law"
    kind = CheckKind.SOFT
    catches = (Forgery.INVENTED_LOG,)
    needs = ("log", "loss", "learning_rate")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Fit the law to the first half, and compare the end."""
        loss = record.log.effective("loss") if record.log is not None else None
        if loss is None:
            return unknown("no_loss", missing=["log" if record.log is None else "loss"])
        rates = record.rates
        if rates is None or not float(rates.max(initial=0.0)) > 0:
            return unknown("no_rates", missing=["schedule"])
        used = record.events(*ANOTHER_CURVE)
        last = min([record.declaration.event[k].step for k in used], default=record.declaration.steps)
        kept = (loss.steps >= 1) & (loss.steps <= last)
        steps, losses = loss.steps[kept], loss.values[kept]
        if last < CHANGED * record.declaration.steps:
            return replace(unknown("changed", step=last), events=used)
        if len(steps) < MIN_ROWS:
            return unknown("few_rows", missing=["loss"], rows=len(steps), least=MIN_ROWS)
        curve = thin_curve(steps, losses, rates)
        warm = int(np.argmax(rates >= 0.999 * rates.max()))
        begin = int(np.searchsorted(curve.steps, max(min(warm, 0.2 * last), SKIPPED * curve.steps[-1])))
        upto = int(np.searchsorted(curve.steps, 0.5 * curve.steps[-1]))
        if upto - begin < MIN_POINTS:
            return unknown("few_rows", missing=["loss"], rows=len(steps), least=MIN_ROWS)
        if not _flattens(curve):
            return replace(unknown("still_steep"), events=used)
        law = fit_law(curve, begin, upto)
        foretold = law.at(curve)
        late = curve.steps > 0.9 * curve.steps[-1]
        end, expected = float(curve.losses[late].mean()), float(foretold[late].mean())
        half = float(curve.losses[upto - 3 : upto].mean())
        fall = max(float(curve.losses[:3].mean()) - half, 1e-9)
        share = (expected - end) / fall
        details = {
            "end": end, "foretold": expected, "half": half, "fall": fall, "floor": law.floor, "exponent": law.exponent,
            "gain": law.gain, "least_found": max(TOO_GOOD - share, 0.0) * fall,
        }  # fmt: skip
        if _too_good(half, end, expected, fall):
            reason = Reason("too_good", {"end": end, "foretold": expected, "share": share})
            return CheckResult(Observation.VIOLATED, (reason,), share, TOO_GOOD, events=used, details=details)
        rng = context.draw(record, self.name, "plant")
        planted = plant(
            Forgery.INVENTED_LOG,
            context.n_plants,
            rng,
            lambda r: _too_good(half, end - fall * float(np.exp(r.uniform(*np.log(HELP)))), expected, fall),
            variant="helped",
        )
        sampled = record.log is not None and record.log.sampled
        seen, notes = standing([planted], sampled=sampled, least=details["least_found"])
        return CheckResult(seen, notes, share, TOO_GOOD, planted=(planted,), events=used, details=details)


def _flattens(curve: Curve) -> bool:
    """Whether the loss falls slower, each doubling of the steps, by the end of the first half than it did before."""
    places = curve.steps[-1] * 0.5 ** np.arange(1, 6)
    levels = np.interp(places, curve.steps, _smooth(curve.losses))
    falls = -np.diff(levels[::-1])
    return bool(falls[-1] < FLATTER * falls[:-1].max())


def _smooth(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    return np.convolve(np.pad(values, 1, mode="edge"), np.full(3, 1 / 3), mode="valid")


def _too_good(half: float, end: float, expected: float, fall: float) -> bool:
    """Whether the end lies too far below what was foretold, and the second half falls too far."""
    return expected - end > TOO_GOOD * fall and half - end > AS_FAR * max(half - expected, 0.0)
