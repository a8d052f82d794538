"""TensorFlow's record files: length, its checksum, bytes, their checksum.

Both checksums are masked CRC-32C. A file that ends inside a record whose length is sound, or inside a
length, was written by a process that was stopped there: it is reported (``cut``), not refused. A checksum
that does not fit is an error, at whatever place.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterator

import numpy as np

from jokbo.errors import FormatError
from jokbo.records.readers.base import MAX_RECORD_BYTES, LogFile
from jokbo.records.readers.block_log import Records
from jokbo.records.readers.crc32c import crc32c, masked
from jokbo.records.readers.wire import PADDING

PIECE = 8 << 20
HEAD = 12
FOOT = 4
LENGTH = struct.Struct("<Q")


class RecordFile:
    """Records of one file, a piece of at least 8 MiB at a time.

    After the last, `cut` is the offset at which the file ends too early, or None.
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self.cut: int | None = None

    def __iter__(self) -> Iterator[Records]:
        """Pieces.

        Raises
        ------
        FormatError
            A length or checksum is not what it should be; the message names the offset.
        """
        base, rest = 0, b""
        with self._file.path.open("rb") as opened:
            while True:
                more = opened.read(PIECE)
                if not more:
                    break
                chunk = rest + more
                at = yield from self._piece(chunk, base)
                rest = chunk[at:]
                base += at
        if rest:
            self.cut = base

    def _piece(self, chunk: bytes, base: int) -> Generator[Records, None, int]:
        """Give out the whole records of a chunk; returns where the next begins."""
        starts, stops = [], []
        at, end = 0, len(chunk)
        while at + HEAD <= end:
            (length,) = LENGTH.unpack_from(chunk, at)
            if length > MAX_RECORD_BYTES:
                self._check_lengths(chunk, base, [at])
                raise self._damage(base + at, f"a record of {length:,} bytes, more than {MAX_RECORD_BYTES:,}")
            if at + HEAD + length + FOOT > end:
                break
            starts.append(at + HEAD)
            at += HEAD + length + FOOT
            stops.append(at - FOOT)
        self._check_lengths(
            chunk, base, [start - HEAD for start in starts] + ([at] if at + HEAD <= end else [])
        )
        if not starts:
            return at
        data = np.frombuffer(chunk + bytes(PADDING), dtype=np.uint8)
        first, last = np.array(starts, dtype=np.int64), np.array(stops, dtype=np.int64)
        wrong = np.flatnonzero(masked(crc32c(data, first, last)) != _stored(data, last))
        if wrong.size:
            k = int(wrong[0])
            raise self._damage(
                base + starts[k] - HEAD,
                f"the checksum of the record's {stops[k] - starts[k]:,} bytes does not fit",
            )
        yield Records(data, first, last, first - HEAD + base)
        return at

    def _check_lengths(self, chunk: bytes, base: int, places: list[int]) -> None:
        if not places:
            return
        data = np.frombuffer(chunk, dtype=np.uint8)
        at = np.array(places, dtype=np.int64)
        wrong = np.flatnonzero(masked(crc32c(data, at, at + 8)) != _stored(data, at + 8))
        if wrong.size:
            raise self._damage(
                base + places[int(wrong[0])], "the checksum of the record's length does not fit"
            )

    def _damage(self, offset: int, what: str) -> FormatError:
        return FormatError(
            f"{self._file.name}, offset {offset:,}: {what}. The file is damaged: fetch it again."
        )


def _stored(data: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Little-endian 32-bit numbers at any places."""
    return np.ascontiguousarray(data[at[:, None] + np.arange(4)]).view("<u4")[:, 0]
