"""A fingerprint opens as the model that it was taken from: its anatomy, its digest, its rows, and no others."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import FormatError, RowsAbsentError
from jokbo.formats.dtypes import DType
from jokbo.lineage.fingerprint import SUFFIX, Fingerprint, make_fingerprint, read_header, read_sketch
from jokbo.lineage.sampled_rows import choose_sampling, choose_tokens, wanted_rows
from jokbo.sources.memory import MemorySource
from jokbo.testing.builders import gpt2, llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.views.fingerprint import ROWS_FILE, is_fingerprint
from jokbo.views.model import Model, open_model
from jokbo.views.rows import RowsWish, fetch_rows


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def with_dtype(model: Checkpoint, dtype: DType) -> Checkpoint:
    return replace(model, dtype=dtype)


def two_towers() -> Checkpoint:
    from jokbo.testing.checkpoint import load_checkpoint

    return load_checkpoint(Path(__file__).resolve().parents[3] / "zoo" / "models" / "tower-a")


def unknown() -> Checkpoint:
    model = llama(rng(3))
    return replace(model, config={"model_type": "nobody-knows", "hidden_size": 64})


MODELS: dict[str, Callable[[], Checkpoint]] = {
    "plain": lambda: llama(rng(1), reserved_tokens=24),
    "no tokenizer": lambda: llama(rng(2)),
    "tied": lambda: llama(rng(3), tied=True),
    "biases": lambda: llama(rng(4), qkv_bias=True),
    "norms of heads": lambda: llama(rng(5), qk_norm=True),
    "fused, transposed": lambda: gpt2(rng(6)),
    "experts": lambda: mixtral(rng(7)),
    "float32": lambda: with_dtype(llama(rng(8)), DType.F32),
    "float16": lambda: with_dtype(llama(rng(9)), DType.F16),
    "float64": lambda: with_dtype(llama(rng(10)), DType.F64),
    "towers": two_towers,
    "unknown": unknown,
    "empty vocabulary": lambda: replace(llama(rng(11)), tokenizer={"model": {"vocab": {}}}),
}


def pair_of(model: Checkpoint) -> tuple[Model, Model, Fingerprint]:
    """The model, the same from its fingerprint, and the fingerprint."""
    whole = open_model(model.to_source(name="model"))
    made = make_fingerprint(whole)
    return whole, open_model(MemorySource({f"x{SUFFIX}": made.data}, name="x")), made


@pytest.mark.parametrize("kind", MODELS)
def test_every_row_held_equals_the_models_own(kind: str) -> None:
    whole, held, made = pair_of(MODELS[kind]())
    assert held.sampling is not None
    table = max((p.shape[0] for p in whole.anatomy.parts if p.axes[:1] == ("vocab",)), default=0)
    tokens = choose_tokens(whole.vocabulary, held.sampling, rows=table)
    wishes = list(wanted_rows(whole, held.sampling, tokens))
    assert {w.part.role for w in wishes} >= {"ffn_up"}
    here = {(p.entry.name, p.layout): p for p in held.anatomy.parts}
    mine = [RowsWish(here[w.part.entry.name, w.part.layout], w.rows) for w in wishes]
    for a, b in zip(fetch_rows(whole, wishes), fetch_rows(held, mine), strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(made.data) < 32_000_000


@pytest.mark.parametrize("kind", MODELS)
def test_anatomy_and_identity_are_the_models(kind: str) -> None:
    whole, held, made = pair_of(MODELS[kind]())
    assert held.anatomy.family == whole.anatomy.family
    assert held.anatomy.towers == whole.anatomy.towers
    assert (held.name, held.digest, held.digest_covers) == (whole.name, whole.digest, whole.digest_covers)
    assert held.catalog.parameters == whole.catalog.parameters
    assert held.source.identity.kind == "fingerprint"
    assert made.header.digest == whole.digest
    assert made.header.parameters == whole.catalog.parameters
    assert made.header.files[0].file == "model.safetensors"
    assert (held.vocabulary is None) == (whole.vocabulary is None)


def test_rows_that_are_not_held_are_refused() -> None:
    whole, held, _ = pair_of(llama(rng(1)))
    part = held.anatomy.find("text", "ffn_down", layer=0)  # type: ignore[arg-type]
    assert part is not None
    with pytest.raises(RowsAbsentError, match="model: the fingerprint does not hold"):
        fetch_rows(held, [RowsWish(part)])
    with pytest.raises(RowsAbsentError):
        held.source.read("model.safetensors", 0, 8)
    assert held.source.files["model.safetensors"].size == whole.source.files["model.safetensors"].size
    assert ROWS_FILE in held.source.files


def test_sampled_tokens_are_the_vocabulary() -> None:
    model = llama(rng(1), vocab_size=2000, reserved_tokens=24)
    whole, held, _ = pair_of(model)
    assert held.vocabulary is not None
    assert whole.vocabulary is not None
    assert 512 <= len(held.vocabulary) <= 512 + 24
    assert held.vocabulary.ids.items() <= whole.vocabulary.ids.items()
    assert len(held.vocabulary.added) == 24


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_configuration_that_strict_json_cannot_hold(value: float) -> None:
    _, held, _ = pair_of(llama(rng(1)).with_config(odd=value, time_limit=[0.0, value]))
    assert held.config is not None
    np.testing.assert_equal(held.config["odd"], value)


def test_tokens_with_half_a_surrogate_pair() -> None:
    vocab = {f"t{k}": k for k in range(200)} | {"\ud800": 200, "a\udfff": 201}
    model = replace(llama(rng(1)), tokenizer=None)
    files = model.to_files() | {"tokenizer.json": json.dumps({"model": {"vocab": vocab}}).encode()}
    made = make_fingerprint(MemorySource(files, name="odd"))
    held = open_model(MemorySource({f"x{SUFFIX}": made.data}, name="x"))
    assert held.vocabulary is not None
    assert held.vocabulary.ids["\ud800"] == 200


def test_a_token_longer_than_any_is_passed_over() -> None:
    vocab = {f"t{k}": k for k in range(200)} | {"x" * 10_000: 200}
    files = llama(rng(1)).to_files() | {"tokenizer.json": json.dumps({"model": {"vocab": vocab}}).encode()}
    made = make_fingerprint(MemorySource(files, name="odd"))
    held = open_model(MemorySource({f"x{SUFFIX}": made.data}, name="x"))
    assert held.vocabulary is not None
    assert len(held.vocabulary) == 200


def test_beside_a_model_a_fingerprint_is_none_of_its_weights(tmp_path: Path) -> None:
    model = llama(rng(1))
    model.save(tmp_path)
    made = make_fingerprint(tmp_path)
    made.write(tmp_path / f"mine{SUFFIX}")
    assert open_model(tmp_path).sampling is None
    assert make_fingerprint(tmp_path).sha256 == made.sha256


def test_a_folder_of_one_fingerprint_is_that_model_and_of_two_an_error(tmp_path: Path) -> None:
    made = make_fingerprint(llama(rng(1)).to_source(name="model"))
    made.write(tmp_path / f"a{SUFFIX}")
    assert open_model(tmp_path).sampling is not None
    made.write(tmp_path / f"b{SUFFIX}")
    with pytest.raises(FormatError, match=r"found 2 fingerprints .* Name one file"):
        open_model(tmp_path)


def test_a_renamed_fingerprint_is_still_one(tmp_path: Path) -> None:
    made = make_fingerprint(llama(rng(1)).to_source(name="model"))
    made.write(tmp_path / "other.safetensors")
    assert open_model(tmp_path / "other.safetensors").sampling is not None
    assert read_header(tmp_path / "other.safetensors") == made.header


def test_which_files_are_a_fingerprint() -> None:
    from jokbo.sources.base import FileInfo

    info = FileInfo(1)
    assert is_fingerprint({f"a{SUFFIX}": info, "config.json": info}) == f"a{SUFFIX}"
    assert is_fingerprint({f"a{SUFFIX}": info, "training_args.bin": info}) == f"a{SUFFIX}"
    assert is_fingerprint({f"a{SUFFIX}": info, "pytorch_model.bin": info}) is None
    assert is_fingerprint({f"a{SUFFIX}": info, "model.gguf": info}) is None
    assert is_fingerprint({"model.safetensors": info}) is None


def test_the_sketch_is_read_alone(tmp_path: Path) -> None:
    made = make_fingerprint(llama(rng(1)).to_source(name="model"))
    made.write(tmp_path / f"a{SUFFIX}")
    sketch = read_sketch(tmp_path / f"a{SUFFIX}")
    assert sketch is not None
    assert 0 < len(sketch) <= 256_000
    damaged = bytearray(made.data)
    start = made.data.index(sketch)
    damaged[start - 1 if start > len(made.data) // 2 else -1] ^= 1  # another block
    assert read_sketch(bytes(damaged)) == sketch


def test_layers_that_a_small_limit_leaves_out_are_known() -> None:
    model = open_model(llama(rng(1), num_layers=12).to_source(name="model"))
    few = choose_sampling(model, "s", limit=60_000)
    assert 0 < len(few.layers["text"]) < 12
    more = choose_sampling(model, "s", limit=120_000)
    assert set(few.layers["text"]) <= set(more.layers["text"])
    with pytest.raises(FormatError, match="rows of one layer do not fit"):
        choose_sampling(model, "s", limit=1000)
