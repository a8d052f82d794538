"""The declared law of step 0, tensor by tensor."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase

from jokbo.records.checkpoints import TensorRows
from jokbo.records.declaration import Initialisation

RESIDUAL_ROLES = ("attn_output", "ffn_down")
"""Projections back into the residual stream, where the declaration names no tensors."""

TRUNCATED_AT = 2.0

_DENSITY = math.exp(-(TRUNCATED_AT**2) / 2) / math.sqrt(2 * math.pi)
TRUNCATED_MASS = math.erf(TRUNCATED_AT / math.sqrt(2))
TRUNCATED_DEVIATION = math.sqrt(1 - 2 * TRUNCATED_AT * _DENSITY / TRUNCATED_MASS)
"""Deviation of a standard normal that was cut at two deviations: .880."""


def declared_deviation(law: Initialisation, tensor: TensorRows) -> float:
    """Declared deviation of a matrix (of the normal that is cut, where the law is truncated)."""
    if law.residual_std <= 0:
        return law.std
    if law.residual:
        residual = any(fnmatchcase(tensor.name, pattern) for pattern in law.residual)
    else:
        residual = tensor.role in RESIDUAL_ROLES
    return law.residual_std if residual else law.std


def declared_constant(law: Initialisation, tensor: TensorRows) -> float | None:
    """Declared value of a gain or bias; None for a vector that is neither by name or role."""
    if tensor.name.endswith("bias"):
        return law.biases
    if tensor.role.endswith("norm") or "norm" in tensor.name.lower():
        return law.norms
    return None
