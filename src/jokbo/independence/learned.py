"""What only learning can make alike: lineage told apart from a shared initialisation.

Two models that share nothing but their random start agree in the order and the signs of
units, and every exact test says so, rightly. But gains start at one and leading singular
directions start at chance: where these agree, one model learned from what the other had learned.

Both measures are calibrated, not exact. On the zoo: continued pre-training .86 and .60, a half
merge .72 and .46; a shared start with other data at most .23 and .18; chance .04 and .08. Embeddings
and output heads, which learn the same things from like data, have a threshold of their own in
the policy: lineage at least .73, a shared start at most .41.
They choose between two names of a dependence that the exact tests have already shown; they never accuse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

LEADING = 8
MIN_NORM_CORRELATION = 0.4
MIN_SUBSPACE_OVERLAP = 0.4


@dataclass(frozen=True, slots=True)
class SharedLearning:
    """Two calibrated measures; None where the rows read do not give them.

    Attributes
    ----------
    norm_correlation : float or None
        Mean Pearson correlation of centred norm gains.
    subspace_overlap : float or None
        Overlap of the leading singular subspaces of the up matrices, between 0 and 1.
    """

    norm_correlation: float | None = None
    subspace_overlap: float | None = None

    @property
    def shared(self) -> bool:
        """Whether either measure shows learned content in common."""
        return (self.norm_correlation or 0.0) >= MIN_NORM_CORRELATION or (
            self.subspace_overlap or 0.0
        ) >= MIN_SUBSPACE_OVERLAP


def subspace_overlap(
    reference: Float[np.ndarray, "n hidden"],
    candidate: Float[np.ndarray, "m hidden"],
    *,
    leading: int = LEADING,
) -> float:
    """Mean squared cosine of the principal angles between leading right singular subspaces.

    ``||V_A^T V_B||_F^2 / k``; chance is ``k / hidden``. Computed from the smaller Gram matrix.
    """
    a, b = _leading(reference, leading), _leading(candidate, leading)
    return float(((a.T @ b) ** 2).sum() / min(a.shape[1], b.shape[1]))


def _leading(rows: Float[np.ndarray, "n hidden"], leading: int) -> Float[np.ndarray, "hidden k"]:
    wide = rows.astype(np.float64)
    # The mean row is a direction that unrelated models trained on like data can share.
    wide -= wide.mean(axis=0)
    if len(wide) < wide.shape[1]:
        _, left = np.linalg.eigh(wide @ wide.T)
        return np.linalg.qr(wide.T @ left[:, ::-1][:, :leading])[0]
    _, vectors = np.linalg.eigh(wide.T @ wide)
    return vectors[:, ::-1][:, :leading]
