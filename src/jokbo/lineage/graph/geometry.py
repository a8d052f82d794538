"""Which of three models lies between the other two: angles between differences of their rows.

Trainings from one point change weights in nearly orthogonal directions, so squared distances add up along the true
tree, and a model on the way from one to another sees both at a right angle (Ilharco et al. 2023, "Editing models
with task arithmetic"; Horwitz et al. 2025, "MoTHer"; Buneman 1971 on additive trees).

Trained models keep to that only in part. Two fine-tunes on like data share up to a third of their change (cosine .29
in our zoo, in the rows of layers), and a short fine-tune that points the way of a long one then seems to lie on it. So
a model counts as between two others only where the triangle could not come from such likeness: the right angle is
exact, in nearly all parts of the network alike, and the two other corners are sharper than likeness makes them. Below
that likeness nothing is excluded either.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

MAX_RIGHT_ANGLE = 0.05
"""Largest cosine that counts as a right angle; that of :mod:`jokbo.independence.direction.geometry`."""

LIKENESS = 0.35
"""Cosine that separate trainings from one point do not reach; the largest in our zoo is .29."""

MAX_GROUP_COSINE = 0.15
MIN_AGREEING = 0.9
"""Share of the sides' length that must lie in parts of the network whose own cosine is at most `MAX_GROUP_COSINE`."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Squared distances of models that hold the same rows in the same basis.

    Attributes
    ----------
    members : tuple of int
        Numbers of the models.
    squared : array (groups, members, members)
        By part of the network: a component's tensors of one layer.
    rows : int
        Rows that were laid side by side.
    """

    members: tuple[int, ...]
    squared: Float[np.ndarray, "groups members members"]
    rows: int = 0

    @property
    def total(self) -> Float[np.ndarray, "members members"]:
        """Squared distances, all parts together."""
        total: np.ndarray = self.squared.sum(axis=0)
        return total

    def place(self, model: int) -> int | None:
        """Where a model stands in it."""
        return self.members.index(model) if model in self.members else None


@dataclass(frozen=True, slots=True)
class Triangle:
    """Three models.

    Attributes
    ----------
    at_z, at_x, at_y : float
        Cosine between the two sides that leave each corner; 0 where a side has no length.
    agreeing : float
        Share of the sides at `z` in parts of the network that have a right angle there too.
    """

    at_z: float
    at_x: float
    at_y: float
    agreeing: float = 1.0

    @property
    def z_between(self) -> bool:
        """Whether the two others meet at `z` or close to it, beyond what like data explain."""
        return (
            abs(self.at_z) <= MAX_RIGHT_ANGLE
            and min(self.at_x, self.at_y) >= LIKENESS
            and self.agreeing >= MIN_AGREEING
        )

    @property
    def z_apart(self) -> bool:
        """Whether `z` does not lie between the two others, however like the trainings of our zoo were."""
        return self.at_z >= LIKENESS


def triangle(frame: Frame, z: int, x: int, y: int) -> Triangle:
    """The triangle of three places of a frame.

    Examples
    --------
    >>> points = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    >>> frame = Frame((7, 8, 9), np.array([((points[:, None] - points) ** 2).sum(-1)]))
    >>> triangle(frame, 0, 1, 2)
    Triangle(at_z=0.0, at_x=0.6, at_y=0.8, agreeing=1.0)
    >>> triangle(frame, 0, 1, 2).z_between
    True
    """
    d = frame.total
    corners = (_cosine(d, z, x, y), _cosine(d, x, z, y), _cosine(d, y, z, x))
    return Triangle(*corners, agreeing=_agreeing(frame.squared, z, x, y))


def _cosine(d: Float[np.ndarray, "members members"], z: int, x: int, y: int) -> float:
    """Law of cosines."""
    sides = float(np.sqrt(max(d[z, x], 0.0) * max(d[z, y], 0.0)))
    return float((d[z, x] + d[z, y] - d[x, y]) / (2 * sides)) if sides > 0 else 0.0


def _agreeing(squared: Float[np.ndarray, "groups members members"], z: int, x: int, y: int) -> float:
    sides = np.sqrt(np.maximum(squared[:, z, x], 0) * np.maximum(squared[:, z, y], 0))
    inner = (squared[:, z, x] + squared[:, z, y] - squared[:, x, y]) / 2
    whole = float(sides.sum())
    return float(sides[np.abs(inner) <= MAX_GROUP_COSINE * sides].sum()) / whole if whole > 0 else 1.0


def frame_of(
    members: Sequence[int],
    groups: Sequence[Sequence[Float[np.ndarray, "members values"]]],
) -> Frame:
    """Squared distances from rows, in float64.

    Parameters
    ----------
    members : sequence of int
    groups : sequence of sequence of arrays (members, values)
        By part of the network: its tensors, the same rows of each member.
    """
    squared = np.stack([sum_of_squares(stacks) for stacks in groups])
    return Frame(tuple(members), squared)


def sum_of_squares(
    stacks: Sequence[Float[np.ndarray, "members values"]],
) -> Float[np.ndarray, "members members"]:
    """Squared distances between rows of several tensors, summed.

    Differences to the first member are taken first: members are alike, and products of the rows themselves would
    lose what little they differ in.
    """
    total = None
    for stack in stacks:
        apart = stack.astype(np.float64) - stack[0].astype(np.float64)
        gram = apart @ apart.T
        d = np.diag(gram)[:, None] + np.diag(gram)[None, :] - 2 * gram
        total = d if total is None else total + d
    assert total is not None
    clean: np.ndarray = np.maximum(total, 0.0)
    np.fill_diagonal(clean, 0.0)
    return clean


def usable(frame: Frame, comparable: Mapping[tuple[int, int], bool], places: Sequence[int]) -> bool:
    """Whether every two of some places agree entry by entry, as their comparison said."""
    models = sorted(frame.members[k] for k in places)
    return all(comparable.get((a, b), False) for k, a in enumerate(models) for b in models[k + 1 :])
