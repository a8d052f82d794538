"""A disk cache of byte ranges.

Layout, under one directory that only its owner may read::

    v1/listings/<key>.json            what opening a source learned
    v1/extents/<key>/<start>-<stop>   SHA-256 of the bytes, then the bytes
    v1/tmp/                           files being written

``<key>`` is the SHA-256 of what names the bytes for ever: a repository at a
commit and a file, or an address and its ETag. A file appears by an atomic rename
and is never changed, so processes may share the cache and be killed at any
moment. Every extent is checked against its digest when a process first reads it;
a damaged one is deleted and fetched again, so nothing needs to be synced.
"""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from jokbo.sources.base import ByteRange, FileInfo, SourceIdentity
from jokbo.sources.remote import Listing

MAX_LISTING_BYTES = 16 << 20
DIGEST_BYTES = 32
STALE_SECONDS = 3600.0

_log = logging.getLogger(__name__)


def default_directory() -> Path:
    """``JOKBO_CACHE``, or ``jokbo`` in the user's cache directory."""
    if chosen := os.environ.get("JOKBO_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jokbo"


class DiskCache:
    """Extents and listings in a directory.

    Parameters
    ----------
    directory : str or path-like, optional
        Where; :func:`default_directory` otherwise. Made when first written to.
    max_bytes : int
        Least recently used extents are deleted beyond it. Several processes that
        write at once may pass it by a sixteenth each before one of them notices.
    """

    def __init__(self, directory: str | os.PathLike[str] | None = None, *, max_bytes: int = 4 << 30) -> None:
        self._root = (Path(directory) if directory is not None else default_directory()) / "v1"
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._extents: dict[str, _Extents] = {}
        self._verified: set[Path] = set()
        self._total_bytes: int | None = None
        self._unscanned_bytes = 0
        self._writable = True

    def read(self, key: str, wanted: ByteRange) -> bytes | None:
        """The bytes of the range, or None when no sound extent holds it."""
        while True:
            with self._lock:
                extent = self._known(key).holding(wanted)
            if extent is None:
                return None
            data = self._read_extent(extent, self._path(key, extent), wanted)
            if data is not None:
                return data
            with self._lock:
                self._known(key).remove(extent)

    def write(self, key: str, extent: ByteRange, data: bytes) -> None:
        """Keep an extent; one that would take an eighth of the cache or more is not kept."""
        if not self._writable or not data or 8 * len(data) >= self._max_bytes:
            return
        path = self._path(key, extent)
        if not self._write_file(path, (hashlib.sha256(data).digest(), data)):
            return
        with self._lock:
            self._known(key).add(extent)
            self._verified.add(path)
            self._unscanned_bytes += len(data)
            known = (
                self._total_bytes is not None and self._total_bytes + self._unscanned_bytes <= self._max_bytes
            )
            if not known or 16 * self._unscanned_bytes > self._max_bytes:
                self._evict()

    def load_listing(self, key: str, *, max_age_seconds: float | None) -> Listing | None:
        """What an opening learned at most so long ago; None when nothing or when it is damaged."""
        path = self._listing_path(key)
        try:
            with path.open("rb") as file:
                age = time.time() - os.fstat(file.fileno()).st_mtime
                text = file.read(MAX_LISTING_BYTES + 1)
        except OSError:
            return None
        if max_age_seconds is not None and not -60 <= age <= max_age_seconds:
            return None
        digest, _, body = text.partition(b"\n")
        if digest.decode("ascii", "replace") != hashlib.sha256(body).hexdigest():
            return None
        document = json.loads(body)
        return Listing(
            SourceIdentity(**document["identity"]),
            {file: FileInfo(**info) for file, info in document["files"].items()},
            document["validators"],
        )

    def store_listing(self, key: str, listing: Listing) -> None:
        """Keep what an opening learned."""
        body = json.dumps(asdict(listing)).encode()
        self._write_file(self._listing_path(key), (hashlib.sha256(body).hexdigest().encode(), b"\n", body))

    def forget_listing(self, key: str) -> None:
        """Drop it: the server says otherwise now."""
        with contextlib.suppress(OSError):
            self._listing_path(key).unlink()

    def _listing_path(self, key: str) -> Path:
        return self._root / "listings" / f"{_hashed(key)}.json"

    def _folder(self, key: str) -> Path:
        return self._root / "extents" / _hashed(key)

    def _path(self, key: str, extent: ByteRange) -> Path:
        return self._folder(key) / f"{extent.start}-{extent.stop}"

    def _known(self, key: str) -> _Extents:
        """Extents of a key: those on disk when it was first asked for, and our own since."""
        if key not in self._extents:
            self._extents[key] = _Extents()
            for _, _, path in _scan(self._folder(key)):
                start, _, stop = path.name.partition("-")
                if start.isdecimal() and stop.isdecimal():
                    self._extents[key].add(ByteRange(int(start), int(stop)))
        return self._extents[key]

    def _read_extent(self, extent: ByteRange, path: Path, wanted: ByteRange) -> bytes | None:
        try:
            with path.open("rb", buffering=0) as file:
                sound = os.fstat(file.fileno()).st_size == DIGEST_BYTES + extent.size
                if sound and path not in self._verified:
                    data = file.read()
                    sound = hashlib.sha256(memoryview(data)[DIGEST_BYTES:]).digest() == data[:DIGEST_BYTES]
                    if sound:
                        self._verified.add(path)
                        os.utime(path)  # recently used, once a run
                        offset = DIGEST_BYTES + wanted.start - extent.start
                        return data[offset : offset + wanted.size]
                if sound:
                    data = os.pread(file.fileno(), wanted.size, DIGEST_BYTES + wanted.start - extent.start)
                    return data if len(data) == wanted.size else None
            _log.warning("a cached extent was damaged and is fetched again: %s", path.name)
            path.unlink()
        except OSError:
            return None  # deleted by another process, or unreadable: fetch it
        return None

    def _write_file(self, path: Path, parts: Sequence[bytes]) -> bool:
        temporary = self._root / "tmp" / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (temporary.parent, path.parent):
                folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.writelines(parts)
            temporary.replace(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            if self._writable:
                self._writable = False
                _log.warning("the cache cannot be written (%s); reading goes on without it", error.strerror)
            return False
        return True

    def _evict(self) -> None:
        """Measure the cache and delete what was used longest ago until a tenth is free."""
        found = sorted(_scan(self._root / "extents"))
        self._total_bytes = sum(size for _, size, _ in found)
        self._unscanned_bytes = 0
        if self._total_bytes <= self._max_bytes:
            return
        for _, size, path in found:
            if self._total_bytes <= 0.9 * self._max_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            self._total_bytes -= size
        for modified, _, path in list(_scan(self._root)):
            if path.parent.name == "tmp" and modified < time.time() - STALE_SECONDS:
                with contextlib.suppress(OSError):
                    path.unlink()  # left by a process that was killed


class _Extents:
    """The extents of one file, ordered, so that thousands of wishes are looked up fast."""

    __slots__ = ("_longest", "_ranges")

    def __init__(self) -> None:
        self._ranges: list[ByteRange] = []
        self._longest = 0

    def add(self, extent: ByteRange) -> None:
        """Know an extent once."""
        i = bisect.bisect_left(self._ranges, extent)
        if self._ranges[i : i + 1] != [extent]:
            self._ranges.insert(i, extent)
            self._longest = max(self._longest, extent.size)

    def remove(self, extent: ByteRange) -> None:
        """Forget one, if another thread has not."""
        with contextlib.suppress(ValueError):
            self._ranges.remove(extent)

    def holding(self, wanted: ByteRange) -> ByteRange | None:
        """An extent that holds the range: the one that starts last before it."""
        i = bisect.bisect_right(self._ranges, wanted.start, key=lambda extent: extent.start)
        while i > 0 and self._ranges[i - 1].start >= wanted.stop - self._longest:
            if self._ranges[i - 1].stop >= wanted.stop:
                return self._ranges[i - 1]
            i -= 1
        return None


def _hashed(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _scan(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """Time, size and path of every file below a folder; what goes away meanwhile is passed over."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            with contextlib.suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _scan(Path(entry.path))
                else:
                    status = entry.stat(follow_symlinks=False)
                    yield status.st_mtime, status.st_size, Path(entry.path)
