"""Broken checkpoints through the command line: one clear sentence, status 2, and never a verdict."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from jokbo.cli.main import main
from jokbo.errors import WeightsError
from jokbo.evidence.compare import compare
from jokbo.formats.dtypes import DType
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint

UP = "model.layers.0.mlp.up_proj.weight"
Refuse = Callable[..., str]


def small(seed: int = 0) -> Checkpoint:
    return llama(
        np.random.default_rng(seed), hidden_size=32, num_layers=2, intermediate_size=64, vocab_size=64
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small(1).save(tmp_path_factory.mktemp("good") / "good")


@pytest.fixture
def refuse(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Refuse:
    """Compare a broken model with a good one, either way round; return the one sentence."""

    def run(broken: Path) -> str:
        sentences = set()
        for k, pair in enumerate(((broken, good), (good, broken))):
            evidence = tmp_path / f"evidence-{k}.json"
            monkeypatch.setattr(sys, "argv", ["jokbo", "compare", *map(str, pair), "--json", str(evidence)])
            with pytest.raises(SystemExit) as ended:
                main()
            out, err = capfd.readouterr()
            assert ended.value.code == 2
            assert out == ""
            assert not evidence.exists()
            assert err.startswith("jokbo: ")
            assert err.count("\n") == 1
            assert len(err) < 800
            sentences.add(err)
        return " ".join(sorted(sentences))

    return run


def with_value(value: float, *, name: str = UP, row: int = 3, column: int = 5) -> Checkpoint:
    made = small()
    changed = made[name].copy()
    changed[row, column] = value
    return made.with_tensors({name: changed})


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "inf"), (-np.inf, "inf")], ids=str)
def test_weights_that_no_trained_model_holds(value: float, word: str, refuse: Refuse, tmp_path: Path):
    said = refuse(with_value(value).save(tmp_path / "broken"))
    assert UP in said
    assert "broken" in said
    assert word.lower() in said.lower()
    assert "model.safetensors" in said
    assert any(letter.isdigit() for letter in said)


def test_the_error_names_the_very_byte(good: Path):
    """Row 3, column 5 of a BF16 matrix of width 32."""
    source = with_value(np.nan).to_source(name="broken")
    data = source.read_file("model.safetensors", max_bytes=1 << 24)
    (length,) = struct.unpack("<Q", data[:8])
    start = 8 + length + json.loads(data[8 : 8 + length])[UP]["data_offsets"][0]
    with pytest.raises(WeightsError) as caught:
        compare(source, good)
    assert str(start + 2 * (3 * 32 + 5)) in str(caught.value).replace(",", "")


def test_nan_in_the_norms(refuse: Refuse, tmp_path: Path):
    made = small()
    gains = made["model.norm.weight"].copy()
    gains[0] = np.nan
    said = refuse(made.with_tensors({"model.norm.weight": gains}).save(tmp_path / "broken"))
    assert "model.norm.weight" in said


def test_a_truncated_file(refuse: Refuse, tmp_path: Path):
    folder = small().save(tmp_path / "broken")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    assert "model.safetensors" in refuse(folder)


def test_a_file_cut_inside_its_header(refuse: Refuse, tmp_path: Path):
    folder = small().save(tmp_path / "broken")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:40])
    assert "model.safetensors" in refuse(folder)


def test_an_empty_file(refuse: Refuse, tmp_path: Path):
    folder = small().save(tmp_path / "broken")
    (folder / "model.safetensors").write_bytes(b"")
    assert "model.safetensors" in refuse(folder)


def test_a_header_of_absurd_length(refuse: Refuse, tmp_path: Path):
    folder = small().save(tmp_path / "broken")
    file = folder / "model.safetensors"
    file.write_bytes(struct.pack("<Q", 2**63) + file.read_bytes()[8:])
    assert "model.safetensors" in refuse(folder)


def test_a_folder_without_weights(refuse: Refuse, tmp_path: Path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    assert "broken" in refuse(folder)


def test_an_empty_folder(refuse: Refuse, tmp_path: Path):
    folder = tmp_path / "broken"
    folder.mkdir()
    assert "broken" in refuse(folder)


def test_a_missing_shard(refuse: Refuse, tmp_path: Path):
    folder = small().save(tmp_path / "broken", shard_bytes=20_000)
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2
    shards[1].unlink()
    assert shards[1].name in refuse(folder)


def test_a_configuration_that_is_no_json(refuse: Refuse, tmp_path: Path):
    folder = small().save(tmp_path / "broken")
    (folder / "config.json").write_text("{")
    assert "config.json is not JSON" in refuse(folder)


def test_a_configuration_that_contradicts_the_tensors(refuse: Refuse, tmp_path: Path):
    folder = small().with_config(hidden_size=48).save(tmp_path / "broken")
    said = refuse(folder)
    assert "48" in said
    assert "32" in said


@pytest.mark.parametrize("name", [UP, "model.layers.1.mlp.gate_proj.weight", "model.embed_tokens.weight"])
def test_a_tensor_without_elements(name: str, refuse: Refuse, tmp_path: Path):
    made = small()
    folder = made.with_tensors({name: np.zeros((0, 32), np.float32)}).save(tmp_path / "broken")
    assert name in refuse(folder)


@pytest.mark.parametrize("dtype", ["I64", "I32", "U8", "BOOL"])
def test_whole_numbers_are_no_weights(dtype: str, good: Path, tmp_path: Path):
    """Packed types are not decoded: the tensor is named as not recognised, and its layer is not compared."""
    folder = rewritten(small().save(tmp_path / "broken"), UP, DType[dtype])
    document = compare(good, folder, bounds=False, descriptive=False).evidence.document
    assert document["candidate"]["unrecognised"] == [UP]
    assert UP in document["candidate"]["notes"][0]
    read = {tensor["tensor"] for tensor in document["candidate"]["read"]["tensors"]}
    assert UP not in read
    mlp = next(c for c in document["components"] if c["component"] == "text.mlp")
    assert mlp["notes"] == []  # the budget is not what is missing


def rewritten(folder: Path, name: str, dtype: DType) -> Path:
    """Store one tensor in another element type: same shape, zeros."""
    file = folder / "model.safetensors"
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    body, out = data[8 + length :], b""
    for key, entry in header.items():
        if key == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        piece = body[start:end]
        if key == name:
            entry["dtype"] = dtype.name
            piece = bytes(int(np.prod(entry["shape"])) * dtype.itemsize)
        entry["data_offsets"] = [len(out), len(out) + len(piece)]
        out += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + out)
    return folder
