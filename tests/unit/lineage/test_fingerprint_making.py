"""One model, one file: the same rows whatever it is stored in and wherever it lies, and the same bytes every time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import UsageError
from jokbo.formats.dtypes import DType, decode
from jokbo.formats.writer import build_files, encode, save_files, to_raw
from jokbo.lineage.fingerprint import SUFFIX, Fingerprint, check_fingerprint, make_fingerprint, read_sketch
from jokbo.lineage.pairs import compare_pair
from jokbo.lineage.sampled_rows import choose_sampling
from jokbo.sources.base import OpenOptions
from jokbo.sources.http import HttpSource
from jokbo.sources.hub import HubSource
from jokbo.sources.memory import MemorySource
from jokbo.testing.builders import gpt2, llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.gguf import write_gguf
from jokbo.testing.hub import LocalHub
from jokbo.testing.sparse import sparse_checkpoint
from jokbo.testing.tables import llama_table, moe_table
from jokbo.testing.transforms import fine_tune_noise, store_fp8
from jokbo.views.model import Model, open_model
from jokbo.views.rows import RowsWish, fetch_rows


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def reopened(made: Fingerprint) -> Model:
    return open_model(MemorySource({f"x{SUFFIX}": made.data}, name="x"))


def blocks(made: Fingerprint) -> dict[str, str]:
    return dict(made.header.blocks)


def held_rows(model: Model, role: str, layer: int = 0) -> np.ndarray:
    """What a model holds of the window of unit rows that its fingerprint has."""
    part = next(p for p in model.anatomy.parts if p.role == role and p.layer == layer and p.kind == "weight")
    index = np.arange(part.shape[0])
    if model.sampling is None:
        return fetch_rows(model, [RowsWish(part, index)])[0]
    from jokbo.independence.plan import Lot

    window = Lot(0, "", "", model.sampling.salt).window(
        f"{part.tower}.mlp/units", part.shape[0], model.sampling.units
    )
    return fetch_rows(model, [RowsWish(part, window)])[0]


def nearest_rows(whole: Model, held: Model, role: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows held, and the model's own of the same numbers, rounded to bfloat16."""
    from jokbo.independence.plan import Lot

    assert held.sampling is not None
    rows = held_rows(held, role)
    all_rows = held_rows(whole, role)
    window = Lot(0, "", "", held.sampling.salt).window("text.mlp/units", len(all_rows), held.sampling.units)
    rounded = decode(encode(all_rows[window], DType.BF16), DType.BF16).reshape(len(window), -1)
    return rows, rounded


def test_the_same_rows_from_one_file_from_shards_over_http_and_from_the_hub(tmp_path: Path) -> None:
    model = llama(rng(1), num_layers=3, reserved_tokens=24)
    whole, parts = model.to_files(), model.to_files(shard_bytes=60_000)
    assert len(parts) > len(whole) + 3
    for name, data in parts.items():
        (tmp_path / name).write_bytes(data)
    with LocalHub({"org/whole": whole, "org/parts": parts}) as hub:
        made = [
            make_fingerprint(source)
            for source in (
                MemorySource(whole, name="whole"),
                MemorySource(parts, name="parts"),
                str(tmp_path),
                HttpSource(f"{hub.endpoint}/org/parts/resolve/main/"),
                HubSource("org/whole", endpoint=hub.endpoint),
                HubSource("org/parts", endpoint=hub.endpoint),
            )
        ]
    for other in made[1:]:
        assert blocks(other) == blocks(made[0])
    assert made[4].header.kind == "hub"
    assert made[4].header.commit is not None


def test_two_runs_give_the_same_bytes() -> None:
    model = mixtral(rng(2))
    assert make_fingerprint(model.to_source()).data == make_fingerprint(model.to_source()).data


SCRIPT = """
import sys
from jokbo.lineage.fingerprint import make_fingerprint
print(make_fingerprint(sys.argv[1]).sha256)
"""


def test_threads_and_hash_seeds_change_no_byte(zoo: Path) -> None:
    expected = make_fingerprint(zoo / "mixtral-0").sha256
    for seed, threads in (("1", "1"), ("2", "2")):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        }
        ended = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(zoo / "mixtral-0")],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        assert ended.stdout.strip() == expected


def test_the_salt_decides_the_rows_and_nothing_else_does() -> None:
    model = llama(rng(1), intermediate_size=400, vocab_size=2000, reserved_tokens=16)
    one, same, other = (make_fingerprint(model.to_source(), salt=salt) for salt in ("a", "a", "b"))
    assert one.data == same.data
    assert blocks(one)["rows"] != blocks(other)["rows"]
    assert blocks(one)["spans"] != blocks(other)["spans"]
    tuned = make_fingerprint(fine_tune_noise(model, rng=rng(5)).to_source(), salt="a")
    assert blocks(tuned)["spans"] == blocks(one)["spans"]


def test_eight_bit_floats_with_block_scales_are_decoded_and_rounded() -> None:
    model = store_fp8(llama(rng(1), reserved_tokens=24), block=32)
    whole = open_model(model.to_source(name="fp8"))
    made = make_fingerprint(whole)
    held = reopened(made)
    for role in ("ffn_up", "ffn_gate"):
        np.testing.assert_array_equal(*nearest_rows(whole, held, role))
    assert not any(name.endswith("_scale_inv") for name in held.catalog)
    assert held.config is not None
    assert "quantization_config" not in held.config
    assert made.header.read_bytes > make_fingerprint(model_without_scales().to_source()).header.read_bytes / 3


def model_without_scales() -> Checkpoint:
    return llama(rng(1), reserved_tokens=24)


@pytest.mark.parametrize("kind", ["Q4_0", "Q8_0", "F32", "F16"])
def test_converted_files_are_decoded_and_rounded(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    path = write_gguf(llama(rng(1), reserved_tokens=24), tmp_path / "model.gguf", kind=kind)
    whole = open_model(path)
    held = reopened(make_fingerprint(whole))
    rows, rounded = nearest_rows(whole, held, "ffn_up")
    if kind.startswith("Q"):
        np.testing.assert_array_equal(rows, rounded)
    else:
        np.testing.assert_allclose(rows, rounded, rtol=2**-8)
    assert held.anatomy.family == whole.anatomy.family


def test_a_converted_file_and_its_release_share_their_rows(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    model = llama(rng(1), reserved_tokens=24)
    path = write_gguf(model, tmp_path / "model.gguf", kind="Q8_0")
    found = compare_pair(
        memory(make_fingerprint(model.to_source())), memory(make_fingerprint(path)), reference_first=True
    )
    assert found["relation"] == "lineage"


def memory(made: Fingerprint) -> MemorySource:
    return MemorySource({f"x{SUFFIX}": made.data}, name=made.header.name)


def test_an_adapter_is_read_over_its_base(tmp_path: Path) -> None:
    base = llama(rng(1), reserved_tokens=24)
    base.save(tmp_path / "base0")
    module = "base_model.model.model.layers.0.mlp.up_proj"
    pair = {f"{module}.lora_A.weight": (4, 64), f"{module}.lora_B.weight": (172, 4)}
    raw = {
        name: to_raw(rng(7).normal(0, 0.1, shape).astype(np.float32), DType.F32)
        for name, shape in pair.items()
    }
    adapter = tmp_path / "adapter"
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "base_model_name_or_path": "base0"}
    (data,) = build_files(raw).values()
    save_files(
        adapter,
        {"adapter_model.safetensors": data, "adapter_config.json": json.dumps(settings).encode()},
    )
    options = OpenOptions(base=str(tmp_path / "base0"))
    whole = open_model(adapter, options)
    made = make_fingerprint(adapter, options=options)
    np.testing.assert_array_equal(*nearest_rows(whole, reopened(made), "ffn_up"))
    assert made.header.digest == whole.digest
    assert {file.file for file in made.header.files} == set(whole.catalog.header_sha256)


@pytest.mark.torch
def test_a_file_of_pytorch_gives_the_rows_of_its_twin(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    model = llama(rng(1), reserved_tokens=24)
    model.save(tmp_path / "safe")
    state = {name: torch.from_numpy(values).to(torch.bfloat16) for name, values in model.tensors.items()}
    state["tied.weight"] = state["lm_head.weight"]  # shares the bytes of another
    (tmp_path / "torch").mkdir()
    torch.save(state, tmp_path / "torch" / "pytorch_model.bin")
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / "torch" / name).write_bytes((tmp_path / "safe" / name).read_bytes())
    safe, other = (make_fingerprint(tmp_path / kind) for kind in ("safe", "torch"))
    found = compare_pair(memory(safe), memory(other), reference_first=True)
    assert {c["effect_size"] for c in found["components"] if c["effect_size"] is not None} == {1.0}
    assert len(other.data) < len(safe.data) * 1.3


FAMILIES: dict[str, Callable[[], Checkpoint]] = {
    "llama": lambda: llama(rng(1), reserved_tokens=24),
    "mixtral": lambda: mixtral(rng(1)),
    "gpt2": lambda: gpt2(rng(1)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_the_header_says_what_the_model_is(family: str) -> None:
    files = FAMILIES[family]().to_files()
    files["README.md"] = b"---\nbase_model: [org/a, org/b]\nbase_model_relation: merge\nlicense: mit\n---\n"
    source = MemorySource(files, name="org/model")
    made = make_fingerprint(source)
    header = made.header
    assert (header.version, header.name, header.kind, header.private) == (1, "org/model", "memory", False)
    assert (header.family, header.model_type) == (family, family)
    assert (header.hidden_size, header.num_layers) == (64, 2)
    assert header.declared.base_models == ("org/a", "org/b")
    assert (header.declared.relation, header.declared.license) == ("merge", "mit")
    assert header.plan == {"units": 64, "values": 32, "rotary": 16, "tokens": 512}
    assert header.layers == {"text": (0, 1)}
    assert 0 < header.read_bytes < header.data_bytes
    assert header.files[0].sha256 == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert set(header.blocks) == {"catalog", "tokens", "spans", "rows", "sketch"}
    assert header == check_fingerprint(made.data)
    assert (header.tokenizer != {}) == ("tokenizer.json" in files)


def test_another_tokenizer_is_seen() -> None:
    model = llama(rng(1), reserved_tokens=24)
    tokenizer = json.loads(json.dumps(model.tokenizer))
    tokenizer["model"]["vocab"] = {f"new{k}": v for k, v in enumerate(tokenizer["model"]["vocab"].values())}
    other = replace(model, tokenizer=tokenizer)
    one, two = (make_fingerprint(m.to_source()).header.tokenizer for m in (model, other))
    assert one["sha256"] != two["sha256"]


def test_a_name_that_no_file_can_hold_is_made_sayable() -> None:
    files = llama(rng(1)).to_files()
    made = make_fingerprint(MemorySource(files, name="bad\udcff" + "x" * 3000))
    assert made.header.name.startswith("bad?xxx")
    assert len(made.header.name) == 1024


def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = make_fingerprint(llama(rng(1)).to_source(name="tiny"))
    target = tmp_path / f"tiny{SUFFIX}"
    target.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match="No space left on device"):
        made.write(target)
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    monkeypatch.undo()
    made.write(target)
    assert target.read_bytes() == made.data
    with pytest.raises(UsageError, match="cannot write"):
        made.write(tmp_path / "absent" / f"tiny{SUFFIX}")


LARGE = {
    "405B dense": llama_table(
        hidden_size=16384, num_layers=126, intermediate_size=53248, num_heads=128, num_kv_heads=8,
        vocab_size=128256,
    ),
    "experts": moe_table(hidden_size=8192, num_layers=30, num_experts=16),
}  # fmt: skip


@pytest.mark.parametrize("shape", LARGE)
def test_however_large_the_model_the_file_stays_small_and_names_its_layers(
    shape: str, tmp_path: Path
) -> None:
    table = LARGE[shape]
    sparse_checkpoint(tmp_path, table.shapes, config=table.config, dtypes=table.dtypes)
    made = make_fingerprint(tmp_path)
    header = made.header
    assert 20_000_000 < len(made.data) < 32_000_000
    assert header.read_bytes < 0.001 * header.data_bytes
    assert 4 <= len(header.layers["text"]) < header.num_layers
    assert len(read_sketch(made.data) or b"") <= 256_000
    assert reopened(made).sampling is not None


def test_dense_layers_and_those_with_experts_are_both_held_where_few_fit() -> None:
    model = mixtral(rng(1), num_layers=31)
    dense = llama(rng(2), num_layers=1, intermediate_size=112)
    tensors = {
        name: values for name, values in model.tensors.items() if ".layers.0.block_sparse_moe" not in name
    } | {name: values for name, values in dense.tensors.items() if ".layers.0.mlp." in name}
    opened = open_model(replace(model, tensors=tensors).to_source(name="mixed"))
    few = choose_sampling(opened, "s", limit=150_000)
    held = set(few.layers["text"])
    with_experts = {p.layer for p in opened.anatomy.parts if p.expert is not None}
    assert len(held) < 10
    assert held & with_experts
    if any(p.role == "ffn_up" and p.layer == 0 for p in opened.anatomy.parts):
        assert 0 in held
