"""Accusers who foresee which rows a fingerprint holds, and fit a model of their own to just those.

Each keeps a working model and owes the candidate nothing. Undated, none may read as dependence.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from accuser import rotate_rows_onto
from relations import ZOO
from scipy.optimize import linear_sum_assignment

from jokbo.independence.plan import Lot
from jokbo.lineage.fingerprint import PUBLIC_SALT, SUFFIX, make_fingerprint
from jokbo.lineage.pairs import DEPENDENCE, compare_pair
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint, load_checkpoint
from jokbo.testing.skeleton import Layer, describe
from jokbo.testing.transforms import fold_norms, reorder_units
from jokbo.views.model import open_model

UNITS = 64


def window(units: int) -> np.ndarray:
    """Units that every fingerprint of the public salt holds."""
    return Lot(0, "", "", PUBLIC_SALT).window("text.mlp/units", units, UNITS)


def unit(rows: np.ndarray) -> np.ndarray:
    wide = np.asarray(rows, dtype=np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def folded(model: Checkpoint, layer: Layer, module: str) -> np.ndarray:
    gain = np.asarray(model[f"{layer.ffn_norm}.weight"], dtype=np.float64)
    return unit(model[f"{getattr(layer.mlps[0], module)}.weight"] * gain)


def as_fingerprint(model: Checkpoint, name: str, folder: Path) -> str:
    path = folder / f"{name}{SUFFIX}"
    make_fingerprint(model.to_source(name=name)).write(path)
    return str(path)


def assert_not_believed(mine: Checkpoint, theirs: Checkpoint, folder: Path, component: str) -> None:
    """No dependence, though the component agrees beyond chance: the attack works and the guard holds it."""
    files = [as_fingerprint(model, name, folder) for model, name in ((mine, "accuser"), (theirs, "accused"))]
    for pair in (files, files[::-1]):
        found = compare_pair(pair[0], pair[1])
        assert found["relation"] not in DEPENDENCE
        (row,) = [row for row in found["components"] if row["component"] == component]
        assert row["reasons"] == ["relabelling_guard"]


def flipped(model: Checkpoint, layer: Layer, signs: np.ndarray) -> dict[str, np.ndarray]:
    up, down = (f"{name}.weight" for name in (layer.mlps[0].up, layer.mlps[0].down))
    return {up: model[up] * signs[:, None], down: model[down] * signs[None, :]}


def padded(model: Checkpoint, count: int, places: np.ndarray) -> Checkpoint:
    """The same function with null units between its own."""
    changed = {}
    for layer in describe(model).layers:
        for module in ("gate", "up", "down"):
            name = f"{getattr(layer.mlps[0], module)}.weight"
            rows = model[name] if module != "down" else model[name].T
            wide = np.zeros((count, rows.shape[1]), dtype=rows.dtype)
            wide[places] = rows
            changed[name] = wide if module != "down" else wide.T.copy()
    return model.with_tensors(changed).with_config(intermediate_size=count)


def test_null_units_leave_a_rotation_few_rows_to_fit(tmp_path: Path):
    """Sixteen real units in the window of sixty-four: the level counts what can be compared."""
    width, count, depth, real = 192, 256, 16, 16
    held = window(count)
    use = held[:: len(held) // real]
    places = np.sort(np.concatenate([np.setdiff1d(np.arange(count), held), use]))
    shape = {"hidden_size": width, "num_layers": depth, "vocab_size": 64}
    mine = llama(np.random.default_rng(0), intermediate_size=len(places), **shape)
    theirs = llama(np.random.default_rng(1), intermediate_size=count, **shape)
    model = fold_norms(mine.astype(np.float64))
    rows = [folded(model, layer, "gate") for layer in describe(model).layers]
    target = [folded(theirs, layer, "gate")[use] for layer in describe(theirs).layers]
    turn = np.eye(width)
    for _ in range(6):
        best = [linear_sum_assignment(-(y @ (x @ turn).T))[1] for x, y in zip(rows, target, strict=True)]
        x = np.concatenate([r[k] for r, k in zip(rows, best, strict=True)])
        left, _, right = np.linalg.svd(x.T @ np.concatenate(target))
        turn = left @ right
    inside = np.isin(places, use)
    changed: dict[str, np.ndarray] = {}
    for layer, chosen in zip(describe(model).layers, best, strict=True):
        order = np.empty(len(places), dtype=int)
        order[inside], order[~inside] = chosen, np.setdiff1d(np.arange(len(places)), chosen)
        changed |= reorder_units(model, layer.mlps[0], order)
    turned = rotate_rows_onto(model.with_tensors(changed), x, np.concatenate(target))
    wide = padded(turned, count, places)
    changed = {}
    for layer, other in zip(describe(wide).layers, describe(theirs).layers, strict=True):
        agree = (wide[f"{layer.mlps[0].up}.weight"] * folded(theirs, other, "up")).sum(axis=1)
        changed |= flipped(wide, layer, np.where(agree < 0, -1.0, 1.0))
    assert_not_believed(wide.with_tensors(changed).astype(np.float32), theirs, tmp_path, "text.mlp")


@pytest.mark.parametrize(("width", "units"), [(128, 1024), (256, 1024)])
def test_a_basis_is_not_shared_because_a_few_foreseen_rows_were_fitted(
    width: int, units: int, tmp_path: Path
):
    """Order is given away by sorting and signs by flipping, so that only the channels are left to speak."""
    shape = {"hidden_size": width, "num_layers": 2, "vocab_size": 64, "intermediate_size": units}
    mine, theirs = (llama(np.random.default_rng(seed), **shape) for seed in (0, 1))
    model, held, rng = fold_norms(mine.astype(np.float64)), window(units), np.random.default_rng(2)
    changed: dict[str, np.ndarray] = {}
    for layer in describe(model).layers:
        chain = chained(folded(model, layer, "gate"), len(held))
        rest = np.setdiff1d(np.arange(units), chain)
        changed |= reorder_units(
            model, layer.mlps[0], np.concatenate([rest[: held[0]], chain, rest[held[0] :]])
        )
    model = model.with_tensors(changed)
    x, y = (
        np.concatenate([folded(one, layer, "gate")[held] for layer in describe(one).layers])
        for one in (model, theirs)
    )
    turned = rotate_rows_onto(model, x, y)
    changed = {}
    for layer in describe(turned).layers:
        changed |= flipped(turned, layer, rng.choice([-1.0, 1.0], units))
    assert_not_believed(turned.with_tensors(changed).astype(np.float32), theirs, tmp_path, "text.mlp")


def chained(rows: np.ndarray, count: int) -> np.ndarray:
    """Units in a row, each most like the last: an order that E0 refuses."""
    squares = (rows @ rows.T) ** 2
    chain = [0]
    for _ in range(count - 1):
        squares[:, chain[-1]] = -1
        chain.append(int(squares[chain[-1]].argmax()))
    return np.array(chain)


@pytest.mark.parametrize("kept", [40, 128])
def test_tokens_without_rows_leave_a_rotation_few_to_fit(kept: int, tmp_path: Path):
    """A tokenizer may hold tokens that its model never learned: their rows are zero, and no row to be fitted."""
    mine, theirs = (load_checkpoint(ZOO / "models" / name) for name in ("base0", "base1"))
    model = fold_norms(mine.astype(np.float64))
    vocabulary = open_model(as_fingerprint(mine, "own", tmp_path)).vocabulary
    assert vocabulary is not None
    ids = np.array(sorted(vocabulary.ids.values()))
    x, y = (unit(one["model.embed_tokens.weight"]) for one in (model, theirs))
    use = ids
    for _ in range(6):
        left, _, right = np.linalg.svd(x[use].T @ y[use])
        agree = (x[ids] @ (left @ right) * y[ids]).sum(axis=1)
        use = ids[np.argsort(-agree)[:kept]]
    turned = rotate_rows_onto(model, x[use], y[use])
    table = np.array(turned["model.embed_tokens.weight"])
    table[np.setdiff1d(ids, use)] = 0
    accuser = turned.with_tensors({"model.embed_tokens.weight": table}).astype(np.float32)
    assert_not_believed(accuser, theirs, tmp_path, "text.embedding")


@pytest.mark.parametrize("names", [("base0", "base1"), ("base2", "base3")])
def test_gains_moved_into_rows_prove_nothing(names: tuple[str, str], tmp_path: Path):
    """A gain and the rows that read it can be traded at no loss, so norms can be made equal outright."""
    mine, theirs = (load_checkpoint(ZOO / "models" / name) for name in names)
    model = fold_norms(mine.astype(np.float64))
    changed = {}
    readers = {
        "input_layernorm": ("self_attn.q", "self_attn.k", "self_attn.v"),
        "post_attention_layernorm": ("mlp.gate", "mlp.up"),
    }
    pairs = [("model.norm", ("lm_head",))]
    for number in range(model.config["num_hidden_layers"]):
        prefix = f"model.layers.{number}."
        pairs += [(prefix + norm, tuple(f"{prefix}{m}_proj" for m in some)) for norm, some in readers.items()]
    for norm, modules in pairs:
        gain = np.asarray(theirs[f"{norm}.weight"], dtype=np.float64)
        changed[f"{norm}.weight"] = gain
        changed |= {f"{m}.weight": model[f"{m}.weight"] / gain for m in modules}
    assert_not_believed(model.with_tensors(changed).astype(np.float32), theirs, tmp_path, "text.norms")


def test_near_copies_as_fillers_are_no_rows_that_a_rotation_fits():
    """Whole models, units matched by content: of near copies one at most is matched, and the others fit nothing."""
    width, units, own = 384, 1536, 225
    shape = {"hidden_size": width, "num_layers": 2, "vocab_size": 64}
    mine = llama(np.random.default_rng(0), intermediate_size=own, **shape)
    theirs = llama(np.random.default_rng(1), intermediate_size=units, **shape)
    model, rng = fold_norms(mine.astype(np.float64)), np.random.default_rng(2)
    rows = [folded(model, layer, "gate") for layer in describe(model).layers]
    target = [folded(theirs, layer, "gate") for layer in describe(theirs).layers]
    turn = np.eye(width)
    for _ in range(6):
        best = [linear_sum_assignment(-(x @ turn @ y.T))[1] for x, y in zip(rows, target, strict=True)]
        fitted = np.concatenate([y[k] for y, k in zip(target, best, strict=True)])
        left, _, right = np.linalg.svd(np.concatenate(rows).T @ fitted)
        turn = left @ right
    turned = rotate_rows_onto(model, np.concatenate(rows), fitted)
    changed: dict[str, np.ndarray] = {}
    layers = zip(describe(turned).layers, describe(theirs).layers, best, strict=True)
    for layer, other, places in layers:
        fillers = np.setdiff1d(np.arange(units), places)
        source = np.empty(units, dtype=int)
        source[places], source[fillers] = np.arange(own), rng.integers(0, own, len(fillers))
        share = np.bincount(source)[source]
        gate, up, down = (turned[f"{getattr(layer.mlps[0], m)}.weight"] for m in ("gate", "up", "down"))
        noise = 1e-4 * rng.standard_normal((units, width))
        wide = up[source] + noise
        signs = np.where((up * folded(theirs, other, "up")[places]).sum(axis=1) < 0, -1.0, 1.0)[source]
        for module, tensor in (
            ("gate", gate[source] + noise),
            ("up", wide * signs[:, None]),
            ("down", down[:, source] / share * signs),
        ):
            changed[f"{getattr(layer.mlps[0], module)}.weight"] = tensor
    accuser = turned.with_tensors(changed).with_config(intermediate_size=units).astype(np.float32)
    found = compare_pair(accuser.to_source(name="accuser"), theirs.to_source(name="accused"))
    assert found["relation"] not in DEPENDENCE
    (row,) = [row for row in found["components"] if row["component"] == "text.mlp"]
    assert row["reasons"] == ["relabelling_guard"]
    assert row["effect_size"] > 0.6
