"""PyTorch's distributed checkpoints: a folder of ``.metadata`` and ``__<rank>_<n>.distcp`` files.

``.metadata`` says which tensors there are and in which file, at which offset, each piece lies
(:mod:`jokbo.formats.pickle_records`); a piece is a small file of ``torch.save`` of its own, described by
:mod:`jokbo.formats.pytorch`. Nothing is unpickled.

Which tensors are the weights follows the rule of :mod:`jokbo.formats.pytorch`: the one mapping that holds
weights itself, none whose name begins with ``optim``. A tensor may be whole or cut along its first axis, as
FSDP cuts; pieces cut otherwise, compressed or missing are errors.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Float32, Int

from jokbo.errors import FormatError
from jokbo.formats.base import Result, RowCodec, TensorCatalog, TensorEntry
from jokbo.formats.dtypes import DType, decode
from jokbo.formats.pickle_names import Known, Table, TensorRecord
from jokbo.formats.pickle_records import Recorded, read_record_pickle
from jokbo.formats.pickles import MAX_PICKLE_BYTES
from jokbo.formats.pytorch import plan_description, tensor_entry
from jokbo.sources.base import ByteRange, FileInfo, Read

METADATA = ".metadata"
SUFFIX = ".distcp"
MAX_CHUNKS = 200_000

_ADVICE = "The checkpoint is damaged, or of a kind that is not read: save the weights as safetensors where they are."

Plan = Generator[list[Read], list[bytes], TensorCatalog]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a tensor: where it begins and its shape, and where its file of ``torch.save`` lies."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]
    file: str
    span: ByteRange


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor of the metadata: the mapping that it lies in, its name there, and its pieces by first row."""

    group: tuple[str, ...]
    name: str
    dtype: DType | None
    shape: tuple[int, ...]
    pieces: tuple[Piece, ...]


def plan_catalog(files: Mapping[str, FileInfo]) -> Plan:
    """Yield the reads that a distributed checkpoint's catalog needs and return it.

    Raises
    ------
    FormatError
        It is malformed, asks for code to be run, lacks a file, or holds several sets of weights.
    """
    if METADATA not in files:
        raise FormatError(
            f"found {SUFFIX} files and no {METADATA}, which says what is in them. Complete the download."
        )
    size = files[METADATA].size
    if size > MAX_PICKLE_BYTES:
        raise FormatError(f"{METADATA} has {size:,} bytes; at most {MAX_PICKLE_BYTES:,} are read. {_ADVICE}")
    (data,) = yield [Read(METADATA, ByteRange(0, size))]
    pickle = read_record_pickle(data, METADATA)
    if pickle.stop != len(data):
        raise FormatError(f"{METADATA}, offset {pickle.stop:,}: bytes follow the pickle. {_ADVICE}")
    stored = choose_weights(read_metadata(pickle.value, files))
    entries: dict[str, TensorEntry] = {}
    beneath: list[TensorEntry] = []
    for tensor in stored:
        pieces = []
        for piece in tensor.pieces:
            pieces.append((yield from _plan_piece(tensor, piece)))
        entries[tensor.name] = _joined(tensor, pieces)
        beneath += pieces
    headers = {METADATA: hashlib.sha256(data).hexdigest()}
    for file in sorted({piece.file for piece in beneath}):
        # What binds a file beyond its size is the metadata, which places every piece in it.
        headers[file] = hashlib.sha256(f"{headers[METADATA]}|{file}|{files[file].size}".encode()).hexdigest()
    ordered = sorted(entries.values(), key=lambda entry: (entry.file, entry.span.start))
    cut = any(entry.codec is not None for entry in ordered)
    return TensorCatalog(
        {entry.name: entry for entry in ordered}, headers, beneath=tuple(beneath) if cut else ()
    )


def read_metadata(value: Any, files: Mapping[str, FileInfo]) -> list[Stored]:
    """The tensors that a described ``Metadata`` speaks of.

    Parameters
    ----------
    value : Recorded
    files : mapping of str to FileInfo

    Raises
    ------
    FormatError
        A part is not of the kind expected, a piece is missing, or lies outside its file.
    """
    if type(value) is not Recorded or value.name != "Metadata":
        _refuse("the pickle is no Metadata of a distributed checkpoint")
    described, places = value.get("state_dict_metadata"), value.get("storage_data")
    if type(described) is not Table or type(places) is not Table:
        _refuse("state_dict_metadata and storage_data are not two dictionaries")
    located = _locations(places, files)
    paths = planner.items if type(planner := value.get("planner_data")) is Table else {}
    found = []
    for name, entry in described.items.items():
        if type(entry) is Recorded and entry.name == "TensorStorageMetadata":
            found.append(_tensor(name, entry, located, paths.get(name)))
        elif type(entry) is not Recorded or entry.name != "BytesStorageMetadata":
            _refuse(f"{name[:120]!r} is neither a tensor nor bytes")
    if sum(len(tensor.pieces) for tensor in found) > MAX_CHUNKS:
        _refuse(f"tensors are cut into more than {MAX_CHUNKS:,} pieces")
    return found


def _locations(places: Table, files: Mapping[str, FileInfo]) -> dict[tuple[str, tuple[int, ...]], Piece]:
    """Where each piece lies, by the name of its tensor and the place in it where it begins."""
    found: dict[tuple[str, tuple[int, ...]], Piece] = {}
    for index, info in places.pairs or ():
        if index.name != "MetadataIndex" or type(info) is not Recorded or info.name != "_StorageInfo":
            _refuse("storage_data holds something else than places of pieces")
        name, offsets = index.get("fqn"), index.get("offset")
        if offsets is None:
            continue  # bytes: settings of the trainer, of no interest here
        file, offset, length = (info.get(key) for key in ("relative_path", "offset", "length"))
        where = f"a piece of {str(name)[:120]!r}"
        if type(name) is not str or not _are_counts(offsets) or type(file) is not str:
            _refuse(f"{where} is not described by a name, offsets and a file")
        if info.get("transform_descriptors"):
            _refuse(f"{where} is compressed or encrypted")
        if file not in files or "/" in file or not file.endswith(SUFFIX):
            _refuse(f"{where} should be in {file[:120]!r}, and there is no such file beside the metadata")
        if not _are_counts((offset, length)) or offset + length > files[file].size:
            _refuse(
                f"{where} should be at {offset!r}, {length!r} bytes of {file}, which has {files[file].size:,}"
            )
        if (name, offsets) in found:
            _refuse(f"{where} at {list(offsets)} has two places")
        found[name, offsets] = Piece(offsets, (), file, ByteRange(offset, offset + length))
    return found


def _tensor(
    name: str, entry: Recorded, located: Mapping[tuple[str, tuple[int, ...]], Piece], path: Any
) -> Stored:
    shape, chunks, properties = entry.get("size"), entry.get("chunks"), entry.get("properties")
    where = f"tensor {name[:120]!r}"
    if not _are_counts(shape) or type(chunks) is not list or not chunks or type(properties) is not Recorded:
        _refuse(f"{where} has no shape, pieces or properties")
    kind = (
        properties.state[0]
        if type(properties.state) is tuple and properties.state
        else properties.get("dtype")
    )
    if type(kind) is not Known or kind.kind != "element":
        _refuse(f"{where} has no element type")
    pieces = []
    for chunk in chunks:
        offsets: Any = chunk.get("offsets") if type(chunk) is Recorded else None
        sizes: Any = chunk.get("sizes") if type(chunk) is Recorded else None
        if not _are_counts(offsets) or not _are_counts(sizes) or not len(offsets) == len(sizes) == len(shape):
            _refuse(f"{where}: a piece's offsets and sizes are not {len(shape)} counts each")
        if 0 in sizes and 0 not in shape:
            continue  # a rank that holds nothing of it
        place = located.get((name, offsets))
        if place is None:
            _refuse(f"{where}: the piece at {list(offsets)} has no place in any file")
        pieces.append(Piece(offsets, sizes, place.file, place.span))
    pieces.sort(key=lambda piece: piece.offsets)
    _check_rows(where, shape, pieces)
    group, own = _place_of(name, path)
    return Stored(group, own, kind.dtype, shape, tuple(pieces))


def _check_rows(where: str, shape: tuple[int, ...], pieces: Sequence[Piece]) -> None:
    """Pieces have to be whole rows that follow each other from the first to the last."""
    end = 0
    for piece in pieces:
        if shape and (any(piece.offsets[1:]) or piece.sizes[1:] != shape[1:]):
            _refuse(f"{where} is cut along an axis other than the first; only whole rows are read")
        if shape and piece.offsets[0] != end:
            _refuse(f"{where}: a piece begins at row {piece.offsets[0]:,}; expected {end:,}")
        end += piece.sizes[0] if shape else 0
    if not pieces or (not shape and len(pieces) != 1) or (shape and end != shape[0]):
        _refuse(f"{where}: its pieces do not make up its shape {list(shape)}")


def _place_of(name: str, path: Any) -> tuple[tuple[str, ...], str]:
    """The mapping that a tensor lies in and its name there; flat where the planner does not say."""
    if type(path) is tuple and path and all(type(part) in (str, int) for part in path):
        *group, own = map(str, path)
        return tuple(group), own
    return (), name


def choose_weights(stored: Sequence[Stored]) -> list[Stored]:
    """The one mapping that holds weights.

    Raises
    ------
    FormatError
        There is none, or there are several.
    """
    groups: dict[tuple[str, ...], list[Stored]] = {}
    for tensor in stored:
        if not any(part.lower().startswith("optim") for part in (*tensor.group, tensor.name)):
            groups.setdefault(tensor.group, []).append(tensor)
    found = {
        group: tensors
        for group, tensors in groups.items()
        if any(tensor.dtype is None or tensor.dtype.is_weight for tensor in tensors)
    }
    if not found:
        _refuse("no mapping of names to weights is there")
    if len(found) > 1:
        places = ", ".join(".".join(group) or "the outermost" for group in list(found)[:8])
        _refuse(f"{len(found)} mappings hold weights ({places[:300]}); which one is the model is not guessed")
    return next(iter(found.values()))


def _plan_piece(tensor: Stored, piece: Piece) -> Generator[list[Read], list[bytes], TensorEntry]:
    """The reads that say where the elements of one piece lie."""
    where = f"{piece.file}, offset {piece.span.start:,}, tensor {tensor.name[:120]!r}"
    try:
        found = yield from _shifted(plan_description(piece.file, piece.span.size), piece.span.start)
        if type(found.value) is not TensorRecord:
            raise FormatError("it holds no tensor")
        span = found.spans[found.value.storage.key]
        entry = tensor_entry(piece.file, _piece_name(tensor, piece), found.value, span)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from None
    if entry.shape != piece.sizes or entry.dtype is not tensor.dtype:
        raise FormatError(
            f"{where}: holds {entry.dtype.name} of shape {list(entry.shape)}; the metadata says "
            f"{tensor.dtype.name if tensor.dtype else 'another type'} of shape {list(piece.sizes)}. {_ADVICE}"
        )
    start = piece.span.start + entry.span.start
    return TensorEntry(
        entry.name, entry.dtype, entry.shape, piece.file, ByteRange(start, start + entry.span.size)
    )


def _piece_name(tensor: Stored, piece: Piece) -> str:
    if len(tensor.pieces) == 1:
        return tensor.name
    return f"{tensor.name}[{piece.offsets[0]}:{piece.offsets[0] + piece.sizes[0]}]"


def _shifted(
    plan: Generator[list[Read], list[bytes], Result], offset: int
) -> Generator[list[Read], list[bytes], Result]:
    """The reads of a plan for a file that begins at `offset` of another."""
    answers: list[bytes] | None = None
    while True:
        try:
            wanted = plan.send(answers) if answers is not None else next(plan)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        answers = yield [Read(file, ByteRange(a + offset, b + offset)) for file, (a, b) in wanted]


def _joined(tensor: Stored, pieces: Sequence[TensorEntry]) -> TensorEntry:
    first = pieces[0]
    if len(pieces) == 1:
        return first
    codec = RowPieces(first.dtype.name, tuple(pieces))
    return TensorEntry(tensor.name, first.dtype, tensor.shape, first.file, first.span, codec)


class RowPieces(RowCodec):
    """Rows of a tensor that lie in several files, each piece whole rows; nothing is rounded.

    Parameters
    ----------
    name : str
        Element type.
    pieces : tuple of TensorEntry
        By first row.
    """

    exact = True

    def __init__(self, name: str, pieces: tuple[TensorEntry, ...]) -> None:
        self.name, self.pieces = name, pieces
        shape = pieces[0].shape
        self._columns = shape[-1] if len(shape) > 1 else 1
        counts = [piece.size // max(self._columns, 1) for piece in pieces]
        self._starts = np.concatenate([[0], np.cumsum(counts)])

    def plan(self, rows: Int[np.ndarray, " n"]) -> list[Read]:
        """One read a row."""
        width = self._columns * self.pieces[0].dtype.itemsize
        holders = np.searchsorted(self._starts, rows, side="right") - 1
        reads = []
        for row, holder in zip(rows, holders, strict=True):
            piece = self.pieces[int(holder)]
            at = piece.span.start + (int(row) - int(self._starts[holder])) * width
            reads.append(Read(piece.file, ByteRange(at, at + width)))
        return reads

    def decode(self, rows: Int[np.ndarray, " n"], data: Sequence[bytes]) -> Float32[np.ndarray, "n cols"]:
        """Decode the answers."""
        return decode(b"".join(data), self.pieces[0].dtype).reshape(len(rows), self._columns)

    def bytes_wanted(self, n_rows: int) -> int:
        """Bytes of so many rows."""
        return n_rows * self._columns * self.pieces[0].dtype.itemsize


def _are_counts(values: Any) -> bool:
    return (
        type(values) is tuple
        and len(values) <= 16
        and all(type(value) is int and 0 <= value < 1 << 62 for value in values)
        and math.prod(max(value, 1) for value in values) < 1 << 124
    )


def _refuse(what: str) -> NoReturn:
    raise FormatError(f"{METADATA}: {what}. {_ADVICE}")
