"""What a source of checkpoint bytes is.

A source is one checkpoint: a few named files, read by half-open byte ranges.
It knows nothing of tensors. Its identity says what was read in a way that a
stranger can check later: digests where they are known, a repository and a
commit where there is one.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jokbo.errors import FormatError, NotFoundError, RangeError
from jokbo.sources.progress import Progress

WEIGHTS_SUFFIXES = (".safetensors", ".gguf", ".bin", ".pt", ".pth")
"""Endings of the files that hold weights, in every format that is read."""

INDEX_SUFFIXES = (".safetensors.index.json", ".bin.index.json")
"""Endings of the files that say which shard holds which tensor."""

_STATS_LOCK = threading.Lock()  # one for all: an increment holds it for under a microsecond


class ByteRange(NamedTuple):
    """Half-open byte range ``[start, stop)`` of one file."""

    start: int
    stop: int

    @property
    def size(self) -> int:
        """Bytes in the range."""
        return self.stop - self.start


class Read(NamedTuple):
    """A wish: this range of this file."""

    file: str
    range: ByteRange


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One file of a source.

    Attributes
    ----------
    size : int
        Bytes.
    sha256 : str or None
        Hexadecimal digest of the whole file where it is known without reading
        it all (a hub publishes it for large files).
    """

    size: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Who a source is, in terms that outlive the machine it was read on.

    Attributes
    ----------
    kind : str
        ``"local"``, ``"hub"``, ``"http"``, ``"memory"`` or a cloud scheme.
    name : str
        What a person calls it: the last folder name, ``org/name`` or an address
        without credentials or query.
    commit : str or None
        The resolved commit of a hub repository.
    public_since : str or None
        ISO 8601 date that the place gives for its last change; shown, never believed, for a commit's
        date can be set by whoever pushes it.
    public_from : str or None
        ISO 8601 date that the place gives for its own beginning; shown, never believed.
    """

    kind: str
    name: str
    commit: str | None = None
    public_since: str | None = None
    public_from: str | None = None


@dataclass(slots=True)
class ReadStats:
    """What reading has cost so far: counts for reports and benches, never for decisions."""

    requests: int = 0
    bytes_read: int = 0
    bytes_from_cache: int = 0

    def add(self, *, requests: int = 0, bytes_read: int = 0, bytes_from_cache: int = 0) -> None:
        """Count, safely from any thread (``+=`` on a field is not)."""
        with _STATS_LOCK:
            self.requests += requests
            self.bytes_read += bytes_read
            self.bytes_from_cache += bytes_from_cache


class Source(ABC):
    """A checkpoint's files, read by range.

    Implementations list their files when opened and never change the list.
    They raise only :class:`jokbo.errors.SourceError` and its children.
    """

    identity: SourceIdentity
    files: Mapping[str, FileInfo]
    stats: ReadStats

    @abstractmethod
    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Read ranges, answered in the order asked; each answer is exactly ``range.size`` bytes long.

        Raises
        ------
        NotFoundError
            A file is not in :attr:`files`.
        RangeError
            A range does not lie inside its file.
        """

    def close(self) -> None:  # noqa: B027  (nothing to release is a valid implementation)
        """Release what is held."""

    def read(self, file: str, start: int, stop: int) -> bytes:
        """Read one range."""
        return self.read_many([Read(file, ByteRange(start, stop))])[0]

    def read_file(self, file: str, *, max_bytes: int) -> bytes:
        """Read a whole small file, refusing one larger than `max_bytes`."""
        info = self.file_info(file)
        if info.size > max_bytes:
            raise FormatError(
                f"{self.identity.name}: {file} is {info.size:,} bytes; a file of this kind has at most "
                f"{max_bytes:,}. Check that the file is what its name says."
            )
        return self.read(file, 0, info.size)

    def check_reads(self, reads: Sequence[Read]) -> None:
        """Raise where a wish names a file that is not there, or bytes outside its file."""
        for file, (start, stop) in reads:
            size = self.file_info(file).size
            if not 0 <= start <= stop <= size:
                raise RangeError(
                    f"{self.identity.name}: {file} has {size:,} bytes; bytes {start:,} to {stop:,} lie "
                    "outside. What asks for them is wrong, or the file is truncated: fetch it again."
                )

    def file_info(self, file: str) -> FileInfo:
        """Size and digest of one file."""
        try:
            return self.files[file]
        except KeyError:
            raise NotFoundError(
                f"{self.identity.name}: there is no file {file!r} in this model (it has "
                f"{', '.join(sorted(self.files)[:8]) or 'no files'}). Check that the download is complete."
            ) from None


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How sources are opened; every field but the last three is a command-line option as well.

    `base` is the model that an adapter was trained over, in any form that names a model: for adapters whose
    own word for it leads nowhere from here. It is not used for models that are whole.
    `patience_seconds` is how much longer than usual a server that answers 429 (asked too often) is waited for: long
    runs wait until a hub's window of minutes ends. `connections` is how many requests of one source are under way at
    once; None for the usual number.
    """

    offline: bool = False
    cache_dir: str | None = None
    cache_bytes: int = 4 << 30
    endpoint: str | None = None
    token: str | None = field(default=None, repr=False)
    base: str | None = None
    patience_seconds: float = 0.0
    connections: int | None = None
    progress: Progress | None = field(default=None, repr=False, compare=False)
