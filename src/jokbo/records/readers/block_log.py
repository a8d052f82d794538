"""W&B's transaction log: records in blocks of 32 KiB, as LevelDB keeps its log.

After a header of seven bytes (``:W&B``, 0xBEE1, version 0) the file is blocks of 32 KiB. A record is one
fragment or several, each with the CRC-32 of its type and bytes (plain zlib's; LevelDB has a masked
CRC-32C), its length and its type: whole, first, middle, last. No fragment crosses a block; up to six zero
bytes fill one up.

**Stopped or damaged?** The file is only ever appended to, so a run that was killed leaves a beginning of a
sound file: its last fragment lacks its end, or its last record lacks later fragments, or the file system
filled it up with zero bytes. That is told from damage: what came before is whole, *and* no sound fragment
lies in what is left. It is reported (``cut``) and reading ends there. Anything else is an error: a checksum
that does not fit, a fragment too long for its block, fragments out of order, a cut in front of sound
fragments. The checksum has no key: it shows accidents, and nothing of what someone meant to change.

References
----------
LevelDB, "log format", https://github.com/google/leveldb/blob/main/doc/log_format.md
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from jokbo.errors import FormatError
from jokbo.records.readers.base import MAX_RECORD_BYTES, LogFile
from jokbo.records.readers.wire import PADDING

HEADER = struct.pack("<4sHB", b":W&B", 0xBEE1, 0)
BLOCK = 32 << 10
PIECE = 64 * BLOCK
FRAGMENT = struct.Struct("<IHB")
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Records:
    """Whole records of a piece of the file.

    Attributes
    ----------
    data : ndarray of uint8
        Their bytes, among others, followed by padding.
    starts, stops : ndarray of int64
        Where each lies in the data.
    offsets : ndarray of int64
        Where each begins in the file.
    """

    data: UInt8[np.ndarray, " bytes"]
    starts: Int64[np.ndarray, " m"]
    stops: Int64[np.ndarray, " m"]
    offsets: Int64[np.ndarray, " m"]


class BlockLog:
    """Records of one file, a piece of 2 MiB at a time.

    After the last, `cut` is the offset at which the file ends too early, or None.
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self.cut: int | None = None
        self._open: bytearray | None = None
        self._open_at = 0

    def __iter__(self) -> Iterator[Records]:
        """Pieces.

        Raises
        ------
        FormatError
            The file is damaged; the message names the offset.
        """
        with self._file.path.open("rb") as opened:
            base = 0
            while chunk := opened.read(PIECE):
                while len(chunk) < PIECE and (more := opened.read(PIECE - len(chunk))):
                    chunk += more
                if base == 0 and chunk[: len(HEADER)] != HEADER:
                    raise FormatError(
                        f"{self._file.name}, offset 0: begins with {chunk[:7].hex(' ')}; a W&B run file begins with "
                        f"{HEADER.hex(' ')} (version 0). It is something else, or of a later version."
                    )
                yield self._records(bytearray(chunk), base, last=len(chunk) < PIECE)
                base += len(chunk)
                if self.cut is not None:
                    return
        if base == 0:
            raise FormatError(f"{self._file.name}: empty; a W&B run file begins with {HEADER.hex(' ')}.")
        if self._open is not None:
            self.cut = self._open_at

    def _records(self, chunk: bytearray, base: int, *, last: bool) -> Records:
        view = memoryview(bytes(chunk))
        end = len(view)
        spans: list[tuple[int, int, int]] = []
        at = len(HEADER) if base == 0 else 0
        unpack, crc32, size = FRAGMENT.unpack_from, zlib.crc32, FRAGMENT.size
        while at < end:
            block_end = at - at % BLOCK + BLOCK
            # Nearly all fragments are whole records: this loop is what reading costs.
            while at + size <= min(block_end, end):
                checksum, length, kind = unpack(view, at)
                stop = at + size + length
                if kind != FULL or stop > block_end or stop > end or self._open is not None:
                    break
                if crc32(view[at + 6 : stop]) != checksum:
                    break
                spans.append((at + size, stop, base + at))
                at = stop
            if at < end:
                at = self._other(view, chunk, spans, base, at, last=last)
        chunk += bytes(PADDING)
        table = np.array(spans, dtype=np.int64).reshape(-1, 3)
        return Records(np.frombuffer(chunk, dtype=np.uint8), table[:, 0], table[:, 1], table[:, 2])

    def _other(
        self,
        view: memoryview,
        chunk: bytearray,
        spans: list[tuple[int, int, int]],
        base: int,
        at: int,
        *,
        last: bool,
    ) -> int:
        """What is at a place, where it is no whole record in one fragment; returns where the next thing is."""
        end, left = len(view), BLOCK - at % BLOCK
        if left < FRAGMENT.size:
            if any(view[at : at + left]):
                raise self._damage(base + at, "bytes other than zero between blocks")
            return at + left
        if at + FRAGMENT.size > end:
            return self._stop(view[at:], base + at, end)
        checksum, length, kind = FRAGMENT.unpack_from(view, at)
        body, stop = at + FRAGMENT.size, at + FRAGMENT.size + length
        if length > left - FRAGMENT.size or not FULL <= kind <= LAST:
            if kind == length == checksum == 0 and last and not any(view[at:]):
                self.cut = base + at
                return end
            what = f"a fragment of type {kind} and {length:,} bytes, {left:,} before its block ends"
            raise self._damage(base + at, what)
        if stop > end:
            return self._stop(view[at:], base + at, end)
        if zlib.crc32(view[at + 6 : stop]) != checksum:
            raise self._damage(base + at, f"the checksum of the fragment's {length:,} bytes does not fit")
        whole = self._fragment(kind, view[body:stop], base + at)
        if whole is not None:
            spans.append((len(chunk), len(chunk) + len(whole), self._open_at))
            chunk += whole
        return stop

    def _fragment(self, kind: int, data: memoryview, offset: int) -> bytearray | None:
        """Take a fragment of a longer record; the record where it is the last."""
        if (kind in (FULL, FIRST)) != (self._open is None):
            raise self._damage(offset, "fragments of records are out of order")
        if self._open is None:
            self._open, self._open_at = bytearray(), offset
        self._open += data
        if len(self._open) > MAX_RECORD_BYTES:
            raise self._damage(self._open_at, f"a record longer than {MAX_RECORD_BYTES:,} bytes")
        if kind not in (FULL, LAST):
            return None
        whole, self._open = self._open, None
        return whole

    def _stop(self, rest: memoryview, offset: int, end: int) -> int:
        """The file ends in a fragment: stopped there, unless what is left holds sound ones."""
        for at in range(1, len(rest) - FRAGMENT.size):
            checksum, length, kind = FRAGMENT.unpack_from(rest, at)
            stop = at + FRAGMENT.size + length
            if FULL <= kind <= LAST and stop <= len(rest) and zlib.crc32(rest[at + 6 : stop]) == checksum:
                raise self._damage(offset, "a fragment that runs past the end of the file, over sound ones")
        self.cut = offset
        return end

    def _damage(self, offset: int, what: str) -> FormatError:
        return FormatError(
            f"{self._file.name}, offset {offset:,}: {what}. The file is damaged: "
            "fetch it again from where the run wrote it."
        )
