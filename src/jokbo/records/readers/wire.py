"""Protobuf's wire format, many messages at a time.

A log of a million rows holds twenty million small messages, and an object for each costs a minute; here
all messages of a piece of a file are walked together, field after field, by NumPy. Only wanted fields are
given out; the others are stepped over, as the format demands of readers that do not know them. Every
length is checked against its message before it is used.

References
----------
Protocol Buffers, "Encoding", https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8, UInt64

PADDING = 16
"""Bytes that must follow the data, so that a field cut short can be read before it is refused."""

MAX_FIELDS = 16_384
"""Fields of one message; a history row has one for each metric."""

FEW = 16
"""With so few messages left, one after another is faster."""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """A message does not follow the format; `message` is its number among those walked."""

    def __init__(self, message: int, why: str) -> None:
        super().__init__(why)
        self.message = message


@dataclass(frozen=True, slots=True)
class Fields:
    """Wanted fields of many messages, ordered by message and then as written.

    Attributes
    ----------
    message : ndarray of int64
        Number of the message that the field is in.
    number, wire : ndarray of int64
        The field's number and how it is written.
    value : ndarray of uint64
        Of a varint; 0 for others.
    start, stop : ndarray of int64
        Where the field's bytes lie in the data.
    """

    message: Int64[np.ndarray, " n"]
    number: Int64[np.ndarray, " n"]
    wire: Int64[np.ndarray, " n"]
    value: UInt64[np.ndarray, " n"]
    start: Int64[np.ndarray, " n"]
    stop: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.message)

    def only(self, number: int, wire: int) -> Fields:
        """Fields of one number, written in one way; others of that number are not what they are said to be.

        Raises
        ------
        WireError
            A field of that number is written in another way.
        """
        mine = np.flatnonzero(self.number == number)
        wrong = mine[self.wire[mine] != wire]
        if wrong.size:
            raise WireError(
                int(self.message[wrong[0]]),
                f"field {number} has wire type {int(self.wire[wrong[0]])}, not {wire}",
            )
        return self.take(mine)

    def take(self, index: Int64[np.ndarray, " k"]) -> Fields:
        """Some of the fields."""
        return Fields(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


def walk(
    data: UInt8[np.ndarray, " bytes"],
    starts: Int64[np.ndarray, " m"],
    stops: Int64[np.ndarray, " m"],
    wanted: Collection[int],
    *,
    ordered: bool = True,
) -> Fields:
    """Fields of messages that lie at ``data[starts:stops]``; at least 16 bytes must follow the last.

    Where not `ordered`, all first fields come before all second ones, which saves a sort.

    Raises
    ------
    WireError
        A message is malformed.

    Examples
    --------
    >>> data = np.frombuffer(bytes([0x08, 0x96, 0x01, 0x12, 0x02, 0x68, 0x69]) + bytes(16), np.uint8)
    >>> found = walk(data, np.array([0]), np.array([7]), {1, 2})
    >>> found.number.tolist(), found.value.tolist(), found.start.tolist(), found.stop.tolist()
    ([1, 2], [150, 0], [1, 5], [3, 7])
    """
    kept: list[tuple[np.ndarray, ...]] = []
    mask = np.zeros(max(wanted) + 2, dtype=bool)
    mask[list(wanted)] = True
    message = np.flatnonzero(starts < stops)
    at, stop = starts[message], stops[message]
    for _ in range(MAX_FIELDS):
        if len(message) <= FEW:
            break
        tag, body = _varints(data, at, stop, message)
        number, wire = (tag >> np.uint64(3)).astype(np.int64), (tag & np.uint64(7)).astype(np.int64)
        value, start, after = _bodies(data, body, stop, message, number, wire)
        mine = np.flatnonzero(mask[np.minimum(number, len(mask) - 1)])
        if mine.size:
            kept.append(tuple(a[mine] for a in (message, number, wire, value, start, after)))
        more = after < stop
        if more.all():
            at = after
        else:
            message, at, stop = message[more], after[more], stop[more]
    else:
        raise WireError(int(message[0]), f"more than {MAX_FIELDS:,} fields")
    if len(message):
        blob = data.tobytes()
        rest = [
            field
            for place in zip(message.tolist(), at.tolist(), stop.tolist(), strict=True)
            for field in _walk_one(blob, *place, frozenset(wanted))
        ]
        if rest:
            columns = zip(*rest, strict=True)
            kinds = (np.int64, np.int64, np.int64, np.uint64, np.int64, np.int64)
            kept.append(tuple(np.array(part, dtype=kind) for part, kind in zip(columns, kinds, strict=True)))
    if not kept:
        none = np.zeros(0, dtype=np.int64)
        return Fields(none, none, none, none.astype(np.uint64), none, none)
    joined = [np.concatenate(parts) for parts in zip(*kept, strict=True)]
    if not ordered:
        return Fields(*joined)
    order = np.argsort(joined[0], kind="stable")
    return Fields(*(column[order] for column in joined))


def _walk_one(
    blob: bytes, message: int, at: int, stop: int, wanted: frozenset[int]
) -> list[tuple[int, int, int, int, int, int]]:
    """The same for what is left of one message: one with far more fields than the others has no company."""
    found: list[tuple[int, int, int, int, int, int]] = []
    for _ in range(MAX_FIELDS):
        if at >= stop:
            return found
        tag, start = _varint(blob, at, stop, message)
        number, wire, value = tag >> 3, tag & 7, 0
        if wire == VARINT:
            value, at = _varint(blob, start, stop, message)
        elif wire == BYTES:
            length, start = _varint(blob, start, stop, message)
            if length > stop - start:
                raise WireError(message, f"field {number} claims {length:,} bytes, more than its message has")
            at = start + length
        elif wire in (FIXED64, FIXED32):
            at = start + (8 if wire == FIXED64 else 4)
        if number < 1 or wire not in (VARINT, FIXED64, BYTES, FIXED32):
            raise WireError(message, f"field {number} of wire type {wire} does not exist")
        if at > stop:
            raise WireError(message, f"field {number} runs past the end of its message")
        if number in wanted:
            found.append((message, number, wire, value, start, at))
    if at < stop:
        raise WireError(message, f"more than {MAX_FIELDS:,} fields")
    return found


def _varint(blob: bytes, at: int, stop: int, message: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if shift > 63:
            raise WireError(message, "a varint is longer than ten bytes")
        byte = blob[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    if at > stop:
        raise WireError(message, "a varint runs past the end of its message")
    return value & 0xFFFFFFFFFFFFFFFF, at


def _bodies(
    data: UInt8[np.ndarray, " bytes"],
    body: Int64[np.ndarray, " k"],
    stop: Int64[np.ndarray, " k"],
    message: Int64[np.ndarray, " k"],
    number: Int64[np.ndarray, " k"],
    wire: Int64[np.ndarray, " k"],
) -> tuple[UInt64[np.ndarray, " k"], Int64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    """Value of varints, and where each field's bytes begin and end."""
    value = np.zeros(len(body), dtype=np.uint64)
    start, after = body.copy(), body.copy()
    bad = np.flatnonzero((number < 1) | (wire > FIXED32) | (wire == 3) | (wire == 4))
    if bad.size:
        raise WireError(
            int(message[bad[0]]),
            f"field {int(number[bad[0]])} of wire type {int(wire[bad[0]])} does not exist",
        )
    if (wire == BYTES).all():
        length, start = _varints(data, body, stop, message)
        over = np.flatnonzero(length > (stop - start).astype(np.uint64))
        if not over.size:
            return value, start, start + length.astype(np.int64)
        start = body.copy()
    after[wire == FIXED64] += 8
    after[wire == FIXED32] += 4
    long = np.flatnonzero(wire == BYTES)
    if long.size:
        length, begins = _varints(data, body[long], stop[long], message[long])
        over = np.flatnonzero(length > (stop[long] - begins).astype(np.uint64))
        if over.size:
            raise WireError(
                int(message[long[over[0]]]),
                f"field {int(number[long[over[0]]])} claims {int(length[over[0]]):,} bytes, more than its message has",
            )
        start[long] = begins
        after[long] = begins + length.astype(np.int64)
    short = np.flatnonzero(wire == VARINT)
    if short.size:
        value[short], after[short] = _varints(data, body[short], stop[short], message[short])
    over = np.flatnonzero(after > stop)
    if over.size:
        raise WireError(
            int(message[over[0]]), f"field {int(number[over[0]])} runs past the end of its message"
        )
    return value, start, after


def _varints(
    data: UInt8[np.ndarray, " bytes"],
    at: Int64[np.ndarray, " k"],
    stop: Int64[np.ndarray, " k"],
    message: Int64[np.ndarray, " k"],
) -> tuple[UInt64[np.ndarray, " k"], Int64[np.ndarray, " k"]]:
    """Varints of up to ten bytes, and where each ends."""
    byte = data[at]
    value = (byte & 0x7F).astype(np.uint64)
    after = at + 1
    more = np.flatnonzero(byte >= 0x80)
    shift = 7
    while more.size:
        if shift > 63:
            raise WireError(int(message[more[0]]), "a varint is longer than ten bytes")
        byte = data[after[more]]
        value[more] |= (byte & 0x7F).astype(np.uint64) << np.uint64(shift)
        after[more] += 1
        more = more[byte >= 0x80]
        shift += 7
    over = np.flatnonzero(after > stop)
    if over.size:
        raise WireError(int(message[over[0]]), "a varint runs past the end of its message")
    return value, after


def pack_bytes(data: bytes | bytearray) -> UInt8[np.ndarray, " bytes"]:
    """Data with the padding that :func:`walk` needs."""
    padded = bytearray(data)
    padded += bytes(PADDING)
    return np.frombuffer(padded, dtype=np.uint8)


def fields_of(data: bytes, wanted: Collection[int]) -> dict[int, list[int | bytes]]:
    """Wanted fields of one message: varints as numbers, the others as their bytes.

    Raises
    ------
    WireError
        The message is malformed.

    Examples
    --------
    >>> fields_of(bytes([0x08, 0x96, 0x01, 0x12, 0x02, 0x68, 0x69]), {1, 2})
    {1: [150], 2: [b'hi']}
    """
    found = walk(pack_bytes(data), np.zeros(1, dtype=np.int64), np.array([len(data)], dtype=np.int64), wanted)
    fields: dict[int, list[int | bytes]] = {}
    for number, wire, value, start, stop in zip(
        found.number.tolist(), found.wire.tolist(), found.value.tolist(), found.start.tolist(), found.stop.tolist(),
        strict=True,
    ):  # fmt: skip
        fields.setdefault(number, []).append(value if wire == VARINT else data[start:stop])
    return fields


def text_of(fields: dict[int, list[int | bytes]], number: int) -> str:
    """The last text of a field; empty where there is none."""
    values = [value for value in fields.get(number, []) if isinstance(value, bytes)]
    return values[-1].decode("utf-8", "replace") if values else ""


def int_of(fields: dict[int, list[int | bytes]], number: int) -> int:
    """The last varint of a field, signed; 0 where there is none, as proto3 says."""
    values = [value for value in fields.get(number, []) if isinstance(value, int)]
    value = values[-1] if values else 0
    return value - (1 << 64) if value >= 1 << 63 else value
