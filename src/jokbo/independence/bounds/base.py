"""What a bound is, how plants are drawn, and how a grid of plants is searched.

A plant is the candidate as read, made dependent on the reference by a known amount. Units of
the candidate are first relabelled and flipped at random, which under independence gives an
equally likely pair; so one pair of models gives as many plants as are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int

from jokbo.independence.base import Alignment, Cluster
from jokbo.independence.betting import MIXTURE_SHARES
from jokbo.views.component import Reason

COSINES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
COPY_COSINE = 0.99
"""Cosine of a copied unit with its original: rounding and a light fine-tune."""

SCRAMBLED = "scrambled"
"""Rotation, permutation and random signs together: no exact test reaches it."""

N_PLANTS = 299
"""Without a miss, they show that 99 % are found, with 95 % confidence: ``.99^299 < .05``."""

BATCHES = (20, *(31,) * 9)
"""Plants made at a time: few, so that a value that misses is given up early and arrays stay in the cache."""


class Kind(StrEnum):
    """What a bound is a limit of."""

    COSINE = "cosine"
    CONTIGUOUS = "contiguous_share"
    SCATTERED = "scattered_share"

    @property
    def grid(self) -> tuple[float, ...]:
        """Values planted."""
        return COSINES if self is Kind.COSINE else SHARES


@dataclass(frozen=True, slots=True)
class Bound:
    """The smallest dependence of one kind, in one disguise, that would have been found.

    Attributes
    ----------
    alignment : str
        An :class:`~jokbo.independence.base.Alignment`, or ``"scrambled"``.
    kind : Kind
    value : float or None
        This value, and every larger one planted, was found in all plants. None where not
        even the largest was, or where nothing was tested.
    tested : bool
    reason : Reason or None
        Why there is no value.
    n_plants, misses : int
        Plants made at `value` (at the largest value where `value` is None), and those
        that were not found.
    """

    alignment: str
    kind: Kind
    value: float | None
    tested: bool
    reason: Reason | None = None
    n_plants: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class Goal:
    """When a plant counts as found: as :func:`~jokbo.evidence.verdict.decide` accuses, dates aside.

    Attributes
    ----------
    log_threshold : float
        Of the component's e-value.
    log_witness : float
        Of the local form or another family, where the first rests on order.
    families : int
        Families whose e-values are averaged for the component.
    """

    log_threshold: float
    log_witness: float
    families: int

    def reached(self, log_evalue: Float[np.ndarray, " plants"]) -> Bool[np.ndarray, " plants"]:
        """Whether one family alone lifts the component over the threshold, the others counting zero."""
        return log_evalue - math.log(self.families) >= self.log_threshold


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of `n` indices, of which a window was read.

    Attributes
    ----------
    offsets : array (m,)
        Place of each row read within the window.
    """

    n: int
    offsets: Int[np.ndarray, " m"]

    @property
    def length(self) -> int:
        """Length of the window."""
        return int(self.offsets.max()) + 1


def strengths(
    axis: Axis, kind: Kind, value: float, *, plants: int, blocks: int, rng: np.random.Generator
) -> Float[np.ndarray, "plants blocks m"]:
    """Cosine that each row read of each block is planted with.

    A run of neighbours lies at one random place, the same in all blocks, as a model spliced
    together by slices has it; the window, at another. It may see all of the run, part, or none.
    """
    shape = (plants, blocks, len(axis.offsets))
    if kind is Kind.COSINE:
        return np.full(shape, value)
    if kind is Kind.SCATTERED:
        return COPY_COSINE * (rng.random(shape) < value)
    run = max(1, round(value * axis.n))
    start = rng.integers(0, axis.n - run + 1, size=(plants, 1, 1))
    place = rng.integers(0, max(axis.n - axis.length, 0) + 1, size=(plants, 1, 1)) + axis.offsets
    return np.broadcast_to(COPY_COSINE * ((place >= start) & (place < start + run)), shape)


Plant = Callable[[Kind, float, int, np.random.Generator], Bool[np.ndarray, " plants"]]
"""Make that many plants of a kind and value; return which were found."""


def search(
    plant: Plant,
    alignment: str,
    kind: Kind,
    *,
    n_plants: int,
    draw: Callable[[int], np.random.Generator],
    known: Bound | None = None,
) -> Bound:
    """Plant from the largest value of the grid downwards, until one is missed.

    Parameters
    ----------
    draw : callable
        Generator of the numbered batch: all values and kinds plant into the same pairs.
    known : Bound, optional
        Of a heavier disguise that this plant would be found under as well: only smaller values are tried.
    """
    best = None
    if known is not None and known.value is not None:
        best = replace(known, alignment=alignment)
    for value in sorted(kind.grid, reverse=True):
        if best is not None and best.value is not None and value >= best.value:
            continue
        made = misses = 0
        for number, size in enumerate(_batches(n_plants)):
            misses += int((~plant(kind, value, size, draw(number))).sum())
            made += size
            if misses:
                break
        if misses:
            missed = Reason("largest_plant_missed", {"largest": value})
            return best or Bound(alignment, kind, None, True, missed, made, misses)
        best = Bound(alignment, kind, value, True, None, made, 0)
    assert best is not None
    return best


def _batches(n_plants: int) -> list[int]:
    sizes: list[int] = []
    for size in BATCHES:
        sizes.append(min(size, n_plants - sum(sizes)))
    while sum(sizes) < n_plants:
        sizes.append(min(BATCHES[-1], n_plants - sum(sizes)))
    return [size for size in sizes if size]


def untested(alignment: str, reason: Reason) -> tuple[Bound, ...]:
    """One bound of each kind that says why there is none."""
    return tuple(Bound(alignment, kind, None, False, reason) for kind in Kind)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which cluster each planted pair of blocks belongs to.

    Attributes
    ----------
    number : array (pairs,)
        Cluster of each planted pair.
    sizes : array (clusters,)
        Pairs that the exam averages in each cluster, planted or not.
    """

    number: Int[np.ndarray, " pairs"]
    sizes: Int[np.ndarray, " clusters"]

    def average(self, log_evalues: Float[np.ndarray, "plants pairs"]) -> Float[np.ndarray, "plants clusters"]:
        """Mean e-value of each cluster, pairs that were not planted counting zero."""
        out = np.full((len(log_evalues), len(self.sizes)), -np.inf)
        for k, size in enumerate(self.sizes):
            mine = log_evalues[:, self.number == k]
            if mine.shape[1]:
                out[:, k] = np.logaddexp.reduce(mine, axis=1) - math.log(size)
        return out


def clusters_of(pairs: Int[np.ndarray, "all 2"], clusters: Sequence[Cluster]) -> tuple[np.ndarray, Clusters]:
    """Choose the pairs to plant in, one a candidate block, and number their clusters.

    Where the models list different blocks, all were compared with all; the plant puts each
    candidate block at the same relative depth of the reference.
    """
    names = list(dict.fromkeys(clusters))
    numbers = np.array([names.index(cluster) for cluster in clusters])
    sizes = np.bincount(numbers, minlength=len(names))
    if (pairs[:, 0] == pairs[:, 1]).all():
        chosen = np.arange(len(pairs))
    else:
        mine, theirs = pairs.max(axis=0) + 1
        chosen = np.flatnonzero(pairs[:, 0] == pairs[:, 1] * mine // theirs)
    return chosen, Clusters(numbers[chosen], sizes)


def combine_plants(log_evalues: Float[np.ndarray, "plants clusters"]) -> Float[np.ndarray, " plants"]:
    """Combine clusters as :func:`~jokbo.independence.betting.combine_clusters` does, for many plants."""
    products = []
    for w in (1 / log_evalues.shape[1], *MIXTURE_SHARES):
        stay = math.log1p(-w) if w < 1 else -math.inf
        products.append(np.logaddexp(stay, math.log(w) + log_evalues).sum(axis=1))
    return np.asarray(np.logaddexp.reduce(np.stack(products), axis=0)) - math.log(len(products))


def alignments() -> tuple[str, ...]:
    """Every class that a bound is given for."""
    return (*Alignment, SCRAMBLED)
