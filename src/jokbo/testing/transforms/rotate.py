"""Rotation of the residual stream: the strongest disguise that keeps an RMSNorm model's function."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import Use, describe
from jokbo.testing.transforms.scale import fold_norms


def haar_rotation(size: int, *, rng: np.random.Generator) -> Float64[np.ndarray, "size size"]:
    """A uniformly random orthogonal matrix, by QR with positive diagonal (Mezzadri 2007).

    Examples
    --------
    >>> q = haar_rotation(4, rng=np.random.default_rng(0))
    >>> bool(np.allclose(q @ q.T, np.eye(4)))
    True
    """
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return np.asarray(q * np.sign(np.diag(r)))


def rotate(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Rotate the residual stream by a random orthogonal matrix, norm gains folded first.

    RMSNorm without gains commutes with every rotation, so the embedding and all
    matrices that write to the stream may be rotated and all that read it rotated
    back (Ashkboos et al. 2024, "SliceGPT"). Norm gains become one; a tied head is untied.
    """
    folded = fold_norms(checkpoint)
    skeleton = describe(folded)
    turn = haar_rotation(skeleton.hidden_size, rng=rng)
    changed = {}
    for name, axis, use in skeleton.residual(folded):
        if use is Use.GAIN:
            continue
        values = folded[name].astype(np.float64)
        changed[name] = turn.T @ values if axis == 0 else values @ turn
    return folded.with_tensors(changed)
