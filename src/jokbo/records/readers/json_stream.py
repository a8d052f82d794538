"""One large JSON object, read in pieces: the rows of one of its lists are given out one at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, TextIO

from jokbo.errors import FormatError
from jokbo.records.readers.base import LogFile, head_of

PIECE = 1 << 20

MAX_VALUE_CHARACTERS = 16 << 20
"""Longest value that is held at once: a row of the list, or another field of the object."""

BLANKS = " \t\r\n"


class JsonStream:
    """Fields of a JSON object.

    After the last row, `fields` has the other fields of the object.

    Parameters
    ----------
    file : LogFile
    rows : str
        The field whose list is given out.
    """

    def __init__(self, file: LogFile, rows: str) -> None:
        self._file, self._rows = file, rows
        self._decode = json.JSONDecoder().raw_decode
        self._text, self._at, self._before = "", 0, 0
        self._ended = False
        self.fields: dict[str, Any] = {}

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Place (in characters) and value of each row.

        Raises
        ------
        FormatError
            The file is no JSON object, or is damaged; the message names the place.
        """
        head_of(self._file)
        try:
            with self._file.path.open(encoding="utf-8-sig") as opened:
                yield from self._object(opened)
        except UnicodeDecodeError as error:
            raise self._error(f"not UTF-8 ({error.reason})") from None

    def _object(self, opened: TextIO) -> Iterator[tuple[int, Any]]:
        self._expect(opened, "{")
        first = True
        while not self._take(opened, "}"):
            if not first:
                self._expect(opened, ",")
            first = False
            name = self._value(opened)
            if not isinstance(name, str):
                raise self._error("a field without a name")
            self._expect(opened, ":")
            if name in self.fields:
                raise self._error(f"the field {name[:40]!r} for the second time")
            if name == self._rows and self._take(opened, "["):
                self.fields[name] = None
                yield from self._list(opened)
            else:
                self.fields[name] = self._value(opened)
        if self._peek(opened):
            raise self._error("text after the end of the object")

    def _list(self, opened: TextIO) -> Iterator[tuple[int, Any]]:
        first = True
        while not self._take(opened, "]"):
            if not first:
                self._expect(opened, ",")
            first = False
            self._peek(opened)
            place = self._before + self._at
            yield place, self._value(opened)

    def _more(self, opened: TextIO) -> bool:
        """Read on; what was used is let go."""
        piece = "" if self._ended else opened.read(PIECE)
        self._ended = not piece
        if piece:
            self._before += self._at
            self._text, self._at = self._text[self._at :] + piece, 0
        return bool(piece)

    def _peek(self, opened: TextIO) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in BLANKS:
                    return character
                self._at += 1
            if not self._more(opened):
                return ""

    def _take(self, opened: TextIO, character: str) -> bool:
        if self._peek(opened) != character:
            return False
        self._at += 1
        return True

    def _expect(self, opened: TextIO, character: str) -> None:
        if not self._take(opened, character):
            found = self._peek(opened)
            raise self._error(
                f"{found!r} where {character!r} belongs" if found else "the file ends too early"
            )

    def _value(self, opened: TextIO) -> Any:
        """The next value, whole; it ends before what is held ends, so that no number is cut."""
        self._peek(opened)
        while True:
            try:
                value, stop = self._decode(self._text, self._at)
                if stop < len(self._text) or not self._more(opened):
                    self._at = stop
                    return value
            except RecursionError:
                raise self._error("nested too deep") from None
            except ValueError as error:
                if len(self._text) - self._at > MAX_VALUE_CHARACTERS or not self._more(opened):
                    raise self._error(f"not JSON ({error})"[:120]) from None

    def _error(self, what: str) -> FormatError:
        return FormatError(
            f"{self._file.name}, character {self._before + self._at:,}: {what}; expected a JSON object. "
            "The file is damaged: fetch it again."
        )
