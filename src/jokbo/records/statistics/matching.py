"""Where a stretch of one noise sequence appears in another, and how surprising that is.

Each stretch of one log is turned into normal scores and correlated with every stretch as long of the
other. If the noises have nothing to do with each other the order within the stretch is as good as any
other order of it, so that the correlation has the distribution of a permuted one: Student's t with
``size - 2`` degrees of freedom, very nearly (Pitman 1937, J. Royal Statist. Soc. Suppl. 4). What is left of
dependence between neighbours widens it; by how much is read off all the shifts (Bartlett 1935).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

BLOCK = 64
"""Rows of a stretch: fewer cannot show a correlation beyond all shifts of a log."""

WORK = 1 << 24
"""Stretches times rows that are compared: longer logs are cut into longer stretches."""

LEAST_LOG = -690.0

FREE = 0.85
"""Share of a stretch's rows that count: the running parabola and the prediction from neighbours take the others.
In 2,500 pairs of simulated honest logs p-values below .001 came out twice as often as they should with all of
them, and a fifth as often with these."""

EXAMINED = 16_384
"""Shifts whose spread is looked at."""


@dataclass(frozen=True, slots=True)
class Match:
    """The most surprising pair of stretches.

    Attributes
    ----------
    log_pvalue : float
        Over all stretches and shifts (Bonferroni); 0 where nothing could be compared.
    correlation : float
    start, source : int
        Rows at which the stretch begins, in the first and in the second sequence.
    size : int
    compared : int
        Pairs that were looked at.
    """

    log_pvalue: float
    correlation: float
    start: int
    source: int
    size: int
    compared: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Stretches of a sequence: their size, and where each begins."""

    size: int
    starts: Int64[np.ndarray, " stretches"]


def plan(rows: int, others: int) -> Plan:
    """Stretches of at least :data:`BLOCK` rows, so many that the work is bounded.

    Examples
    --------
    >>> plan(300, 300).size, len(plan(300, 300).starts)
    (64, 8)
    """
    size = max(BLOCK, -(-rows * others // WORK))
    # Short stretches overlap, so that a piece of one and a half of them holds one; long ones cost too much for that.
    stride = size // 2 if size == BLOCK else size
    return Plan(size, np.arange(0, max(rows - size + 1, 0), stride, dtype=np.int64))


def normal_scores(values: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Standard normal quantiles at the values' ranks, of mean zero and length one.

    Examples
    --------
    >>> float(abs(normal_scores(np.array([3.0, 1.0, 2.0])).sum()).round(12))
    0.0
    """
    from scipy.special import ndtri

    ranks = np.empty(len(values))
    ranks[np.argsort(values, kind="stable")] = np.arange(len(values))
    scores = ndtri((ranks + 0.5) / len(values))
    scores -= scores.mean()
    return scores / np.linalg.norm(scores)


def log_tail(correlation: Float64[np.ndarray, " n"], size: int) -> Float64[np.ndarray, " n"]:
    """Natural log of the chance that a permuted correlation is at least this large."""
    from scipy.special import betainc

    squared = np.clip(1 - np.maximum(correlation, 0.0) ** 2, 0.0, 1.0)
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(0.5 * betainc((FREE * size - 2) / 2, 0.5, squared)), LEAST_LOG)


class Shifts:
    """A sequence prepared for correlations of short stretches with all of its shifts.

    Parameters
    ----------
    noise : ndarray
    size : int
        Rows of every stretch.
    """

    def __init__(self, noise: Float64[np.ndarray, " n"], size: int) -> None:
        from scipy.fft import next_fast_len, rfft

        self.size = size
        self.count = max(len(noise) - size + 1, 0)
        self._length = next_fast_len(len(noise) + size, real=True)
        self._spectrum = rfft(noise, self._length)
        sums = np.concatenate([[0.0], np.cumsum(noise)])
        squares = np.concatenate([[0.0], np.cumsum(noise**2)])
        spread = squares[size:] - squares[:-size] - (sums[size:] - sums[:-size]) ** 2 / size
        usable = spread > 1e-9 * size
        self._inverse = np.where(usable, 1 / np.sqrt(np.where(usable, spread, 1.0)), 0.0)

    def correlations(self, stretch: Float64[np.ndarray, " size"]) -> Float64[np.ndarray, " shifts"]:
        """Correlation of the normal scores of `stretch` with every stretch of the sequence.

        Examples
        --------
        >>> noise = np.random.default_rng(0).standard_normal(200)
        >>> int(Shifts(noise, 64).correlations(noise[50:114]).argmax())
        50
        """
        from scipy.fft import irfft, rfft

        spectrum = np.conj(rfft(normal_scores(stretch), self._length))
        products = irfft(spectrum * self._spectrum, self._length)[: self.count]
        return np.asarray(products * self._inverse, dtype=np.float64)


def best_match(
    mine: Float64[np.ndarray, " n"],
    other: Float64[np.ndarray, " m"],
    allowed: Callable[[int, Int64[np.ndarray, " shifts"]], Bool[np.ndarray, " shifts"]] | None = None,
) -> Match:
    """The most surprising match of any stretch of `mine` in `other`.

    Parameters
    ----------
    mine, other : ndarray
        Whitened noise (:func:`jokbo.records.statistics.detrend.whitened`).
    allowed : callable, optional
        Given where a stretch begins and where all its counterparts do, says which of them may be compared;
        a log is compared with itself only away from the stretch.
    """
    cut = plan(len(mine), len(other))
    best = Match(0.0, 0.0, 0, 0, cut.size, 0)
    if len(other) < cut.size or len(cut.starts) == 0:
        return best
    shifts = Shifts(other, cut.size)
    places = np.arange(shifts.count)
    compared, top = 0, -np.inf
    for start in cut.starts.tolist():
        stretch = mine[start : start + cut.size]
        if not np.ptp(stretch) > 0:
            continue
        found = shifts.correlations(stretch)
        mask = np.ones(len(places), dtype=bool) if allowed is None else allowed(start, places)
        if not mask.any():
            continue
        compared += int(mask.sum())
        found = np.where(mask, found / widening(found[mask], cut.size), -1.0)
        at = int(np.argmax(found))
        if found[at] > top:
            top = float(found[at])
            best = Match(0.0, top, start, at, cut.size, 0)
    if not compared:
        return best
    log_p = float(log_tail(np.array([best.correlation]), cut.size)[0]) + float(np.log(compared))
    return Match(min(log_p, 0.0), best.correlation, best.start, best.source, cut.size, compared)


def widening(found: Float64[np.ndarray, " n"], size: int) -> float:
    """How much wider than independent noise the correlations of all shifts are; at least 1."""
    if len(found) < 32:
        return 1.0
    some = found[:: max(1, len(found) // EXAMINED)]
    return max(1.0, 1.4826 * float(np.median(np.abs(some))) * float(np.sqrt(size - 1)))
