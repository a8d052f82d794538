"""Token windows and data orders of a pack: NumPy's ``.npy``, mapped and never unpickled.

A ``.npy`` header is a Python literal. NumPy evaluates it; here it is matched against the one form that
``numpy.save`` writes, so that nothing else is ever parsed, and the file's size has to be what shape and
type make it. Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from jokbo.errors import FormatError
from jokbo.records.gather import regular_file

if TYPE_CHECKING:
    from jokbo.records.record import Record

MAX_HEADER_BYTES = 4096
MAX_SIDE = 1 << 40

_HEADER = re.compile(
    rb"\{'descr': '([<>|=])([a-zA-Z])(\d{1,4})', 'fortran_order': (True|False), 'shape': \(([0-9, ]{0,200})\), \} *\n"
)
_ADVICE = "Write it with numpy.save as integers of shape (rows, columns)."


def open_array(record: Record, file: str) -> np.ndarray:
    """Map an integer array of the pack: token windows, held-out windows, or the order of the data.

    Parameters
    ----------
    record : Record
    file : str
        ``.npy`` of two axes; -1 may stand in an order.

    Returns
    -------
    ndarray
        (rows, columns), read-only, memory-mapped; its pages are read when they are looked at.

    Raises
    ------
    FormatError
        It holds anything but little-endian integers row after row, or its size is not what its shape makes it.
    """
    size = regular_file(record.folder, file, where=record.folder.name).st_size
    with record.path(file).open("rb") as opened:
        head = opened.read(12 + MAX_HEADER_BYTES)
    dtype, shape, start = _parse_header(head, file)
    expected = start + shape[0] * shape[1] * dtype.itemsize
    if size != expected:
        raise FormatError(
            f"{file}: shape {list(shape)} of {dtype.name} takes {expected:,} bytes with its header; the file has "
            f"{size:,}. It is cut off, or its header lies: fetch it again."
        )
    if 0 in shape:
        return np.zeros(shape, dtype)
    return np.memmap(record.path(file), dtype=dtype, mode="r", offset=start, shape=shape)


def _parse_header(head: bytes, file: str) -> tuple[np.dtype, tuple[int, int], int]:
    if head[:6] != b"\x93NUMPY" or head[6:8] not in (b"\x01\x00", b"\x02\x00"):
        raise FormatError(
            f"{file}, offset 0: begins with {head[:8].hex(' ')}; expected a .npy file. {_ADVICE}"
        )
    width = 2 if head[6] == 1 else 4
    length = int.from_bytes(head[8 : 8 + width], "little")
    if length > MAX_HEADER_BYTES:
        raise FormatError(
            f"{file}: the header claims {length:,} bytes; expected at most {MAX_HEADER_BYTES:,}. {_ADVICE}"
        )
    start = 8 + width + length
    found = _HEADER.fullmatch(head[8 + width : start])
    if found is None:
        raise FormatError(f"{file}: the header is not of the form that numpy.save writes. {_ADVICE}")
    order, kind, item, fortran, sides = (group.decode() for group in found.groups())
    if kind not in "iu" or int(item) not in (1, 2, 4, 8):
        raise FormatError(
            f"{file}: elements of type {kind}{item}; expected integers of 1, 2, 4 or 8 bytes"
            f"{' (Python objects are never read)' if kind == 'O' else ''}. {_ADVICE}"
        )
    if fortran == "True" or order == ">":
        raise FormatError(
            f"{file}: stored column after column or big-endian; expected little-endian rows. {_ADVICE}"
        )
    shape = tuple(int(side) for side in sides.replace(" ", "").split(",") if side)
    if len(shape) != 2 or not all(side < MAX_SIDE for side in shape):
        raise FormatError(f"{file}: shape ({sides}); expected two sides below {MAX_SIDE:,}. {_ADVICE}")
    return np.dtype(f"<{kind}{item}"), (shape[0], shape[1]), start
