"""A remote source read through the disk cache, so that a second run asks the network for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from jokbo.errors import ChangedError, OfflineError
from jokbo.sources.base import OpenOptions, Read, Source
from jokbo.sources.cache import DiskCache
from jokbo.sources.plan import Request, merge_reads
from jokbo.sources.remote import MAX_GAP_BYTES, MAX_REQUEST_BYTES, KeyedSource, Listing

LISTING_SECONDS = 600.0
"""How long a branch, or an address, is taken to lead where it led before."""

GROUP_REQUESTS = 512
GROUP_BYTES = 64 << 20
"""A group ends at either; waiting for its last request costs 16 threads about 3 % at 512."""


class CachedSource(Source):
    """A source with keys, read through a disk cache.

    Parameters
    ----------
    source : KeyedSource
        Where what is missing comes from.
    cache : DiskCache
        Where what came is kept.
    offline : bool
        Never ask `source`.
    on_change : callable, optional
        Called when `source` says that a file changed.
    """

    def __init__(
        self,
        source: KeyedSource,
        cache: DiskCache,
        *,
        offline: bool = False,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._source = source
        self._cache = cache
        self._offline = offline
        self._on_change = on_change
        self.identity = source.identity
        self.files = source.files
        self.stats = source.stats

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Read what the cache holds from it, and the rest from the source in one go.

        Raises
        ------
        OfflineError
            Offline, and the cache does not hold a range.
        """
        self.check_reads(reads)
        answers = [self._cached(read) for read in reads]
        missing = [i for i, answer in enumerate(answers) if answer is None]
        self.stats.add(bytes_from_cache=sum(len(answer) for answer in answers if answer is not None))
        if missing:
            fetched = self._fetch([reads[i] for i in missing])
            for i, answer in zip(missing, fetched, strict=True):
                answers[i] = answer
        return [answer for answer in answers if answer is not None]

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _cached(self, read: Read) -> bytes | None:
        if read.range.size == 0:
            return b""
        key = self._source.cache_key(read.file)
        return None if key is None else self._cache.read(key, read.range)

    def _fetch(self, reads: list[Read]) -> list[bytes]:
        if self._offline:
            file, (start, stop) = reads[0]
            raise OfflineError(
                f"{self.identity.name}: {file}, bytes {start:,} to {stop:,} are not in the cache, and "
                "--offline forbids the network. Run the same command once without --offline "
                "(and with a larger cache, if it was full)."
            )
        # Kept as they are fetched, merged: one file a request, and the same wishes find them again.
        requests = merge_reads(reads, max_gap_bytes=MAX_GAP_BYTES, max_request_bytes=MAX_REQUEST_BYTES)
        answers = [b""] * len(reads)
        for group in _groups(requests):
            for request, extent in zip(group, self._fetch_group(group), strict=True):
                for i, answer in zip(request.members, _cut(reads, request, extent), strict=True):
                    answers[i] = answer
        return answers

    def _fetch_group(self, group: Sequence[Request]) -> list[bytes]:
        try:
            extents = self._source.read_many([Read(request.file, request.range) for request in group])
        except ChangedError:
            if self._on_change is not None:
                self._on_change()
            raise
        for request, extent in zip(group, extents, strict=True):
            key = self._source.cache_key(request.file)
            if key is not None:
                self._cache.write(key, request.range, extent)
        return extents


def _groups(requests: Sequence[Request]) -> Iterator[Sequence[Request]]:
    """Requests in groups, each kept before the next begins: bounds what a failure loses."""
    group: list[Request] = []
    n_bytes = 0
    for request in requests:
        if group and (len(group) >= GROUP_REQUESTS or n_bytes + request.range.size > GROUP_BYTES):
            yield group
            group, n_bytes = [], 0
        group.append(request)
        n_bytes += request.range.size
    yield group


def _cut(reads: Sequence[Read], request: Request, extent: bytes) -> Iterator[bytes]:
    """What each member of a request gets of its bytes."""
    for i in request.members:
        start, stop = reads[i].range
        yield extent[start - request.range.start : stop - request.range.start]


def open_cached(
    key: str,
    *,
    name: str,
    build: Callable[[Listing | None], KeyedSource],
    options: OpenOptions,
    immutable: bool = False,
) -> Source:
    """Open a remote source through the cache, without asking anyone when its listing is known.

    Parameters
    ----------
    key : str
        Names what was asked for: hub, repository and revision, or an address.
    name : str
        The same, as it may be shown.
    build : callable
        Makes the source from a known listing, or from None by asking the server.
    options : OpenOptions
        Cache and network in effect.
    immutable : bool
        The key leads to the same listing for ever.

    Raises
    ------
    OfflineError
        Offline, and this was never opened on this machine.
    """
    cache = DiskCache(options.cache_dir, max_bytes=options.cache_bytes)
    forever = options.offline or immutable
    listing = cache.load_listing(key, max_age_seconds=None if forever else LISTING_SECONDS)
    if listing is None and options.offline:
        raise OfflineError(
            f"{name}: this model is not in the cache, and --offline forbids the network. "
            "Run the same command once without --offline."
        )
    source = build(listing)
    if listing is None:
        cache.store_listing(key, source.listing)
        if source.identity.commit is not None and not immutable:
            cache.store_listing(f"{key.partition('@')[0]}@{source.identity.commit}", source.listing)
    return CachedSource(source, cache, offline=options.offline, on_change=lambda: cache.forget_listing(key))
