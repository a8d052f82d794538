"""CRC-32C, many records at a time: TensorFlow's record files keep one of each record.

All records of a piece of a file advance together, a byte each round, so that the cost is that of the
longest; a long record is cut into lanes, whose sums are then joined, since the sum of a text followed by
zeros is a linear map of that of the text.

References
----------
RFC 3720, appendix B.4 (test vectors). Mark Adler, ``crc32_combine`` of zlib (joining sums).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Int64, UInt8, UInt32

POLYNOMIAL = 0x82F63B78
"""Castagnoli's, reflected."""

LANE = 2048
"""Records longer than this are cut into lanes of as many bytes."""

MASK_DELTA = 0xA282EAD8
"""Added to the rotated sum where TensorFlow stores it, so that a sum of sums is not a sum again."""


@cache
def _table() -> UInt32[np.ndarray, "256"]:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(POLYNOMIAL), table >> 1).astype(np.uint32)
    return table


def _times(matrix: UInt32[np.ndarray, "32"], value: int) -> int:
    """A map of 32 bits, by the images of single bits, of one value."""
    total = 0
    for bit in range(32):
        if value >> bit & 1:
            total ^= int(matrix[bit])
    return total


@cache
def _zeros(length: int) -> tuple[int, ...]:
    """What `length` zero bytes make of each single bit of the register."""
    table = _table()
    register = np.array([1 << bit for bit in range(32)], dtype=np.uint32)
    step = (register >> 8) ^ table[register & 0xFF]
    result = register
    power = step
    while length:
        if length & 1:
            result = np.array([_times(power, int(v)) for v in result], dtype=np.uint32)
        power = np.array([_times(power, int(v)) for v in power], dtype=np.uint32)
        length >>= 1
    return tuple(int(v) for v in result)


def _lockstep(
    data: UInt8[np.ndarray, " bytes"],
    starts: Int64[np.ndarray, " m"],
    lengths: Int64[np.ndarray, " m"],
    register: UInt32[np.ndarray, " m"],
) -> UInt32[np.ndarray, " m"]:
    """Registers after every record's bytes, without the final complement."""
    table = _table()
    order = np.argsort(-lengths, kind="stable")
    at, left, state = starts[order], lengths[order], register[order]
    for k in range(int(left[0]) if len(left) else 0):
        live = int(np.searchsorted(-left, -k, side="left"))
        head = state[:live]
        state[:live] = (head >> np.uint32(8)) ^ table[(head ^ data[at[:live] + k]) & np.uint32(0xFF)]
    result = np.empty_like(state)
    result[order] = state
    return result


def crc32c(
    data: UInt8[np.ndarray, " bytes"], starts: Int64[np.ndarray, " m"], stops: Int64[np.ndarray, " m"]
) -> UInt32[np.ndarray, " m"]:
    """CRC-32C of each span of the data.

    Examples
    --------
    >>> data = np.frombuffer(b"123456789", dtype=np.uint8)
    >>> hex(crc32c(data, np.array([0]), np.array([9]))[0])
    '0xe3069283'
    """
    lengths = stops - starts
    result = np.zeros(len(starts), dtype=np.uint32)
    short = np.flatnonzero(lengths <= LANE)
    ones = np.uint32(0xFFFFFFFF)
    if short.size:
        first = np.full(len(short), ones, dtype=np.uint32)
        result[short] = ~_lockstep(data, starts[short], lengths[short], first)
    for k in np.flatnonzero(lengths > LANE).tolist():
        result[k] = _long(data[starts[k] : stops[k]])
    return result


def _long(data: UInt8[np.ndarray, " bytes"]) -> int:
    """CRC-32C of one long text: its lanes together, then joined."""
    lane_starts = np.arange(0, len(data), LANE, dtype=np.int64)
    lengths = np.minimum(LANE, len(data) - lane_starts)
    states = _lockstep(data, lane_starts, lengths, np.zeros(len(lane_starts), dtype=np.uint32))
    whole = np.array(_zeros(LANE), dtype=np.uint32)
    register = 0xFFFFFFFF
    for k, state in enumerate(states.tolist()):
        advance = whole if lengths[k] == LANE else np.array(_zeros(int(lengths[k])), dtype=np.uint32)
        register = _times(advance, register) ^ state
    return register ^ 0xFFFFFFFF


def masked(sums: UInt32[np.ndarray, " m"]) -> UInt32[np.ndarray, " m"]:
    """Sums as TensorFlow stores them.

    Examples
    --------
    >>> hex(masked(np.array([0xE3069283], dtype=np.uint32))[0])
    '0xc78ab0e5'
    """
    rotated = (sums >> np.uint32(15)) | (sums << np.uint32(17))
    return rotated + np.uint32(MASK_DELTA)
