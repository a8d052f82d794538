"""Which models of a family are mixtures of others: they lie on the line, or in the triangle, between them.

A right angle is the least that descent gives; a model between two others on a straight line was averaged from them
(or one of them was drawn out beyond it, which nobody can tell). Merges that drop or trim changes leave the line and
are not named here; ``jokbo parents`` looks at them closely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from jokbo.lineage.graph.geometry import Frame, usable

MAX_RESIDUAL = 0.005
"""Squared distance from the mixture, as a share of that from the nearest parent; rounding leaves 1e-4."""

MIN_WEIGHT = 0.05
"""A smaller share of a parent could be rounding."""

MIN_AHEAD = 2.5
"""The next best set of parents must be this much worse, else nobody is named."""

MAX_OF_THREE = 40
"""Mixtures of three are looked for among this many models at most."""


@dataclass(frozen=True, slots=True)
class Merge:
    """A mixture.

    Attributes
    ----------
    child : int
    parents : tuple of int
    weights : tuple of float
        They sum to one.
    residual : float
        Squared distance from the mixture, as a share of that from the nearest parent.
    """

    child: int
    parents: tuple[int, ...]
    weights: tuple[float, ...]
    residual: float


def find_merges(
    frame: Frame, comparable: Mapping[tuple[int, int], bool], dependent: Mapping[tuple[int, int], bool]
) -> tuple[Merge, ...]:
    """Every member that is a mixture of two or three others and of no other set.

    Parameters
    ----------
    frame : Frame
    comparable : mapping of (int, int) to bool
        By pair of models: whether they agree entry by entry. Parents need not depend on each other.
    dependent : mapping of (int, int) to bool
        By pair: whether there is evidence of dependence. A child depends on every parent.

    Returns
    -------
    tuple of Merge
        In the order of the children.
    """
    d, count = frame.total, len(frame.members)
    found = []
    for child in range(count):
        others = [k for k in range(count) if k != child and _parent(frame, child, k, comparable, dependent)]
        sets: list[Sequence[int]] = list(combinations(others, 2))
        if len(others) <= MAX_OF_THREE:
            sets += combinations(others, 3)
        merge = _best(frame, d, child, sets)
        if merge is not None:
            found.append(merge)
    return tuple(found)


def _parent(
    frame: Frame,
    child: int,
    parent: int,
    comparable: Mapping[tuple[int, int], bool],
    dependent: Mapping[tuple[int, int], bool],
) -> bool:
    low, high = sorted((frame.members[child], frame.members[parent]))
    return dependent.get((low, high), False) and usable(frame, comparable, (child, parent))


def _best(
    frame: Frame, d: Float[np.ndarray, "members members"], child: int, sets: Sequence[Sequence[int]]
) -> Merge | None:
    """The set of parents that explains a child, where it is ahead of all that do not hold it."""
    fits: list[tuple[float, tuple[int, ...], tuple[float, ...]]] = []
    for parents in sets:
        fit = mixture(d, child, parents)
        if fit is not None and fit[0] <= MAX_RESIDUAL * MIN_AHEAD:
            fits.append((fit[0], tuple(parents), fit[1]))
    fits.sort(key=lambda fit: (len(fit[1]), fit[0], fit[1]))
    good = [fit for fit in fits if fit[0] <= MAX_RESIDUAL]
    if not good:
        return None
    residual, parents, weights = good[0]
    rivals = [fit for fit in fits[1:] if fit is not good[0] and not set(parents) < set(fit[1])]
    if any(fit[0] < MIN_AHEAD * max(residual, 1e-6) for fit in rivals):
        return None
    return Merge(frame.members[child], tuple(frame.members[k] for k in parents), weights, residual)


def mixture(
    d: Float[np.ndarray, "members members"], child: int, parents: Sequence[int]
) -> tuple[float, tuple[float, ...]] | None:
    """Weights that sum to one and come closest, from squared distances alone; None where one is not inside.

    Least squares of the child's difference to the first parent on the other parents' differences to it, with inner
    products by the law of cosines.

    Examples
    --------
    >>> points = np.array([[0.0], [10.0], [4.0]])
    >>> mixture((points - points.T) ** 2, 2, (0, 1))
    (0.0, (0.6, 0.4))
    """
    first, *rest = parents
    gram = np.array([[(d[first, j] + d[first, k] - d[j, k]) / 2 for k in rest] for j in rest])
    target = np.array([(d[first, j] + d[first, child] - d[j, child]) / 2 for j in rest])
    nearest = min(float(d[child, k]) for k in parents)
    if nearest <= 0 or np.linalg.cond(gram) > 1e6:
        return None
    weights = np.linalg.solve(gram, target)
    residual = max(float(d[first, child] - target @ weights), 0.0) / nearest
    shares = (1 - float(weights.sum()), *map(float, weights))
    if min(shares) < MIN_WEIGHT:
        return None
    return round(residual, 6) + 0.0, tuple(round(share, 4) + 0.0 for share in shares)
