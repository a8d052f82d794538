"""Rotations that the exam would solve for, had the plant been rotated.

Procrustes is solved anew for every cosine, from embeddings planted with that cosine: a body
that is derived while its embedding is not is out of reach once it is rotated. Rotating a plant
rotates the solution with it, so no plant has to be rotated.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from jokbo.independence.alignment import procrustes
from jokbo.independence.bounds.base import COPY_COSINE, Kind
from jokbo.independence.exams.base import Rotation
from jokbo.independence.grams import normalise

Turn = Callable[[float], Rotation | None]
"""The rotation that the exam would solve for at this planted cosine; None where it applies none."""


def turning(kind: Kind, value: float) -> float:
    """Cosine with which the embedding is planted: copied units come with a copied embedding."""
    return value if kind is Kind.COSINE else COPY_COSINE


class Turns:
    """Rotations solved from planted embeddings.

    Parameters
    ----------
    reference, candidate : arrays (tokens, hidden)
        Rows that the exam solves the rotation from.
    """

    def __init__(self, reference: np.ndarray, candidate: np.ndarray) -> None:
        self.reference = reference.astype(np.float64)
        self.sizes = np.linalg.norm(candidate.astype(np.float64), axis=1, keepdims=True)
        self.rows = normalise(reference), normalise(candidate)
        self.solve = lru_cache(maxsize=16)(self._solve)

    def __call__(self, cosine: float) -> Rotation:
        """Solve for a plant."""
        return self.solve(cosine)

    def _solve(self, cosine: float) -> Rotation:
        a, b = self.rows
        return procrustes(self.reference, self.sizes * normalise(cosine * a + math.sqrt(1 - cosine**2) * b))


def no_turn(cosine: float) -> None:
    """Units are permuted, the residual stream is not rotated."""
    return
