"""Distributed checkpoints whose metadata and pieces contradict each other; all bytes are built here."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Sequence

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.formats.base import TensorCatalog, run_plan
from jokbo.formats.choose import plan_catalog
from jokbo.formats.dtypes import decode
from jokbo.sources.memory import MemorySource

CHECKPOINT = "torch.distributed.checkpoint.metadata."
FILE = "__0_0.distcp"
Sides = tuple[int, ...]


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)


def name_of(full: str) -> bytes:
    module, _, own = full.rpartition(".")
    return f"c{module}\n{own}\n".encode()


def sides(values: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(number, values)) + b"t"


def table(fields: dict[bytes, bytes]) -> bytes:
    return b"}(" + b"".join(key + value for key, value in fields.items()) + b"u"


def made(kind: str, state: bytes) -> bytes:
    return name_of(kind) + b")\x81" + state + b"b"


def record(kind: str, **fields: bytes) -> bytes:
    return made(kind, table({text(key): value for key, value in fields.items()}))


def piece(values: np.ndarray, dtype: str = "Float") -> bytes:
    """A file of torch.save that holds one tensor."""
    shape = values.shape
    strides = [int(np.prod(shape[k + 1 :])) for k in range(len(shape))]
    storage = b"(" + text("storage") + name_of(f"torch.{dtype}Storage") + text("0") + text("cpu")
    pickle = (
        b"\x80\x02"
        + name_of("torch._utils._rebuild_tensor_v2")
        + b"("
        + storage
        + number(values.size)
        + b"tQ"
    )
    pickle += number(0) + sides(shape) + sides(strides) + b"\x89}tR."
    return archive(pickle, values.tobytes())


def archive(pickle: bytes, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as out:
        out.writestr("archive/data.pkl", pickle)
        out.writestr("archive/data/0", data)
    return buffer.getvalue()


def checkpoint(
    shape: Sides,
    chunks: Sequence[tuple[Sides, Sides]],
    *,
    pieces: Sequence[bytes] | None = None,
    dtype: str = "torch.float32",
    places: Sequence[Sides] | None = None,
    more: bytes = b"",
    lengths: int = 0,
) -> TensorCatalog:
    """Read a checkpoint of the tensor ``w`` of 0, 1, 2, ... in these chunks of (offsets, sizes)."""
    whole = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    cut = [tuple(slice(a, a + n) for a, n in zip(*chunk, strict=True)) for chunk in chunks]
    files = list(pieces) if pieces is not None else [piece(np.array(whole[k])) for k in cut]
    storage = b""
    at = 0
    for offsets, data in zip(places if places is not None else [c[0] for c in chunks], files, strict=False):
        index = record(f"{CHECKPOINT}MetadataIndex", fqn=text("w"), offset=sides(offsets))
        info = record(
            "torch.distributed.checkpoint.filesystem._StorageInfo",
            relative_path=text(FILE),
            offset=number(at),
            length=number(len(data) + lengths),
        )
        storage += index + (info if not more else info[:-2] + more + b"ub")
        at += len(data)
    described = [
        record(f"{CHECKPOINT}ChunkStorageMetadata", offsets=sides(a), sizes=sides(n)) for a, n in chunks
    ]
    properties = made(f"{CHECKPOINT}TensorProperties", b"(" + name_of(dtype) + b"N\x89t")
    tensor = record(
        f"{CHECKPOINT}TensorStorageMetadata",
        properties=properties,
        size=sides(shape),
        chunks=b"](" + b"".join(described) + b"e",
    )
    metadata = record(
        f"{CHECKPOINT}Metadata",
        state_dict_metadata=table({text("w"): tensor}),
        storage_data=b"}(" + storage + b"u",
    )
    source = MemorySource({".metadata": b"\x80\x02" + metadata + b".", FILE: b"".join(files)})
    catalog = run_plan(plan_catalog(source.files), source)
    entry = catalog["w"]
    if entry.codec is None:
        values = decode(source.read(entry.file, *entry.span), entry.dtype).reshape(shape)
    else:
        rows = np.arange(whole.size // whole.shape[-1] if whole.ndim > 1 else whole.size)
        values = entry.codec.decode(rows, source.read_many(entry.codec.plan(rows))).reshape(shape)
    if pieces is None:
        np.testing.assert_array_equal(values, whole)
    return catalog


@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((4, 3), [((0, 0), (4, 3))]),
        ((4, 3), [((0, 0), (1, 3)), ((1, 0), (3, 3))]),
        ((4, 3), [((3, 0), (1, 3)), ((0, 0), (3, 3))]),
        ((4, 3), [((0, 0), (4, 3)), ((4, 0), (0, 3))]),
        ((5,), [((0,), (2,)), ((2,), (3,))]),
        ((4, 2, 3), [((0, 0, 0), (1, 2, 3)), ((1, 0, 0), (3, 2, 3))]),
        ((), [((), ())]),
    ],
)
def test_whole_rows_in_any_order_are_one_tensor(shape: Sides, chunks: list[tuple[Sides, Sides]]):
    checkpoint(shape, chunks)


@pytest.mark.parametrize(
    ("shape", "chunks", "match"),
    [
        ((4, 4), [((0, 0), (4, 2)), ((0, 2), (4, 2))], "cut along an axis other than the first"),
        ((4, 3), [((0, 0), (2, 3)), ((1, 0), (3, 3))], "a piece begins at row 1; expected 2"),
        ((4, 3), [((0, 0), (1, 3)), ((2, 0), (2, 3))], "a piece begins at row 2; expected 1"),
        ((4, 3), [((1, 0), (3, 3))], "a piece begins at row 1; expected 0"),
        ((4, 3), [((0, 0), (3, 3))], r"its pieces do not make up its shape \[4, 3\]"),
        ((4, 3), [((0, 0), (0, 3))], r"its pieces do not make up its shape \[4, 3\]"),
        ((4, 3), [((0,), (4,))], "offsets and sizes are not 2 counts each"),
        ((), [((), ()), ((), ())], "has two places"),
    ],
)
def test_pieces_that_do_not_make_up_the_tensor(shape: Sides, chunks: list[tuple[Sides, Sides]], match: str):
    data = [piece(np.zeros(sizes, np.float32)) for _, sizes in chunks]
    with pytest.raises(FormatError, match=match) as caught:
        checkpoint(shape, chunks, pieces=data)
    assert str(caught.value).startswith(".metadata: ")


WHOLE = [((0, 0), (4, 3))]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (
            piece(np.zeros((3, 4), np.float32)),
            r"holds F32 of shape \[3, 4\]; the metadata says F32 of shape \[4, 3\]",
        ),
        (piece(np.zeros((4, 3)), "Double"), r"holds F64 of shape \[4, 3\]; the metadata says F32"),
        (archive(b"\x80\x02}.", b""), "it holds no tensor"),
        (archive(b"\x80\x02" + name_of("posix.system") + b".", b""), "asks for posix.system"),
        (b"GIF89a" * 30, "something else, or older than PyTorch"),
        (piece(np.zeros((4, 3), np.float32))[:-1], "no end-of-directory record"),
        (b"", "begins with nothing"),
    ],
)
def test_pieces_that_are_not_what_the_metadata_says(data: bytes, match: str):
    with pytest.raises(FormatError, match=match) as caught:
        checkpoint((4, 3), WHOLE, pieces=[data])
    assert str(caught.value).startswith(f"{FILE}, offset 0, tensor 'w': ")


def test_places_that_lie():
    good = piece(np.zeros((4, 3), np.float32))
    with pytest.raises(FormatError, match=r"the piece at \[0, 0\] has no place in any file"):
        checkpoint((4, 3), WHOLE, pieces=[good], places=[(1, 0)])
    with pytest.raises(FormatError, match=r"should be at 0, .* which has"):
        checkpoint((4, 3), WHOLE, pieces=[good], lengths=1)
    with pytest.raises(FormatError, match=r"end-of-directory|offset"):
        checkpoint((4, 3), WHOLE, pieces=[good], lengths=-1)


def test_pieces_that_are_compressed_or_of_no_known_type():
    with pytest.raises(FormatError, match="is compressed or encrypted"):
        checkpoint((4, 3), WHOLE, more=text("transform_descriptors") + b"](" + text("zstd") + b"e")
    checkpoint((4, 3), WHOLE, more=text("transform_descriptors") + b"N")
    with pytest.raises(FormatError, match="not on the list"):
        checkpoint((4, 3), WHOLE, dtype="torch.qint8")
    with pytest.raises(FormatError, match="has no element type"):
        checkpoint((4, 3), WHOLE, dtype="torch.FloatStorage")
