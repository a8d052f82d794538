"""Plants into models that show Gram matrices and no rows.

What two such models' rows have in common is not known, and need not be: a plant of the class *rotated* turns the
candidate's residual stream by a random rotation against the reference's. Given both Gram matrices, the cross cosines
are then those of two frames of the same Gram matrices at a random angle, and are drawn as such.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from jokbo.independence.anchored_signs import anchored_coin_bets
from jokbo.independence.bounds.base import Axis, Goal, Kind, clusters_of, combine_plants, strengths
from jokbo.independence.combine import STAGES
from jokbo.independence.exams.base import ExamRecord
from jokbo.independence.exams.private_units import PrivateUnitExam
from jokbo.independence.exams.private_values import PrivateValueExam
from jokbo.independence.grams import AxisGrams

AT_ONCE = 1 << 18
"""Cosines formed at a time: arrays of 2 MB."""


MAX_WIDTH = 1 << 13
"""Wider rows are drawn as this wide: chance cosines come out larger rather than smaller."""


@dataclass(frozen=True, slots=True)
class GramsWithCross:
    """What plants among units need of an exam, the cross cosines drawn."""

    record: ExamRecord
    grams: AxisGrams | None


def with_cross(exam: PrivateUnitExam, rng: np.random.Generator) -> GramsWithCross:
    """An exam's Gram matrices, with cross cosines as a random rotation would give them."""
    assert exam.grams is not None
    grams = exam.grams
    cross = {
        role: np.stack(
            [
                drawn_cross(
                    grams.reference[role][i], grams.candidate[role][j], width=max(exam.widths), rng=rng
                )
                for i, j in grams.pairs
            ]
        )
        for role in grams.reference
    }
    return GramsWithCross(exam.record, replace(grams, cross=cross))


def drawn_cross(
    reference: Float[np.ndarray, "m m"],
    candidate: Float[np.ndarray, "n n"],
    *,
    width: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n m"]:
    """Cosines of each row of the candidate with each of the reference, at a uniformly random rotation.

    Rows of Gram matrix ``G`` are ``G^(1/2) U`` with orthonormal rows in `U`; of two frames turned at random
    against each other, ``V U^T`` is a block of a Haar orthogonal matrix of size `width`.

    Examples
    --------
    >>> eye = np.eye(8)
    >>> cross = drawn_cross(eye, eye, width=8, rng=np.random.default_rng(0))
    >>> bool(np.allclose(cross @ cross.T, eye))
    True
    """
    width = min(width, MAX_WIDTH)
    a, b = _root(reference, width), _root(candidate, width)
    size = max(a.shape[1], b.shape[1])
    q, r = np.linalg.qr(rng.standard_normal((width, size)))
    block = (q * np.sign(np.diagonal(r)))[:size]
    return np.asarray(b @ block[: b.shape[1], : a.shape[1]] @ a.T)


def _root(gram: Float[np.ndarray, "m m"], width: int) -> Float[np.ndarray, "m k"]:
    """A square root of as many columns as rows of `width` channels can have."""
    values, vectors = np.linalg.eigh(gram)
    keep = min(len(gram), width)
    return np.asarray(vectors[:, -keep:] * np.sqrt(np.maximum(values[-keep:], 0)))


class ValueGramPlants:
    """Plants among the value rows of attention, whose signs Gram matrices show (E11).

    Parameters
    ----------
    exam : PrivateValueExam
        With the Gram matrices of its value rows.
    goal : Goal
    rng : Generator
        Draws the cross cosines.
    """

    def __init__(self, exam: PrivateValueExam, goal: Goal, rng: np.random.Generator) -> None:
        assert exam.grams is not None
        assert exam.pairs is not None
        chosen, self.clusters = clusters_of(exam.pairs.pairs, exam.pairs.clusters)
        pairs = exam.pairs.pairs[chosen]
        self.reference, self.candidate = exam.grams[0][pairs[:, 0]], exam.grams[1][pairs[:, 1]]
        self.cross = np.stack(
            [
                drawn_cross(a, b, width=max(exam.widths), rng=rng)
                for a, b in zip(self.reference, self.candidate, strict=True)
            ]
        )
        self.goal = goal
        stage = exam.record.results[0].stage
        self.stage = math.log(STAGES[stage])
        self.scores = len([r for r in exam.record.results if r.stage == stage])
        self.axis = Axis(exam.count, np.arange(self.reference.shape[1]))

    def __call__(self, kind: Kind, value: float, plants: int, rng: np.random.Generator) -> np.ndarray:
        """Make plants; return which were found."""
        m = self.reference.shape[1]
        flips = rng.choice([-1.0, 1.0], size=(plants, len(self.clusters.sizes), m))[:, self.clusters.number]
        c = strengths(self.axis, kind, value, plants=plants, blocks=len(self.reference), rng=rng)
        order = rng.permutation(m)
        logs = np.empty((plants, len(self.reference)))
        step = max(1, AT_ONCE // self.reference.size)
        for start in range(0, plants, step):
            use = slice(start, start + step)
            planted = self._planted(c[use], flips[use])
            logs[use] = anchored_coin_bets(np.broadcast_to(self.reference, planted.shape), planted, order)
        evidence = combine_plants(self.clusters.average(logs - math.log(self.scores)))
        return self.goal.reached(self.stage + evidence)

    def _planted(
        self, c: Float[np.ndarray, "plants pairs m"], flips: Float[np.ndarray, "plants pairs m"]
    ) -> Float[np.ndarray, "plants pairs m m"]:
        """Gram matrices of ``c a + s b``, renormalised, the candidate's rows flipped first."""
        s = np.sqrt(1 - c**2) * flips
        size = np.sqrt(np.maximum(1 + 2 * c * s * np.diagonal(self.cross, axis1=1, axis2=2), 1e-12))
        own, theirs = c / size, s / size
        mixed = own[..., :, None] * self.reference * own[..., None, :]
        mixed += theirs[..., :, None] * self.candidate * theirs[..., None, :]
        half = theirs[..., :, None] * self.cross * own[..., None, :]
        return np.asarray(mixed + half + half.swapaxes(2, 3))
