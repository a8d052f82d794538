"""Plants among the units read by number: order (E1, E2) and signs (E8), exact m x m identities.

With unit rows, ``b' = (c a + s b) / |c a + s b|`` and ``s = sqrt(1 - c^2)`` give every cosine of the
plant from the cosines of the pair: no row is needed again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from jokbo.architectures.base import Role
from jokbo.independence.base import Family
from jokbo.independence.betting import (
    calibrate_log_pvalue,
    coin_bets,
    count_anchored_ranks,
    count_ranks,
    log_fixed_points_pvalue,
    rank_bets,
)
from jokbo.independence.bounds.base import Axis, Goal, Kind, clusters_of, combine_plants, strengths
from jokbo.independence.bounds.private import GramsWithCross
from jokbo.independence.combine import STAGES
from jokbo.independence.exams.units import UnitExam
from jokbo.independence.grams import AxisGrams
from jokbo.independence.rank_betting import LOCAL_BLOCK

CHUNK = 1 << 17
"""Cosines formed at a time: a few arrays of 1 MB."""


@dataclass(frozen=True, slots=True)
class Draws:
    """The random element of the symmetry group of each plant, and its dependence.

    Attributes
    ----------
    labels : array (plants, clusters, m)
        Which unit of the candidate gets each number.
    signs : array (plants, clusters, m)
    strengths : array (plants, pairs, m)
    order : array (m,)
        Order of visits.
    """

    labels: Int[np.ndarray, "plants clusters m"]
    signs: Float[np.ndarray, "plants clusters m"]
    strengths: Float[np.ndarray, "plants pairs m"]
    order: Int[np.ndarray, " m"]


class UnitPlants:
    """Plants into one component's units, matched by number.

    Parameters
    ----------
    exam : UnitExam, or Gram matrices with cross cosines drawn
        With the grams of its rows.
    goal : Goal
    rotated : bool
        The plant is rotated afterwards: only anchored scores remain, all others count zero.
    """

    def __init__(self, exam: UnitExam | GramsWithCross, goal: Goal, *, rotated: bool) -> None:
        assert exam.grams is not None
        assert exam.grams.cross is not None
        self.grams: AxisGrams = exam.grams
        self.cross = exam.grams.cross
        self.goal = goal
        self.rotated = rotated
        record = exam.record
        self.local_only = Family.UNITS in record.local_only
        read = [r for r in record.results if r.stage != "tensors"]
        self.ordered = any(r.family is Family.UNITS for r in read)
        self.signed = any(r.family is Family.SIGNS for r in read) and not rotated
        self.signs_believed = self.signed and not record.signs_refused
        self.stage = math.log(STAGES[read[0].stage])
        chosen, self.clusters = clusters_of(self.grams.pairs, self.grams.clusters)
        self.chosen: Int[np.ndarray, " pairs"] = chosen
        index = self.grams.index
        self.axis = Axis(record.axes[Family.UNITS].n, index - index.min())
        self.neighbours = (index - index.min()) // LOCAL_BLOCK
        m = len(index)
        # Scores that the exam averages in a cluster; those that are not planted (the grid of layers) count zero.
        units = [r for r in read if r.family is Family.UNITS]
        self.averaged = sum(not r.local for r in units), sum(r.local for r in units)
        pvalues = [log_fixed_points_pvalue(hits, m, m) for hits in range(m + 1)]
        self.fixed = np.array([calibrate_log_pvalue(p) for p in pvalues])

    def __call__(self, kind: Kind, value: float, plants: int, rng: np.random.Generator) -> np.ndarray:
        """Make plants; return which were found."""
        draws = self._draw(kind, value, plants, rng)
        signs = np.full(plants, -np.inf)
        if self.signed:
            signs = self.stage + combine_plants(self.clusters.average(coin_bets(self._coins(draws))))
        found = self.goal.reached(signs) if self.signs_believed else np.zeros(plants, dtype=bool)
        left = np.flatnonzero(~found)
        if len(left) and self.ordered:
            found[left] = self._by_order(draws, left, signs[left])
        return found

    def _draw(self, kind: Kind, value: float, plants: int, rng: np.random.Generator) -> Draws:
        m, clusters = len(self.grams.index), len(self.clusters.sizes)
        order = rng.permutation(m)
        labels = rng.permuted(np.broadcast_to(np.arange(m), (plants, clusters, m)), axis=2)
        signs = rng.choice([-1.0, 1.0], size=(plants, clusters, m))
        c = strengths(self.axis, kind, value, plants=plants, blocks=len(self.chosen), rng=rng)
        return Draws(labels, signs, c, order)

    def _coins(self, draws: Draws) -> Float[np.ndarray, "plants pairs m"]:
        labels, signs = draws.labels[:, self.clusters.number], draws.signs[:, self.clusters.number]
        cross = self.cross[Role.FFN_UP][self.chosen]
        pairs, m = np.arange(len(self.chosen))[None, :, None], np.arange(len(draws.order))
        return planted_cosine(draws.strengths, signs * cross[pairs, labels, m])

    def _by_order(
        self, draws: Draws, plants: Int[np.ndarray, " some"], signs: Float[np.ndarray, " some"]
    ) -> Bool[np.ndarray, " some"]:
        """Judge plants by rank, cluster after cluster: most are found before all clusters are planted."""
        clusters = len(self.clusters.sizes)
        full, local = np.full((2, len(plants), clusters), -np.inf)
        found, done = np.zeros(len(plants), dtype=bool), 0
        while done < clusters and not found.all():
            left = np.flatnonzero(~found)
            step = max(1, CHUNK // (len(left) * len(draws.order) ** 2 * max(1, len(self.chosen) // clusters)))
            use = np.flatnonzero((self.clusters.number >= done) & (self.clusters.number < done + step))
            if len(use):
                scores = self._score(draws, plants[left], use)
                for out, values in zip((full, local), scores, strict=True):
                    every = np.full((len(left), len(self.chosen)), -np.inf)
                    every[:, use] = values
                    out[left, done : done + step] = self.clusters.average(every)[:, done : done + step]
            done += step
            whole = self.stage + combine_plants(full[left])
            witness = np.maximum(self.stage + combine_plants(local[left]), signs[left])
            total = np.logaddexp(whole, signs[left]) if self.signed else whole
            threshold = self.goal.log_threshold
            order_fired = (whole >= threshold) & (witness >= self.goal.log_witness)
            signs_fired = (signs[left] >= threshold) & self.signs_believed
            found[left] = self.goal.reached(total) & (order_fired | signs_fired)
        return found

    def _score(
        self, draws: Draws, plants: Int[np.ndarray, " some"], use: Int[np.ndarray, " pairs"]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log e-values of order, in full and local form, of some plants and pairs."""
        if self.rotated:
            reference, planted = self._planted_grams(draws, plants, use)
            local = rank_bets(
                *count_anchored_ranks(reference, planted, draws.order, labels=self.neighbours),
                blocks=self.neighbours[draws.order],
            )
            full = rank_bets(*count_anchored_ranks(reference, planted, draws.order))
        else:
            scores = self._planted_scores(draws, plants, use)
            local = rank_bets(
                *count_ranks(scores, draws.order, labels=self.neighbours), blocks=self.neighbours[draws.order]
            )
            hits = (scores.argmax(axis=2) == np.arange(scores.shape[1])).sum(axis=1)
            full = np.logaddexp(rank_bets(*count_ranks(scores, draws.order)), self.fixed[hits])
        shape = (len(plants), len(use))
        whole, near = self.averaged
        full, local = full.reshape(shape) - math.log(whole), local.reshape(shape) - math.log(near)
        return (local if self.local_only else full), local

    def _relabelled(
        self, role: Role, draws: Draws, plants: np.ndarray, use: np.ndarray
    ) -> tuple[Float[np.ndarray, "some pairs m m"], np.ndarray, np.ndarray]:
        """Cosines of the relabelled, flipped candidate with the reference; the labels and the signs."""
        number = self.clusters.number[use]
        labels = draws.labels[plants][:, number]
        signs = draws.signs[plants][:, number] if role in self.grams.signed else np.ones(labels.shape)
        pairs = np.arange(len(use))[None, :, None]
        return self.cross[role][self.chosen[use]][pairs, labels] * signs[..., None], labels, signs

    def _planted_scores(self, draws: Draws, plants: np.ndarray, use: np.ndarray) -> np.ndarray:
        c = draws.strengths[plants][:, use]
        s = np.sqrt(1 - c**2)
        total: np.ndarray | float = 0.0
        for role in self.cross:
            cross, _, _ = self._relabelled(role, draws, plants, use)
            gram = self.grams.reference[role][self.grams.pairs[self.chosen[use], 0]]
            size = np.sqrt(1 + 2 * c * s * np.diagonal(cross, axis1=2, axis2=3))
            planted = (c / size)[..., None] * gram + (s / size)[..., None] * cross
            total = total + (np.abs(planted) if role in self.grams.signed else planted)
        return np.asarray(total).reshape(-1, *np.shape(total)[2:])

    def _planted_grams(
        self, draws: Draws, plants: np.ndarray, use: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        c = draws.strengths[plants][:, use]
        s = np.sqrt(1 - c**2)
        pairs = self.grams.pairs[self.chosen[use]]
        references, planteds = [], []
        for role in self.cross:
            cross, labels, signs = self._relabelled(role, draws, plants, use)
            size = np.sqrt(1 + 2 * c * s * np.diagonal(cross, axis1=2, axis2=3))
            own = self.grams.candidate[role][pairs[:, 1]]
            own = own[np.arange(len(use))[None, :, None, None], labels[..., :, None], labels[..., None, :]]
            mixed = (s * signs / size)[..., :, None] * own * (s * signs / size)[..., None, :]
            gram = self.grams.reference[role][pairs[:, 0]]
            mixed += (c / size)[..., :, None] * gram * (c / size)[..., None, :]
            half = (s / size)[..., :, None] * cross * (c / size)[..., None, :]
            mixed += half
            mixed += half.swapaxes(2, 3)
            absolute = role in self.grams.signed
            references.append(np.abs(gram) if absolute else gram)
            planteds.append(np.abs(mixed) if absolute else mixed)
        planted = sum(planteds)
        assert isinstance(planted, np.ndarray)
        reference = np.broadcast_to(np.asarray(sum(references)), planted.shape)
        return reference.reshape(-1, *planted.shape[2:]), planted.reshape(-1, *planted.shape[2:])


def planted_cosine(c: np.ndarray, cosine: np.ndarray) -> np.ndarray:
    """Cosine of ``c a + s b`` with `a`, for unit vectors of that cosine."""
    s = np.sqrt(1 - c**2)
    return np.asarray((c + s * cosine) / np.sqrt(np.maximum(1 + 2 * c * s * cosine, 1e-12)))
