"""Many sketches in a few arrays: built once a register, kept in files that are mapped into memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, UInt8, UInt16

from jokbo.errors import FormatError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.lineage.sketch_format import (
    HASHED,
    SKETCH_VERSION,
    TABLE_CHANNELS,
    TABLE_ROWS,
    TABLES,
    TIERS,
    Section,
    block_bytes,
    parse_sketch,
    tiers_of,
    width_of,
)

INDEX_VERSION = 1
FLUSH_BYTES = 64 << 20
EXTRA_BLOCKS = 1024
NO_TOKEN = (1 << 31) - 1


class GroupKey(NamedTuple):
    """What sections must share to be held against each other."""

    kind: str
    tower: str
    key: str
    rows: int


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks of one group, of all models, ordered by model.

    Attributes
    ----------
    owner : array (blocks,)
        Number of the model.
    depth : array (blocks,)
    places : array (blocks, 2 * places a block)
    codes : array (blocks,)
        Each block's place as one number.
    words : array (blocks, words)
        Packed signs, padded with zeros to whole words.
    rows : int
        Rows that each block is made of.
    extra : array (blocks, ...)
        How many signs are positive: of rows, in each channel of each tier; of Gram matrices and norms, in all.
    """

    owner: Int[np.ndarray, " blocks"]
    depth: Int[np.ndarray, " blocks"]
    places: Int[np.ndarray, "blocks places"]
    codes: Int[np.ndarray, " blocks"]
    words: np.ndarray
    extra: UInt16[np.ndarray, "blocks values"]
    rows: int


@dataclass(frozen=True, slots=True)
class SketchIndex:
    """All sketches of a register.

    Attributes
    ----------
    digest : str
        Of the register that they are of.
    keys : tuple of str
        Keys of the models, in the order of their numbers.
    salt : str
    """

    digest: str
    keys: tuple[str, ...]
    salt: str
    groups: dict[GroupKey, Group]

    def __len__(self) -> int:
        return len(self.keys)


def group_key(section: Section) -> GroupKey:
    """The group that a section belongs to."""
    if section.kind in TABLES:
        return GroupKey(section.kind, section.tower, section.key, TABLE_ROWS)
    if section.kind == HASHED:
        # The Gram matrix of one list of tokens says nothing of another's.
        names = hashlib.sha256(np.array(section.places, dtype="<i4").tobytes()).hexdigest()[:16]
        return GroupKey(section.kind, section.tower, names, section.rows)
    return GroupKey(section.kind, section.tower, section.key, section.rows)


def section_rows(
    section: Section,
) -> tuple[Int[np.ndarray, "blocks places"], UInt8[np.ndarray, "blocks bytes"]]:
    """Places and padded bytes of a section, as a group keeps them."""
    places = np.array(section.places, dtype="<i4")
    data = section.data
    if section.kind in TABLES:
        numbers = np.full(TABLE_ROWS, NO_TOKEN, dtype="<i4")
        numbers[: len(places)] = places[:, 0]
        places = numbers[None]
        whole = block_bytes(section.kind, section.key, TABLE_ROWS)
        data = np.pad(data, ((0, 0), (0, whole - data.shape[1])))
    elif section.kind == HASHED:
        places = places[:1]
    return places, np.pad(data, ((0, 0), (0, -data.shape[1] % 8)))


def table_channels(key: str) -> int:
    """Channels whose signs tables and norms hold."""
    return min(width_of(key), TABLE_CHANNELS)


def place_codes(places: Int[np.ndarray, "blocks places"]) -> Int[np.ndarray, " blocks"]:
    """A place as one number: layer, and expert or role."""
    return np.asarray((places[:, 0].astype(np.int64) << 32) + places[:, -1])


def gram_bits(rows: int) -> int:
    """Pairs of rows."""
    return rows * (rows - 1) // 2


def unpack_tiers(
    words: np.ndarray, tiers: Sequence[tuple[int, int]]
) -> list[UInt8[np.ndarray, "blocks rows channels"]]:
    """Signs of each tier, as 0 and 1."""
    data = np.ascontiguousarray(words).view(np.uint8)
    found, start = [], 0
    for rows, channels in tiers:
        width = -(-channels // 8)
        part = data[:, start : start + rows * width].reshape(len(words), rows, width)
        found.append(np.unpackbits(part, axis=2)[:, :, :channels])
        start += rows * width
    return found


def _extra(key: GroupKey, words: np.ndarray) -> np.ndarray:
    """What :attr:`Group.extra` holds of some blocks."""
    if key.kind in TABLES:
        return np.empty((len(words), 0), dtype="<u2")
    if key.kind not in TIERS:
        return np.asarray(np.bitwise_count(words).sum(axis=1, keepdims=True), dtype="<u2")
    tiers = unpack_tiers(words, tiers_of(key.kind, width_of(key.key), key.rows))
    return np.concatenate([tier.sum(axis=1, dtype="<u2") for tier in tiers], axis=1)


class _Writer:
    """Appends the blocks of each group to its files, holding little in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.held: dict[GroupKey, list[tuple[bytes, bytes]]] = {}
        self.size = 0
        self.numbers: dict[GroupKey, list[int]] = {}  # number, blocks, ints, bytes, extra values

    def add(self, model: int, section: Section) -> None:
        key = group_key(section)
        places, data = section_rows(section)
        head = np.empty((len(data), 2 + places.shape[1]), dtype="<i4")
        head[:, 0], head[:, 1], head[:, 2:] = model, section.depth, places
        known = self.numbers.setdefault(key, [len(self.numbers), 0, head.shape[1], data.shape[1], 0])
        known[1] += len(data)
        self.held.setdefault(key, []).append((head.tobytes(), data.tobytes()))
        self.size += data.size + head.nbytes
        if self.size >= FLUSH_BYTES:
            self.flush()

    def flush(self) -> None:
        for key, blocks in self.held.items():
            number = self.numbers[key][0]
            for name, part in (("head", 0), ("words", 1)):
                data = b"".join(block[part] for block in blocks)
                with (self.folder / f"{number}.{name}").open("ab") as file:
                    file.write(data)
            words = np.frombuffer(data, dtype=np.uint64).reshape(-1, self.numbers[key][3] // 8)
            extra = np.concatenate(
                [_extra(key, words[k : k + EXTRA_BLOCKS]) for k in range(0, len(words), EXTRA_BLOCKS)]
            )
            self.numbers[key][4] = extra.shape[1]
            with (self.folder / f"{number}.extra").open("ab") as file:
                file.write(extra.tobytes())
        self.held.clear()
        self.size = 0


def build_index(
    folder: Path,
    sketches: Iterable[tuple[str, bytes]],
    *,
    digest: str,
    salt: str,
    skip: Callable[[str, FormatError], None] | None = None,
) -> SketchIndex:
    """Pack sketches into a folder, which is complete or not there at all, and open it.

    Parameters
    ----------
    folder : Path
        Replaced where it is there.
    sketches : iterable of (key, bytes)
        In the order in which the models are numbered.
    digest, salt : str
        Of the register.
    skip : callable, optional
        Called with the key of each malformed sketch, which is then left out.

    Raises
    ------
    FormatError
        A sketch is malformed, and there is no `skip`; the message names its model.
    UsageError
        A sketch is of another salt than the register.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        writer = _Writer(temporary)
        keys: list[str] = []
        for key, data in sketches:
            try:
                sketch = parse_sketch(data, where=f"fingerprint {key[:16]}")
            except FormatError as error:
                if skip is None:
                    raise
                skip(key, error)
                continue
            if sketch.salt != salt:
                raise UsageError(
                    f"fingerprint {key[:16]} is of another salt than its register, so it shares no rows with the "
                    "others. Make it with the register's salt."
                )
            for section in sketch.sections:
                writer.add(len(keys), section)
            keys.append(key)
        writer.flush()
        document = {
            "index": INDEX_VERSION,
            "sketch": SKETCH_VERSION,
            "digest": digest,
            "salt": salt,
            "keys": keys,
            "groups": [[*key, *numbers] for key, numbers in writer.numbers.items()],
        }
        (temporary / "index.json").write_bytes(canonical_bytes(document))
        shutil.rmtree(folder, ignore_errors=True)
        try:
            os.replace(temporary, folder)
        except OSError:  # another process was faster: what it wrote is the same
            if not (folder / "index.json").is_file():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_index(folder)


def open_index(folder: Path) -> SketchIndex:
    """Map a packed index into memory.

    Raises
    ------
    FormatError
        It is of another version, or its files are not as long as it says.
    """
    try:
        document = json.loads((folder / "index.json").read_bytes())
        if (document["index"], document["sketch"]) != (INDEX_VERSION, SKETCH_VERSION):
            raise ValueError("it is of another version")
        keys = tuple(map(str, document["keys"]))
        groups = dict(_group(folder, row, len(keys)) for row in document["groups"])
        return SketchIndex(str(document["digest"]), keys, str(document["salt"]), groups)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"the packed sketches in {folder} cannot be used ({error}). Remove that folder: it is made again."
        ) from None


def _group(folder: Path, row: Sequence[Any], models: int) -> tuple[GroupKey, Group]:
    kind, tower, key, rows, number, blocks, ints, size, values = row
    head = np.fromfile(folder / f"{number:d}.head", dtype="<i4").reshape(blocks, ints)
    words = np.memmap(folder / f"{number:d}.words", dtype=np.uint64, mode="r").reshape(blocks, size // 8)
    extra = np.fromfile(folder / f"{number:d}.extra", dtype="<u2").reshape(blocks, values)
    owner = np.ascontiguousarray(head[:, 0])
    if len(owner) and (owner.min() < 0 or owner.max() >= models or (np.diff(owner) < 0).any()):
        raise ValueError("its models are not in order")
    depth, places = np.ascontiguousarray(head[:, 1]), np.ascontiguousarray(head[:, 2:])
    return GroupKey(kind, tower, key, rows), Group(
        owner, depth, places, place_codes(places), words, extra, int(rows)
    )


def cached_index(
    folder: Path, sketches: Iterable[tuple[str, bytes]], *, digest: str, salt: str
) -> SketchIndex:
    """The packed index beside a register; made again when the register has changed or the files are damaged.

    Examples
    --------
    >>> import tempfile
    >>> from jokbo.lineage.sketch import make_sketch
    >>> from jokbo.testing.builders import llama
    >>> from jokbo.views.model import open_model
    >>> sketch = make_sketch(open_model(llama(np.random.default_rng(0)).to_source(name="m")))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     index = cached_index(Path(place) / "sketches", [("k", sketch)], digest="d", salt="jokbo-1")
    ...     again = cached_index(Path(place) / "sketches", [], digest="d", salt="jokbo-1")
    >>> len(index), again.keys
    (1, ('k',))
    """
    if (folder / "index.json").is_file():
        try:
            index = open_index(folder)
        except FormatError:
            index = None
        if index is not None and (index.digest, index.salt) == (digest, salt):
            return index
    return build_index(folder, sketches, digest=digest, salt=salt)
