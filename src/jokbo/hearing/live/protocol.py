"""uvicorn's protocol, with two things a stream needs: to know when its reader goes, and to cut it off at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

WRITE_BUFFER_BYTES = 32 << 10


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
    """Gives each request its connection, in the scope's state."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=WRITE_BUFFER_BYTES)
        self.connection = Connection(transport)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["state"]["connection"] = self.connection

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        super().connection_lost(exc)
        self.connection.lost()
