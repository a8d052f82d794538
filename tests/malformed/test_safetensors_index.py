"""Sharded checkpoints whose index, shards or folder lie or lack something."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from jokbo.errors import FormatError, InputError
from jokbo.formats.base import TensorCatalog, run_plan
from jokbo.formats.dtypes import DType
from jokbo.formats.safetensors import MAX_INDEX_BYTES, plan_catalog
from jokbo.formats.writer import INDEX_FILE, build_file, build_files, to_raw
from jokbo.sources.base import FileInfo
from jokbo.sources.memory import MemorySource
from jokbo.testing.checkpoint import load_checkpoint

TENSORS = {name: to_raw(np.full((4, 4), i), DType.BF16) for i, name in enumerate("abcd")}
GOOD = build_files(TENSORS, shard_bytes=64)
FIRST, SECOND = sorted(name for name in GOOD if name != INDEX_FILE)


def catalog_of(files: dict[str, bytes]) -> TensorCatalog:
    source = MemorySource(files)
    return run_plan(plan_catalog(source.files), source)


def with_index(document: Any, **files: bytes) -> dict[str, bytes]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return {**GOOD, **files, INDEX_FILE: text}


def weight_map(**changed: Any) -> dict[str, Any]:
    honest = json.loads(GOOD[INDEX_FILE])["weight_map"]
    return {"weight_map": {k: v for k, v in (honest | changed).items() if v is not None}}


def refuse(files: dict[str, bytes], match: str) -> None:
    with pytest.raises(FormatError, match=match):
        catalog_of(files)


def test_the_good_checkpoint_is_read():
    assert set(catalog_of(GOOD)) == set("abcd")


def test_missing_shard():
    files = {name: data for name, data in GOOD.items() if name != SECOND}
    refuse(files, f"is in {SECOND}, and that shard is missing.*never given on part of a model")


def test_missing_shard_without_an_index():
    """The shards' own names say how many there are."""
    refuse({FIRST: GOOD[FIRST]}, f"{FIRST} is one of 2 shards; .*00002.* missing")


def test_all_shards_without_an_index_are_read():
    assert set(catalog_of({FIRST: GOOD[FIRST], SECOND: GOOD[SECOND]})) == set("abcd")


def test_index_names_a_tensor_that_no_shard_has():
    refuse(with_index(weight_map(ghost=FIRST)), f"tensor 'ghost' should be in {FIRST}; no shard has it")


def test_index_leaves_a_tensor_out():
    refuse(with_index(weight_map(b=None)), f"{FIRST} holds tensor 'b', which the index does not name")


def test_index_names_the_wrong_shard():
    refuse(with_index(weight_map(a=SECOND)), f"tensor 'a' should be in {SECOND}; it is in {FIRST}")


def test_tensor_in_two_shards():
    both = build_file({name: TENSORS[name] for name in "abc"})
    refuse(with_index(weight_map(), **{FIRST: both}), "tensor 'c' is in .* and again in")


@pytest.mark.parametrize(
    "shard",
    [
        "../model.safetensors",
        "../../etc/passwd.safetensors",
        "/etc/passwd.safetensors",
        "sub/model.safetensors",
        "..\\model.safetensors",
        "C:\\model.safetensors",
        "https://host/model.safetensors",
    ],
)
def test_path_traversal(shard):
    files = with_index(weight_map(a=shard)) | {shard: GOOD[FIRST]}
    refuse(files, "expected the name of a .safetensors file beside it")


@pytest.mark.parametrize(
    "shard", ["model.bin", "", None, 3, True, ["model.safetensors"], {"file": "x.safetensors"}]
)
def test_shard_that_is_no_weights_file(shard):
    document = weight_map()
    document["weight_map"]["a"] = shard
    refuse(with_index(document), "tensor 'a' points at .*expected the name")


@pytest.mark.parametrize(
    "document",
    [[], None, 3, {}, {"weight_map": {}}, {"weight_map": []}, {"weight_map": None}, {"metadata": {}}],
)
def test_index_without_a_weight_map(document):
    refuse(with_index(document), "expected an object 'weight_map'")


@pytest.mark.parametrize("text", [b"", b"{", b"not json", b'{"weight_map": NaN}'])
def test_index_that_is_not_json(text):
    refuse(with_index(text), "not JSON|is not JSON")


def test_index_that_is_not_utf8():
    refuse(with_index(b"\xff{}"), "offset 0: not UTF-8")


def test_index_that_names_a_tensor_twice():
    text = f'{{"weight_map": {{"a": "{FIRST}", "a": "{SECOND}"}}}}'.encode()
    refuse(with_index(text), "the name 'a' appears twice")


def test_deeply_nested_index():
    refuse(with_index(b'{"weight_map":' * 100_000), "nested deeper")


def test_absurdly_long_index_is_refused_before_it_is_read():
    plan = plan_catalog({INDEX_FILE: FileInfo(MAX_INDEX_BYTES + 1), FIRST: FileInfo(100)})
    with pytest.raises(FormatError, match="an index has at most 100,000,000"):
        next(plan)


def test_two_indexes():
    refuse(GOOD | {"other.safetensors.index.json": GOOD[INDEX_FILE]}, "found 2 indexes")


@pytest.mark.parametrize("length", [0, 7, 20, -1])
def test_truncated_shard_is_named(length):
    refuse(with_index(weight_map(), **{SECOND: GOOD[SECOND][:length]}), SECOND)


@pytest.mark.parametrize(
    "files", [{}, {"config.json": b"{}"}, {"pytorch_model.bin": b"PK"}, {"model.gguf": b"GGUF"}]
)
def test_no_weights_among_the_files(files):
    refuse(files, "found no .safetensors file")


def test_files_that_no_index_names_do_not_count():
    """A merged copy beside the shards, as some releases ship, is not part of this model."""
    assert set(catalog_of(GOOD | {"consolidated.safetensors": b"never read"})) == set("abcd")


def test_folder_without_weights(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="safetensors"):
        load_checkpoint(tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(InputError, match=r"safetensors|no files|nothing"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("count", ["00003", "99999", "999999999"])
def test_shard_numbers_that_promise_more(count):
    name = f"model-00001-of-{count}.safetensors"
    refuse({name: GOOD[FIRST]}, f"{name} is one of .* shards; .* is missing")
