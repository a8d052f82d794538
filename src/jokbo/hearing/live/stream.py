"""The stream of events: what was missed first, then what comes, until the reader goes or does not keep up."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any

from jokbo.hearing.live.limits import network
from jokbo.hearing.live.links import LANGUAGES
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from jokbo.hearing.live.room import Room

RETRY_LEAST_MS, RETRY_SPREAD_MS = 1000, 4000
MAX_DIGITS = 12
PIECE_BYTES = 16 << 10
MAX_REPLAY_BYTES = 24 << 20
"""Of missed events on their way to all readers together."""

HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"content-encoding", b"identity"),
)


def last_seen(scope: Scope) -> int | None:
    """Number of the last event that a reader saw: its header when it comes back, else what the page says.

    Examples
    --------
    >>> last_seen({"headers": [(b"last-event-id", b"41")], "query_string": b"after=3"})
    41
    """
    from urllib.parse import parse_qs

    headers = dict(scope["headers"])
    text = headers.get(b"last-event-id", b"").decode("latin-1")
    if not text:
        text = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("after", [""])[0]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


class EventStream:
    """An ASGI application that serves one stream a request.

    Parameters
    ----------
    room : Room
    """

    def __init__(self, room: Room) -> None:
        self._room, self._replaying = room, 0

    def _missed(self, lang: str, seen: int | None) -> bytes:
        """What a reader missed; where too much is on its way to others already, it loads the page anew instead.

        Readers that ask for much and take nothing would hold the memory of everybody.
        """
        if seen is None:
            return b""
        found = self._room.missed(lang, seen)
        return found if self._replaying + len(found) <= MAX_REPLAY_BYTES else self._room.start_over()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a reader."""
        lang = scope["path_params"].get("lang")
        if scope["method"] != "GET" or lang not in LANGUAGES:
            await _refuse(send, 404 if lang not in LANGUAGES else 405)
            return
        hub, address = self._room.hub, network((scope.get("client") or ("",))[0])
        if hub.full or hub.crowded(address):
            # The page itself goes on working, and looks for news from time to time.
            await _refuse(
                send, 503, Texts(lang)("live.refused.streams" if hub.full else "live.refused.crowded")
            )
            return
        connection: Any = scope.get("state", {}).get("connection")
        listener: asyncio.Task[None] | None = None
        reader = hub.join(lang, lambda: _abort(connection), address)
        # Nothing is told between joining and looking up what was missed: both happen in this one step.
        seen = last_seen(scope)
        begin = b"retry: %d\n\n" % (RETRY_LEAST_MS + secrets.randbelow(RETRY_SPREAD_MS))
        begin += self._missed(lang, seen)
        kept = len(begin)
        self._replaying += kept
        if connection is not None:
            connection.when_lost(reader.close)
        else:
            listener = asyncio.create_task(_listen(receive, reader.close))
        try:
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            for start in range(0, len(begin), PIECE_BYTES):
                # In pieces: a reader that asks for much and takes nothing fills no buffer.
                piece = begin[start : start + PIECE_BYTES]
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            del begin
            self._replaying, kept = self._replaying - kept, 0
            while connection is not None and (waiting := reader.now_directly(connection.write)):
                await send({"type": "http.response.body", "body": waiting, "more_body": True})
            while chunk := await reader.take():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._replaying -= kept
            hub.leave(reader)
            if listener is not None:
                listener.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listener


def _abort(connection: Any) -> None:
    """Cut a connection off at once, with whatever its buffers hold."""
    if connection is not None:
        connection.abort()


async def _listen(receive: Receive, gone: Any) -> None:
    """Under another server than ours: wait until the reader goes."""
    while (await receive())["type"] != "http.disconnect":
        pass
    gone()


async def _refuse(send: Send, status: int, said: str = "") -> None:
    body = said.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"retry-after", b"20"),
        (b"cache-control", b"no-store"),
        (b"content-length", b"%d" % len(body)),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
