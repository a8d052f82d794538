"""CSV that somebody else wrote, as rows of texts with their lines; and numbers in such cells.

Spreadsheets write a mark before the text (BOM), semicolons where the comma is the decimal mark, and quotes. All of it
is read; what could mean two things is refused. A cell that a spreadsheet would run as a formula is refused too, because
a table is handed on to people who open it in one.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence

from jokbo.errors import FormatError

MOST = 1e100
"""Largest number of a table: squares and sums of such are numbers still."""

MAX_BYTES = 4 << 20
MAX_ROWS = 20_000
MAX_COLUMNS = 64
MAX_CELL = 2_000

_POINT = re.compile(r"[-+\u2212]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?")
_COMMA = re.compile(r"[-+\u2212]?[0-9]{1,30}(,[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
DASHES = frozenset({"", "-", "–", "—", "n/a", "N/A"})
"""Cells that say that there is nothing."""


def read_csv(
    data: bytes, *, where: str, most_bytes: int = MAX_BYTES, most_rows: int = MAX_ROWS
) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """Header, rows with their lines, and the decimal mark (``.`` or ``,``).

    Parameters
    ----------
    most_bytes, most_rows : int
        Larger files are refused.

    Raises
    ------
    FormatError
        It is too large, not UTF-8, has rows of another length than its header, or holds a formula.

    Examples
    --------
    >>> read_csv("role;value\\neffect;0,989\\n".encode(), where="table.csv")
    (['role', 'value'], [(2, ['effect', '0,989'])], ',')
    """
    if len(data) > most_bytes:
        raise FormatError(f"{where} is {len(data):,} bytes; expected at most {most_bytes:,}.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{where} is not UTF-8 (byte {error.start}). Save it as CSV UTF-8.") from None
    if "\0" in text:
        raise FormatError(f"{where} holds a NUL character. Save it as CSV UTF-8.")
    delimiter = _delimiter(text)
    rows = []
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append((reader.line_num, [cell.strip() for cell in cells]))
            if len(rows) > most_rows + 1 or len(cells) > MAX_COLUMNS:
                raise FormatError(
                    f"{where}:{reader.line_num}: expected at most {most_rows:,} rows of {MAX_COLUMNS} columns."
                )
    except csv.Error as error:
        raise FormatError(f"{where}:{reader.line_num} is not CSV ({error}). Correct this row.") from None
    if not rows:
        raise FormatError(f"{where} is empty; expected a header and at least one row.")
    (_, header), *rest = rows
    _check(header, rest, where)
    return header, rest, "," if delimiter != "," and _decimal_comma(rest) else "."


def _delimiter(text: str) -> str:
    """Of the header, whose names hold none of the three."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return max(",;\t", key=lambda mark: (first.count(mark), mark == ","))


def _decimal_comma(rows: Sequence[tuple[int, Sequence[str]]]) -> bool:
    return any(
        re.fullmatch(r"[-+\u2212]?[0-9]+,[0-9]+([eE][-+]?[0-9]+)?", c) for _, cells in rows for c in cells
    )


def _check(header: Sequence[str], rows: Sequence[tuple[int, Sequence[str]]], where: str) -> None:
    twice = next((name for k, name in enumerate(header) if name in header[:k]), None)
    if twice is not None or "" in header:
        raise FormatError(
            f"{where}:1: column {(twice or '')[:60]!r} is there twice or has no name. Give each column its own name."
        )
    for line, cells in rows:
        if len(cells) != len(header):
            raise FormatError(
                f"{where}:{line} has {len(cells)} cells; the header has {len(header)}. Quote cells that hold the "
                "separator."
            )
        for name, cell in zip(header, cells, strict=True):
            check_cell(cell, where=f"{where}:{line} ({name[:60]})")


def check_cell(cell: str, *, where: str) -> None:
    """Refuse a cell that is too long, or that a spreadsheet would run."""
    if len(cell) > MAX_CELL:
        raise FormatError(f"{where}: {len(cell):,} characters; expected at most {MAX_CELL:,}.")
    plain = cell in DASHES or _POINT.fullmatch(cell) or _COMMA.fullmatch(cell)
    if cell.startswith(_FORMULA) and not plain:
        raise FormatError(
            f"{where}: {cell[:40]!r} is a formula to a spreadsheet. Begin the cell with another character."
        )


def number(cell: str, *, mark: str, where: str) -> float | None:
    """The number of a cell, or None where it is empty.

    Raises
    ------
    FormatError
        It is no finite number, or has another decimal mark than its table.

    Examples
    --------
    >>> number("0,989", mark=",", where="table.csv:2 (value)")
    0.989
    """
    if cell in DASHES:
        return None
    pattern = _COMMA if mark == "," else _POINT
    value = math.nan
    if pattern.fullmatch(cell):
        value = float(cell.replace(",", ".").replace("\u2212", "-"))
    if not abs(value) <= MOST:
        raise FormatError(
            f"{where}: found {cell[:40]!r}; expected a number such as {'0,989' if mark == ',' else '0.989'}, with one "
            "decimal mark in the whole table and no separator of thousands."
        )
    return value
