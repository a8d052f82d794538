"""Sparse upcycling: a dense model becomes a mixture of experts that start as copies of its MLP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from jokbo.errors import UsageError
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import describe


def upcycle(
    checkpoint: Checkpoint,
    *,
    num_experts: int = 4,
    top_k: int = 2,
    noise: float = 0.1,
    rng: np.random.Generator,
) -> Checkpoint:
    """Copy every MLP into experts with a fresh router, in Mixtral's names (Komatsuzaki et al. 2022).

    With `noise` zero the function is that of the dense model, because the router's shares sum to one.

    Parameters
    ----------
    num_experts, top_k : int
        Experts a layer, and how many a token visits.
    noise : float
        Standard deviation of the noise on each expert, as a share of the matrix's own.
    """
    skeleton = describe(checkpoint)
    if not 1 <= top_k <= num_experts:
        raise UsageError(
            f"top_k is {top_k} and num_experts {num_experts}; expected 1 <= top_k <= num_experts."
        )
    if any(layer.router for layer in skeleton.layers):
        raise UsageError("this model has experts already; upcycling starts from a dense one.")
    tensors = dict(checkpoint.tensors)
    for number, layer in enumerate(skeleton.layers):
        sparse = f"{skeleton.prefix}layers.{number}.block_sparse_moe"
        (mlp,) = layer.mlps
        for module, short in ((mlp.gate, "w1"), (mlp.up, "w3"), (mlp.down, "w2")):
            if f"{module}.bias" in tensors:
                raise UsageError(
                    f"tensor '{module}.bias' has no place in a Mixtral-style expert; upcycle a model "
                    "without it."
                )
            dense = tensors.pop(f"{module}.weight")
            for expert in range(num_experts):
                drift = noise * dense.std() * rng.standard_normal(dense.shape)
                tensors[f"{sparse}.experts.{expert}.{short}.weight"] = (dense + drift).astype(dense.dtype)
        router = 0.02 * rng.standard_normal((num_experts, skeleton.hidden_size))
        tensors[f"{sparse}.gate.weight"] = router.astype(checkpoint[f"{layer.q}.weight"].dtype)
    dtypes = {name: dtype for name, dtype in checkpoint.dtypes.items() if name in tensors}
    config: dict[str, Any] = {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"]}
    config |= {"num_local_experts": num_experts, "num_experts_per_tok": top_k}
    return replace(checkpoint, tensors=tensors, dtypes=dtypes).with_config(**config)
