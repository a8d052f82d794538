"""The stream of events: what was missed first, then what comes, until the reader goes or does not keep up."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING, Any

from jokbo.hearing.live.links import LANGUAGES

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from jokbo.hearing.live.room import Room

RETRY_LEAST_MS, RETRY_SPREAD_MS = 1000, 4000
MAX_DIGITS = 12
PIECE_BYTES = 16 << 10

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
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a reader."""
        lang = scope["path_params"].get("lang")
        if scope["method"] != "GET" or lang not in LANGUAGES or self._room.hub.full:
            await _refuse(send, 404 if lang not in LANGUAGES else 503 if scope["method"] == "GET" else 405)
            return
        connection: Any = scope.get("state", {}).get("connection")
        listener: asyncio.Task[None] | None = None
        reader = self._room.hub.join(lang, drop=lambda: _abort(connection))
        # Nothing is told between joining and looking up what was missed: both happen in this one step.
        seen = last_seen(scope)
        begin = b"retry: %d\n\n" % (RETRY_LEAST_MS + secrets.randbelow(RETRY_SPREAD_MS))
        begin += b"" if seen is None else self._room.missed(lang, seen)
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
            while connection is not None and (waiting := reader.now_directly(connection.write)):
                await send({"type": "http.response.body", "body": waiting, "more_body": True})
            while chunk := await reader.take():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self._room.hub.leave(reader)
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


async def _refuse(send: Send, status: int) -> None:
    headers = [(b"content-type", b"text/plain"), (b"retry-after", b"20"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
