r"""C13, law of step 0: entries are distributed as declared (calibrated).

Claim
    Step 0 was drawn from the declared law: matrices at the declared deviation, gains and biases at their constants.
Statistic
    For each matrix four p-values against the law with its known deviation, no parameter fitted: the
    Kolmogorov-Smirnov distance, the mean square, the number of entries beyond three deviations, and the largest entry.
    Reported is the smallest of all, Bonferroni over matrices and tests. A gain or bias that is not its constant
    (to the rounding of the stored type) has p-value zero.
Why it is valid
    Kolmogorov-Smirnov: :math:`P(\sqrt n D > x) \le 2 e^{-2 x^2}` for every n (Dvoretzky, Kiefer and Wolfowitz;
    Massart's constant). Mean square: chi-square under the normal law, Bernstein's inequality under bounded
    ones. Counts: the binomial. Values stored in 16 bits are spread evenly over their rounding cell first, which
    leaves the smooth law to second order. A truncated law's deviation may be declared before or after the cut:
    the better fit counts, at twice the p-value. Rows that are zero (padding) are left out, one a matrix. Kurtosis is in
    the details; its tail is too heavy for p-values of 1e-9, so the counts decide. In 2,000 draws of each law the
    share below p = .1, .01 and .001 was at most 1.15 times that.
What it catches
    A trained model as step 0: its gains, its deviations, its tails.
What fools it
    Rescaling each matrix to the declared deviation, resetting gains, and adding noise: hence the rows of plants. The
    spectrum (C14) sees what is left. A wrongly declared law is inconsistent too: the declaration can be mended.
Power
    Measured on the record with the final weights as they are, rescaled with gains reset, and rescaled with as much
    noise as signal. Honest runs: the smallest p-value of 32
    runs of 13 kinds was .08.

References
----------
Massart (1990), The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Float64

from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.checks.init_imprint import LOG_LEVEL
from jokbo.records.declaration import Initialisation
from jokbo.records.forgeries import Forgery
from jokbo.records.law import (
    TRUNCATED_AT,
    TRUNCATED_DEVIATION,
    TRUNCATED_MASS,
    declared_constant,
    declared_deviation,
)
from jokbo.records.plants import conclude, count, lookalike, trained_start
from jokbo.records.record import Record
from jokbo.records.trajectory import State, Trajectory, trajectory
from jokbo.views.component import Reason

LAWS = ("normal", "truncated_normal", "uniform")
MIN_ENTRIES = 256
MAX_ENTRIES = 1 << 18
"""Entries of one matrix that are tested: the first rows of those read."""

FAR = 3.0
NEVER = -700.0
"""Log p-value of what cannot happen under the law."""


class InitLaw(Check):
    """Hold step 0 against the declared law."""

    number = 13
    name = "init_law"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.TRAINED_START,)
    needs = ("step0", "initialisation")
    follows = True

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Test every tensor of step 0."""
        law = record.declaration.initialisation
        if law is None or law.std <= 0:
            return unknown("no_law", missing=["initialisation"])
        if law.law not in LAWS:
            return unknown("other_law", law=law.law or "?")
        path = trajectory(record)
        if path.start is None:
            return unknown("no_start", missing=["step0"])
        rng = context.draw(record, self.name, "dither")
        found = _test(law, path, path.states[path.start], rng)
        if not found:
            return unknown("no_tensors", missing=["step0"])
        (worst, test), least = min(found.items(), key=lambda item: item[1])
        log_pvalue = min(0.0, least + math.log(len(found)))
        details = {
            "tests": len(found),
            "kurtosis": {
                key: round(_kurtosis(values), 4)
                for key, values in list(path.states[path.start].items())[:200]
                if not path.tensors[key].is_vector and values.size >= MIN_ENTRIES
            },
        }
        values: dict[str, int | float | str] = {"tensor": worst, "test": test, "tests": len(found)}
        if log_pvalue < LOG_LEVEL:
            code = f"wrong_{test}"
            return CheckResult(
                Observation.VIOLATED, (Reason(code, values),), statistic=abs(log_pvalue), log_pvalue=log_pvalue,
                details=details,
            )  # fmt: skip
        return conclude(
            _plants(record, context, law, path),
            statistic=abs(log_pvalue),
            log_pvalue=log_pvalue,
            reasons=(Reason("as_declared", values),),
            details=details,
        )


def _test(
    law: Initialisation, path: Trajectory, state: State, rng: np.random.Generator
) -> dict[tuple[str, str], float]:
    """Log p-value of every test of every tensor."""
    found: dict[tuple[str, str], float] = {}
    for key, values in state.items():
        tensor = path.tensors[key]
        roundoff = path.roundoff(key, path.start or 0)
        if tensor.is_vector:
            constant = declared_constant(law, tensor)
            if constant is not None:
                off = float(np.max(np.abs(values - constant)))
                found[key, "constant"] = 0.0 if off <= roundoff * abs(constant) + 1e-12 else NEVER
            continue
        flat = _entries(values, roundoff, rng) / declared_deviation(law, tensor)
        if flat.size >= MIN_ENTRIES:
            found |= {(key, test): p for test, p in matrix_log_pvalues(law.law, flat).items()}
    return found


def _entries(values: np.ndarray, roundoff: float, rng: np.random.Generator) -> Float64[np.ndarray, " n"]:
    """Entries without a row of padding, spread over the cells of a 16-bit type."""
    zero = np.flatnonzero(~np.any(values, axis=1))
    kept = np.delete(values, zero[:1], axis=0)
    flat = kept[: max(1, MAX_ENTRIES // max(kept.shape[1], 1))].ravel().astype(np.float64)
    if roundoff > 2.0**-20:
        _, exponents = np.frexp(flat)
        cells = np.ldexp(2 * roundoff, exponents - 1)
        flat = flat + cells * (rng.random(flat.size) - 0.5)
    return np.asarray(flat)


def matrix_log_pvalues(law: str, flat: Float64[np.ndarray, " n"]) -> Mapping[str, float]:
    """Log p-values of entries that were divided by the declared deviation."""
    if law != "truncated_normal":
        return dict(_pvalues(law, flat))
    before, after = dict(_pvalues(law, flat)), dict(_pvalues(law, flat * TRUNCATED_DEVIATION))
    better = max((before, after), key=lambda each: min(each.values()))
    return {test: min(0.0, p + math.log(2)) for test, p in better.items()}


def _pvalues(law: str, flat: Float64[np.ndarray, " n"]) -> Iterator[tuple[str, float]]:
    n = flat.size
    ordered = np.sort(flat)
    cdf = _cdf(law, ordered)
    place = np.arange(n)
    distance = float(max(np.max((place + 1) / n - cdf), np.max(cdf - place / n)))
    yield "distribution", min(0.0, math.log(2) - 2 * n * distance**2)
    yield "variance", _log_variance(law, float(np.sum(flat**2)), n)
    if law == "normal":
        yield "tails", _log_count(int(np.count_nonzero(np.abs(flat) > FAR)), n, math.erfc(FAR / math.sqrt(2)))
        largest = float(np.max(np.abs(flat)))
        chance = n * math.erfc(largest / math.sqrt(2))
        yield "largest", max(NEVER, math.log(chance)) if 0 < chance < 1 else (0.0 if chance >= 1 else NEVER)
    else:
        end = TRUNCATED_AT if law == "truncated_normal" else math.sqrt(3)
        yield "largest", 0.0 if float(np.max(np.abs(flat))) <= end * (1 + 2.0**-7) else NEVER


def _cdf(law: str, x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    from scipy.special import ndtr

    if law == "uniform":
        return np.asarray(np.clip(0.5 + x / (2 * math.sqrt(3)), 0, 1))
    if law == "normal":
        return np.asarray(ndtr(x))
    return np.asarray(np.clip((ndtr(x) - (1 - TRUNCATED_MASS) / 2) / TRUNCATED_MASS, 0, 1))


def _log_variance(law: str, squares: float, n: int) -> float:
    """Two-sided p-value of the sum of squares."""
    from scipy.special import chdtr, chdtrc

    if law == "normal":
        tail = 2 * min(float(chdtr(n, squares)), float(chdtrc(n, squares)))
        return min(0.0, math.log(tail)) if tail > 1e-300 else NEVER
    if law == "uniform":
        mean, spread, top = 1.0, 0.8, 3.0
    else:
        mean, spread, top = TRUNCATED_DEVIATION**2, 1.0, TRUNCATED_AT**2
    off = abs(squares / n - mean)
    # Bernstein: variances of x^2 are .8 (uniform) and below 1 (truncated); values lie within `top`.
    return min(0.0, math.log(2) - n * off**2 / (2 * (spread + top * off / 3)))


def _log_count(found: int, n: int, chance: float) -> float:
    from scipy.special import bdtr, bdtrc

    above = 1.0 if found == 0 else float(bdtrc(found - 1, n, chance))
    tail = 2 * min(float(bdtr(found, n, chance)), above)
    return min(0.0, math.log(tail)) if tail > 1e-300 else NEVER


def _kurtosis(values: np.ndarray) -> float:
    centred = values.astype(np.float64) - values.mean()
    square = float(np.mean(centred**2))
    return float(np.mean(centred**4)) / max(square**2, 1e-300)


def _plants(record: Record, context: CheckContext, law: Initialisation, path: Trajectory) -> list[Planted]:
    rng = context.draw(record, InitLaw.name, "plants")
    path = path.lighter(1 << 18)
    start, last = path.start or 0, len(path) - 1
    if last == start:
        return []
    tensors = dict(path.tensors)
    deviations = {
        key: declared_deviation(law, tensor) * (TRUNCATED_DEVIATION if law.law == "truncated_normal" else 1.0)
        for key, tensor in path.tensors.items()
        if not tensor.is_vector
    }

    def seen(state: State) -> bool:
        found = _test(law, path, state, rng)
        return bool(found) and min(found.values()) + math.log(len(found)) < LOG_LEVEL

    raw, rescaled, noisy = [], [], []
    for _ in range(context.n_plants):
        owner = lookalike(path.states[last], tensors, rng)
        both = {key: values for key, values in owner.items() if key in path.states[start]}
        raw.append(seen(both))
        rescaled.append(seen(trained_start(path.states[start], owner, 0.0, deviations, rng)))
        noisy.append(seen(trained_start(path.states[start], owner, 0.5, deviations, rng)))
    ways = {"trained": raw, "rescaled": rescaled, "noisy": noisy}
    return [count(Forgery.TRAINED_START, found, variant=way) for way, found in ways.items()]
