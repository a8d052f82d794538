"""An accuser: the owner of the reference, who relabels it until it looks like another's model.

Every move keeps the reference's function, so nobody can tell it from an honest publication.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import Mlp, describe
from jokbo.testing.transforms import fold_norms, reorder_channels, reorder_units


def relabel_units(mine: Checkpoint, theirs: Checkpoint, *, by: str) -> Checkpoint:
    """Reorder units to those most like the other model's, then flip their signs to agree.

    `by` is ``"gate"`` (the sizes of gate cosines) or ``"all"`` (gate, up and down together).
    """
    changed: dict[str, np.ndarray] = {}
    for a, b in zip(describe(mine).layers, describe(theirs).layers, strict=True):
        scores = np.abs(_cosines(mine, a.mlps[0], theirs, b.mlps[0], "gate"))
        if by == "all":
            scores = _cosines(mine, a.mlps[0], theirs, b.mlps[0], "gate")
            scores = scores + np.abs(
                sum(_cosines(mine, a.mlps[0], theirs, b.mlps[0], m) for m in ("up", "down"))
            )
        _, order = linear_sum_assignment(-scores)
        changed |= reorder_units(mine, a.mlps[0], order)
    moved = mine.with_tensors(changed)
    for a, b in zip(describe(mine).layers, describe(theirs).layers, strict=True):
        agree = sum(
            np.diagonal(_cosines(moved, a.mlps[0], theirs, b.mlps[0], module)) for module in ("up", "down")
        )
        signs = np.where(agree < 0, -1.0, 1.0)
        changed[f"{a.mlps[0].up}.weight"] = moved[f"{a.mlps[0].up}.weight"] * signs[:, None]
        changed[f"{a.mlps[0].down}.weight"] = moved[f"{a.mlps[0].down}.weight"] * signs[None, :]
    return mine.with_tensors(changed)


def _cosines(mine: Checkpoint, a: Mlp, theirs: Checkpoint, b: Mlp, module: str) -> np.ndarray:
    """Cosines of units: one row a unit of theirs, one column a unit of mine."""
    first, second = mine[f"{getattr(a, module)}.weight"], theirs[f"{getattr(b, module)}.weight"]
    if module == "down":
        first, second = first.T, second.T
    return _unit(second) @ _unit(first).T


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def relabel_values(mine: Checkpoint, theirs: Checkpoint) -> Checkpoint:
    """Flip value channels until every one agrees with the other model's of the same number."""
    skeleton = describe(mine)
    changed: dict[str, np.ndarray] = {}
    for a, b in zip(skeleton.layers, describe(theirs).layers, strict=True):
        agree = (_unit(mine[f"{a.v}.weight"]) * _unit(theirs[f"{b.v}.weight"])).sum(axis=1)
        signs = np.where(agree < 0, -1.0, 1.0)
        changed[f"{a.v}.weight"] = mine[f"{a.v}.weight"] * signs[:, None]
        group = skeleton.num_heads // skeleton.num_kv_heads
        wide = np.repeat(signs.reshape(skeleton.num_kv_heads, -1), group, axis=0).reshape(-1)
        changed[f"{a.o}.weight"] = mine[f"{a.o}.weight"] * wide[None, :]
    return mine.with_tensors(changed)


def relabel_channels(mine: Checkpoint, theirs: Checkpoint) -> Checkpoint:
    """Reorder residual channels to those most like the other model's, and flip them to agree."""
    name = f"{describe(mine).embed}.weight"
    scores = _unit(theirs[name].T) @ _unit(mine[name].T).T
    _, order = linear_sum_assignment(-np.abs(scores))
    moved = reorder_channels(mine, order)
    signs = np.where((_unit(moved[name].T) * _unit(theirs[name].T)).sum(axis=1) < 0, -1.0, 1.0)
    changed = {}
    for tensor, axis, use in describe(moved).residual(moved):
        if use.value != "gain":
            shape = [1] * moved[tensor].ndim
            shape[axis] = -1
            changed[tensor] = moved[tensor] * signs.reshape(shape)
    return moved.with_tensors(changed)


def rotate_onto(mine: Checkpoint, theirs: Checkpoint, *modules: str) -> Checkpoint:
    """Rotate the residual stream so that these modules, which read or embed it, agree best (Procrustes).

    A module such as ``"embed"``, ``"head"``, ``"v"`` for the value matrices of every layer, or
    ``"first mlp"`` to spend the whole rotation on the gates of one layer.
    """
    folded = fold_norms(mine)
    rows = [np.concatenate([_rows(model, module) for module in modules]) for model in (folded, theirs)]
    return rotate_rows_onto(folded, *rows)


def rotate_rows_onto(folded: Checkpoint, rows: np.ndarray, target: np.ndarray) -> Checkpoint:
    """Rotate a model with folded norms by what takes these rows nearest to the target's."""
    left, _, right = np.linalg.svd(rows.T @ target)
    turn = left @ right
    changed = {
        name: turn.T @ folded[name] if axis == 0 else folded[name] @ turn
        for name, axis, use in describe(folded).residual(folded)
        if use.value != "gain"
    }
    return folded.with_tensors(changed)


def _rows(model: Checkpoint, module: str) -> np.ndarray:
    skeleton = describe(model)
    if module in ("embed", "head"):
        return _unit(model[f"{getattr(skeleton, module)}.weight"])
    if module == "first mlp":
        gains = model["model.layers.0.post_attention_layernorm.weight"]
        return _unit(model["model.layers.0.mlp.gate_proj.weight"] * gains)
    return np.concatenate([_unit(model[f"{getattr(layer, module)}.weight"]) for layer in skeleton.layers])


def rebase_values(mine: Checkpoint, theirs: Checkpoint) -> Checkpoint:
    """Write the values of each head in the basis that agrees best with the other model's.

    ``V -> M V`` and ``O -> O M^-1`` keep the function for any invertible `M`; least squares finds the best.
    """
    heads, dim = mine.config["num_key_value_heads"], mine.config["head_dim"]
    group = mine.config["num_attention_heads"] // heads
    changed: dict[str, np.ndarray] = {}
    for layer in range(mine.config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}.self_attn."
        values, other = (np.asarray(m[f"{prefix}v_proj.weight"], dtype=float) for m in (mine, theirs))
        output = np.array(mine[f"{prefix}o_proj.weight"], dtype=float)
        rebased = values.copy()
        for head in range(heads):
            rows = slice(head * dim, (head + 1) * dim)
            basis = other[rows] @ np.linalg.pinv(values[rows])
            rebased[rows] = basis @ values[rows]
            for query in range(head * group, (head + 1) * group):
                columns = slice(query * dim, (query + 1) * dim)
                output[:, columns] = output[:, columns] @ np.linalg.inv(basis)
        changed |= {f"{prefix}v_proj.weight": rebased, f"{prefix}o_proj.weight": output}
    return mine.with_tensors(changed)
