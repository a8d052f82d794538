"""Values of W&B history items: JSON text, or newer typed fields, to numbers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from jokbo.errors import FormatError
from jokbo.records.readers.tabular import cell_number, numbers_of
from jokbo.records.readers.wire import BYTES, FIXED64, VARINT, Fields, WireError

INTEGER, NUMBER, JSON, VALUE_JSON = 5, 6, 8, 16
"""Fields of ``HistoryItem``."""

DIGITS = b"0123456789+-.eE"
FIRST_DIGITS = np.isin(np.arange(256), list(b"0123456789-"))

MANY = 10_000
"""Texts from which on loading pyarrow pays."""

MAX_TEXT_BYTES = 4096
"""A longer value is a table or a histogram, and no number."""


@dataclass(slots=True)
class ItemValues:
    """Numbers of items.

    Attributes
    ----------
    numbers : ndarray of float64
    has : ndarray of bool
        Which items have one.
    objects : dict of int to dict
        Items whose value was a JSON object: its fields by name. Those with a ``_type`` are media, and left out.
    """

    numbers: Float64[np.ndarray, " n"]
    has: Bool[np.ndarray, " n"]
    objects: dict[int, dict[str, object]] = field(default_factory=dict)


def decode_values(data: UInt8[np.ndarray, " bytes"], fields: Fields, n: int) -> ItemValues:
    """Values of `n` items from their fields.

    Raises
    ------
    WireError
        A value is not what its field says.
    """
    found = ItemValues(np.zeros(n), np.zeros(n, dtype=bool))
    integers = fields.only(INTEGER, VARINT)
    zigzag = integers.value >> np.uint64(1)
    found.numbers[integers.message] = zigzag.astype(np.int64) ^ -(integers.value & np.uint64(1)).astype(
        np.int64
    )
    doubles = fields.only(NUMBER, FIXED64)
    eight = np.ascontiguousarray(data[doubles.start[:, None] + np.arange(8)])
    found.numbers[doubles.message] = eight.view("<f8")[:, 0]
    found.has[integers.message] = found.has[doubles.message] = True
    for number in (VALUE_JSON, JSON):
        _decode_texts(data, fields.only(number, BYTES), found)
    return found


def _decode_texts(data: UInt8[np.ndarray, " bytes"], texts: Fields, found: ItemValues) -> None:
    """JSON texts: those that begin as numbers all at once, in the order of the file, the others one by one."""
    if not len(texts):
        return
    empty = texts.start == texts.stop
    plain = FIRST_DIGITS[data[texts.start]] & ~empty
    blob = data.tobytes()
    if plain.all():
        mine, others = texts, texts.take(np.zeros(0, dtype=np.int64))
    else:
        mine, others = texts.take(np.flatnonzero(plain)), texts.take(np.flatnonzero(~plain))
    numbers = arrow_floats(blob, mine.start, mine.stop) if len(mine) >= MANY else None
    if numbers is None:
        spans = zip(mine.start.tolist(), mine.stop.tolist(), strict=True)
        numbers = plain_floats([blob[start:stop] for start, stop in spans])
    if numbers is None:
        others = texts
    else:
        found.numbers[mine.message] = numbers
        found.has[mine.message] = True
    for item, start, stop in zip(
        others.message.tolist(), others.start.tolist(), others.stop.tolist(), strict=True
    ):
        if stop - start <= MAX_TEXT_BYTES:
            _decode_one(blob[start:stop], item, found)


def plain_floats(pieces: list[bytes]) -> Float64[np.ndarray, " k"] | None:
    """All texts as numbers; None where one is none."""
    if b"".join(pieces).translate(None, DIGITS):
        return None
    try:
        return np.fromiter(map(float, pieces), np.float64, len(pieces))
    except ValueError:
        return None


def arrow_floats(
    blob: bytes, starts: Int64[np.ndarray, " k"], stops: Int64[np.ndarray, " k"]
) -> Float64[np.ndarray, " k"] | None:
    """The same by pyarrow where it is installed, in a third of the time.

    Both round correctly, so the numbers are the same. None where pyarrow is not there or reads a text otherwise
    than Python (a leading plus, beyond the range of a double): then Python decides.
    """
    pa = _arrow()
    if pa is None or not len(starts):
        return None
    order = np.argsort(starts, kind="stable")  # records in fragments were put behind the others
    starts, stops = starts[order], stops[order]
    if (starts[1:] < stops[:-1]).any():
        return None
    ends = (
        np.stack([starts, stops], axis=1).astype(np.int32).ravel()
    )  # values, and between them what is no value
    both = pa.Array.from_buffers(
        pa.string(), len(ends) - 1, [None, pa.py_buffer(ends.tobytes()), pa.py_buffer(blob)]
    )
    texts = both.take(pa.array(np.arange(0, len(ends) - 1, 2)))
    if texts.buffers()[2].to_pybytes().translate(None, DIGITS):
        return None
    try:
        found = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        return None
    numbers = np.empty_like(found)
    numbers[order] = found
    return numbers


@cache
def _arrow() -> Any:
    try:
        return import_module("pyarrow")
    except ImportError:
        return None


def _decode_one(piece: bytes, item: int, found: ItemValues) -> None:
    try:
        value = json.loads(piece)
    except RecursionError:
        raise WireError(item, "a value is nested too deep") from None
    except ValueError:
        raise WireError(item, f"a value is {piece[:40]!r}, which is not JSON") from None
    if isinstance(value, dict):
        if "_type" not in value:
            found.objects[item] = value
        return
    number = cell_number("", value)
    if number is not None:
        found.numbers[item] = number
        found.has[item] = True


def object_numbers(name: str, value: dict[str, object], item: int) -> dict[str, float]:
    """Numbers of an object by name.

    Raises
    ------
    WireError
        It is nested too deep.
    """
    try:
        return numbers_of({name: value}, f"the value of {name[:80]!r}")
    except FormatError as error:
        raise WireError(item, str(error)) from None
