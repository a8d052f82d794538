"""Readers, voters and speakers for the load of a live hearing: our own asyncio client, a socket each."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode


@dataclass
class Seen:
    """What all readers saw together."""

    delivery: list[float] = field(default_factory=list)
    events: int = 0
    bytes: int = 0
    reconnects: int = 0
    resets: int = 0
    out_of_order: int = 0


class Reader(asyncio.Protocol):
    """One live reader: decodes chunks and events, and comes back with the number of the last one."""

    def __init__(self, port: int, lang: str, seen: Seen) -> None:
        self.port, self.lang, self.seen = port, lang, seen
        self.last = -1
        self.first = -1
        self.numbers: list[int] = []
        self.transport: asyncio.Transport | None = None
        self.ending = False
        self._raw, self._text = b"", b""
        self._head = True

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        while not self.ending:
            try:
                await loop.create_connection(lambda: self, "127.0.0.1", self.port)
                return
            except OSError:
                await asyncio.sleep(0.5)

    def connection_made(self, transport: Any) -> None:
        self.transport, self._raw, self._text, self._head = transport, b"", b"", True
        seen = f"Last-Event-ID: {self.last}\r\n" if self.last >= 0 else ""
        transport.write(
            f"GET /{self.lang}/live HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n{seen}\r\n".encode()
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ending:
            self.seen.reconnects += 1
            asyncio.get_running_loop().create_task(self.connect())

    def data_received(self, data: bytes) -> None:
        self.seen.bytes += len(data)
        self._raw += data
        if self._head:
            head, end, rest = self._raw.partition(b"\r\n\r\n")
            if not end:
                return
            if b" 200 " not in head[:20]:
                assert self.transport is not None
                self.transport.close()
                return
            self._raw, self._head = rest, False
        while self._raw:
            size, end, rest = self._raw.partition(b"\r\n")
            if not end:
                break
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            self._text += rest[:length]
            self._raw = rest[length + 2 :]
        *whole, self._text = self._text.split(b"\n\n")
        for event in whole:
            self._take(parsed(event))

    def _take(self, event: Event | None) -> None:
        if event is None:
            return
        self.last = event.number
        self.seen.events += 1
        if event.kind == "entry":
            if self.numbers and event.after != self.numbers[-1]:
                self.seen.out_of_order += 1
            self.numbers.append(event.number)
            if event.sent is not None:
                self.seen.delivery.append(time.monotonic() - event.sent)
        elif event.kind == "reset":
            self.seen.resets += 1


@dataclass(frozen=True)
class Event:
    """An event as readers need it."""

    number: int
    kind: str
    after: int = -1
    sent: float | None = None


@lru_cache(4096)
def parsed(event: bytes) -> Event | None:
    """An event, read once for all readers: the client shares two cores with the server."""
    if not event.startswith(b"id: "):
        return None
    number, kind, data = event.decode().split("\n", 2)
    document = json.loads(data[6:])
    _, mark, sent = document.get("line", "").rpartition("sent=")
    return Event(int(number[4:]), kind[7:], document.get("after", -1), float(sent) if mark else None)


class Client:
    """Posts forms over one connection that stays open."""

    def __init__(self, port: int, cookie: str, token: str) -> None:
        self.port, self.cookie, self.token = port, cookie, token
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, path: str, fields: Mapping[str, Any]) -> tuple[int, bytes]:
        """Status and body; raises OSError or EOFError where the server has gone."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        body = urlencode({"token": self.token, **fields}).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nCookie: {self.cookie}\r\n"
            f"Accept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        try:
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(answer.partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            content = await reader.readexactly(length)
        except (OSError, EOFError):
            writer.close()
            self._streams = None
            raise
        return int(answer.split(b" ", 2)[1]), content


def stalled(port: int) -> socket.socket:
    """A reader that asks for all that was missed, and then reads nothing."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect(("127.0.0.1", port))
    made.sendall(f"GET /en/live?after=0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    return made
