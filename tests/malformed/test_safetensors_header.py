"""Headers that lie or are damaged: each is one clear error, and nothing is read beyond what was checked."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jokbo.errors import FormatError
from jokbo.formats.base import TensorCatalog, run_plan
from jokbo.formats.dtypes import DType
from jokbo.formats.safetensors import MAX_HEADER_BYTES, SPECULATIVE_BYTES, plan_catalog
from jokbo.formats.writer import RawTensor, TensorSpec, build_file
from jokbo.sources.base import ByteRange, FileInfo, Read
from jokbo.sources.memory import MemorySource

FILE = "model.safetensors"


def file_of(header: Any, data: bytes = b"") -> bytes:
    """A file with any header: a JSON value, or raw bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype: Any = "BF16", shape: Any = (2, 2), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def catalog_of(data: bytes) -> TensorCatalog:
    source = MemorySource({FILE: data})
    return run_plan(plan_catalog(source.files), source)


def refuse(data: bytes, match: str) -> str:
    with pytest.raises(FormatError, match=match) as caught:
        catalog_of(data)
    message = str(caught.value)
    assert FILE in message
    assert len(message) < 600
    return message


GOOD = build_file(
    {
        "a": RawTensor(TensorSpec(DType.F32, (2, 2)), bytes(16)),
        "b": RawTensor(TensorSpec(DType.BF16, (3,)), bytes(6)),
    }
)
HEADER_END = 8 + int.from_bytes(GOOD[:8], "little")


def test_the_good_file_is_read():
    assert list(catalog_of(GOOD)) == ["a", "b"]


@pytest.mark.parametrize("length", range(8))
def test_truncated_inside_the_length(length):
    refuse(GOOD[:length], "starts with an 8-byte header length")


@pytest.mark.parametrize("length", [8, 9, HEADER_END // 2, HEADER_END - 1])
def test_truncated_inside_the_header(length):
    refuse(GOOD[:length], "header claims .* bytes and the file has .*truncated")


@pytest.mark.parametrize(
    "length", [HEADER_END, HEADER_END + 1, HEADER_END + 15, HEADER_END + 16, HEADER_END + 17, len(GOOD) - 1]
)
def test_truncated_inside_the_data(length):
    message = refuse(GOOD[:length], "ends at offset .*truncated")
    assert "tensor 'a'" in message or "tensor 'b'" in message


def test_empty_file():
    refuse(b"", "is 0 bytes")


def test_header_longer_than_the_file():
    refuse(struct.pack("<Q", 1000) + b"{}", "header claims 1,000 bytes and the file has 10")


@pytest.mark.parametrize("length", [MAX_HEADER_BYTES + 1, 1 << 40, (1 << 63), (1 << 64) - 1])
def test_absurdly_long_header_is_refused_before_it_is_read(length):
    """The file claims to be large enough; nothing past the first read may be asked for."""
    plan = plan_catalog({FILE: FileInfo(1 << 65)})
    (wish,) = next(plan)
    assert wish == Read(FILE, ByteRange(0, SPECULATIVE_BYTES))
    with pytest.raises(FormatError, match="the format allows 100,000,000"):
        plan.send([struct.pack("<Q", length) + bytes(SPECULATIVE_BYTES - 8)])


@pytest.mark.parametrize("length", [0, 1])
def test_header_too_short_to_be_json(length):
    refuse(struct.pack("<Q", length) + b"{}", "the shortest is")


def test_header_that_is_not_utf8():
    refuse(file_of(b'{"\xff\xfe": 1}'), "offset 2: not UTF-8")


@pytest.mark.parametrize(
    "header", [b'{"a": ', b"{'a': 1}", b'{"a": 1,}', b"{} {}", b"\x00\x00", b"\xef\xbb\xbf{}"]
)
def test_header_that_is_not_json(header):
    refuse(file_of(header), "not JSON")


@pytest.mark.parametrize("header", [[], "text", 77, None, True])
def test_header_that_is_not_an_object(header):
    refuse(file_of(header), "expected an object of tensors")


@pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
def test_constants_that_json_does_not_have(constant):
    refuse(
        file_of(b'{"a": {"dtype": "BF16", "shape": [' + constant + b'], "data_offsets": [0, 0]}}'),
        "is not JSON",
    )


def test_integer_of_a_hundred_thousand_digits():
    digits = b"9" * 100_000
    refuse(
        file_of(b'{"a": {"dtype": "BF16", "shape": [' + digits + b'], "data_offsets": [0, 0]}}'),
        "integer of absurd length",
    )


@pytest.mark.parametrize("text", [b"[" * 200_000, b'{"a":' * 100_000])
def test_deeply_nested_json(text):
    refuse(file_of(text), "nested deeper")


def test_duplicate_names():
    entry = json.dumps(tensor()).encode()
    refuse(file_of(b'{"w": ' + entry + b', "w": ' + entry + b"}", bytes(8)), "the name 'w' appears twice")


def test_duplicate_fields_inside_a_tensor():
    text = b'{"w": {"dtype": "BF16", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
    refuse(file_of(text, bytes(8)), "the name 'dtype' appears twice")


def test_names_with_half_a_surrogate_pair():
    """Valid JSON escapes that no UTF-8 text holds: they would break whatever prints them."""
    text = b'{"\\ud800": ' + json.dumps(tensor()).encode() + b"}"
    refuse(file_of(text, bytes(8)), "surrogate")


def test_metadata_with_half_a_surrogate_pair():
    refuse(file_of(b'{"__metadata__": {"format": "\\udfff"}}'), "surrogate")


@pytest.mark.parametrize(
    "name", ["", " ", "가중치", "w\u0000\n", "😀.weight", "../../etc/passwd", "a" * 10_000]
)
def test_any_other_name_is_legal(name):
    assert list(catalog_of(file_of({name: tensor()}, bytes(8)))) == [name]


@pytest.mark.parametrize("metadata", [[], "pt", None, {"a": 1}, {"a": {"b": "c"}}, {"a": None}])
def test_metadata_of_another_shape(metadata):
    refuse(file_of({"__metadata__": metadata}), "must map strings to strings")


@pytest.mark.parametrize(
    "dtype", ["bf16", "BF17", "", "F8", "name", "_value_", None, 3, ["BF16"], {"F": 32}, "x" * 9999]
)
def test_wrong_dtype(dtype):
    message = refuse(
        file_of({"w": tensor(dtype)}, bytes(8)), "element type .* is not known; known are F64, F32"
    )
    assert "tensor 'w'" in message


@pytest.mark.parametrize("fields", [[], "BF16", None, {}, {"dtype": "BF16"}, tensor() | {"extra": 1}])
def test_entry_with_other_fields(fields):
    refuse(file_of({"w": fields}, bytes(8)), "expected exactly the fields dtype, shape and data_offsets")


@pytest.mark.parametrize(
    "shape",
    [
        None,
        4,
        "4",
        {"0": 2},
        [-2, -2],
        [2.0, 2.0],
        ["2", "2"],
        [True, True],
        [None],
        [[2], 2],
        [1 << 62],
        [1] * 17,
    ],
)
def test_shape_that_is_no_shape(shape):
    refuse(file_of({"w": tensor(shape=shape)}, bytes(8)), "is not a list of at most 16 non-negative integers")


@pytest.mark.parametrize(
    "offsets",
    [
        None,
        8,
        [],
        [0],
        [0, 8, 16],
        [8, 0],
        [-8, 0],
        [0.0, 8.0],
        [False, True],
        ["0", "8"],
        [0, 1 << 62],
        [None, 8],
    ],
)
def test_offsets_that_are_no_offsets(offsets):
    refuse(file_of({"w": tensor(offsets=offsets)}, bytes(8)), r"is not \[start, end\] with start <= end")


@pytest.mark.parametrize("shape", [[2, 3], [1], [], [0, 4], [1 << 31, 1 << 30]])
def test_shape_and_span_disagree(shape):
    refuse(file_of({"w": tensor(shape=shape)}, bytes(8)), "data_offsets span 8")


@pytest.mark.parametrize(
    "shape", [[1 << 61, 1 << 61, 0], [0, 1 << 61, 1 << 61], [1 << 40] * 16, [1 << 32, 1 << 31]]
)
def test_shape_of_absurdly_many_elements(shape):
    """Even where a zero side makes it no bytes: code that multiplies sides in 64 bits would be wrong."""
    refuse(file_of({"w": tensor(shape=shape, offsets=[0, 0])}), "more elements than")


@pytest.mark.parametrize("offsets", [[8, 16], [0, 16], [1 << 40, (1 << 40) + 8]])
def test_offsets_beyond_the_file(offsets):
    shape = [(offsets[1] - offsets[0]) // 2]
    refuse(
        file_of({"w": tensor(shape=shape, offsets=offsets)}, bytes(8)), "ends at offset .* the file ends at"
    )


@pytest.mark.parametrize("second", [[4, 12], [0, 8], [6, 14]])
def test_overlapping_tensors(second):
    header = {"a": tensor(), "b": tensor(offsets=second)}
    message = refuse(file_of(header, bytes(second[1])), "overlaps the tensor before it")
    assert "expected" in message


def test_hole_between_tensors():
    refuse(
        file_of({"a": tensor(), "b": tensor(offsets=[10, 18])}, bytes(18)),
        "tensor 'b'.*leaves a hole before it",
    )


def test_hole_before_the_first_tensor():
    refuse(file_of({"a": tensor(offsets=[2, 10])}, bytes(10)), "tensor 'a'.*leaves a hole before it")


@pytest.mark.parametrize("extra", [1, 8, 1000])
def test_trailing_bytes(extra):
    refuse(GOOD + bytes(extra), "Bytes follow that no tensor claims")


def test_no_tensors_but_bytes():
    refuse(file_of({}, bytes(4)), "Bytes follow that no tensor claims")


@pytest.mark.parametrize("shape", [[0], [0, 4], [4, 0, 2]])
def test_zero_size_tensors_are_legal(shape):
    header = {
        "z": tensor(shape=shape, offsets=[8, 8]),
        "w": tensor(),
        "y": tensor(shape=shape, offsets=[0, 0]),
    }
    catalog = catalog_of(file_of(header, bytes(8)))
    assert catalog["z"].size == 0
    assert catalog["z"].shape == tuple(shape)
    assert catalog["w"].span.size == 8


def test_scalars_are_legal():
    assert catalog_of(file_of({"s": tensor("F32", [], [0, 4])}, bytes(4)))["s"].shape == ()


def test_an_empty_header_is_legal_and_holds_nothing():
    assert len(catalog_of(file_of({}))) == 0


def catalog_or_error(data: bytes) -> TensorCatalog | FormatError:
    try:
        return catalog_of(data)
    except FormatError as error:
        return error


@given(data=st.binary(max_size=200))
def test_random_bytes_give_a_catalog_or_a_format_error(data):
    answer = catalog_or_error(struct.pack("<Q", len(data)) + data)
    assert FILE in str(answer) or len(answer) == 0  # no random text holds a tensor


@given(position=st.integers(0, len(GOOD) - 1), value=st.integers(0, 255))
def test_one_damaged_byte_is_an_error_or_leaves_a_consistent_catalog(position, value):
    answer = catalog_or_error(GOOD[:position] + bytes([value]) + GOOD[position + 1 :])
    if isinstance(answer, FormatError):
        assert FILE in str(answer)
        return
    assert max(entry.span.stop for entry in answer.values()) == len(GOOD)
    assert all(entry.span.size == entry.size * entry.dtype.itemsize for entry in answer.values())
