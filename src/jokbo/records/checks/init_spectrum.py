r"""C14, spectrum of step 0: no direction of a random matrix stands out (calibrated).

Claim
    Matrices of step 0 have independent entries of the declared deviation sigma.
Statistic
    The largest singular value of each matrix (of the rows read: a part of a random matrix is one) over
    ``sigma (sqrt m + sqrt n)``, the edge of its spectrum. Reported is the p-value of the worst, Bonferroni over
    matrices.
Why it is valid
    For Gaussian entries the largest eigenvalue :math:`\lambda` of ``W' W / sigma^2`` passes beyond the upper edge b
    with probability :math:`\exp(-\frac12 \int_b^\lambda \sqrt{(t-a)(t-b)}/t\, dt)` to leading order (large
    deviations of the Wishart ensemble, a and b the edges), which near b is the Tracy-Widom tail without its
    prefactor. The prefactor is below one, so the formula is on the safe side: of 1,500 to 4,000 simulated
    draws for each of nine sizes from 8 x 8 to 512 x 64 the share below p = .1 was at most .005, below .01 at most .001.
    Monte Carlo alone would stop at one over the number of draws, far above the family's 1e-6. Entries that are
    bounded or rounded have lighter tails.
What it catches
    A trained model as step 0, rescaled to the declared deviation, with or without noise; a start with some of
    the final weights mixed in. The latter is judged at the cosine that the imprint (C19) asks for, and at the
    lowest share of it that C19 could not tell from honest (a quarter; less under SGD): together they exclude a
    planted start, or do not.
What fools it
    A mixture too weak for the edge: a planted direction of strength below sigma (m n)^(1/4) leaves no trace in the
    largest singular value. In short runs with little decay the imprint asks for much less than that.
Power
    Measured on the record. Harness (hidden size 64, 300 steps): trained starts 59 of 59, with as much noise as signal
    too; planted starts at the full predicted cosine are mostly found, at a quarter of it hardly ever.

References
----------
Majumdar and Vergassola (2009), Large deviations of the maximum eigenvalue for Wishart and Gaussian random matrices.
Baik, Ben Arous and Peche (2005), Phase transition of the largest eigenvalue. Staats et al. (2024).
"""

from __future__ import annotations

import math

import numpy as np

from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.checks.init_imprint import LOG_LEVEL, Imprint, lower_ratio
from jokbo.records.forgeries import Forgery
from jokbo.records.law import declared_deviation
from jokbo.records.plants import conclude, count, lookalike, trained_start
from jokbo.records.record import Record
from jokbo.records.trajectory import State, Trajectory, trajectory
from jokbo.views.component import Reason

MIN_SIDE = 8
MAX_SIDE = 512
"""Larger matrices are judged by so many of their rows and columns."""

GRID = 256


class InitSpectrum(Check):
    """Hold the largest singular values of step 0 against the edge."""

    number = 14
    name = "init_spectrum"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.TRAINED_START, Forgery.PLANTED_START)
    needs = ("step0", "initialisation")
    follows = True

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Judge every matrix of step 0."""
        law = record.declaration.initialisation
        if law is None or law.std <= 0:
            return unknown("no_law", missing=["initialisation"])
        path = trajectory(record)
        if path.start is None:
            return unknown("no_start", missing=["step0"])
        deviations = {
            key: declared_deviation(law, tensor)
            for key, tensor in path.tensors.items()
            if not tensor.is_vector and key in path.states[path.start]
        }
        spectra = {
            key: spectrum
            for key, deviation in deviations.items()
            if (spectrum := _spectrum(path.states[path.start][key], deviation)) is not None
        }
        if not spectra:
            return unknown("no_matrices")
        worst = min(spectra, key=lambda key: spectra[key][1])
        log_pvalue = min(0.0, spectra[worst][1] + math.log(len(spectra)))
        largest = max(spectra.values(), key=lambda pair: pair[0])[0]
        values: dict[str, int | float | str] = {
            "ratio": round(spectra[worst][0], 4),
            "tensor": worst,
            "matrices": len(spectra),
        }
        details = {"ratios": {key: round(ratio, 4) for key, (ratio, _) in list(spectra.items())[:200]}}
        if log_pvalue < LOG_LEVEL:
            return CheckResult(
                Observation.VIOLATED,
                (Reason("stands_out", values),),
                statistic=largest,
                log_pvalue=log_pvalue,
                details=details,
            )
        return conclude(
            _plants(record, context, path, {key: deviations[key] for key in spectra}),
            statistic=largest,
            log_pvalue=log_pvalue,
            reasons=(Reason("within", values),),
            details=details,
        )


def _spectrum(values: np.ndarray, deviation: float) -> tuple[float, float] | None:
    """Ratio to the edge and log p-value of one matrix; None where it is too small."""
    part = values[:MAX_SIDE, :MAX_SIDE].astype(np.float64) / deviation
    # A row of padding is zero by design.
    part = part[np.any(part != 0, axis=1)]
    if min(part.shape) < MIN_SIDE:
        return None
    gram = part @ part.T if part.shape[0] <= part.shape[1] else part.T @ part
    eigenvalue = float(np.linalg.eigvalsh(gram)[-1])
    rows, cols = part.shape
    edge = math.sqrt(rows) + math.sqrt(cols)
    return math.sqrt(max(eigenvalue, 0.0)) / edge, log_edge_pvalue(eigenvalue, rows, cols)


def log_edge_pvalue(eigenvalue: float, rows: int, cols: int) -> float:
    r"""Log probability that the largest eigenvalue of ``X' X`` passes a value, X standard normal (rows x cols).

    Examples
    --------
    >>> log_edge_pvalue(100.0, 100, 100)
    0.0
    >>> print(round(log_edge_pvalue(560.0, 100, 100), 2))
    -30.38
    """
    low, high = (math.sqrt(rows) - math.sqrt(cols)) ** 2, (math.sqrt(rows) + math.sqrt(cols)) ** 2
    if eigenvalue <= high:
        return 0.0
    # t = b + (x - b) s^2 takes the square root's kink at the edge out of the integrand.
    s = (np.arange(GRID) + 0.5) / GRID
    t = high + (eigenvalue - high) * s**2
    integrand = np.sqrt((t - low) * (t - high)) / t * 2 * s * (eigenvalue - high)
    return -0.5 * float(integrand.mean())


def _plants(
    record: Record, context: CheckContext, path: Trajectory, deviations: dict[str, float]
) -> list[Planted]:
    rng = context.draw(record, InitSpectrum.name, "plants")
    path = path.lighter(1 << 19)
    start, last, tensors = path.start or 0, len(path) - 1, dict(path.tensors)
    if last == start:
        return []

    def seen(state: State) -> bool:
        found = [
            spectrum[1]
            for key, deviation in deviations.items()
            if key in state and (spectrum := _spectrum(state[key], deviation)) is not None
        ]
        return bool(found) and min(found) + math.log(len(deviations)) < LOG_LEVEL

    trained: dict[float, list[bool]] = {0.0: [], 0.5: []}
    optimizer = record.declaration.optimizer
    least = lower_ratio(optimizer) if optimizer is not None else 1.0
    shares = {share: _planted_cosines(record, path, share) for share in (1.0, least)}
    planted: dict[float, list[bool]] = {share: [] for share in shares}
    for _ in range(context.n_plants):
        owner = lookalike(path.states[last], tensors, rng)
        for noise, found in trained.items():
            found.append(seen(trained_start(path.states[start], owner, noise, deviations, rng)))
        for share, cosines in shares.items():
            fresh = lookalike(path.states[start], tensors, rng)
            planted[share].append(seen(_mixed(fresh, owner, cosines)))
    return [
        *(
            count(Forgery.TRAINED_START, found, variant="noisy" if noise else "rescaled")
            for noise, found in trained.items()
        ),
        *(
            count(Forgery.PLANTED_START, found, variant="mixed")
            for share, found in planted.items()
            if shares[share]
        ),
    ]


def _planted_cosines(record: Record, path: Trajectory, share: float) -> dict[str, float]:
    """Cosine of each tensor of C19 with the final weights that gives the imprint this share of its prediction."""
    optimizer = record.declaration.optimizer
    if optimizer is None or record.rates is None or path.start is None:
        return {}
    imprint, start, last = Imprint(record, optimizer, path), path.start, len(path) - 1
    if not imprint.between(path, start, last):
        return {}
    return {
        key: min(1.0, share * imprint.predicted_cosine(path, key, start, last))
        for key, tensor in path.tensors.items()
        if tensor.role in ("token_embd", "ffn_gate", "ffn_up", "ffn_down")
        and key in path.states[start]
        and key in path.states[last]
    }


def _mixed(fresh: State, owner: State, cosines: dict[str, float]) -> State:
    found = dict(fresh)
    for key, cosine in cosines.items():
        size = float(np.linalg.norm(fresh[key])) / max(float(np.linalg.norm(owner[key])), 1e-300)
        found[key] = np.asarray(
            math.sqrt(1 - cosine**2) * fresh[key] + cosine * size * owner[key], dtype=np.float32
        )
    return found
