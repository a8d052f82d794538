"""Bytes of result files, bounded: whole documents, lines of JSON, numbers and short texts in them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from jokbo.errors import ChangedError, FormatError
from jokbo.evidence.canonical import digest
from jokbo.formats.strict_csv import MOST
from jokbo.formats.strict_json import strict_loads
from jokbo.league.results.base import HEAD_BYTES, MAX_FILE_BYTES, MAX_LINE_BYTES, ResultFile
from jokbo.sources.regular_files import open_regular

MAX_DOCUMENT_BYTES = 128 << 20
"""Of a file that is parsed whole: Python takes some ten times as much."""

MAX_NAME = 500
"""Characters of a task, metric or item name."""

MAX_FIELD = 200
"""Characters of a column that items are grouped or clustered by."""


def brief(value: object) -> str:
    """A value of somebody else's, short and printable, for a message."""
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def open_file(file: ResultFile, *, most: int = MAX_FILE_BYTES) -> IO[bytes]:
    """Open a file of the size that was listed.

    Raises
    ------
    FormatError
        It is larger than allowed.
    ChangedError
        It has another size by now.
    """
    if file.size > most:
        raise FormatError(
            f"{file.name} is {file.size:,} bytes; expected at most {most:,}. Split it, a task a file."
        )
    opened = open_regular(file.path)
    if opened.seek(0, 2) != file.size:
        opened.close()
        raise ChangedError(
            f"{file.name} changed while it was read. Let whatever writes it end, then read again."
        )
    opened.seek(0)
    return opened


def head_of(file: ResultFile) -> bytes:
    """The first bytes, at most 64 KiB."""
    with open_regular(file.path) as opened:
        return opened.read(HEAD_BYTES)


def read_document(file: ResultFile, *, most: int = MAX_DOCUMENT_BYTES) -> Mapping[str, Any]:
    """A file that is one JSON object.

    Raises
    ------
    FormatError
        It is too large, no JSON, no object, names a field twice, or holds NaN or infinity.
    """
    with open_file(file, most=most) as opened:
        return parse_object(opened.read(most + 1), where=file.name)


def parse_object(data: bytes, *, where: str) -> Mapping[str, Any]:
    """One JSON object."""
    try:
        document = strict_loads(data)
    except (ValueError, RecursionError) as error:
        # After a semicolon Python tells programmers how to lift a bound.
        said = str(error).splitlines()[0].partition(";")[0] if str(error) else type(error).__name__
        raise FormatError(
            f"{where} is not JSON ({said[:200]}). Nothing of it is used: give the file as it was written."
        ) from None
    if not isinstance(document, Mapping):
        raise FormatError(f"{where}: expected a JSON object, found {type(document).__name__}.")
    return document


def json_lines(file: ResultFile) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Place (``file:line``) and object of every line.

    Raises
    ------
    FormatError
        A line is too long, empty in the midst, no JSON object; or the last one is cut off.
    """
    with open_file(file) as opened:
        number = 0
        while line := opened.readline(MAX_LINE_BYTES + 1):
            number += 1
            where = f"{file.name}:{number}"
            if len(line) > MAX_LINE_BYTES:
                raise FormatError(f"{where} is longer than {MAX_LINE_BYTES:,} bytes. A row is one question.")
            if not line.endswith(b"\n"):
                raise FormatError(
                    f"{where} has no end: the file is cut off, or its last line has no line break. Give it whole."
                )
            yield where, parse_object(line, where=where)


def number_of(value: Any) -> float | None:
    """A finite number or truth value as a float; None for anything else.

    Examples
    --------
    >>> number_of(True), number_of(0.5), number_of("0.5"), number_of(float("nan")), number_of(10**400)
    (1.0, 0.5, None, None, None)
    """
    if not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and abs(found) <= MOST else None


def name_of(value: Any, *, where: str, what: str) -> str:
    """A name as text; numbers become their digits.

    Raises
    ------
    FormatError
        It is no text or whole number, empty, too long, or not printable.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME or not value.isprintable():
        raise FormatError(
            f"{where}: {what} is {brief(value)}; expected a printable text of 1 to {MAX_NAME} characters."
        )
    return value


def fields_of(holder: Any, fields: Sequence[str]) -> dict[str, str]:
    """The declared short columns that a row has: printable texts of at most 200 characters, whole numbers as digits.

    Whether an event can do without is decided where it is known which event a row is for.

    Examples
    --------
    >>> fields_of({"subject": "law", "year": 2024, "text": "x" * 900}, ["subject", "doc.year", "text", "passage"])
    {'subject': 'law', 'doc.year': '2024'}
    """
    found = {}
    for field in fields:
        value = holder.get(field.removeprefix("doc.")) if isinstance(holder, Mapping) else None
        if isinstance(value, bool | int):
            value = str(value)
        if isinstance(value, str) and 0 < len(value) <= MAX_FIELD and value.isprintable():
            found[field] = value
    return found


def question_digest(asked: object, *, where: str) -> str:
    """SHA-256 of what was asked, for formats that state no hash of it.

    Raises
    ------
    FormatError
        It holds what no text can (half a character), or is nested too deep.
    """
    try:
        return digest(asked)
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"{where}: the question cannot be hashed ({brief(str(error))}). The file is damaged."
        ) from None


def mapping_at(
    document: Mapping[str, Any], key: str, *, where: str, needed: bool = False
) -> Mapping[str, Any]:
    """The object under a key; empty where it is absent and not needed.

    Raises
    ------
    FormatError
        It is something else, or absent and needed.
    """
    value = document.get(key)
    if value is None and not needed:
        return {}
    if not isinstance(value, Mapping):
        raise FormatError(f"{where}: {key!r} is {brief(value)}; expected an object.")
    return value
