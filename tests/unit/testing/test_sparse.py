"""Very large checkpoints: true tables and lengths, little disk, rows where they were asked for."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.errors import NotFoundError, UsageError
from jokbo.formats import safetensors
from jokbo.formats.base import run_plan
from jokbo.formats.dtypes import DType, decode
from jokbo.sources.local import LocalSource
from jokbo.testing.sparse import FilledRows, RowSource, fill_rows, sparse_checkpoint
from jokbo.testing.tables import llama_table, moe_table

UP = "model.layers.0.mlp.up_proj.weight"


@pytest.fixture
def small(tmp_path):
    table = llama_table(
        hidden_size=32, num_layers=1, intermediate_size=48, num_heads=2, num_kv_heads=2, vocab_size=50
    )
    return tmp_path / "small", table


def rows_of(folder, name):
    source = LocalSource(folder)
    entry = run_plan(safetensors.plan_catalog(source.files), source)[name]
    values = decode(source.read(entry.file, *entry.span), entry.dtype).reshape(entry.shape)
    source.close()
    return values


def test_a_7b_table_takes_little_disk(tmp_path):
    table = llama_table()
    folder = sparse_checkpoint(tmp_path / "big", table.shapes, config=table.config)
    source = LocalSource(folder)
    catalog = run_plan(safetensors.plan_catalog(source.files), source)
    source.close()
    assert catalog.parameters == 6_738_415_616
    assert catalog.data_bytes == 2 * catalog.parameters
    assert len([f for f in source.files if f.endswith(".safetensors")]) == 3
    assert sum(path.stat().st_blocks * 512 for path in folder.iterdir()) < 1_000_000


def test_the_moe_table_has_a_hundred_billion_parameters():
    table = moe_table()
    total = sum(int(np.prod(shape, dtype=np.int64)) for shape in table.shapes.values())
    assert 100e9 < total < 105e9
    assert table.shapes["model.layers.47.mlp.experts.127.down_proj.weight"] == (4096, 1280)


def test_only_the_rows_asked_for_are_written(small):
    folder, table = small
    source = RowSource(3)
    wanted = [5, 0, 47]
    sparse_checkpoint(
        folder, table.shapes, filled=lambda n, s: source.rows(n, s, wanted) if n == UP else None
    )
    values = rows_of(folder, UP)
    np.testing.assert_allclose(values[wanted], source.rows(UP, (48, 32), wanted).values, rtol=2**-8)
    assert not values[[1, 2, 46]].any()


def test_rows_can_be_written_later(small):
    folder, table = small
    sparse_checkpoint(folder, table.shapes, dtypes={"model.norm.weight": DType.F32}, shard_bytes=5000)
    before = {path.name: path.stat().st_size for path in folder.iterdir()}
    source = RowSource(3)
    fill_rows(
        folder,
        {"model.norm.weight": source.rows("model.norm.weight", (32,)), UP: source.rows(UP, (48, 32), [7])},
    )
    assert {path.name: path.stat().st_size for path in folder.iterdir()} == before
    np.testing.assert_array_equal(
        rows_of(folder, "model.norm.weight"), source.rows("model.norm.weight", (32,)).values[0]
    )
    assert rows_of(folder, UP)[7].all()


def test_rows_do_not_depend_on_who_asks():
    source = RowSource(1)
    few, all_of_them = source.rows("w", (9, 16), [4, 8]), source.rows("w", (9, 16))
    np.testing.assert_array_equal(few.values, all_of_them.values[[4, 8]])
    assert not np.array_equal(few.values[0], RowSource(2).rows("w", (9, 16), [4]).values[0])
    assert not np.array_equal(few.values[0], source.rows("v", (9, 16), [4]).values[0])


def test_derived_rows_have_the_cosine_asked_for():
    parent = RowSource(1)
    a = parent.rows("w", (50, 2000)).values
    b = RowSource(2, parent=parent, cosine=0.8).rows("w", (50, 2000)).values
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosines.mean() == pytest.approx(0.8, abs=0.01)


def test_a_tensor_that_is_not_there_is_an_error(small):
    folder, table = small
    sparse_checkpoint(folder, table.shapes)
    with pytest.raises(NotFoundError, match="no tensor 'ghost'"):
        fill_rows(folder, {"ghost": FilledRows(np.array([0]), np.zeros((1, 4), np.float32))})


@pytest.mark.parametrize(("row", "cols"), [(48, 32), (-1, 32), (0, 31)])
def test_rows_that_do_not_fit_are_an_error(small, row, cols):
    folder, table = small
    sparse_checkpoint(folder, table.shapes)
    with pytest.raises(UsageError, match="has 48 rows of 32"):
        fill_rows(folder, {UP: FilledRows(np.array([row]), np.zeros((1, cols), np.float32))})
