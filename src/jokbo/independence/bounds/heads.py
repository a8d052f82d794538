"""Plants among the value rows of attention read by number: signs of value channels (E10)."""

from __future__ import annotations

import math

import numpy as np

from jokbo.independence.base import Family
from jokbo.independence.betting import coin_bets
from jokbo.independence.bounds.base import Axis, Goal, Kind, clusters_of, combine_plants, strengths
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
