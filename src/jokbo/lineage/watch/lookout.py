"""Ask a hub what is newest, as seldom and as cheaply as it allows.

One request at a time; a question that was asked before carries the ETag of its answer, so that nothing changed costs
an empty 304; after an answer that says the window's requests are used up, nothing is asked until the window ends.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

from jokbo.errors import AccessError, NotFoundError, SourceError
from jokbo.sources.base import OpenOptions
from jokbo.sources.hub import hub_endpoint, saved_token
from jokbo.sources.open import HUB_ID
from jokbo.sources.transport import Again, Transport, asked_wait, origin, shown

MAX_ANSWER_BYTES = 16 << 20
MAX_PAGES = 100
PAGE_MODELS = 500

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NEXT = re.compile(r'<([^<>]{1,4096})>\s*;\s*rel="?next"?', re.ASCII)


@dataclass(frozen=True, slots=True)
class Newest:
    """What a hub says of a repository.

    Attributes
    ----------
    commit : str
        What the branch leads to.
    etag : str or None
        Names this answer when it is asked again.
    """

    commit: str
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class _Page:
    """One answer: its status, headers and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Lookout:
    """Asks a hub.

    Parameters
    ----------
    options : OpenOptions
        Endpoint and token.
    transport : Transport, optional
        How requests are sent and tried again; its ``sleep`` is what waits.
    """

    def __init__(self, options: OpenOptions, *, transport: Transport | None = None) -> None:
        self._endpoint = hub_endpoint(options)
        self._token = options.token or saved_token()
        self._transport = transport or Transport.of_options(options)

    def look(self, repository: str, before: Newest | None = None) -> Newest:
        """What a repository's branch leads to now; `before` itself when the hub says that nothing changed.

        Raises
        ------
        NotFoundError, AccessError
            No such repository, or not for this token.
        SourceError
            The hub does not answer as one.
        """
        name, _, branch = repository.partition("@")
        url = f"{self._endpoint}/api/models/{name}/revision/{quote(branch or 'main', safe='')}?expand[]=sha"
        tag = before.etag if before is not None else None
        page = self._get(repository, url, {"If-None-Match": tag} if tag else {})
        if page.status == 304 and before is not None:
            return before
        document = _parse(repository, page)
        commit = document.get("sha") if isinstance(document, Mapping) else None
        if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
            raise self._no_hub(repository)
        return Newest(commit, page.headers.get("ETag"))

    def list_models(self, author: str) -> Iterator[tuple[str, str | None]]:
        """An author's public models, page by page: name, and the newest commit where the hub tells it.

        Raises
        ------
        SourceError
            The hub does not answer as one, or has more pages than an author can have.
        """
        url = f"{self._endpoint}/api/models?author={quote(author, safe='')}&limit={PAGE_MODELS}&expand[]=sha"
        for _ in range(MAX_PAGES):
            page = self._get(author, url, {})
            document = _parse(author, page)
            if not isinstance(document, list) or len(document) > PAGE_MODELS:
                raise self._no_hub(author)
            for row in document:
                name = row.get("id") if isinstance(row, Mapping) else None
                if not isinstance(name, str) or HUB_ID.fullmatch(name) is None or "@" in name:
                    raise self._no_hub(author)
                commit = row.get("sha")
                known = isinstance(commit, str) and _COMMIT.fullmatch(commit)
                yield name, commit if known else None
            following = _NEXT.search(page.headers.get("Link") or "")
            if following is None:
                return
            url = urljoin(url, following[1])
            if origin(url) != origin(self._endpoint):
                raise SourceError(
                    f"{author}: the hub's list goes on at {shown(url)}, another host. Not followed."
                )
        raise SourceError(f"{author}: the hub's list has more than {MAX_PAGES} pages. Name the repositories.")

    def pause(self, seconds: float) -> None:
        """Leave the hub alone for a while."""
        if seconds > 0:
            self._transport.sleep(seconds)

    def _get(self, what: str, url: str, headers: Mapping[str, str]) -> _Page:
        sent = dict(headers) | ({"Authorization": f"Bearer {self._token}"} if self._token else {})

        def once() -> _Page:
            with self._transport.stream("GET", url, sent) as response:
                return _Page(response.status_code, response.headers, _read_body(what, response))

        page = self._transport.attempt(what, once)
        wait = asked_wait(page.headers)
        if wait:
            # The window's requests are used up: the next would be refused.
            self._transport.sleep(min(wait, self._transport.retry.patience_seconds))
        if page.status not in (200, 304):
            raise self._refused(what, page.status)
        return page

    def _refused(self, what: str, status: int) -> SourceError:
        if status in (401, 403):
            return AccessError(
                f"{what}: the hub answered {status}: it does not exist, or this token may not read it. Check the "
                "spelling, and set HF_TOKEN if it is private."
            )
        if status == 404:
            return NotFoundError(
                f"{what}: the hub knows no such repository, branch or author (404). Check the list."
            )
        return SourceError(f"{what}: the hub answered {status}; expected 200. Check HF_ENDPOINT.")

    def _no_hub(self, what: str) -> SourceError:
        return SourceError(
            f"{what}: {shown(self._endpoint)} did not answer as a hub does; expected models and their commits. "
            "Check HF_ENDPOINT."
        )


def _read_body(what: str, response: Any) -> bytes:
    data = bytearray()
    for chunk in response.iter_raw():
        data += chunk
        if len(data) > MAX_ANSWER_BYTES:
            raise SourceError(
                f"{what}: the hub's answer is larger than {MAX_ANSWER_BYTES:,} bytes. Check HF_ENDPOINT."
            )
    announced = response.headers.get("Content-Length")
    if announced is not None and announced.isdecimal() and int(announced) != len(data) and data:
        raise Again("the hub's answer was cut")
    return bytes(data)


def _parse(what: str, page: _Page) -> Any:
    try:
        return json.loads(page.body)
    except (ValueError, RecursionError):
        raise SourceError(f"{what}: the hub's answer is not JSON. Check HF_ENDPOINT.") from None
