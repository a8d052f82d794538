"""Recorded catalogs of real architectures: every tensor has one place, and the places fit."""

from __future__ import annotations

import gc
import json
import lzma
import math
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from jokbo.architectures import Anatomy, Kind, Part, Role, families, match
from jokbo.architectures.schema import load
from jokbo.formats.base import TensorCatalog, TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.sources.base import ByteRange

FOLDER = Path(__file__).parent / "catalogs"
NAMES = sorted(path.name.removesuffix(".json.xz") for path in FOLDER.glob("*.json.xz"))
SPLITS = json.loads((FOLDER / "splits.json").read_text(encoding="utf-8"))

WITHOUT_GATE = {"bert", "falcon", "gpt2", "gpt_neox"}
PARTS_OF_OTHERS = {"clip_vision", "siglip_vision", "whisper_encoder", "llama4_text"}
NOT_IN_TRANSFORMERS = {"internlm2"}


def build(document: dict[str, Any]) -> TensorCatalog:
    entries: dict[str, TensorEntry] = {}
    for key, names in document["tensors"].items():
        dtype, _, sizes = key.partition(" ")
        shape = tuple(int(size) for size in sizes.split("x")) if sizes else ()
        for name in names:
            span = ByteRange(0, math.prod(shape) * DType[dtype].itemsize)
            entries[name] = TensorEntry(name, DType[dtype], shape, "model.safetensors", span)
    return TensorCatalog(entries)


@cache
def recorded(name: str) -> tuple[TensorCatalog, Anatomy]:
    document = json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))
    catalog = build(document)
    return catalog, match(catalog, document["config"])


@pytest.fixture(params=NAMES)
def pair(request: pytest.FixtureRequest) -> tuple[TensorCatalog, Anatomy]:
    return recorded(request.param)


def stored_rows(part: Part) -> range | list[int]:
    return [part.layout.stored_index(row) for row in range(part.shape[0])]


def test_family_is_known_and_nothing_is_left_over(pair: tuple[TensorCatalog, Anatomy]) -> None:
    catalog, anatomy = pair
    assert anatomy.family != "unknown"
    assert anatomy.unrecognised == ()
    assert anatomy.missing == ()
    assert {part.entry.name for part in anatomy.parts} == set(catalog)


def test_parts_hold_each_element_once(pair: tuple[TensorCatalog, Anatomy]) -> None:
    catalog, anatomy = pair
    assert sum(part.parameters for part in anatomy.parts) == catalog.parameters
    pieces: dict[str, list[Part]] = {}
    for part in anatomy.parts:
        pieces.setdefault(part.entry.name, []).append(part)
    for name, parts in pieces.items():
        assert sum(part.parameters for part in parts) == catalog[name].size, name


def test_pieces_of_a_fused_tensor_tile_it(pair: tuple[TensorCatalog, Anatomy]) -> None:
    _, anatomy = pair
    planes: dict[tuple[str, int], list[Part]] = {}
    for part in anatomy.parts:
        planes.setdefault((part.entry.name, part.layout.plane), []).append(part)
    seen: set[tuple[object, ...]] = set()
    for (name, _), parts in planes.items():
        layouts = tuple(
            (part.layout.start, part.layout.block, part.layout.stride, part.shape) for part in parts
        )
        if layouts in seen:  # the same split in another layer or expert
            continue
        seen.add(layouts)
        first = parts[0].layout
        rows = first.plane_cols if first.transposed else first.plane_rows
        covered = sorted(row for part in parts for row in stored_rows(part))
        assert covered == list(range(rows)), name


def test_shapes_and_axes_agree(pair: tuple[TensorCatalog, Anatomy]) -> None:
    _, anatomy = pair
    for part in anatomy.parts:
        assert len(part.shape) == len(part.axes) in (1, 2)
        assert part.layout.plane_rows * part.layout.plane_cols <= max(part.entry.size, 1)
        tower = anatomy.towers[part.tower]
        if part.kind is not Kind.WEIGHT:
            continue
        for axis, size in zip(part.axes, part.shape, strict=True):
            if axis == "hidden":
                assert size == tower.hidden_size, part.name


def test_a_place_is_taken_once(pair: tuple[TensorCatalog, Anatomy]) -> None:
    _, anatomy = pair
    taken: dict[object, str] = {}
    for part in anatomy.parts:
        if part.role is Role.OTHER or part.kind in (Kind.BUFFER, Kind.SCALE):
            continue
        place = (part.tower, part.role, part.kind, part.layer, part.expert)
        assert place not in taken, f"{part.name} and {taken[place]}"
        taken[place] = part.name


def test_every_layer_has_attention_and_an_mlp(pair: tuple[TensorCatalog, Anatomy]) -> None:
    _, anatomy = pair
    for name, tower in anatomy.towers.items():
        if name.startswith("projector"):
            continue
        wanted = {Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V, Role.ATTN_OUTPUT, Role.FFN_UP, Role.FFN_DOWN}
        if any(part.role is Role.FFN_GATE for part in anatomy.parts if part.tower == name):
            wanted.add(Role.FFN_GATE)
        elif name == "text":
            assert anatomy.family in WITHOUT_GATE
        found: dict[int | None, set[Role]] = {}
        for part in anatomy.parts:
            if part.tower == name and part.kind is Kind.WEIGHT:
                found.setdefault(part.layer, set()).add(part.role)
        for layer in range(tower.num_layers):
            assert wanted <= found[layer], f"{name} layer {layer} lacks {wanted - found[layer]}"


def test_attention_sizes_are_those_of_the_tower(pair: tuple[TensorCatalog, Anatomy]) -> None:
    _, anatomy = pair
    for part in anatomy.parts:
        tower = anatomy.towers[part.tower]
        if part.role is Role.ATTN_Q and part.kind is Kind.WEIGHT:
            assert part.shape[0] == tower.num_heads * tower.head_dim
        if part.role is Role.ATTN_V and part.kind is Kind.WEIGHT:
            assert part.shape[0] == tower.num_kv_heads * tower.v_head_dim
        if part.role is Role.ATTN_OUTPUT and part.kind is Kind.WEIGHT:
            assert part.shape[1] == tower.num_heads * tower.v_head_dim


def test_units_of_one_mlp_agree(pair: tuple[TensorCatalog, Anatomy]) -> None:
    _, anatomy = pair
    units: dict[object, set[int]] = {}
    for part in anatomy.parts:
        if part.role in (Role.FFN_GATE, Role.FFN_UP, Role.FFN_DOWN) and part.kind is Kind.WEIGHT:
            units.setdefault((part.tower, part.layer, part.expert), set()).add(
                part.shape[part.axes.index("ffn")]
            )
    assert all(len(sizes) == 1 for sizes in units.values())


def test_every_family_has_a_catalog() -> None:
    used = {recorded(name)[1].family for name in NAMES}
    nested = {family for name in used for family in borrowed(name)}
    assert set(families()) - used - nested - NOT_IN_TRANSFORMERS <= PARTS_OF_OTHERS


def borrowed(name: str) -> set[str]:
    return {tower.family for tower in load(name).towers.values() if tower.family}


@pytest.mark.parametrize("case", SPLITS, ids=lambda case: case["name"])
def test_splits_are_those_of_the_real_modules(case: dict[str, Any]) -> None:
    """Rows recorded from the classes themselves: what reached attention and the experts."""
    anatomy = match(build(case), case["config"])
    assert anatomy.unrecognised == ()
    parts = [part for part in anatomy.parts if part.entry.name == case["tensor"] and part.layout.plane == 0]
    assert {part.role.value: stored_rows(part) for part in parts} == case["rows"]


@pytest.mark.parametrize(("name", "seconds"), [("solar_open", 1.0), ("deepseek_v3", 4.0)])
def test_matching_is_fast(name: str, seconds: float) -> None:
    document = json.loads(lzma.decompress((FOLDER / f"{name}.json.xz").read_bytes()))
    catalog = build(document)
    gc.freeze()  # the catalogs that other tests keep are not this one's garbage
    started = time.process_time()
    try:
        match(catalog, document["config"])
        assert time.process_time() - started < seconds
    finally:
        gc.unfreeze()


def test_quantised_blocks_refuse_the_axes_they_cut() -> None:
    _, anatomy = recorded("deepseek_v3")
    up = anatomy.find("text", Role.FFN_UP, layer=0)
    assert up is not None
    assert up.scale is not None
    assert up.scale.name == "model.layers.0.mlp.up_proj.weight_scale_inv"
    assert up.scale_block == (128, 128)
    symmetries = anatomy.towers["text"].symmetries
    assert not symmetries["unit_permutation"].holds
    assert symmetries["unit_permutation"].block == 128
    assert not symmetries["channel_permutation"].holds
    assert symmetries["unit_sign"].holds
    assert symmetries["value_sign"].holds
    assert not symmetries["rotary_sign"].holds


def test_further_token_layers_are_a_tower_of_their_own() -> None:
    for name, stored in (("glm4_moe", 46), ("deepseek_v3", 61)):
        _, anatomy = recorded(name)
        part = anatomy.find("mtp", Role.MTP_PROJ, layer=0)
        assert part is not None
        assert part.entry.name == f"model.layers.{stored}.eh_proj.weight"
        assert anatomy.towers["mtp"].num_layers == 1
        assert anatomy.towers["text"].num_layers == stored
