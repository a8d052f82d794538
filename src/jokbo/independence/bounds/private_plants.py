"""What can be planted into a component of which one model shows Gram matrices and no rows."""

from __future__ import annotations

import numpy as np

from jokbo.independence.bounds.base import Goal, Plant
from jokbo.independence.bounds.private import ValueGramPlants, with_cross
from jokbo.independence.bounds.units import UnitPlants
from jokbo.independence.exams.private_units import PrivateUnitExam
from jokbo.independence.exams.private_values import PrivateValueExam
from jokbo.views.component import Reason


def private_plant(
    exam: PrivateUnitExam | PrivateValueExam, goal: Goal, rng: np.random.Generator
) -> Plant | Reason:
    """Plants under a rotation, or the reason why there are none; signs of units, where tested, count zero."""
    if exam.widths[0] != exam.widths[1]:
        return Reason("hidden_sizes_differ", {"reference": exam.widths[0], "candidate": exam.widths[1]})
    if isinstance(exam, PrivateValueExam):
        return ValueGramPlants(exam, goal, rng)
    if exam.record.order_refused:
        return Reason("order_not_planted")
    return UnitPlants(with_cross(exam, rng), goal, rotated=True)
