"""Palette PNG with the standard library: one byte a cell.

Rows are stored, not compressed: deflate differs between builds of zlib, stored blocks never,
and a 94 x 94 picture is 9 KB either way.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence


def palette_png(indices: Sequence[bytes], palette: Sequence[tuple[int, int, int]]) -> bytes:
    """Encode rows of palette indices.

    Parameters
    ----------
    indices : sequence of bytes
        One row each, all equally long.
    palette : sequence of (red, green, blue)
        At most 256.

    Examples
    --------
    >>> palette_png([b"\\x00\\x01"], [(0, 0, 0), (255, 255, 255)])[:4]
    b'\\x89PNG'
    """
    height, width = len(indices), len(indices[0])
    rows = b"".join(b"\x00" + bytes(row) for row in indices)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    colours = b"".join(bytes(colour) for colour in palette)
    chunks = ((b"IHDR", header), (b"PLTE", colours), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def data_address(png: bytes) -> str:
    """The picture as an address that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
