"""C12, first loss: before the first update nothing has been learnt (calibrated).

Claim
    The run began at a random initialisation.
Statistic
    The loss of the first update's batch (or a validation loss at step 0), less ``ln V``, in deviations of the
    batch noise. Beside it the details give ``ln V + s^2 / 2``, where ``s^2`` is the variance of the logits: of the rows
    of step 0's own head, centred, times their length, else ``width * std^2`` of the declared law.
Why it is valid
    Logits that know nothing of the target cost ``E[log sum exp] - E[logit] >= ln V`` on average, by Jensen's
    inequality, whatever the architecture, the scale or the law; Gaussian logits cost ``s^2 / 2`` more. The
    p-value is one-sided against that least value, less .05 for vocabularies counted with or without padding, with twice
    the scatter of the first 64 residuals. It is computed only where the first update was logged by itself: a first
    row at a later step has learnt already, and passes only where it still costs ``ln V``.
What it catches
    A warm start: a run that begins from trained weights.
What fools it
    A log that was invented from ``ln V`` on; trained weights with so much noise that nothing is left; output biases
    set to the frequencies of words (rare, and to be declared); losses in another unit than nats a token.
Power
    Plants: first losses taken from the last three quarters of this log. A run that learns little has none. That
    the log does not begin warm says nothing of what is presented as step 0: checks 13 to 15 do.
References
    ``training-record.md`` section 6, check 12 (predicted 5.794, logged 5.797). Pythia 14m, two seeds: width 128,
    std .0559, predicted 11.03, logged 11.01 and 10.99.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from jokbo.records.checks.base import (
    FOUND_LOG_PVALUE,
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    unknown,
)
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.series import Series
from jokbo.records.statistics.detrend import residuals
from jokbo.records.statistics.planting import plant, standing
from jokbo.records.statistics.sizes import model_config, text_part, whole
from jokbo.views.component import Reason

FIRST_ROWS = 64
MIN_ROWS = 40
ALLOWANCE = 0.05
WIDER = 2.0
LEAST_NOISE = 1e-3
HEADS = ("output", "token_embd")


class FirstLoss(Check):
    """Hold the first logged loss against that of guessing."""

    number = 12
    name = "first_loss"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.TRAINED_START,)
    needs = ("log", "loss", "config")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Compare in units of the batch noise."""
        log = record.log
        loss = log.effective("loss") if log is not None else None
        if log is None or loss is None:
            return unknown("no_loss", missing=["log" if log is None else "loss"])
        vocabulary = record.declaration.model.vocab_size or whole(
            text_part(model_config(record)), "vocab_size"
        )
        if vocabulary < 2:
            return unknown("no_vocabulary", missing=["config"])
        if len(loss) < MIN_ROWS:
            return unknown("few_rows", missing=["loss"], rows=len(loss), least=MIN_ROWS)
        guess = float(np.log(vocabulary))
        noise = first_noise(loss.values)
        first, step = _first(loss, log.effective("validation_loss"))
        spread = logit_variance(record)
        details = {"first": first, "step": step, "guessing": guess, "noise": noise,
                   "predicted": guess + spread / 2 if spread is not None else None}  # fmt: skip
        log_p = log_pvalue(first, guess, noise)
        excess = (first - guess) / (WIDER * noise)
        if step > 1 and first < guess - ALLOWANCE:
            values = {"step": step, "loss": first, "guessing": guess}
            return CheckResult(
                Observation.UNKNOWN,
                (Reason("starts_late", values),),
                excess,
                missing=("loss",),
                details=details,
            )
        if log_p <= FOUND_LOG_PVALUE:
            values = {"loss": first, "guessing": guess, "step": step}
            return CheckResult(
                Observation.VIOLATED, (Reason("warm", values),), excess, None, log_p, details=details
            )
        rng = context.draw(record, self.name, "plant")
        later = loss.values[len(loss) // 4 :]
        planted = plant(
            Forgery.TRAINED_START,
            context.n_plants,
            rng,
            lambda r: log_pvalue(float(later[r.integers(len(later))]), guess, noise) <= FOUND_LOG_PVALUE,
            variant="warm",
        )
        seen, reasons = standing([planted], sampled=log.sampled)
        return CheckResult(seen, reasons, excess, None, log_p, planted=(planted,), details=details)


def _first(loss: Series, validation: Series | None) -> tuple[float, int]:
    """The earliest loss, and its step: of update 1 (trainers call it 0 or 1), or a validation at step 0."""
    first, step = float(loss.values[0]), int(loss.steps[0])
    if step > 1 and validation is not None and len(validation) and validation.steps[0] == 0:
        return float(validation.values[0]), 0
    return first, step


def first_noise(values: Float64[np.ndarray, " n"]) -> float:
    """Scatter of the first residuals, as a standard deviation, at least :data:`LEAST_NOISE`."""
    noise = residuals(values)[:FIRST_ROWS]
    return max(float(np.sqrt(np.mean(noise**2))), LEAST_NOISE)


def log_pvalue(first: float, least: float, noise: float, allowance: float = ALLOWANCE) -> float:
    """Natural log of the chance of a first loss so low where nothing was learnt.

    Examples
    --------
    >>> log_pvalue(6.25, 6.24, 0.05)
    -0.32...
    """
    from scipy.special import log_ndtr

    return float(log_ndtr((first - (least - allowance)) / (WIDER * noise)))


def logit_variance(record: Record) -> float | None:
    """Variance of the logits of step 0, from its head or from the declared law; None where neither is known."""
    declared = record.declaration
    if any(c.step == 0 for c in record.training_checkpoints()):
        rows = record.rows
        zero = [k for k in rows.training() if rows.entries[k].step == 0]
        for role in HEADS:
            for tensor in rows.tensors.values():
                values = tensor.at(zero[0]) if zero and tensor.role == role else None
                if values is not None and len(values) > 1:
                    centred = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
                    return float((centred**2).sum(axis=1).mean() * len(values) / (len(values) - 1))
    law = declared.initialisation
    width = whole(text_part(model_config(record)), "hidden_size", "n_embd", "d_model")
    if law is None or law.std <= 0 or not width:
        return None
    return width * law.std**2 * law.norms**2
