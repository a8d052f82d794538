"""Relabelings that keep a model's function: units, heads, value channels, residual channels, experts.

Sources: Hecht-Nielsen 1990 (hidden units), Ainsworth et al. 2023 "Git Re-Basin"
(residual channels, jointly everywhere). Heads may be exchanged as key-value groups, and query heads
within a group, because attention sums over heads.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import Layer, Mlp, Skeleton, describe, present, unit_axes


def reorder_units(
    checkpoint: Checkpoint, mlp: Mlp, order: Int[np.ndarray, " units"]
) -> dict[str, np.ndarray]:
    """Tensors of one MLP with its units in another order; units that `order` leaves out are dropped."""
    return {name: np.take(checkpoint[name], order, axis=axis) for name, axis in unit_axes(checkpoint, mlp)}


def permute_units(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Permute the hidden units of every MLP, and of every expert, each on its own.

    The MLP sums over its units, so their order does not matter: rows of gate and
    up and columns of down move together (Hecht-Nielsen 1990).
    """
    changed: dict[str, np.ndarray] = {}
    for layer in describe(checkpoint).layers:
        for mlp in layer.mlps:
            units = checkpoint[f"{mlp.gate}.weight"].shape[0]
            changed |= reorder_units(checkpoint, mlp, rng.permutation(units))
    return checkpoint.with_tensors(changed)


def reorder_heads(
    checkpoint: Checkpoint, skeleton: Skeleton, layer: Layer, groups: np.ndarray, members: np.ndarray
) -> dict[str, np.ndarray]:
    """Tensors of one attention block with its heads in another order.

    Parameters
    ----------
    groups : ndarray of int, shape (kv_heads,)
        Which old key-value head comes at each place.
    members : ndarray of int, shape (kv_heads, heads per group)
        For each new place, which old query head of the group comes where.
    """
    kv, width = skeleton.num_kv_heads, skeleton.head_dim
    group = skeleton.num_heads // kv
    heads = groups[:, None] * group + members
    query_rows = (heads.reshape(-1, 1) * width + np.arange(width)).reshape(-1)
    kv_rows = (groups.reshape(-1, 1) * width + np.arange(width)).reshape(-1)
    changed = {name: checkpoint[name][query_rows] for name in present(checkpoint, layer.q)}
    for module in (layer.k, layer.v):
        changed |= {name: checkpoint[name][kv_rows] for name in present(checkpoint, module)}
    changed[f"{layer.o}.weight"] = checkpoint[f"{layer.o}.weight"][:, query_rows]
    return changed


def permute_heads(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Permute key-value groups, and the query heads inside each group (a wreath product).

    The output projection sums over heads; a query head must stay with the key and
    value head it reads (Ainslie et al. 2023), hence never all permutations.
    """
    skeleton = describe(checkpoint)
    group = skeleton.num_heads // skeleton.num_kv_heads
    changed: dict[str, np.ndarray] = {}
    for layer in skeleton.layers:
        members = np.stack([rng.permutation(group) for _ in range(skeleton.num_kv_heads)])
        changed |= reorder_heads(checkpoint, skeleton, layer, rng.permutation(skeleton.num_kv_heads), members)
    return checkpoint.with_tensors(changed)


def permute_values(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Permute the value channels of each key-value head, for all its query heads together.

    Attention mixes values over positions, never over channels, so rows of V and the
    matching columns of O may move together.
    """
    skeleton = describe(checkpoint)
    kv, width = skeleton.num_kv_heads, skeleton.head_dim
    group = skeleton.num_heads // kv
    changed: dict[str, np.ndarray] = {}
    for layer in skeleton.layers:
        inner = np.stack([rng.permutation(width) for _ in range(kv)])
        rows = (np.arange(kv)[:, None] * width + inner).reshape(-1)
        columns = np.arange(kv * group).reshape(kv, group, 1) * width + inner[:, None, :]
        changed |= {name: checkpoint[name][rows] for name in present(checkpoint, layer.v)}
        changed[f"{layer.o}.weight"] = checkpoint[f"{layer.o}.weight"][:, columns.reshape(-1)]
    return checkpoint.with_tensors(changed)


def reorder_channels(checkpoint: Checkpoint, order: Int[np.ndarray, " hidden"]) -> Checkpoint:
    """Put the residual channels in another order, jointly in every tensor."""
    skeleton = describe(checkpoint)
    return checkpoint.with_tensors(
        {name: np.take(checkpoint[name], order, axis=axis) for name, axis, _ in skeleton.residual(checkpoint)}
    )


def permute_channels(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Permute the residual channels, one permutation jointly for every tensor.

    RMSNorm treats channels alike once its gains move along (Ainsworth et al. 2023;
    Ashkboos et al. 2024).
    """
    return reorder_channels(checkpoint, rng.permutation(describe(checkpoint).hidden_size))


def permute_experts(checkpoint: Checkpoint, *, rng: np.random.Generator) -> Checkpoint:
    """Permute the experts of every routed layer together with the rows of its router.

    The layer sums over the chosen experts and the router scores each by its own row
    (Jiang et al. 2024). A dense checkpoint has no expert to permute and comes back equal.
    """
    changed: dict[str, np.ndarray] = {}
    for layer in describe(checkpoint).layers:
        if layer.router is None:
            continue
        order = rng.permutation(len(layer.mlps))
        changed[f"{layer.router}.weight"] = checkpoint[f"{layer.router}.weight"][order]
        for new, old in enumerate(order):
            for target, origin in zip(layer.mlps[new], layer.mlps[old], strict=True):
                for kind in ("weight", "bias"):
                    if f"{origin}.{kind}" in checkpoint:
                        changed[f"{target}.{kind}"] = checkpoint[f"{origin}.{kind}"]
    return checkpoint.with_tensors(changed)
