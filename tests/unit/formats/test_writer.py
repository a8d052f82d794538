"""What the property tests of the writer do not say: names of files, indexes, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jokbo.errors import UsageError
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import (
    INDEX_FILE,
    RawTensor,
    TensorSpec,
    build_file,
    build_files,
    encode,
    save_files,
    to_raw,
)

TENSORS = {name: to_raw(np.zeros((2, 2)), DType.F32) for name in ("b", "a", "c")}


def test_one_file_needs_no_index():
    assert list(build_files(TENSORS)) == ["model.safetensors"]
    assert list(build_files(TENSORS, shard_bytes=48)) == ["model.safetensors"]


def test_shards_are_numbered_and_indexed():
    files = build_files(TENSORS, shard_bytes=32)
    assert list(files) == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", INDEX_FILE]
    index = json.loads(files[INDEX_FILE])
    assert index["metadata"]["total_size"] == 48
    assert index["weight_map"] == {
        "a": "model-00001-of-00002.safetensors",
        "b": "model-00001-of-00002.safetensors",
        "c": "model-00002-of-00002.safetensors",
    }


def test_a_tensor_larger_than_a_shard_stands_alone():
    assert len(build_files(TENSORS, shard_bytes=1)) == 4


def test_bytes_that_do_not_fit_the_shape_are_refused():
    with pytest.raises(UsageError, match=r"tensor 'w' has 3 bytes; shape \[2\] of BF16 takes 4"):
        build_file({"w": RawTensor(TensorSpec(DType.BF16, (2,)), b"abc")})


def test_files_are_written_into_a_new_folder(tmp_path):
    save_files(tmp_path / "a" / "b", {"x.txt": b"1"})
    assert (tmp_path / "a" / "b" / "x.txt").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("dtype", "top"), [(DType.I64, 2**63 - 1024), (DType.I32, 2**31 - 1), (DType.U8, 255)]
)
def test_integers_saturate_without_wrapping(dtype, top):
    kind = np.dtype(f"<{'u' if dtype.name.startswith('U') else 'i'}{dtype.itemsize}")
    assert np.frombuffer(encode(np.array([1e30]), dtype), kind)[0] == top
