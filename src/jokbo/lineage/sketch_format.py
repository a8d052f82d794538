"""The bytes of a sketch: a JSON header of bounded length, and packed signs whose lengths follow from it."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from jokbo.errors import FormatError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.views.sampling import MAX_SALT_LENGTH

MAGIC = b"jokbosk1"
SKETCH_VERSION = 1
MAX_SKETCH_BYTES = 256 << 10
MAX_SECTIONS = 64
MAX_PLACES = 128
MAX_ROWS = 64
TABLE_ROWS = 128

UNITS = "units"
"""Signs of gate rows (up rows where there are no gates), in some channels."""
GRAM = "unit_gram"
"""Signs of the Gram matrix of the same rows."""
VALUES = "values"
"""Signs of value rows."""
ROTARY = "rotary"
"""Signs of query and key rows of one head."""
NORMS = "norms"
"""Which gains lie above the median of their norm."""
TABLES = ("token_embd", "output")
"""Signs of the rows of the tokens of the smallest hash."""
HASHED = "reserved"
"""Signs of the Gram matrix of reserved tokens' rows."""
KINDS = (UNITS, GRAM, VALUES, ROTARY, NORMS, *TABLES, HASHED)

TABLE_CHANNELS = 256
MIN_CHANNELS = 64

TIERS: Mapping[str, tuple[tuple[int, int], ...]] = {
    UNITS: ((16, 256), (16, 128), (32, 64)),
    VALUES: ((16, 128), (16, 128)),
    ROTARY: ((16, 128),),
}
"""Rows and channels of each tier: a fingerprint of a large model holds few rows, which are the first of those that a
small model's holds, so any two sketches share their first tiers."""

_MAX_NUMBER = 1 << 31
_MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class Section:
    """Signs of one kind, of one shape.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    tower : str
    key : str
        Sections of one kind, tower and key can be held against each other.
    depth : int
        Layers of the tower.
    places : tuple of (int, int)
        What each row of `data` is of: (layer, expert or -1); for norms (layer or -1, role); for tables, of each
        row of the one block, (hash of the token, -1).
    rows : int
        Rows that a block is made of.
    data : array (blocks, bytes)
        Packed signs.
    """

    kind: str
    tower: str
    key: str
    depth: int
    places: tuple[tuple[int, int], ...]
    rows: int
    data: UInt8[np.ndarray, "blocks bytes"]

    @property
    def blocks(self) -> int:
        """Rows of `data`."""
        return _blocks(self.kind, len(self.places))


@dataclass(frozen=True, slots=True)
class Sketch:
    """A sketch, parsed."""

    salt: str
    sections: tuple[Section, ...]


def _blocks(kind: str, places: int) -> int:
    return 1 if kind in TABLES or kind == HASHED else places


def width_of(key: str) -> int:
    """Width of the rows, with which the key of a section of rows ends."""
    return int(key.rpartition("x")[2])


def tiers_of(kind: str, width: int, rows: int) -> tuple[tuple[int, int], ...]:
    """Rows and channels of each tier of a section that has so many rows.

    Examples
    --------
    >>> tiers_of("units", 4096, 32), tiers_of("units", 100, 7)
    (((16, 256), (16, 128)), ((7, 100),))
    """
    found = []
    for most, channels in TIERS[kind]:
        if rows > 0:
            found.append((min(most, rows), min(channels, width)))
            rows -= most
    return tuple(found)


def rows_kept(kind: str, rows: int) -> int:
    """How many of the rows held a section keeps: whole tiers, or fewer than the first.

    Examples
    --------
    >>> [rows_kept("units", rows) for rows in (9, 24, 48, 64, 300)]
    [9, 16, 32, 64, 64]
    """
    kept = 0
    for most, _ in TIERS[kind]:
        if rows < kept + most:
            break
        kept += most
    return kept or rows


def tier_bytes(tiers: Sequence[tuple[int, int]]) -> int:
    """Bytes of some tiers: each row takes whole bytes."""
    return sum(rows * -(-channels // 8) for rows, channels in tiers)


def block_bytes(kind: str, key: str, rows: int) -> int:
    """Bytes of one block, from what its header says.

    Examples
    --------
    >>> block_bytes("units", "9x4096", 64), block_bytes("unit_gram", "344", 64), block_bytes("token_embd", "96", 3)
    (1024, 252, 36)
    """
    if kind in (GRAM, HASHED):
        return -(-(rows * (rows - 1) // 2) // 8)
    if kind in TIERS:
        return tier_bytes(tiers_of(kind, width_of(key), rows))
    return rows * (-(-min(width_of(key), TABLE_CHANNELS) // 8))


def pack_signs(signs: Bool[np.ndarray, "rows bits"]) -> UInt8[np.ndarray, " bytes"]:
    """Pack signs, each row into whole bytes."""
    return np.packbits(signs, axis=1).reshape(-1)


def write_sketch(salt: str, sections: Sequence[Section]) -> bytes:
    """The bytes of a sketch.

    Raises
    ------
    FormatError
        It would be longer than any reader accepts.
    """
    header = {
        "version": SKETCH_VERSION,
        "salt": salt,
        "sections": [
            {
                "kind": s.kind,
                "tower": s.tower,
                "key": s.key,
                "depth": s.depth,
                "rows": s.rows,
                "places": [n for place in s.places for n in place],
            }
            for s in sections
        ],
    }
    text = canonical_bytes(header)
    body = b"".join(np.ascontiguousarray(s.data).tobytes() for s in sections)
    data = MAGIC + struct.pack("<I", len(text)) + text + body
    if len(data) > MAX_SKETCH_BYTES:
        raise FormatError(f"a sketch of {len(data):,} bytes; expected at most {MAX_SKETCH_BYTES:,}.")
    return data


def parse_sketch(data: bytes, *, where: str = "sketch") -> Sketch:
    """Read a sketch that somebody else wrote.

    Raises
    ------
    FormatError
        It is no sketch, is of another version, or contradicts itself.
    """
    if not len(MAGIC) + 4 <= len(data) <= MAX_SKETCH_BYTES or data[: len(MAGIC)] != MAGIC:
        raise FormatError(
            f"{where}: {len(data):,} bytes are no sketch of this version. Make the fingerprint again."
        )
    start = len(MAGIC) + 4
    (length,) = struct.unpack_from("<I", data, len(MAGIC))
    if length > len(data) - start:
        raise FormatError(f"{where}: the sketch ends inside its header. Make the fingerprint again.")
    try:
        header = json.loads(data[start : start + length])
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where}: the sketch's header is not JSON ({error}). Make the fingerprint again."
        ) from None
    try:
        return _parse(header, memoryview(data)[start + length :])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(
            f"{where}: the sketch is malformed ({error}). Make the fingerprint again."
        ) from None


def _parse(header: Any, body: memoryview) -> Sketch:
    if set(header) != {"version", "salt", "sections"} or header["version"] != SKETCH_VERSION:
        raise ValueError(f"expected version {SKETCH_VERSION}, a salt and sections")
    salt, rows = header["salt"], header["sections"]
    if not isinstance(salt, str) or not 0 < len(salt) <= MAX_SALT_LENGTH:
        raise ValueError("salt is no short text")
    if not isinstance(rows, list) or len(rows) > MAX_SECTIONS:
        raise ValueError(f"sections is no list of at most {MAX_SECTIONS}")
    sections, place, seen = [], 0, set()
    for row in rows:
        section, used = _section(row, body[place:])
        name = (section.kind, section.tower, section.key)
        if name in seen:
            raise ValueError(f"{section.kind} of {section.tower} is there twice")
        seen.add(name)
        sections.append(section)
        place += used
    if place != len(body):
        raise ValueError(f"{len(body) - place:,} bytes too many")
    return Sketch(salt, tuple(sections))


def _section(row: Any, body: memoryview) -> tuple[Section, int]:
    if set(row) != {"kind", "tower", "key", "depth", "rows", "places"}:
        raise ValueError("a section has other fields than it should")
    kind, key = _text(row["kind"]), _text(row["key"])
    if kind not in KINDS:
        raise ValueError(f"there is no kind {kind!r}")
    sizes = [int(part) for part in key.rpartition("x")[2].split(",")]
    if kind == UNITS and key.count("x") != 2:
        raise ValueError(f"the key {key!r} names no units of a width")
    if len(sizes) != 1 or not 0 < sizes[0] < _MAX_NUMBER or not key.isascii() or "_" in key:
        raise ValueError(f"the key {key!r} ends in no size")
    flat = row["places"]
    if not isinstance(flat, list) or not 0 < len(flat) <= 2 * MAX_PLACES or len(flat) % 2:
        raise ValueError(f"{kind} has no list of at most {MAX_PLACES} places")
    places = tuple((_number(a, -1), _number(b, -1)) for a, b in zip(flat[::2], flat[1::2], strict=True))
    count = _number(row["rows"], 1)
    most = TABLE_ROWS if kind in TABLES else MAX_ROWS
    if count > most or (_blocks(kind, 2) == 1 and count != len(places)):
        raise ValueError(f"{kind} has {count} rows")
    if kind in (GRAM, HASHED) and count < 2:
        raise ValueError(f"{kind} has one row and no pairs")
    if kind in TIERS and count != rows_kept(kind, count):
        raise ValueError(f"{kind} has {count} rows, which fill no tier")
    if _blocks(kind, 2) > 1 and len(set(places)) != len(places):
        raise ValueError(f"{kind} names a place twice")
    shape = (_blocks(kind, len(places)), block_bytes(kind, key, count))
    used = shape[0] * shape[1]
    if used > len(body):
        raise ValueError("it ends inside its signs")
    data = np.frombuffer(body[:used], dtype=np.uint8).reshape(shape)
    return Section(kind, _text(row["tower"]), key, _number(row["depth"], 0), places, count, data), used


def _text(value: Any) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_TEXT:
        raise ValueError(f"{str(value)[:40]!r} is no short text")
    return value


def _number(value: Any, least: int) -> int:
    if type(value) is not int or not least <= value < _MAX_NUMBER:
        raise ValueError(f"{str(value)[:40]!r} is no number from {least}")
    return value
