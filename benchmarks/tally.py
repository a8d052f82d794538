"""Sums over pairs, and the exact bounds that calibration has to meet."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from benchmarks.null_pairs import NullPair

CAP = 1e3
"""The mean of an e-value is ruled by its largest values; the mean of ``min(E, 1000)`` is stable."""

RARE = 1e-4
"""A check that fails by chance less often than this: some hundreds are made."""

ALARM = 20.0
ACCUSATION = 1e6


@dataclass(slots=True)
class Tally:
    """Everything seen of one population.

    Attributes
    ----------
    log_evalues, sup : dict of str to list of float
        Natural logs, one a pair.
    ranks : dict of str to array (bins,)
    checks : dict of str to list of float
        E0's p-values by kind of axis.
    """

    pairs: int = 0
    accused: int = 0
    log_evalues: dict[str, list[float]] = field(default_factory=dict)
    sup: dict[str, list[float]] = field(default_factory=dict)
    ranks: dict[str, np.ndarray] = field(default_factory=dict)
    checks: dict[str, list[float]] = field(default_factory=dict)

    def add(self, pair: NullPair) -> None:
        """Count one pair."""
        self.pairs += 1
        self.accused += pair.accused
        for name, value in pair.log_evalues.items():
            self.log_evalues.setdefault(name, []).append(value)
        for name, value in pair.sup.items():
            self.sup.setdefault(name, []).append(value)
        for name, bins in pair.ranks.items():
            self.ranks[name] = self.ranks.get(name, 0) + bins
        for kind, pvalue in pair.checks:
            self.checks.setdefault(kind, []).append(pvalue)


@dataclass(frozen=True, slots=True)
class Row:
    """One e-value in one population.

    Attributes
    ----------
    mean, capped, error : float
        Mean of E, mean of ``min(E, 1000)`` and its standard error.
    alarms : int
        Pairs with ``E >= 20``.
    upper : float
        Exact 95 % upper bound on their rate (Clopper and Pearson).
    pvalue : float
        Exact binomial p-value of the hypothesis that the rate is at most 1/20.
    """

    name: str
    pairs: int
    mean: float
    capped: float
    error: float
    alarms: int
    upper: float
    pvalue: float
    largest: float
    accusations: int

    @property
    def size_holds(self) -> bool:
        """Mean at most one and ``P(E >= 20)`` at most 1/20, as far as these pairs can tell."""
        slack = 4 * self.error if self.pairs > 1 else 0.0
        return self.pvalue >= RARE and self.capped <= 1 + slack


def summarise(name: str, logs: list[float], *, alarm: float = ALARM) -> Row:
    """Condense the e-values of one name.

    Parameters
    ----------
    logs : list of float
        Natural logs, one a pair.
    """
    from scipy.stats import beta, binom

    values = np.asarray(logs)
    capped = np.exp(np.minimum(values, math.log(CAP)))
    n, alarms = len(values), int((values >= math.log(alarm)).sum())
    return Row(
        name=name,
        pairs=n,
        mean=float(np.exp(np.minimum(values, 600)).mean()),
        capped=float(capped.mean()),
        error=float(capped.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf,
        alarms=alarms,
        upper=float(beta.ppf(0.95, alarms + 1, n - alarms)) if alarms < n else 1.0,
        pvalue=float(binom.sf(alarms - 1, n, 1 / alarm)),
        largest=float(values.max() / math.log(10)),
        accusations=int((values >= math.log(ACCUSATION)).sum()),
    )


def uniformity(bins: np.ndarray) -> float:
    """Chi-square p-value of ranks that should be uniform."""
    from scipy.stats import chisquare

    return float(chisquare(bins).pvalue)


def too_small(pvalues: list[float], level: float) -> float:
    """Exact binomial p-value: how likely so many p-values at most `level` are, where they are valid."""
    from scipy.stats import binom

    hits = sum(p <= level for p in pvalues)
    return float(binom.sf(hits - 1, len(pvalues), level))


def failures(tally: Tally, *, structured: bool) -> list[str]:
    """What breaks calibration in one population; empty when it holds."""
    found = []
    for name, logs in (*tally.log_evalues.items(), *tally.sup.items()):
        row = summarise(name, logs)
        if name in tally.log_evalues and not row.size_holds:
            found.append(
                f"{name}: {row.alarms} of {row.pairs} at E >= 20, mean of min(E, 1000) {row.capped:.3f}"
            )
        elif row.pvalue < RARE:
            found.append(f"{name}: {row.alarms} of {row.pairs} reach 20 on the way")
        if name.startswith(("component", "all")) and row.accusations:
            found.append(f"{name}: {row.accusations} pairs at E >= 1e6")
    if tally.accused:
        found.append(f"{tally.accused} independent pairs are called dependent")
    for name, bins in tally.ranks.items():
        if (not structured or "local" not in name) and uniformity(bins) < RARE:
            found.append(f"ranks {name}: not uniform, p = {uniformity(bins):.1e}")
    if not structured:
        for kind, pvalues in tally.checks.items():
            if min(too_small(pvalues, 0.001), too_small(pvalues, 0.05)) < RARE:
                found.append(f"E0 {kind}: p-values too small")
    return found
