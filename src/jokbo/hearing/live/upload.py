"""Files on their way in: bounded while they stream, never named by what somebody called them.

Fields of a form come before its files, so that the token and the permission are checked before a byte of a file is
kept. What is too large is cut off at the limit, and what was kept of it goes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field

from jokbo.errors import InputError, UsageError
from jokbo.hearing.exhibits import ExhibitStore, Receiving, StoredFile, display_name

MAX_FIELDS = 60
MAX_FIELD_BYTES = 1 << 17
MAX_HEADER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A form with its files.

    Attributes
    ----------
    values : mapping of str to str
    files : mapping of str to (str, StoredFile)
        Name for people and what was kept, by field.
    """

    values: Mapping[str, str]
    files: Mapping[str, tuple[str, StoredFile]]


class TooLargeError(InputError):
    """A request is larger than what is taken."""


@dataclass(slots=True)
class _Part:
    """A part on its way."""

    headers: dict[str, bytes] = field(default_factory=dict)
    name: str = ""
    filename: str | None = None
    value: bytearray = field(default_factory=bytearray)
    receiving: Receiving | None = None
    size: int = 0


async def read_upload(
    chunks: AsyncIterator[bytes],
    content_type: str,
    store: ExhibitStore,
    *,
    max_bytes: int,
    allowed: Callable[[Mapping[str, str]], None],
) -> Uploaded:
    """Read a ``multipart/form-data`` body.

    Parameters
    ----------
    chunks : asynchronous iterator of bytes
    content_type : str
    store : ExhibitStore
        Files go here.
    max_bytes : int
        Of the whole body.
    allowed : callable
        Called with the fields before the first byte of a file is kept; raises to refuse.

    Raises
    ------
    TooLargeError
        The body is larger, or has too many fields.
    UsageError
        It is no form with files.
    """
    with ExitStack() as stack:
        reader = _Reader(store, stack, max_bytes, allowed)
        parser = reader.parser(content_type)
        total = 0
        async for chunk in chunks:
            total += len(chunk)
            if total > max_bytes + MAX_FIELDS * MAX_FIELD_BYTES:
                raise TooLargeError(f"more than {max_bytes:,} bytes were sent, the most that is taken.")
            # A file's last byte waits for the disk; nobody else should.
            await asyncio.to_thread(reader.feed, parser, chunk)
        if not reader.ended:
            raise UsageError("the form ends too early. Send it again.")
        return Uploaded(dict(reader.values), dict(reader.files))


async def at_some_speed(
    chunks: AsyncIterator[bytes], grace_seconds: float, least_bytes_a_second: float
) -> AsyncIterator[bytes]:
    """The same chunks, as long as they come: after a time of grace whoever drips is cut off.

    Raises
    ------
    UsageError
        Nothing came for the time of grace, or too little since the beginning.
    """
    began, total = time.monotonic(), 0
    while True:
        try:
            async with asyncio.timeout(grace_seconds):
                chunk = await anext(chunks)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UsageError("the file stopped coming. Send it again on a better line.") from None
        total += len(chunk)
        late = time.monotonic() - began - grace_seconds
        if late > 0 and total < late * least_bytes_a_second:
            raise UsageError("the file comes too slowly. Send it again on a better line.")
        yield chunk


class _Reader:
    """What the parser calls."""

    def __init__(
        self,
        store: ExhibitStore,
        stack: ExitStack,
        max_bytes: int,
        allowed: Callable[[Mapping[str, str]], None],
    ) -> None:
        self.values: dict[str, str] = {}
        self.files: dict[str, tuple[str, StoredFile]] = {}
        self.ended = False
        self._whole: dict[str, tuple[str, Receiving]] = {}
        self._store, self._stack, self._max, self._allowed = store, stack, max_bytes, allowed
        self._part = _Part()
        self._header, self._content = bytearray(), bytearray()
        self._count = 0

    def parser(self, content_type: str) -> object:
        """The parser for a body of this type."""
        from python_multipart.multipart import MultipartParser, parse_options_header

        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not 0 < len(boundary) <= 70:
            raise UsageError("a form with files was expected. Use the form of this page.")
        return MultipartParser(
            boundary,
            {
                "on_part_begin": self.begin,
                "on_header_field": self.header_field,
                "on_header_value": self.header_value,
                "on_header_end": self.header_end,
                "on_headers_finished": self.headers_finished,
                "on_part_data": self.data,
                "on_part_end": self.end,
                "on_end": self.finish,
            },
        )

    def feed(self, parser: object, chunk: bytes) -> None:
        """Give the parser a piece."""
        from python_multipart.exceptions import FormParserError

        try:
            parser.write(chunk)  # type: ignore[attr-defined]
        except FormParserError:
            raise UsageError("this is no form with files, or it was cut. Send it again.") from None

    def begin(self) -> None:
        """A part begins."""
        self._count += 1
        if self._count > MAX_FIELDS:
            raise TooLargeError(f"a form has at most {MAX_FIELDS} fields.")
        self._part = _Part()

    def header_field(self, data: bytes, start: int, end: int) -> None:
        """Part of a header's name."""
        self._header += data[start:end]
        self._bound()

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """Part of a header's value."""
        self._content += data[start:end]
        self._bound()

    def _bound(self) -> None:
        if len(self._header) + len(self._content) > MAX_HEADER_BYTES:
            raise TooLargeError("a header of the form is too long.")

    def header_end(self) -> None:
        """A header is whole."""
        self._part.headers[self._header.decode("latin-1").lower()] = bytes(self._content)
        self._header.clear()
        self._content.clear()

    def headers_finished(self) -> None:
        """All headers of a part are there: a file begins, or a field."""
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._part.headers.get("content-disposition", b""))
        self._part.name = options.get(b"name", b"").decode("utf-8", "replace")[:64]
        if b"filename" not in options:
            return
        self._part.filename = options[b"filename"].decode("utf-8", "replace")
        if self._part.filename:
            self._allowed(self.values)
            self._part.receiving = self._stack.enter_context(self._store.receive(max_bytes=self._max))

    def data(self, data: bytes, start: int, end: int) -> None:
        """Bytes of a part."""
        part = self._part
        part.size += end - start
        if part.receiving is not None:
            if part.size > self._max:
                raise TooLargeError(f"the file is larger than {self._max:,} bytes, the most that is kept.")
            part.receiving.write(data[start:end])
        elif part.size > MAX_FIELD_BYTES:
            raise TooLargeError(f"a field is longer than {MAX_FIELD_BYTES:,} bytes.")
        else:
            part.value += data[start:end]

    def end(self) -> None:
        """A part is whole."""
        part = self._part
        if part.receiving is not None:
            self._whole[part.name] = (display_name(part.filename or ""), part.receiving)
        elif part.filename is None:
            self.values[part.name] = part.value.decode("utf-8", "replace")

    def finish(self) -> None:
        """The form is whole: only now its files are kept, so that a form that is cut leaves none behind."""
        self.files = {name: (said, receiving.finish()) for name, (said, receiving) in self._whole.items()}
        self.ended = True
