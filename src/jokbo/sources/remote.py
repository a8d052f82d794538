"""Reading a remote checkpoint by range: merge, fetch concurrently, check every answer.

What is common to a hub and a plain server. A subclass says where a file lies
(:meth:`RemoteSource._resolve`) and what a refusal means
(:meth:`RemoteSource._explain_refusal`).
"""

from __future__ import annotations

import re
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urljoin

from jokbo.errors import ChangedError, RangeError, SourceError
from jokbo.sources.base import WEIGHTS_SUFFIXES, ByteRange, FileInfo, Read, ReadStats, Source, SourceIdentity
from jokbo.sources.plan import cut_answers, merge_reads
from jokbo.sources.progress import Progress
from jokbo.sources.transport import MAX_REDIRECTS, Again, Transport, check_downgrade, origin, shown

MAX_GAP_BYTES = 128 << 10
"""A round trip of 30 ms shared by 16 threads costs 2 ms a request; 128 KiB take that long at 64 MB/s."""

MAX_REQUEST_BYTES = 16 << 20
"""Longer ranges are split: bounds memory per thread, and what is fetched again when a connection breaks."""


SLOWEST_BYTES_PER_SECOND = 1 << 10
"""A server that drips more slowly than this, after a minute, counts as broken."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What opening a remote source learned; kept in the cache, so that a second run asks nothing.

    Attributes
    ----------
    identity : SourceIdentity
        Who the source is, with its commit where there is one.
    files : mapping of str to FileInfo
        Names and sizes.
    validators : mapping of str to str
        A file's ETag or date: bytes with the same validator are the same bytes.
        A repository at a commit needs none.
    """

    identity: SourceIdentity
    files: Mapping[str, FileInfo]
    validators: Mapping[str, str] = field(default_factory=dict)


class Location(NamedTuple):
    """Where a file's bytes are now: an address, the headers it needs, and its validator there."""

    url: str
    headers: Mapping[str, str]
    validator: str | None


class Refused(Exception):
    """Inside a try: the server refused, and asking again as before will not help."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers


class KeyedSource(Source):
    """A source whose bytes can be kept, since something names them for ever.

    Attributes
    ----------
    listing : Listing
        What opening it learned.
    """

    listing: Listing

    @abstractmethod
    def cache_key(self, file: str) -> str | None:
        """What names these bytes for ever; None when nothing does, and they must not be kept."""


class RemoteSource(KeyedSource):
    """Files read by HTTP range from wherever a subclass finds them.

    Parameters
    ----------
    listing : Listing
        Names and sizes; every answer is held against them.
    transport : Transport
        How requests are sent and tried again.
    progress : Progress or None
        Told of bytes wanted and come.
    """

    def __init__(self, listing: Listing, *, transport: Transport, progress: Progress | None) -> None:
        self.listing = listing
        self.identity = listing.identity
        self.files = listing.files
        self.stats = ReadStats()
        self._transport = transport
        self._progress = progress
        self._locations: dict[str, Location] = {}
        # The first validator seen from each origin; origins may name one version differently.
        self._validators: dict[tuple[str, object], str | None] = {}
        self._locks = {file: threading.Lock() for file in listing.files}
        self._pool: ThreadPoolExecutor | None = None
        self._pool_lock = threading.Lock()

    @abstractmethod
    def _resolve(self, file: str) -> Location:
        """Find where the bytes of `file` are now."""

    @abstractmethod
    def _explain_refusal(self, file: str, refused: Refused) -> SourceError:
        """Say what a refusal means here and how to remedy it."""

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Read ranges: near ones share a request, long ones are split, and requests run concurrently."""
        self.check_reads(reads)
        requests = merge_reads(reads, max_gap_bytes=MAX_GAP_BYTES, max_request_bytes=MAX_REQUEST_BYTES)
        pieces = [_split(request.range) for request in requests]
        if self._progress is not None:
            self._progress.start(sum(request.range.size for request in requests))
        futures = deque(
            [self._executor().submit(self._fetch, request.file, piece) for piece in split]
            for request, split in zip(requests, pieces, strict=True)
        )
        _await_all([future for split in futures for future in split])
        answers = []
        while futures:  # let go of each answer's chunks as it is joined
            answers.append(b"".join(chunk for future in futures.popleft() for chunk in future.result()))
        return cut_answers(reads, requests, answers)

    def close(self) -> None:
        """Stop the threads; a later read starts them again."""
        with self._pool_lock:
            if self._pool is not None:
                self._pool.shutdown(wait=False, cancel_futures=True)
                self._pool = None

    def _executor(self) -> ThreadPoolExecutor:
        with self._pool_lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._transport.connections, thread_name_prefix="jokbo-read")
            return self._pool

    def _fetch(self, file: str, piece: ByteRange) -> list[bytes]:
        """One piece, in chunks; a location that refuses is looked up once more, since signatures expire."""
        what = f"{self.identity.name}: {file}, bytes {piece.start:,} to {piece.stop:,}"
        try:
            location = self._location(file, stale=None)
            try:
                chunks = self._transport.attempt(what, lambda: self._get(file, piece, location))
            except Refused as refused:
                if refused.status not in (400, 401, 403, 404, 410):
                    raise
                renewed = self._location(file, stale=location)
                chunks = self._transport.attempt(what, lambda: self._get(file, piece, renewed))
        except Refused as refused:
            raise self._explain_refusal(file, refused) from None
        if self._progress is not None:
            self._progress.advance(piece.size)
        return chunks

    def _location(self, file: str, *, stale: Location | None) -> Location:
        """The known location, or a new one where none is known or the known one is `stale`."""
        with self._locks[file]:
            known = self._locations.get(file)
            if known is None or known is stale:
                known = self._resolve(file)
                self._locations[file] = known
            return known

    def _get(self, file: str, piece: ByteRange, location: Location) -> list[bytes]:
        if piece.size == 0:
            return []
        # A small file that is not weights is asked for whole: hubs serve those out of git, where
        # servers may do without ranges. Its answer is a 200 of exactly the known length.
        size = self.files[file].size
        whole = piece == (0, size) and size <= MAX_REQUEST_BYTES and not file.endswith(WEIGHTS_SUFFIXES)
        url, headers = location.url, dict(location.headers)
        if not whole:
            headers["Range"] = f"bytes={piece.start}-{piece.stop - 1}"
        for _ in range(MAX_REDIRECTS + 1):
            self.stats.add(requests=1)
            with self._transport.stream("GET", url, headers) as response:
                if response.has_redirect_location:
                    url, headers = follow(url, response, headers)
                    continue
                expected = 200 if whole else 206
                if response.status_code != expected:
                    self._refuse(file, piece, response, expected)
                self._check_headers(file, piece, response, location, whole=whole)
                return self._read_body(file, piece, response)
        raise SourceError(
            f"{self.identity.name}: {file}: more than {MAX_REDIRECTS} redirects, the last to {shown(url)}. "
            "The server is set up wrongly: use another address."
        )

    def _refuse(self, file: str, piece: ByteRange, response: Any, expected: int) -> None:
        status = response.status_code
        where = f"{self.identity.name}: {file}, bytes {piece.start:,} to {piece.stop:,}"
        if status == 412:
            raise self._changed(file, "the server no longer has the version that was opened")
        if status == 416:
            total = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
            if total and int(total[1]) != self.files[file].size:
                raise self._changed(file, f"it has {total[1]} bytes now, {self.files[file].size} before")
            raise RangeError(
                f"{where}: the server says this range does not exist (416). Fetch the file yourself."
            )
        if status == 200:
            raise RangeError(
                f"{where}: the server ignores Range and answered 200 with the whole file; expected "
                f"{expected} with just these bytes. Use a server with ranges, or download the model first."
            )
        if 200 <= status < 300:
            raise RangeError(
                f"{where}: the server answered {status}; expected {expected}. Download the model first."
            )
        raise Refused(status, response.headers)

    def _check_headers(
        self, file: str, piece: ByteRange, response: Any, location: Location, *, whole: bool
    ) -> None:
        """Hold an answer's headers against what was asked, before a byte of its body is read."""
        where = f"{self.identity.name}: {file}, bytes {piece.start:,} to {piece.stop:,}"
        headers, size = response.headers, self.files[file].size
        encoding = headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise RangeError(
                f"{where}: the server compressed its answer ({encoding}); expected the bytes as they are. "
                "Use a server that honours Accept-Encoding, or download the model first."
            )
        if not whole:
            self._check_content_range(where, file, piece, headers.get("Content-Range"))
        length = headers.get("Content-Length")
        if length is not None and length != str(piece.size):
            if whole:
                raise self._changed(file, f"it has {length} bytes now, {size} before")
            raise RangeError(
                f"{where}: the server announces {length} bytes; expected {piece.size:,}. "
                "Use another server, or download the model first."
            )
        validator = read_validator(headers)
        before = location.validator or self._validators.setdefault((file, origin(location.url)), validator)
        if before is not None and validator is not None and validator != before:
            raise self._changed(file, f"its version (ETag or date) is {validator} now, {before} before")

    def _check_content_range(self, where: str, file: str, piece: ByteRange, found: str | None) -> None:
        size = self.files[file].size
        expected = f"bytes {piece.start}-{piece.stop - 1}/{size}"
        if found == expected:
            return
        parts = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", found or "")
        if parts and int(parts[3]) != size:
            raise self._changed(file, f"it has {parts[3]} bytes now, {size} before")
        raise RangeError(
            f"{where}: the server answered 206 with Content-Range {found!r}; expected {expected!r}. "
            "These would be other bytes: use another server, or download the model first."
        )

    def _read_body(self, file: str, piece: ByteRange, response: Any) -> list[bytes]:
        """Read the body, never more than was asked for."""
        chunks: list[bytes] = []
        n_bytes = 0
        started = self._transport.clock()
        for chunk in response.iter_raw():
            chunks.append(chunk)
            n_bytes += len(chunk)
            if n_bytes > piece.size:
                break
            seconds = self._transport.clock() - started
            if seconds > 60 and n_bytes < min(piece.size, seconds * SLOWEST_BYTES_PER_SECOND):
                raise Again(f"the server sent {n_bytes:,} bytes in {seconds:,.0f} s")
        self.stats.add(bytes_read=n_bytes)
        if n_bytes != piece.size:
            raise RangeError(
                f"{self.identity.name}: {file}, bytes {piece.start:,} to {piece.stop:,}: the server sent "
                f"{'more than that' if n_bytes > piece.size else f'{n_bytes:,} bytes'}; expected "
                f"{piece.size:,}. Use another server, or download the model first."
            )
        return chunks

    def _changed(self, file: str, how: str) -> ChangedError:
        return ChangedError(
            f"{self.identity.name}: {file} changed on the server while it was read: {how}. "
            "Run again; name a revision or a fixed address if it keeps changing."
        )


def read_validator(headers: Mapping[str, str]) -> str | None:
    """The ETag of an answer, or its date where it has no ETag."""
    return (headers.get("ETag") or headers.get("Last-Modified") or "").removeprefix("W/") or None


def follow(url: str, response: Any, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """The next address and headers of a redirect; credentials stay behind when the origin changes."""
    kept = dict(headers)
    try:
        after = urljoin(url, response.headers["Location"])
        if origin(after) != origin(url):
            kept.pop("Authorization", None)
    except ValueError:
        raise SourceError(
            f"{shown(url)} redirects to something that is not an address. Use another address."
        ) from None
    check_downgrade(url, after)
    return after, kept


def _split(whole: ByteRange) -> list[ByteRange]:
    starts = range(whole.start, max(whole.stop, whole.start + 1), MAX_REQUEST_BYTES)
    return [ByteRange(start, min(start + MAX_REQUEST_BYTES, whole.stop)) for start in starts]


def _await_all(futures: list[Future[list[bytes]]]) -> None:
    """Wait for all; at the first failure drop what has not begun, and raise it."""
    try:
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()
    except BaseException:  # an interrupt too: what is queued would otherwise still be fetched at exit
        for future in futures:
            future.cancel()
        raise
