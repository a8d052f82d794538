"""A checkpoint on a plain web server: a weights file, an index, or a folder.

The server must answer ranges. Nothing lists a folder over HTTP, so the files
that a model may have beside its weights are asked for by name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from jokbo.errors import AccessError, NotFoundError, RangeError, SourceError, UsageError
from jokbo.sources.base import INDEX_SUFFIXES, WEIGHTS_SUFFIXES, FileInfo, OpenOptions, Source, SourceIdentity
from jokbo.sources.progress import Progress
from jokbo.sources.remote import (
    Listing,
    Location,
    Refused,
    RemoteSource,
    follow,
    read_validator,
)
from jokbo.sources.transport import MAX_CONNECTIONS, MAX_REDIRECTS, Transport, is_loopback, shown

FIRST_FILES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "adapter_model.safetensors",
    "pytorch_model.bin.index.json",
    "pytorch_model.bin",
    "adapter_model.bin",
)
"""What a folder without a list of its files is asked for, best first."""

MAX_INDEX_BYTES = 16 << 20
"""The index of a model with 100,000 tensors takes about 10 MB."""

MAX_SHARDS = 4096
"""Each shard is asked for when the model is opened; the largest released models have a few hundred."""

COMPANIONS = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "adapter_config.json",
)
"""Files that a model may have beside its weights."""


class HttpSource(RemoteSource):
    """A model behind an ``https://`` address.

    The address names a file of weights, an index of shards, or
    a folder that holds one of :data:`FIRST_FILES`.
    Credentials and queries in it are sent and never shown; a query (a signature)
    is sent with every file.

    Parameters
    ----------
    url : str
        The address. ``http://`` is for this machine only unless `allow_plain_http`.
    listing : Listing, optional
        What an earlier opening learned; without it the server is asked.
    allow_plain_http : bool
        Read over an unencrypted connection, where anyone on the way can change the bytes.
    transport : Transport, optional
        How requests are sent and tried again.
    progress : Progress, optional
        Told of bytes wanted and come.

    Raises
    ------
    UsageError
        The address is not one, or unencrypted.
    NotFoundError
        There is no model at it.
    """

    def __init__(
        self,
        url: str,
        *,
        listing: Listing | None = None,
        allow_plain_http: bool = False,
        transport: Transport | None = None,
        progress: Progress | None = None,
    ) -> None:
        _check_address(url, allow_plain_http=allow_plain_http)
        transport = transport or Transport()
        self._folder, self._query = _folder_and_query(url)
        search = _Search(url, transport)
        super().__init__(listing or search.listing(), transport=transport, progress=progress)
        self._locations |= search.locations
        self.stats.add(requests=search.requests)

    def cache_key(self, file: str) -> str | None:
        """Address, size and validator; nothing is kept of a file that the server does not version."""
        validator = self.listing.validators.get(file)
        if validator is None:
            return None
        return f"http {_without_user(self._url(file))} {self.files[file].size} {validator}"

    def _url(self, file: str) -> str:
        return _join_url(self._folder, file, self._query)

    def _resolve(self, file: str) -> Location:
        found = probe(self._url(file), self._transport, ranged=file.endswith(WEIGHTS_SUFFIXES))
        self.stats.add(requests=found.requests)
        if found.size != self.files[file].size:
            raise self._changed(file, f"it has {found.size} bytes now, {self.files[file].size} before")
        before = self.listing.validators.get(file)
        if before is not None and found.location.validator != before:
            raise self._changed(file, f"its version is {found.location.validator} now, {before} before")
        return found.location

    def _explain_refusal(self, file: str, refused: Refused) -> SourceError:
        return explain_refusal(f"{self.identity.name}: {file}", refused.status)


def open_http(url: str, options: OpenOptions) -> Source:
    """Open an address through the disk cache."""
    from jokbo.sources.cached import open_cached

    _check_address(url, allow_plain_http=False)
    return open_cached(
        f"http {_without_user(url)}",
        name=shown(url),
        build=lambda listing: HttpSource(
            url,
            listing=listing,
            transport=Transport.of_options(options),
            progress=options.progress,
        ),
        options=options,
    )


class _Found:
    """What a probe of one address found: the last address of its redirects, size, validator."""

    __slots__ = ("location", "requests", "size")

    def __init__(self, location: Location, size: int, requests: int) -> None:
        self.location = location
        self.size = size
        self.requests = requests


def probe(url: str, transport: Transport, *, ranged: bool) -> _Found:
    """Ask for one byte of a file: shows its size, its version, and that ranges work.

    Parameters
    ----------
    ranged : bool
        Whether ranges must work. A small file may be read whole instead; the
        connection is dropped at the headers when the server sends it all.

    Raises
    ------
    Refused
        The server refused.
    RangeError
        The size is not told, or `ranged` and ranges do not work.
    """
    requests = 0

    def once() -> _Found:
        nonlocal requests
        address, headers = url, {"Range": "bytes=0-0"}
        for _ in range(MAX_REDIRECTS + 1):
            requests += 1
            with transport.stream("GET", address, headers) as response:
                if response.has_redirect_location:
                    address, headers = follow(address, response, headers)
                    continue
                if response.status_code >= 300 and response.status_code != 416:
                    raise Refused(response.status_code, response.headers)
                size = _read_size(shown(url), response.status_code, response.headers, ranged=ranged)
                validator = read_validator(response.headers)
                etag = response.headers.get("ETag", "")
                # A strong ETag lets the server itself refuse once the file has changed.
                sent = {"If-Match": etag} if etag.startswith('"') else {}
                return _Found(Location(address, sent, validator), size, requests)
        raise SourceError(f"{shown(url)}: more than {MAX_REDIRECTS} redirects. Use another address.")

    return transport.attempt(shown(url), once)


def _read_size(where: str, status: int, headers: Mapping[str, str], *, ranged: bool) -> int:
    found = headers.get("Content-Range", "")
    unit, _, total = found.rpartition("/")
    if status == 206 and unit == "bytes 0-0" and total.isdecimal():
        return int(total)
    if status == 416 and found == "bytes */0":
        return 0
    length = headers.get("Content-Length", "")
    if not ranged and status == 200 and length.isdecimal() and "Content-Encoding" not in headers:
        return int(length)
    if status == 200 and ranged:
        raise RangeError(
            f"{where}: the server ignores Range and answered 200 with the whole file; expected 206 with one "
            "byte. Use a server that supports ranges, or download the model first."
        )
    raise RangeError(
        f"{where}: the server does not tell the size of the file (status {status}, Content-Range {found!r}, "
        f"Content-Length {length!r}). Use another server, or download the model first."
    )


def explain_refusal(where: str, status: int) -> SourceError:
    """What a plain server's refusal means, and how to remedy it."""
    if status in (404, 410):
        return NotFoundError(f"{where}: the server has no such file ({status}). Check the address.")
    if status in (401, 403):
        return AccessError(
            f"{where}: the server refuses access ({status}). The address may need credentials, or its "
            "signature may have expired: get a new address."
        )
    return SourceError(f"{where}: the server answered {status}; expected the file. Check the address.")


class _Search:
    """Finds a model's files from one address."""

    def __init__(self, url: str, transport: Transport) -> None:
        self._url = url
        self._transport = transport
        self._folder, self._query = _folder_and_query(url)
        self.locations: dict[str, Location] = {}
        self.requests = 0
        self._files: dict[str, FileInfo] = {}

    def listing(self) -> Listing:
        """Ask the server which files there are."""
        name = unquote(urlsplit(self._url).path.rpartition("/")[2])
        if name.endswith((*WEIGHTS_SUFFIXES, *INDEX_SUFFIXES)):
            self._need([name])
        else:
            name = next((file for file in FIRST_FILES if self._find([file])), "")
            if not name:
                raise NotFoundError(
                    f"{shown(self._url)}: there is none of {', '.join(FIRST_FILES)} in this folder. "
                    "Name the weights file or the index itself."
                )
        if name.endswith(INDEX_SUFFIXES):
            self._need(self._shards(name))
        self._find(COMPANIONS)
        return Listing(
            identity=SourceIdentity(kind="http", name=shown(self._url)),
            files=self._files,
            validators={
                file: found.validator for file, found in self.locations.items() if found.validator is not None
            },
        )

    def _need(self, files: Iterable[str]) -> None:
        for file, refused in self._probe_all(files):
            if refused is not None:
                raise explain_refusal(f"{shown(_join_url(self._folder, file, ''))}", refused.status)

    def _find(self, files: Iterable[str]) -> bool:
        """Look for files that may be there; storage that does not list answers 403 for what is absent."""
        found = False
        for file, refused in self._probe_all(files):
            if refused is None:
                found = True
            elif refused.status not in (403, 404, 410):
                raise explain_refusal(f"{shown(_join_url(self._folder, file, ''))}", refused.status)
        return found

    def _probe_all(self, files: Iterable[str]) -> list[tuple[str, Refused | None]]:
        def one(file: str) -> tuple[str, Refused | None, _Found | None]:
            url = _join_url(self._folder, file, self._query)
            try:
                return file, None, probe(url, self._transport, ranged=file.endswith(WEIGHTS_SUFFIXES))
            except Refused as refused:
                return file, refused, None

        with ThreadPoolExecutor(MAX_CONNECTIONS) as pool:
            answers = list(pool.map(one, files))
        for file, _, found in answers:
            self.requests += found.requests if found else 1
            if found:
                self.locations[file] = found.location
                self._files[file] = FileInfo(found.size)
        return [(file, refused) for file, refused, _ in answers]

    def _shards(self, index: str) -> list[str]:
        """Shards that an index names; one that is absent stays out, and the format says which."""
        partial = Listing(SourceIdentity("http", shown(self._url)), {index: self._files[index]})
        with_index = HttpSource(self._url, listing=partial, allow_plain_http=True, transport=self._transport)
        try:
            document = json.loads(with_index.read_file(index, max_bytes=MAX_INDEX_BYTES))
            shards = set(document["weight_map"].values())
            names = {shard for shard in shards if shard.endswith(WEIGHTS_SUFFIXES) and "/" not in shard}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise NotFoundError(
                f"{shown(self._url)}: {index} is not an index: expected a JSON object with a 'weight_map' of "
                "names to files. Check the address."
            ) from None
        finally:
            with_index.close()
        if len(names) > MAX_SHARDS:
            raise SourceError(
                f"{shown(self._url)}: {index} names {len(names):,} shards; expected at most {MAX_SHARDS:,}. "
                "The index is damaged or hostile."
            )
        return sorted(names)


def _check_address(url: str, *, allow_plain_http: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the address is not one ({error}). Write it as https://host/path.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"{shown(url)} is not a web address. Write it as https://host/path.")
    if parts.scheme == "http" and not allow_plain_http and not is_loopback(url):
        raise UsageError(
            f"{shown(url)} is not encrypted, so anyone on the way could change the weights. Use https://, or "
            "in Python HttpSource(url, allow_plain_http=True)."
        )


def _folder_and_query(url: str) -> tuple[str, str]:
    """The address of the folder, ending in a slash, and the query that every file of it gets."""
    parts = urlsplit(url)
    path = parts.path or "/"
    if path.endswith((*WEIGHTS_SUFFIXES, *INDEX_SUFFIXES)):
        path = path.rpartition("/")[0]
    return urlunsplit((parts.scheme, parts.netloc, path.rstrip("/") + "/", "", "")), parts.query


def _join_url(folder: str, file: str, query: str) -> str:
    url = urljoin(folder, quote(file))
    return f"{url}?{query}" if query else url


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, parts.query, ""))
