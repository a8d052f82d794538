"""A source of which every byte of some files was read, so that their digests are known."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from jokbo.sources.base import Read, Source

PIECE_BYTES = 16 << 20


class DigestedSource(Source):
    """Another source, with the SHA-256 of some of its files.

    Parameters
    ----------
    source : Source
        Closed with this one.
    files : iterable of str
        Read whole where their digest is not known already.
    tell : callable, optional
        Called with the name of each file that is read.

    Examples
    --------
    >>> from jokbo.sources.base import FileInfo
    >>> from jokbo.sources.memory import MemorySource
    >>> source = MemorySource({"a": b"abc"}, name="m")
    >>> source.files = {"a": FileInfo(3)}
    >>> (DigestedSource(source, ["a"]).files["a"].sha256 or "")[:8]
    'ba7816bf'
    """

    def __init__(
        self, source: Source, files: Iterable[str], *, tell: Callable[[str], None] | None = None
    ) -> None:
        self._source = source
        self.identity = source.identity
        self.stats = source.stats
        found = dict(source.files)
        for file in files:
            if found[file].sha256 is None:
                if tell is not None:
                    tell(file)
                found[file] = replace(found[file], sha256=self._digest(file, found[file].size))
        self.files = found

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """As the other source does."""
        return self._source.read_many(reads)

    def close(self) -> None:
        """Close the other source."""
        self._source.close()

    def _digest(self, file: str, size: int) -> str:
        digest = hashlib.sha256()
        for start in range(0, size, PIECE_BYTES):
            digest.update(self._source.read(file, start, min(start + PIECE_BYTES, size)))
        return digest.hexdigest()
