"""Undo a rotation of the residual stream with the embeddings of shared tokens.

Orthogonal Procrustes (Schonemann 1966): the rotation R that minimises
``||E_A R - E_B||`` is ``U V^T`` of the singular value decomposition of ``E_A^T E_B``. No unit flip, no unit
permutation and no head permutation changes an embedding, so tests on those axes stay
exact after this alignment. Nothing is ever aligned and tested on the same tensors.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def procrustes(
    reference: Float[np.ndarray, "tokens hidden"], candidate: Float[np.ndarray, "tokens hidden"]
) -> Float[np.ndarray, "hidden hidden"]:
    """The orthogonal matrix that takes the reference's embedding rows to the candidate's.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows, (turn, _) = rng.normal(size=(40, 5)), np.linalg.qr(rng.normal(size=(5, 5)))
    >>> bool(np.allclose(procrustes(rows, rows @ turn), turn))
    True
    """
    left, _, right = np.linalg.svd(reference.astype(np.float64).T @ candidate.astype(np.float64))
    return left @ right
