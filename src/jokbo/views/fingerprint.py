"""Open a fingerprint: a few rows of a model, in a file, read as the model that they were taken from.

The file is safetensors. Its metadata hold one JSON header, ``jokbo.fingerprint``; its tensors are blocks of
bytes: ``catalog`` (names, types and shapes of every tensor, and the configuration), ``tokens`` (texts and rows
of the tokens sampled), ``spans`` and ``rows`` (which bytes of the model's tensors are held, and these bytes),
``sketch`` (what a search loads). A private fingerprint has no spans and rows; it has ``gram_index`` and ``grams``
(:mod:`jokbo.views.gram_blocks`). The header names the digest of every block. What it says of the model's
name, files and digests is a claim: nobody can check it without the weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int64

from jokbo.errors import ArchitectureError, FormatError, NotFoundError
from jokbo.formats import safetensors
from jokbo.formats.base import TensorCatalog, TensorEntry, run_plan
from jokbo.formats.choose import FORMATS, NOT_WEIGHTS
from jokbo.formats.dtypes import DType
from jokbo.sources.base import ByteRange, FileInfo, Source, SourceIdentity
from jokbo.sources.excerpt import ExcerptSource
from jokbo.sources.local import LocalSource
from jokbo.sources.memory import MemorySource
from jokbo.views.fingerprint_header import (
    FINGERPRINT,
    METADATA_KEY,
    FingerprintHeader,
    parse_fingerprint_header,
)
from jokbo.views.model import Model
from jokbo.views.sampling import Sampling
from jokbo.views.tokens import Vocabulary

if TYPE_CHECKING:
    from jokbo.architectures.base import Anatomy
    from jokbo.views.private_grams import HeldGrams, Place

SUFFIX = ".fingerprint.safetensors"
_ROWS, _PRIVATE = ("spans", "rows"), ("gram_index", "grams")
ROWS_FILE = "fingerprint:rows"
"""What reads of a fingerprint's rows name: the model's tensors laid end to end, as the catalog lists them."""

MAX_FINGERPRINT_BYTES = 32_000_000
MAX_TENSORS = 1 << 20
MAX_DIMENSIONS = 8
MAX_TOKEN_ROWS = 1 << 40
MAX_HEADER_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class _Opened:
    """A fingerprint's header and where its blocks lie."""

    source: Source
    file: str
    header: FingerprintHeader
    entries: Mapping[str, TensorEntry]

    def block(self, name: str, dtype: DType = DType.U8) -> bytes:
        """One block, checked against the digest that the header names."""
        entry = self.entries.get(name)
        expected = self.header.blocks.get(name)
        if entry is None or expected is None:
            raise FormatError(f"{self.where}: block {name!r} is missing. Make the fingerprint again.")
        if entry.dtype is not dtype:
            raise FormatError(
                f"{self.where}: block {name!r} is stored as {entry.dtype.name}; expected {dtype.name}. "
                "Make the fingerprint again."
            )
        data = self.source.read(self.file, entry.span.start, entry.span.stop)
        found = hashlib.sha256(data).hexdigest()
        if found != expected:
            raise FormatError(
                f"{self.where}: block {name!r} has the digest {found[:16]}…, and its header names {expected[:16]}…: "
                "the file is damaged or was changed. Fetch it or make it again."
            )
        return data

    @property
    def where(self) -> str:
        """What messages call the file."""
        return self.source.identity.name if len(self.source.files) == 1 else self.file


def is_fingerprint(files: Mapping[str, FileInfo]) -> str | None:
    """The name of the fingerprint that a source consists of; None where it holds a model, or neither.

    Raises
    ------
    FormatError
        It holds several fingerprints and no model.
    """
    found = sorted(name for name in files if name.endswith(SUFFIX))
    weights = tuple(ending for endings in FORMATS.values() for ending in endings)
    whole = any(
        name.endswith(weights) and not name.endswith(SUFFIX) and not NOT_WEIGHTS.fullmatch(name)
        for name in files
    )
    if whole or not found:
        return None
    if len(found) > 1:
        raise FormatError(
            f"found {len(found):,} fingerprints ({found[0]}, {found[1]}{', …' if found[2:] else ''}) where one model "
            "is expected. Name one file."
        )
    return found[0]


def _open(source: Source, file: str) -> _Opened:
    size = source.file_info(file).size
    if size > MAX_FINGERPRINT_BYTES:
        raise FormatError(
            f"{file} is {size:,} bytes; a fingerprint has at most {MAX_FINGERPRINT_BYTES:,}. Check the file."
        )
    if size >= 8:
        length = int.from_bytes(source.read(file, 0, 8), "little")
        if length > MAX_HEADER_BYTES:
            raise FormatError(
                f"{file}: its header is said to be {length:,} bytes; a fingerprint's has at most {MAX_HEADER_BYTES:,}. "
                "This is no fingerprint, or it is damaged."
            )
    catalog = run_plan(safetensors.plan_catalog({file: FileInfo(size)}), source)
    text = catalog.metadata.get(METADATA_KEY)
    if text is None:
        raise FormatError(
            f"{file} is a safetensors file and no fingerprint: its metadata lack {METADATA_KEY!r}. "
            "Make one with `jokbo fingerprint MODEL -o FILE`."
        )
    header = parse_fingerprint_header(text, where=file)
    _check_names(catalog.entries, header, file)
    return _Opened(source, file, header, catalog.entries)


def _check_names(entries: Mapping[str, TensorEntry], header: FingerprintHeader, where: str) -> None:
    """Every block that the header names is there, and no other."""
    needed = {"catalog", "tokens", *(_PRIVATE if header.private else _ROWS)}
    missing = sorted((needed | set(header.blocks)) - set(entries))
    if missing:
        raise FormatError(f"{where}: block {missing[0]!r} is missing. Make the fingerprint again.")
    other = sorted(set(entries) - set(header.blocks))
    if other:
        raise FormatError(
            f"{where}: it has a block {other[0][:80]!r} whose digest its header does not name. Make the fingerprint "
            "again."
        )


def _source(given: str | os.PathLike[str] | bytes, where: str) -> tuple[Source, str]:
    if isinstance(given, bytes):
        return MemorySource({where: given}, name=where), where
    path = Path(given)
    if not path.is_file():
        what = "a folder, and a fingerprint is a file" if path.is_dir() else "no fingerprint there"
        raise NotFoundError(f"{path}: {what}. Make one with `jokbo fingerprint MODEL -o FILE`.")
    source = LocalSource(path)
    return source, path.name


def read_header(
    given: str | os.PathLike[str] | bytes, *, where: str = "fingerprint.safetensors"
) -> FingerprintHeader:
    """What a fingerprint says of its model; only the header is read.

    Raises
    ------
    NotFoundError
        There is no such file.
    FormatError
        It is no fingerprint, is malformed, or is of a newer version.
    """
    source, file = _source(given, where)
    try:
        return _open(source, file).header
    finally:
        source.close()


def check_fingerprint(
    given: str | os.PathLike[str] | bytes, *, where: str = "fingerprint.safetensors"
) -> FingerprintHeader:
    """Check the digest of every block, and that the blocks fit together.

    Raises
    ------
    FormatError
        The file is damaged; the message names it and the block.
    """
    source, file = _source(given, where)
    try:
        opened = _open(source, file)
        for name, entry in opened.entries.items():
            opened.block(name, entry.dtype)
        open_fingerprint(source, file)
        return opened.header
    finally:
        source.close()


def read_sketch(
    given: str | os.PathLike[str] | bytes, *, where: str = "fingerprint.safetensors"
) -> bytes | None:
    """The sketch that a search loads, its digest checked; None where a fingerprint has none."""
    source, file = _source(given, where)
    try:
        opened = _open(source, file)
        return opened.block("sketch") if "sketch" in opened.entries else None
    finally:
        source.close()


def open_fingerprint(source: Source, file: str) -> Model:
    """Open a fingerprint as a model that holds some of its rows.

    Parameters
    ----------
    source : Source
        May be closed afterwards: everything is read here.
    file : str
        Name of the fingerprint in it.

    Raises
    ------
    FormatError
        The file is no fingerprint, is damaged, or contradicts itself.
    """
    from jokbo.architectures.matching import match

    opened = _open(source, file)
    header = opened.header
    document = _json(opened.block("catalog"), opened.where)
    catalog = _catalog(document, header, opened.where)
    size = sum(entry.span.size for entry in catalog.values())
    _check_blocks(opened)
    if header.private:
        spans, data = np.empty((0, 2), dtype=np.int64), b""
    else:
        spans = _read_spans(opened)
        data = opened.block("rows")
    _check_spans(spans, size, len(data), opened.where)
    identity = SourceIdentity(FINGERPRINT, header.name, header.commit)
    files = {f.file: FileInfo(f.size, f.sha256) for f in header.files}
    rows = ExcerptSource(identity, files, ROWS_FILE, size, spans, data)
    config = document.get("config")
    if not isinstance(config, dict | None):
        raise FormatError(
            f"{opened.where}: the configuration in its catalog is no object. Make the fingerprint again."
        )
    try:
        anatomy = match(catalog, config)
    except ArchitectureError as error:
        raise FormatError(f"{opened.where}: its catalog describes no model: {error}") from None
    plan = header.plan
    sampling = Sampling(
        header.salt, plan["units"], plan["values"], plan["rotary"], plan["tokens"], dict(header.layers)
    )
    model = Model(
        rows,
        catalog,
        config,
        anatomy,
        sampling,
        _vocabulary(_json(opened.block("tokens"), opened.where), opened.where),
        _grams(opened, anatomy) if header.private else None,
    )
    if (model.digest, model.digest_covers) != (header.digest, header.digest_covers):
        raise FormatError(
            f"{opened.where}: its header names the model's digest {header.digest[:16]}…, and the files that it lists "
            f"have {model.digest[:16]}…. Make the fingerprint again."
        )
    return model


def _read_spans(opened: _Opened) -> Int64[np.ndarray, "n 2"]:
    data = opened.block("spans", DType.I64)
    if len(data) % 16:
        raise FormatError(
            f"{opened.where}: block 'spans' has {len(data):,} bytes; expected pairs of 8-byte numbers. "
            "Make the fingerprint again."
        )
    return np.frombuffer(data, dtype="<i8").reshape(-1, 2)


def _check_blocks(opened: _Opened) -> None:
    """A fingerprint holds rows, or is private and holds Gram matrices: never both."""
    wrong = _ROWS if opened.header.private else _PRIVATE
    found = [name for name in wrong if name in opened.entries]
    if found:
        said = "private" if opened.header.private else "not private"
        raise FormatError(
            f"{opened.where}: its header says that it is {said}, and it has a block {found[0]!r}. Make it again."
        )


def _grams(opened: _Opened, anatomy: Anatomy) -> dict[Place, HeldGrams]:
    from jokbo.views.gram_blocks import read_grams

    index = _json(opened.block("gram_index"), opened.where)
    return read_grams(index, opened.block("grams", DType.I16), anatomy, where=opened.where)


def _json(data: bytes, where: str) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where}: a block is not JSON ({error}). Make the fingerprint again.") from None
    if not isinstance(document, dict):
        raise FormatError(f"{where}: a block holds no object. Make the fingerprint again.")
    return document


def _catalog(document: Mapping[str, Any], header: FingerprintHeader, where: str) -> TensorCatalog:
    rows = document.get("tensors")
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_TENSORS:
        raise FormatError(f"{where}: the catalog lists no tensors. Make the fingerprint again.")
    entries: dict[str, TensorEntry] = {}
    position = 0
    for row in rows:
        match row:
            case [str(name), str(dtype), list(shape)] if dtype in DType.__members__ and _is_shape(shape):
                size = math.prod(shape) * DType[dtype].itemsize
            case _:
                raise FormatError(
                    f"{where}: the catalog holds {json.dumps(row)[:80]}; expected [name, type, shape]. "
                    "Make the fingerprint again."
                )
        if name in entries:
            raise FormatError(f"{where}: the catalog lists {name[:80]!r} twice. Make the fingerprint again.")
        if position + size >= 1 << 62:
            raise FormatError(
                f"{where}: the catalog lists more bytes than any model has. Make the fingerprint again."
            )
        span = ByteRange(position, position + size)
        entries[name] = TensorEntry(name, DType[dtype], tuple(shape), ROWS_FILE, span)
        position += size
    return TensorCatalog(entries, {f.file: f.header_sha256 for f in header.files})


def _is_shape(shape: list[Any]) -> bool:
    return len(shape) <= MAX_DIMENSIONS and all(type(n) is int and 0 <= n < 1 << 40 for n in shape)


def _check_spans(spans: Int64[np.ndarray, "n 2"], size: int, held: int, where: str) -> None:
    flat = spans.reshape(-1)
    # In this order: differences of numbers of any size could wrap round and look ascending.
    inside = not len(flat) or (flat.min() >= 0 and flat.max() <= size and bool((np.diff(flat) >= 0).all()))
    if not inside or bool((spans[:, 0] == spans[:, 1]).any()):
        raise FormatError(
            f"{where}: its spans do not lie in order, apart from each other, inside the model. "
            "Make the fingerprint again."
        )
    covered = int((spans[:, 1] - spans[:, 0]).sum())
    if covered != held:
        raise FormatError(
            f"{where}: its spans cover {covered:,} bytes, and it holds {held:,} bytes of rows. "
            "Make the fingerprint again."
        )


def _vocabulary(document: Mapping[str, Any], where: str) -> Vocabulary | None:
    """Only the tokens sampled: rows are matched by text among these."""
    if "size" in document and document["size"] is None:
        return None
    if type(document.get("size")) is not int:
        raise FormatError(f"{where}: block 'tokens' names no size. Make the fingerprint again.")
    sampled, reserved = (_tokens(document.get(key), key, where) for key in ("tokens", "reserved"))
    return Vocabulary(sampled | reserved, (), frozenset(), frozenset(reserved))


def _tokens(rows: Any, key: str, where: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows if isinstance(rows, list) else [None]:
        match row:
            case [str(text), int(number)] if (
                type(number) is int and 0 <= number < MAX_TOKEN_ROWS and text not in found
            ):
                found[text] = number
            case _:
                raise FormatError(
                    f"{where}: block 'tokens' holds no list {key!r} of [text, row], each text once. "
                    "Make the fingerprint again."
                )
    return found
