"""Plants among the value rows of attention: signs of value channels (E10), by number or by head."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Float

from jokbo.independence.base import Family
from jokbo.independence.betting import coin_bets
from jokbo.independence.bounds.base import Axis, Clusters, Goal, Kind, clusters_of, combine_plants, strengths
from jokbo.independence.bounds.turns import Turn, turning
from jokbo.independence.bounds.units import planted_cosine
from jokbo.independence.combine import STAGES
from jokbo.independence.exams.attention import AttentionExam


class ValuePlants:
    """Plants into value rows of the same number; coins of rotary pairs, where tested, count zero.

    Parameters
    ----------
    exam : AttentionExam
        With the cosines of its value rows.
    goal : Goal
    """

    def __init__(self, exam: AttentionExam, goal: Goal) -> None:
        assert exam.value_cosines is not None
        assert exam.pairs is not None
        self.chosen, self.clusters = clusters_of(exam.pairs.pairs, exam.pairs.clusters)
        self.cosines = exam.value_cosines[self.chosen]
        self.goal = goal
        stage = exam.record.results[0].stage
        self.stage = math.log(STAGES[stage])
        self.scores = sum(r.stage == stage and r.family is Family.ATTENTION for r in exam.record.results)
        self.axis = Axis(exam.record.axes[Family.ATTENTION].n, np.arange(self.cosines.shape[1]))

    def __call__(self, kind: Kind, value: float, plants: int, rng: np.random.Generator) -> np.ndarray:
        """Make plants; return which were found."""
        shape = (plants, len(self.clusters.sizes), self.cosines.shape[1])
        flips = rng.choice([-1.0, 1.0], size=shape)[:, self.clusters.number]
        c = strengths(self.axis, kind, value, plants=plants, blocks=len(self.chosen), rng=rng)
        log_evalues = coin_bets(planted_cosine(c, flips * self.cosines)) - math.log(self.scores)
        return self.goal.reached(self.stage + combine_plants(self.clusters.average(log_evalues)))


class HeadPlants:
    """Plants into whole value projections whose heads were permuted.

    Parameters
    ----------
    reference, candidate : arrays (pairs, heads, channels, d)
        Unit rows of each pair of layers.
    clusters : Clusters
    turn : callable
    goal : Goal
    """

    def __init__(
        self,
        reference: Float[np.ndarray, "pairs heads channels d"],
        candidate: Float[np.ndarray, "pairs heads channels d"],
        clusters: Clusters,
        *,
        turn: Turn,
        goal: Goal,
    ) -> None:
        self.rows = reference, candidate
        self.clusters, self.turn, self.goal = clusters, turn, goal
        self.plain = np.einsum("phcd,pgcd->phgc", candidate, reference)
        self.axis = Axis(
            reference.shape[1] * reference.shape[2], np.arange(reference.shape[1] * reference.shape[2])
        )
        self.cosines = lru_cache(maxsize=1)(self._cosines)

    def _cosines(self, cosine: float) -> tuple[np.ndarray, np.ndarray]:
        turn = self.turn(cosine)
        a, b = self.rows
        turned = a if turn is None else a @ turn
        return np.einsum("phcd,pgcd->phgc", b, turned), np.einsum("phcd,pgcd->phgc", a, turned)

    def __call__(self, kind: Kind, value: float, plants: int, rng: np.random.Generator) -> np.ndarray:
        """Make plants; return which were found."""
        from scipy.optimize import linear_sum_assignment

        cross, base = self.cosines(turning(kind, value))
        pairs, heads, _, channels = base.shape
        number, count = self.clusters.number, len(self.clusters.sizes)
        c = strengths(self.axis, kind, value, plants=plants, blocks=pairs, rng=rng)
        c = c.reshape(plants, pairs, heads, channels)
        labels = rng.permuted(np.broadcast_to(np.arange(heads), (plants, count, heads)), axis=2)[:, number]
        flips = rng.choice([-1.0, 1.0], size=(plants, count, heads, channels))[:, number]
        coins = np.empty((plants, pairs, heads * channels))
        own = np.arange(heads)
        for plant in range(plants):
            for pair in range(pairs):
                order, flip, strong = labels[plant, pair], flips[plant, pair], c[plant, pair]
                weak = np.sqrt(1 - strong**2)
                size = np.sqrt(np.maximum(1 + 2 * strong * weak * flip * self.plain[pair, order, own], 1e-12))
                planted = strong[:, None] * base[pair] + (weak * flip)[:, None] * cross[pair, order]
                planted /= size[:, None]
                mine, theirs = linear_sum_assignment(-np.abs(planted).mean(axis=2))
                coins[plant, pair] = planted[mine, theirs].reshape(-1)
        evidence = combine_plants(self.clusters.average(coin_bets(coins)))
        return self.goal.reached(math.log(STAGES["tensors"]) + evidence)
