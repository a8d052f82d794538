"""Excerpts of a file: some byte ranges of it, kept elsewhere, read as if the file were there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int64

from jokbo.errors import RowsAbsentError
from jokbo.sources.base import FileInfo, Read, ReadStats, Source, SourceIdentity


class ExcerptSource(Source):
    """One file of which only some ranges are held; other files are known by size and digest alone.

    Parameters
    ----------
    identity : SourceIdentity
    files : mapping of str to FileInfo
        What the whole has; its bytes are not here.
    file : str
        The file that is held in part.
    size : int
        Of that file.
    spans : array (n, 2)
        Half-open ranges held: ascending, apart from each other.
    data : bytes
        Their bytes, one after another.

    Examples
    --------
    >>> from jokbo.sources.base import ByteRange
    >>> spans = np.array([[10, 12], [20, 24]])
    >>> held = ExcerptSource(SourceIdentity("memory", "m"), {}, "f", 100, spans, b"abCDEF")
    >>> held.read("f", 21, 23), held.holds([Read("f", ByteRange(11, 13))])
    (b'DE', False)
    """

    def __init__(
        self,
        identity: SourceIdentity,
        files: Mapping[str, FileInfo],
        file: str,
        size: int,
        spans: Int64[np.ndarray, "n 2"],
        data: bytes,
    ) -> None:
        self.identity = identity
        self.files = {**files, file: FileInfo(size)}
        self.stats = ReadStats()
        self._file = file
        self._starts = np.ascontiguousarray(spans[:, 0])
        self._stops = np.ascontiguousarray(spans[:, 1])
        sizes = self._stops - self._starts
        self._offsets = np.concatenate([[0], np.cumsum(sizes)])[:-1]
        self._data = memoryview(data)

    @property
    def held_bytes(self) -> int:
        """Bytes that are here."""
        return len(self._data)

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Cut each range out of the excerpt that holds it."""
        self.check_reads(reads)
        places = self._places(reads)
        if places is None:
            raise RowsAbsentError(
                f"{self.identity.name}: the fingerprint does not hold all the rows that this needs. "
                "Compare the model itself."
            )
        answers = [
            bytes(self._data[place : place + read.range.size])
            for place, read in zip(places.tolist(), reads, strict=True)
        ]
        self.stats.add(requests=len(reads), bytes_read=sum(map(len, answers)))
        return answers

    def holds(self, reads: Sequence[Read]) -> bool:
        """Whether every byte of these ranges is here."""
        return self._places(reads) is not None

    def _places(self, reads: Sequence[Read]) -> Int64[np.ndarray, " reads"] | None:
        """Where each range begins in the data; None where one is not held."""
        if any(read.file != self._file for read in reads):
            return None
        if not reads:
            return np.empty(0, dtype=np.int64)
        if not len(self._starts):
            return None
        starts = np.array([read.range.start for read in reads], dtype=np.int64)
        stops = np.array([read.range.stop for read in reads], dtype=np.int64)
        which = np.searchsorted(self._starts, starts, side="right") - 1
        if (which < 0).any() or (stops > self._stops[which]).any():
            return None
        places: Int64[np.ndarray, " reads"] = self._offsets[which] + starts - self._starts[which]
        return places
