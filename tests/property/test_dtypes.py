"""Laws of element types and files: our reader and writer against safetensors and ml_dtypes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors import numpy as reference

from jokbo.errors import FormatError, UsageError
from jokbo.formats import safetensors as ours
from jokbo.formats.base import run_plan
from jokbo.formats.dtypes import DType, decode
from jokbo.formats.writer import TensorSpec, build_file, build_files, build_header, encode
from jokbo.sources.memory import MemorySource
from jokbo.testing import strategies as jst

SMALL_FLOATS = {
    DType.BF16: (ml_dtypes.bfloat16, np.uint16),
    DType.F8_E4M3: (ml_dtypes.float8_e4m3fn, np.uint8),
    DType.F8_E5M2: (ml_dtypes.float8_e5m2, np.uint8),
    DType.F8_E8M0: (ml_dtypes.float8_e8m0fnu, np.uint8),
}
NUMPY_TYPES = {
    DType.F64: np.float64,
    DType.F32: np.float32,
    DType.F16: np.float16,
    DType.I64: np.int64,
    DType.I32: np.int32,
    DType.I16: np.int16,
    DType.I8: np.int8,
    DType.U64: np.uint64,
    DType.U32: np.uint32,
    DType.U16: np.uint16,
    DType.U8: np.uint8,
    DType.BOOL: np.bool_,
}


def catalog_of(data: bytes) -> ours.TensorCatalog:
    source = MemorySource({"model.safetensors": data})
    return run_plan(ours.plan_catalog(source.files), source)


@pytest.mark.parametrize("dtype", SMALL_FLOATS, ids=lambda dtype: dtype.name)
def test_every_code_of_a_small_float_decodes_as_ml_dtypes_says(dtype):
    peer, code_type = SMALL_FLOATS[dtype]
    codes = np.arange(np.iinfo(code_type).max + 1).astype(code_type)
    expected = codes.view(peer).astype(np.float32)
    np.testing.assert_array_equal(decode(codes.tobytes(), dtype), expected)


@given(values=st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_bf16_rounds_as_ml_dtypes_does(values):
    array = np.array(values, dtype=np.float32)
    assert encode(array, DType.BF16) == array.astype(ml_dtypes.bfloat16).tobytes()


@pytest.mark.parametrize(("dtype", "top"), [(DType.F8_E4M3, 448.0), (DType.F8_E5M2, 57344.0)])
@given(data=st.data())
def test_fp8_rounds_as_ml_dtypes_does_within_range(dtype, top, data):
    values = data.draw(st.lists(st.floats(-top, top, width=32), min_size=1))
    array = np.array(values, dtype=np.float32)
    assert encode(array, dtype) == array.astype(SMALL_FLOATS[dtype][0]).tobytes()


@pytest.mark.parametrize("dtype", [DType.F8_E4M3, DType.F8_E5M2], ids=lambda dtype: dtype.name)
def test_fp8_ties_go_to_the_even_code(dtype):
    table = decode(bytes(range(128)), dtype).astype(np.float64)
    table = table[np.isfinite(table)]
    ties = (table[1:] + table[:-1]) / 2
    codes = np.frombuffer(encode(ties, dtype), dtype=np.uint8)
    assert (codes % 2 == 0).all()
    assert set(codes - np.arange(ties.size)) <= {0, 1}


@pytest.mark.parametrize(("dtype", "top"), [(DType.F8_E4M3, 448.0), (DType.F8_E5M2, 57344.0)])
def test_fp8_saturates_finite_values(dtype, top):
    np.testing.assert_array_equal(decode(encode(np.array([1e9, -1e9]), dtype), dtype), [top, -top])


def test_infinity_and_nan_stay_visible_in_fp8():
    values = np.array([np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(decode(encode(values, DType.F8_E5M2), DType.F8_E5M2), values)
    assert np.isnan(decode(encode(values, DType.F8_E4M3), DType.F8_E4M3)).all()


@pytest.mark.parametrize("dtype", jst.WEIGHT_TYPES, ids=lambda dtype: dtype.name)
@given(data=st.data())
def test_decoded_weights_encode_to_the_same_bytes(dtype, data):
    raw = data.draw(st.binary(max_size=64).map(lambda b: b[: len(b) // dtype.itemsize * dtype.itemsize]))
    values = decode(raw, dtype)
    again = decode(encode(values, dtype), dtype) if dtype is not DType.I8 else np.frombuffer(raw, np.int8)
    np.testing.assert_array_equal(again, values)
    assert values.dtype == np.float32
    assert values.flags.writeable


@pytest.mark.parametrize("dtype", [d for d in DType if not d.is_weight], ids=lambda dtype: dtype.name)
def test_types_that_hold_no_weights_are_refused(dtype):
    with pytest.raises(FormatError, match="do not store weights"):
        decode(bytes(dtype.itemsize), dtype)


def test_f64_beyond_float32_becomes_infinite_and_not_something_else():
    np.testing.assert_array_equal(decode(encode(np.array([1e300, 1.0]), DType.F64), DType.F64), [np.inf, 1])


def test_nan_is_refused_as_an_integer():
    with pytest.raises(UsageError, match="NaN cannot be stored as I8"):
        encode(np.array([np.nan]), DType.I8)


@given(values=st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_integers_round_and_saturate(values):
    codes = np.frombuffer(encode(np.array(values), DType.I8), dtype=np.int8)
    np.testing.assert_array_equal(codes, np.clip(np.rint(values), -128, 127))


@given(tensors=jst.tensor_files())
def test_files_written_here_are_read_back_by_ours_and_by_the_reference(tensors):
    data = build_file(tensors, {"format": "pt"})
    catalog = catalog_of(data)
    assert set(catalog) == set(tensors)
    assert catalog.metadata == {"format": "pt"}
    for name, tensor in tensors.items():
        entry = catalog[name]
        assert (entry.dtype, entry.shape) == (tensor.spec.dtype, tensor.spec.shape)
        assert data[entry.span.start : entry.span.stop] == tensor.data
    theirs = {
        name: (fields["dtype"], fields["shape"], fields["data"])
        for name, fields in safetensors.deserialize(data)
    }
    assert theirs == {
        name: (tensor.spec.dtype.name, list(tensor.spec.shape), tensor.data)
        for name, tensor in tensors.items()
    }


@pytest.mark.parametrize("dtype", NUMPY_TYPES, ids=lambda dtype: dtype.name)
@given(data=st.data())
def test_files_of_the_reference_are_read_and_written_byte_for_byte(dtype, data):
    tensors = data.draw(jst.tensor_files([dtype, DType.F32]))
    arrays = {
        name: np.frombuffer(tensor.data, NUMPY_TYPES[tensor.spec.dtype]).reshape(tensor.spec.shape)
        for name, tensor in tensors.items()
        if tensor.spec.dtype is not DType.BOOL or set(tensor.data) <= {0, 1}
    }
    theirs = reference.save(arrays)
    assert build_file({name: tensors[name] for name in arrays}) == theirs
    catalog = catalog_of(theirs)
    for name, array in arrays.items():
        entry = catalog[name]
        assert entry.shape == array.shape
        if entry.dtype.is_weight:
            raw = theirs[entry.span.start : entry.span.stop]
            with np.errstate(over="ignore", invalid="ignore"):
                np.testing.assert_array_equal(decode(raw, entry.dtype), array.astype(np.float32).reshape(-1))


@given(tensors=jst.tensor_files().filter(lambda tensors: len(tensors) > 1), shard_bytes=st.integers(1, 400))
def test_shards_hold_the_same_tensors_as_one_file(tensors, shard_bytes):
    files = build_files(tensors, shard_bytes=shard_bytes)
    source = MemorySource(files)
    catalog = run_plan(ours.plan_catalog(source.files), source)
    assert set(catalog) == set(tensors)
    for name, tensor in tensors.items():
        entry = catalog[name]
        assert source.read(entry.file, *entry.span) == tensor.data


@given(tensors=jst.tensor_files())
def test_the_same_tensors_give_the_same_bytes_in_any_order(tensors):
    assert build_file(dict(reversed(tensors.items()))) == build_file(tensors)


@given(tensors=jst.tensor_files())
def test_headers_are_padded_to_eight(tensors):
    header = build_header({name: tensor.spec for name, tensor in tensors.items()})
    assert len(header) % 8 == 0


def test_a_header_longer_than_the_first_read_is_fetched_whole():
    specs = {f"layer.{i}.weight": TensorSpec(DType.BF16, (0,)) for i in range(3000)}
    header = build_header(specs)
    assert len(header) > ours.SPECULATIVE_BYTES
    assert len(catalog_of(header)) == 3000
