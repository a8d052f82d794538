"""Write training logs as the libraries do: run files of W&B and event files of TensorBoard, byte by byte.

Written from the formats' own descriptions (LevelDB's log format, TFRecord, protobuf's wire format) without the
readers' code, so that a test that reads a file back compares two accounts; the real libraries' files are
tested beside them. CRC-32C is computed a bit at a time for small files, by table for large ones.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

Value = float | int | str | None | Mapping[str, object]

BLOCK = 32768
WANDB_HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)


def varint(value: int) -> bytes:
    """A protobuf varint; negative numbers take ten bytes.

    Examples
    --------
    >>> varint(150).hex()
    '9601'
    """
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: int | float | bytes | str) -> bytes:
    """A protobuf field: an int as a varint, a float as a double, text and bytes with their length.

    Examples
    --------
    >>> field(1, 150).hex(), field(2, "hi").hex()
    ('089601', '12026869')
    """
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def blocks(records: Iterable[bytes]) -> bytes:
    """Records in blocks of 32 KiB behind W&B's header."""
    out = bytearray(WANDB_HEADER)
    for record in records:
        add_record(out, record)
    return bytes(out)


def add_record(out: bytearray, record: bytes) -> None:
    """Add a record to a file that is held whole, or from the beginning of a block on."""
    begun, rest = False, record
    while True:
        left = BLOCK - len(out) % BLOCK
        if left < 7:
            out += bytes(left)
            left = BLOCK
        piece, rest = rest[: left - 7], rest[left - 7 :]
        kind = {(False, True): 1, (False, False): 2, (True, False): 3, (True, True): 4}[begun, not rest]
        body = bytes([kind]) + piece
        out += struct.pack("<IH", zlib.crc32(body), len(piece)) + body
        begun = True
        if not rest:
            return


def wandb_history(row: Mapping[str, Value], *, nested: bool = True, step: int | None = None) -> bytes:
    """A W&B record of one row.

    Parameters
    ----------
    row : mapping
    nested : bool
        Names in ``nested_key``, as newer versions write them; else in ``key``.
    step : int or None
        The record's own step.
    """
    items = b"".join(
        field(1, field(2 if nested else 1, name) + field(16, json.dumps(value)))
        for name, value in row.items()
    )
    own = b"" if step is None else field(2, field(1, step) if step else b"")
    return field(2, items + own)


def wandb_run(
    run: str = "run", *, resumed: bool = False, branch: tuple[str, int] | None = None, starting_step: int = 0
) -> bytes:
    """A W&B record of the run; `branch` is the run and step that it was forked from."""
    body = field(1, run)
    if starting_step:
        body += field(14, starting_step)
    if resumed:
        body += field(18, 1)
    if branch:
        body += field(22, 1) + field(23, field(1, branch[0]) + field(2, float(branch[1])) + field(3, "_step"))
    return field(17, body)


def wandb_exit(code: int = 0) -> bytes:
    """A W&B record of the end."""
    return field(18, field(1, code) if code else b"")


def wandb_environment(device: str, count: int, commit: str) -> bytes:
    """A W&B record of machine and code."""
    return field(26, field(9, field(2, commit)) + field(18, device) + field(19, count))


def wandb_file(rows: Iterable[Mapping[str, Value]], *, resumed: bool = False, ended: bool = True) -> bytes:
    """A W&B run file of these rows.

    Examples
    --------
    >>> wandb_file([{"_step": 0, "loss": 2.5}])[:7].hex()
    '3a572642e1be00'
    """
    end = [wandb_exit()] if ended else []
    return blocks([field(21, b""), wandb_run(resumed=resumed), *map(wandb_history, rows), *end])


@cache
def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


def masked_crc32c(data: bytes) -> int:
    """TensorFlow's checksum of a record.

    Examples
    --------
    >>> hex(masked_crc32c(b"123456789"))
    '0xc78ab0e5'
    """
    table, register = _table(), 0xFFFFFFFF
    for byte in data:
        register = register >> 8 ^ table[(register ^ byte) & 0xFF]
    register ^= 0xFFFFFFFF
    return ((register >> 15 | register << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tf_record(data: bytes) -> bytes:
    """A record of a TensorFlow record file."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc32c(length)) + data + struct.pack("<I", masked_crc32c(data))


def scalar_event(time: float, step: int, tag: str, value: float, *, tensor: bool = False) -> bytes:
    """An event of one scalar: as torch writes it, or as a tensor as TensorFlow 2 does."""
    if tensor:
        held = field(8, field(1, 1) + field(4, struct.pack("<f", value)))
    else:
        held = varint(2 << 3 | 5) + struct.pack("<f", value)
    return field(1, time) + field(2, step) + field(5, field(1, field(1, tag) + held))


def event_file(events: Sequence[bytes], *, restart: int | None = None) -> bytes:
    """A TensorBoard event file; `restart` is the step from which a resumed writer goes on."""
    head = [field(1, 0.0) + field(3, "brain.Event:2")]
    if restart is not None:
        head.append(field(1, 0.0) + field(2, restart) + field(7, field(1, 1)))
    return b"".join(map(tf_record, [*head, *events]))
