"""What pyarrow is used for: parquet exports of W&B, and numbers read faster."""

from __future__ import annotations

import datetime
import io

import numpy as np
import pytest

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

from jokbo.errors import FormatError  # noqa: E402
from jokbo.records.readers.wandb_values import arrow_floats, plain_floats  # noqa: E402
from jokbo.testing.log_reading import read_bytes  # noqa: E402


def parquet(table, **options) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(table), out, **options)
    return out.getvalue()


GOOD = {
    "_step": pa.array(range(1000), pa.int64()),
    "_timestamp": pa.array(1.7e9 + np.arange(1000.0)),
    "train/loss": pa.array([1.0 / (k + 1) for k in range(1000)], pa.float32()),
    "val/loss": pa.array([2.0 if k % 100 == 0 else None for k in range(1000)]),
    "note": pa.array(["x"] * 1000),
}


def test_a_history_artifact():
    log = read_bytes("0000.parquet", parquet(GOOD, row_group_size=300, compression="zstd"))
    assert log.segments[0].format == "wandb_export"
    assert log.segments[0].sampled == ""
    assert log.steps.tolist() == list(range(1000))
    assert log.times[-1] == 1.7e9 + 999
    assert log.series("loss").values.tolist() == [float(np.float32(1.0 / (k + 1))) for k in range(1000)]
    assert log.series("validation_loss").rows.tolist() == list(range(0, 1000, 100))
    assert "note" not in log.columns


def test_times_with_a_zone_are_unix_seconds():
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    log = read_bytes(
        "a.parquet", parquet({"step": [1, 2], "timestamp": [moment, moment], "loss": [1.0, 2.0]})
    )
    assert log.times.tolist() == [1767323045.0, 1767323045.0]


def test_a_sampled_history_in_parquet():
    kept = np.unique(np.linspace(0, 9_999, 500).astype(int))
    log = read_bytes("a.parquet", parquet({"_step": kept, "loss": np.ones(500)}))
    assert log.segments[0].sampled == "wandb_history"


@pytest.mark.parametrize("length", [4, 100, 5000, -1])
def test_a_cut_parquet_file(length):
    with pytest.raises(FormatError, match=r"a\.parquet: .*damaged"):
        read_bytes("a.parquet", parquet(GOOD)[:length])


def test_more_rows_than_are_read():
    pages = parquet({"step": pa.array(np.zeros(20_000_001, dtype=np.int8))})
    assert len(pages) < 1 << 20  # a bomb: a small file of many rows
    with pytest.raises(FormatError, match=r"claims 20,000,001 rows"):
        read_bytes("a.parquet", pages)


def test_numbers_are_the_same_with_and_without_pyarrow():
    texts = [repr(float(value)) for value in np.random.default_rng(0).normal(size=500) * 1e-5]
    texts += ["0.1", "-0", "1E5", "5e-324", "123456789012345678901234567890", "0.30000000000000004"]
    blob, stops = "xx".join(texts).encode(), np.cumsum([len(text) + 2 for text in texts]) - 2
    starts = stops - np.array([len(text) for text in texts])
    turned = np.arange(len(texts))[::-1]
    by_arrow = arrow_floats(blob, starts[turned], stops[turned])
    assert by_arrow.tolist() == plain_floats([text.encode() for text in texts])[turned].tolist()
    for odd in (b"1_0", b"nan", b"1e", b"--1", b""):
        assert arrow_floats(odd + b"x", np.array([0]), np.array([len(odd)])) is None
        assert plain_floats([odd]) is None
