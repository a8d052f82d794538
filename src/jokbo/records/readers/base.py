"""What a log reader is, what it is given, and the bounds that every one keeps.

A reader is a module of this package with two functions (:class:`LogReader`). It opens only the
files that it is given, reads them in pieces, and hands raw names and numbers to a
:class:`~jokbo.records.readers.builder.LogBuilder`; which name is the loss is decided there, once for
all formats. Damage is a :class:`~jokbo.errors.FormatError`; what is odd but well formed is a fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from jokbo.errors import FormatError

if TYPE_CHECKING:
    from jokbo.records.declaration import LogEntry
    from jokbo.records.readers.builder import LogBuilder

HEAD_BYTES = 64 << 10
"""How much of a file is looked at to tell its format."""

MAX_LINE_BYTES = 1 << 20
"""Longest line of a text log: a row of 4,096 metrics needs a tenth."""

MAX_RECORD_BYTES = 64 << 20
"""Longest record of a binary log; images and code that loggers keep among the metrics fit."""

MAX_METRICS = 4096
"""Names in one log."""

MAX_ROWS = 20_000_000
"""Rows in all logs together; each takes some 32 bytes before its metrics."""

MAX_DEPTH = 8
"""Objects inside objects in a row."""

COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
}
"""First bytes of archives. None is unpacked: a small one may hold any amount."""


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of the pack: its name there, where it lies, and its size in bytes."""

    name: str
    path: Path
    size: int


@runtime_checkable
class LogReader(Protocol):
    """The two functions of a reader's module."""

    def recognises(self, file: LogFile, head: bytes) -> bool:
        """Whether a file whose first bytes (at most 64 KiB) are `head` is of this format."""
        ...

    def read(self, files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
        """Read the files one after another, a segment each.

        Raises
        ------
        FormatError
            A file is damaged or hostile; the message names the file and the line or offset.
        """
        ...


def first_bytes(file: LogFile) -> bytes:
    """The first bytes of a file, at most 64 KiB."""
    with file.path.open("rb") as opened:
        return opened.read(HEAD_BYTES)


def head_of(file: LogFile) -> bytes:
    """The first bytes of a file that is meant to be a log.

    Raises
    ------
    FormatError
        It is an archive.
    """
    head = first_bytes(file)
    for magic, kind in COMPRESSED.items():
        if head.startswith(magic):
            raise FormatError(
                f"{file.name}, offset 0: compressed ({kind}); logs are read as they were written, so that a "
                "small file cannot unpack without end. Unpack it, and declare what comes out."
            )
    return head


NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
NOT_FINITE = {
    "nan": float("nan"),
    "-nan": float("nan"),
    "inf": float("inf"),
    "+inf": float("inf"),
    "-inf": float("-inf"),
    "infinity": float("inf"),
    "-infinity": float("-inf"),
}


def number_of(text: str) -> float | None:
    """A decimal number, NaN or infinity as loggers print them; None for any other text.

    Examples
    --------
    >>> number_of("1.5e-3"), number_of("NaN"), number_of("1_000"), number_of("")
    (0.0015, nan, None, None)
    """
    text = text.strip()
    if NUMBER.fullmatch(text):
        return float(text)
    return NOT_FINITE.get(text.lower())
