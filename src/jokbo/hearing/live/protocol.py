"""uvicorn's protocol, with what it lacks.

A stream needs to know when its reader goes, and to cut it off at once. And the head of a request - its first line and
its headers - has to come within some seconds and some bytes: the parser itself waits for ever, and keeps whatever
comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WRITE_BUFFER_BYTES = 32 << 10
HEAD_SECONDS = 20.0
MAX_HEAD_BYTES = 64 << 10
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Connection:
    """What the application sees of a connection.

    Parameters
    ----------
    transport : asyncio.Transport
    """

    __slots__ = ("_lost", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._lost = transport, list[Callable[[], None]]()

    def when_lost(self, call: Callable[[], None]) -> None:
        """Call something once when the connection is gone."""
        self._lost.append(call)

    def write(self, chunk: bytes) -> bool:
        """Write a chunk of a response that is on its way; False, and nothing is written, where the buffer is full."""
        if self._transport.get_write_buffer_size() > WRITE_BUFFER_BYTES:
            return False
        if not self._transport.is_closing():
            self._transport.write(chunk)
        return True

    def abort(self) -> None:
        """Cut the connection off; what its buffers hold is given up."""
        self._transport.abort()

    def lost(self) -> None:
        """The connection is gone."""
        calls, self._lost = self._lost, []
        for call in calls:
            call()


class HearingProtocol(HttpToolsProtocol):
    """Gives each request its connection, in the scope's state, and no client for ever to say what it wants."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.connection = Connection(transport)
        self._head_bytes, self._in_head = 0, True
        self._head_timer: asyncio.TimerHandle | None = None
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self._in_head:
            self._head_bytes += len(data)
            # What comes behind a head that is whole is a body, so a piece alone is never too large.
            if self._head_bytes - len(data) > MAX_HEAD_BYTES:
                self.transport.write(TOO_LARGE)
                self.transport.close()
                return
        super().data_received(data)
        answered = self.cycle is not None and self.cycle.response_complete
        if answered and not self._in_head and not self.transport.is_closing():
            # uvicorn's timer of idle connections ends with any byte, also one that begins no request.
            self._in_head = True
            self._await_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["state"]["connection"] = self.connection
        self._in_head = True
        self._await_head()

    def on_headers_complete(self) -> None:
        """The head of a request is whole."""
        self._in_head, self._head_bytes = False, 0
        self._forget_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._forget_timer()
        super().connection_lost(exc)
        self.connection.lost()

    def _await_head(self) -> None:
        self._forget_timer()
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _forget_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if self._in_head:
            self.transport.abort()
