"""Distributed checkpoints that the real PyTorch wrote, read without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.formats.dtypes import DType, decode
from jokbo.sources.memory import MemorySource
from jokbo.views.model import Model, open_model

DATA = Path(__file__).parents[1] / "records/data"
SHAPES = {"0.weight": (6, 4), "0.bias": (6,), "1.weight": (6,), "1.bias": (6,), "2.weight": (4, 6)}


def rows_of(model: Model, name: str, rows: np.ndarray) -> np.ndarray:
    entry = model.catalog[name]
    assert entry.codec is not None
    reads = entry.codec.plan(rows)
    assert sum(read.range.size for read in reads) == entry.codec.bytes_wanted(len(rows))
    return entry.codec.decode(rows, model.source.read_many(reads))


def test_the_model_is_told_from_its_optimizer():
    model = open_model(DATA / "dcp-one")
    assert {name: entry.shape for name, entry in model.catalog.items()} == SHAPES
    assert all(entry.dtype is DType.F32 and entry.codec is None for entry in model.catalog.values())
    # Three updates of AdamW with gradients of one sign: each lowers a weight by about the rate, 0.01.
    for name, shape in SHAPES.items():
        entry = model.catalog[name]
        values = decode(model.source.read(entry.file, *entry.span), entry.dtype).reshape(shape)
        np.testing.assert_allclose(values, np.arange(values.size).reshape(shape) / 8 - 0.03, atol=2e-3)
    model.close()


def test_rows_that_two_ranks_hold_are_read_as_one_tensor():
    model = open_model(DATA / "dcp-rows")
    assert {name: entry.shape for name, entry in model.catalog.items()} == SHAPES
    for name, shape in SHAPES.items():
        entry = model.catalog[name]
        assert entry.stored_type == "BF16"
        assert entry.codec.exact
        n_rows, n_cols = shape if len(shape) == 2 else (shape[0], 1)
        expected = np.arange(n_rows * n_cols).reshape(n_rows, n_cols) / 8
        np.testing.assert_array_equal(rows_of(model, name, np.arange(n_rows)), expected)
        some = np.array([n_rows - 1, 0, n_rows // 2])
        np.testing.assert_array_equal(rows_of(model, name, some), expected[some])
    model.close()


def test_pieces_are_named_where_a_tensor_is_cut():
    model = open_model(DATA / "dcp-rows")
    names = {entry.name for entry in model.catalog.stored}
    assert {"0.weight[0:3]", "0.weight[3:6]", "2.weight[2:4]"} <= names
    assert {entry.file for entry in model.catalog.stored} == {"__0_0.distcp", "__1_0.distcp"}
    assert set(model.catalog.header_sha256) == {".metadata", "__0_0.distcp", "__1_0.distcp"}
    model.close()


def test_two_models_are_not_chosen_between():
    files = {path.name: path.read_bytes() for path in (DATA / "dcp-one").iterdir()}
    files[".metadata"] = files[".metadata"].replace(b"\x8c\toptimizer\x94", b"\x8c\tautimizer\x94")
    files[".metadata"] = files[".metadata"].replace(b"optimizer.state", b"autimizer.state")
    with pytest.raises(
        FormatError, match=r"mappings hold weights \(model, .*which one is the model is not guessed"
    ):
        open_model(MemorySource(files))
