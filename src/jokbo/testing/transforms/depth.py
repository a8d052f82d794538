"""Fewer layers, more layers, fewer units: transforms that change a model's shape."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from jokbo.errors import UsageError
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import Mlp, describe, unit_axes
from jokbo.testing.transforms.permute import reorder_units


def take_layers(checkpoint: Checkpoint, layers: Sequence[int]) -> Checkpoint:
    """Build the model whose layers are those of this one, in the order given, repeats allowed."""
    skeleton = describe(checkpoint)
    outside = [layer for layer in layers if not 0 <= layer < len(skeleton.layers)]
    if outside or not layers:
        raise UsageError(
            f"layers {list(layers)} were asked for; this model has 0 to {len(skeleton.layers) - 1}."
        )
    pattern = re.compile(rf"{re.escape(skeleton.prefix)}layers\.(\d+)\.(.*)")
    tensors: dict[str, np.ndarray] = {}
    dtypes = {}
    for name, values in checkpoint.tensors.items():
        match = pattern.match(name)
        places = [name]
        if match:
            old = int(match[1])
            places = [
                f"{skeleton.prefix}layers.{new}.{match[2]}"
                for new, origin in enumerate(layers)
                if origin == old
            ]
        for place in places:
            tensors[place] = values.copy()
            if name in checkpoint.dtypes:
                dtypes[place] = checkpoint.dtypes[name]
    changed = replace(checkpoint, tensors=tensors, dtypes=dtypes)
    return changed.with_config(num_hidden_layers=len(layers))


def prune_layers(checkpoint: Checkpoint, *, drop: Sequence[int]) -> Checkpoint:
    """Drop some layers and close the gaps (Men et al. 2024, "ShortGPT")."""
    count = len(describe(checkpoint).layers)
    unknown = sorted(set(drop) - set(range(count)))
    if unknown:
        raise UsageError(f"layers {unknown} were to be dropped; this model has 0 to {count - 1}.")
    return take_layers(checkpoint, [layer for layer in range(count) if layer not in set(drop)])


def depth_up(checkpoint: Checkpoint, *, cut: int | None = None) -> Checkpoint:
    """Depth up-scaling: layers 0 to n-m followed by layers m to n (Kim et al. 2023, "SOLAR 10.7B").

    Parameters
    ----------
    cut : int, optional
        m, the layers cut from the end of the first copy and the start of the second;
        a quarter of the depth without it, as in SOLAR.
    """
    count = len(describe(checkpoint).layers)
    cut = max(1, count // 4) if cut is None else cut
    if not 0 <= cut < count:
        raise UsageError(f"cut is {cut}; expected 0 to {count - 1}.")
    return take_layers(checkpoint, [*range(count - cut), *range(cut, count)])


def unit_importance(checkpoint: Checkpoint, mlp: Mlp) -> np.ndarray:
    """Squared norm of each hidden unit's weights, over gate, up and down together."""
    total = 0.0
    for name, axis in unit_axes(checkpoint, mlp):
        squares = np.moveaxis(checkpoint[name].astype(np.float64), axis, 0) ** 2
        total = total + squares.reshape(squares.shape[0], -1).sum(axis=1)
    return np.asarray(total)


def prune_units(
    checkpoint: Checkpoint,
    *,
    keep: float,
    by: str = "importance",
    order: str = "kept",
    rng: np.random.Generator,
) -> Checkpoint:
    """Keep a share of the hidden units of every MLP.

    Ma et al. 2023 "LLM-Pruner"; Muralidharan et al. 2024 "Minitron".

    Parameters
    ----------
    keep : float
        Share to keep, above 0 and at most 1.
    by : {"importance", "random"}
        Keep the heaviest units, or random ones.
    order : {"kept", "sorted"}
        Leave the units in their order, or sort them by falling importance, as some tools do.
    """
    if not 0 < keep <= 1 or by not in ("importance", "random") or order not in ("kept", "sorted"):
        raise UsageError(
            f"keep={keep}, by={by!r}, order={order!r}; expected a share in (0, 1], 'importance' or 'random', "
            "'kept' or 'sorted'."
        )
    changed: dict[str, np.ndarray] = {}
    kept = 0
    for layer in describe(checkpoint).layers:
        for mlp in layer.mlps:
            importance = unit_importance(checkpoint, mlp)
            kept = max(1, round(keep * importance.size))
            priority = importance if by == "importance" else rng.random(importance.size)
            chosen = np.argsort(-priority, kind="stable")[:kept]
            chosen = (
                np.sort(chosen) if order == "kept" else chosen[np.argsort(-importance[chosen], kind="stable")]
            )
            changed |= reorder_units(checkpoint, mlp, chosen)
    key = (
        "moe_intermediate_size" if "moe_intermediate_size" in checkpoint.text_config else "intermediate_size"
    )
    return checkpoint.with_tensors(changed).with_config(**{key: kept})
