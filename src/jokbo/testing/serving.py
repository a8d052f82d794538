"""Bytes to serve and the answers that carry them: used by the hub emulator and by plain test servers."""

from __future__ import annotations

import hashlib
import http
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

CHUNK_BYTES = 1 << 20
DIGEST_LIMIT_BYTES = 64 << 20


class LoggedRequest(NamedTuple):
    """A request as it came; header names in lower case."""

    role: str
    method: str
    path: str
    headers: Mapping[str, str]


class Content:
    """A file to serve, of any size: bytes, a file on disk, or zeros with a few parts written.

    Parameters
    ----------
    size : int
        Bytes.
    parts : mapping of int to bytes
        What lies at which offset; zeros elsewhere.
    path : path-like, optional
        Read instead of `parts`.
    """

    def __init__(
        self,
        size: int,
        parts: Mapping[int, bytes] | None = None,
        *,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        self.size = size
        self._parts = sorted((parts or {}).items())
        self._file = None if path is None else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.sha256 = self._digest()

    def __del__(self) -> None:
        if getattr(self, "_file", None) is not None:
            os.close(self._file)  # type: ignore[arg-type]

    def read(self, start: int, stop: int) -> bytes:
        """Bytes of a range that lies inside."""
        if self._file is not None:
            return os.pread(self._file, stop - start, start)
        data = bytearray(stop - start)
        for offset, part in self._parts:
            low, high = max(start, offset), min(stop, offset + len(part))
            if low < high:
                data[low - start : high - start] = part[low - offset : high - offset]
        return bytes(data)

    def send(self, connection: socket.socket, start: int, stop: int) -> int:
        """Send a range; a file's bytes do not pass through this process. Returns bytes sent."""
        position = start
        while position < stop:
            if self._file is not None:
                n_bytes = os.sendfile(connection.fileno(), self._file, position, stop - position)
                if n_bytes == 0:
                    break
            else:
                data = self.read(position, min(stop, position + CHUNK_BYTES))
                connection.sendall(data)
                n_bytes = len(data)
            position += n_bytes
        return position - start

    def _digest(self) -> str:
        """SHA-256 of the bytes; of name and date only where the file is too large to read for a test."""
        digest = hashlib.sha256()
        if self.size <= DIGEST_LIMIT_BYTES:
            for start in range(0, self.size, CHUNK_BYTES):
                digest.update(self.read(start, min(self.size, start + CHUNK_BYTES)))
        else:
            status = os.fstat(self._file) if self._file is not None else None
            marks = (status.st_ino, status.st_mtime_ns) if status else [(at, len(p)) for at, p in self._parts]
            digest.update(f"{self.size} {marks}".encode())
        return digest.hexdigest()


def as_content(content: bytes | str | os.PathLike[str] | Content) -> Content:
    """Bytes, a path or a content as a content."""
    if isinstance(content, Content):
        return content
    if isinstance(content, bytes):
        return Content(len(content), {0: content})
    return Content(Path(content).stat().st_size, path=content)


@dataclass(slots=True)
class Answer:
    """A status, headers, and a range of a content as the body.

    Attributes
    ----------
    status : int
        HTTP status.
    headers : dict of str to str
        As sent; ``Content-Length`` is added where it is missing.
    content, start, stop
        The body: a range of a content.
    stop_after : int or None
        Close the connection after so many bytes of the body.
    announced : bool
        Tell the length; else the end of the connection ends the body.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: Content | None = None
    start: int = 0
    stop: int = 0
    stop_after: int | None = None
    announced: bool = True

    @classmethod
    def json(cls, document: Any) -> Answer:
        """A document."""
        data = json.dumps(document).encode()
        return cls(200, {"Content-Type": "application/json"}, as_content(data), 0, len(data))

    @classmethod
    def error(cls, status: int, code: str | None, message: str) -> Answer:
        """A refusal as the hub words it."""
        headers = {"X-Error-Message": message}
        return cls(status, headers | ({"X-Error-Code": code} if code else {}))

    def send(self, connection: socket.socket, *, with_body: bool) -> tuple[int, bool]:
        """Send it; returns bytes of the body sent, and whether the connection can go on."""
        length = (
            {"Content-Length": str(self.stop - self.start)} if self.announced else {"Connection": "close"}
        )
        headers = length | self.headers
        phrase = http.HTTPStatus(self.status).phrase
        lines = [f"HTTP/1.1 {self.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        if not with_body or self.content is None:
            return 0, True
        stop = self.stop if self.stop_after is None else min(self.stop, self.start + self.stop_after)
        sent = self.content.send(connection, self.start, stop)
        return sent, self.announced and sent == self.stop - self.start


def cut_range(content: Content, asked: Mapping[str, str], headers: Mapping[str, str]) -> Answer:
    """Answer a request as a sound server does: 206 for a range, 416 outside, 412 when ``If-Match`` fails."""
    headers = {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"} | dict(headers)
    if "if-match" in asked and asked["if-match"] != headers.get("ETag"):
        return Answer(412, headers)
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.get("range", ""))
    if wanted is None:
        return Answer(200, headers, content, 0, content.size)
    start = int(wanted[1])
    stop = min(int(wanted[2]) + 1 if wanted[2] else content.size, content.size)
    if start >= content.size:
        return Answer(416, headers | {"Content-Range": f"bytes */{content.size}"})
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
    return Answer(206, headers, content, start, stop)
