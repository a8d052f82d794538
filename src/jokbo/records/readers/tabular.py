"""Generic tables: CSV and TSV with a header, and JSON objects a line (nested ones to a depth of eight).

Cells that are no number are left out: an empty one is a metric not logged in that row; text in a column
of numbers is the fault ``not_number``; columns of text alone are named in the segment's facts. Times may be
written as ISO 8601, UTC where they name no zone. A last line without an end is the fault ``cut_end``, and is left out
where it is not a whole row: whoever writes line by line leaves it so when stopped.

TensorBoard's pages export curves as ``Wall time,Step,Value`` (1,000 points of a longer curve: marked as sampled).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import numpy as np

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import MAX_DEPTH, MAX_METRICS, LogFile, number_of
from jokbo.records.readers.builder import BATCH_ROWS, Cells, LogBuilder
from jokbo.records.readers.lines import Lines
from jokbo.records.readers.names import name_table, plain_name

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")

TENSORBOARD_EXPORT = ("wall time", "step", "value")
TENSORBOARD_SIZES = {1000: "tensorboard_reservoir", 10000: "tensorboard_reservoir"}

MISSING = frozenset({"", "null", "none", "na", "n/a"})


def recognises(file: LogFile, head: bytes) -> bool:
    """By the ending, or by a first line that is a JSON object."""
    if file.name.lower().endswith(SUFFIXES):
        return True
    first = head.split(b"\n", 1)[0].strip()
    return first.startswith(b"{") and first.endswith(b"}")


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read tables; a segment each."""
    for file in files:
        builder.begin(file, "tabular", entry.metrics)
        facts = read_table(file, builder)
        builder.end(usual_samples=TENSORBOARD_SIZES if _is_export(builder) else None, facts=facts)


def _is_export(builder: LogBuilder) -> bool:
    return tuple(map(plain_name, builder.names)) == TENSORBOARD_EXPORT


def read_table(file: LogFile, builder: LogBuilder) -> dict[str, str]:
    """Read one table into the open segment: JSON lines if it begins as an object, else separated values.

    Returns what is to be said of it: the columns that hold text alone.

    Raises
    ------
    FormatError
        A line is damaged.
    """
    with file.path.open("rb") as opened:
        first = opened.read(64).lstrip(b"\xef\xbb\xbf \t\r\n")
    if first.startswith(b"{"):
        read_jsonl(file, builder)
        return {}
    if file.name.lower().endswith((".jsonl", ".ndjson")) and first:
        raise FormatError(
            f"{file.name}, line 1: begins with {first[:8]!r}; expected a JSON object a line. Check the file."
        )
    text = read_csv(file, builder)
    return {"text_columns": ", ".join(text)} if text else {}


def read_jsonl(file: LogFile, builder: LogBuilder) -> None:
    """Read JSON objects, one a line, into the open segment.

    Raises
    ------
    FormatError
        A line is no JSON object, or too deep.
    """
    lines = Lines(file)
    decode = json.JSONDecoder(parse_int=float).decode
    for text in lines.text():
        if not text or text.isspace():
            continue
        try:
            row = decode(text)
        except (ValueError, RecursionError) as error:
            if lines.unfinished and not isinstance(error, RecursionError):
                builder.fault("cut_end", lines.number)
                return
            why = "nested too deep" if isinstance(error, RecursionError) else f"not JSON ({error})"
            raise FormatError(
                f"{file.name}, line {lines.number:,}: {why[:120]}; expected a JSON object a line. "
                "The file is damaged: fetch it again."
            ) from None
        if type(row) is not dict:
            raise FormatError(
                f"{file.name}, line {lines.number:,}: a {type(row).__name__}; expected a JSON object, "
                "names and numbers. Write each row as an object."
            )
        for value in row.values():
            if type(value) is not float:
                row = numbers_of(row, f"{file.name}, line {lines.number:,}")
                break
        builder.row(row, lines.number)
    if lines.unfinished:
        builder.fault("cut_end", lines.number)


def numbers_of(row: Mapping[str, Any], where: str) -> dict[str, float]:
    """The numbers of a row that JSON gave, nested names joined by ``/``; text, lists and nulls are left out.

    Raises
    ------
    FormatError
        Objects are nested deeper than eight, or two names fall together.

    Examples
    --------
    >>> numbers_of({"train": {"loss": 2.5}, "note": "x", "lr": "NaN", "ok": True}, "line 1")
    {'lr': nan, 'train/loss': 2.5}
    """
    found: dict[str, float] = {}
    waiting: list[tuple[str, Mapping[str, Any], int]] = [("", row, 1)]
    while waiting:
        prefix, values, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise FormatError(
                f"{where}: objects nested deeper than {MAX_DEPTH}; a row of a log is flat, or nearly. Check the file."
            )
        for name, value in values.items():
            whole = prefix + name
            if isinstance(value, dict):
                waiting.append((f"{whole}/", value, depth + 1))
                continue
            number = cell_number(whole, value)
            if number is None:
                continue
            if whole in found:
                raise FormatError(f"{where}: two values are called {whole[:80]!r}. Give each its own name.")
            found[whole] = number
    return found


def cell_number(name: str, value: object) -> float | None:
    """The number that a cell of a row holds: a number, one of JSON's words for what is none, or a date."""
    if isinstance(value, float):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, str) and len(value) <= 64:
        number = number_of(value)
        return unix_seconds(value) if number is None and _is_time(name) else number
    return None


def _is_time(name: str) -> bool:
    return plain_name(name) in name_table().names["time"]


def unix_seconds(text: str) -> float | None:
    """Seconds since 1970 of a date in ISO 8601, UTC where it names no zone; None for other text.

    Examples
    --------
    >>> unix_seconds("2026-01-02 03:04:05"), unix_seconds("yesterday")
    (1767323045.0, None)
    """
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def read_csv(file: LogFile, builder: LogBuilder) -> list[str]:
    """Read separated values with a header into the open segment; returns the columns of text alone.

    Raises
    ------
    FormatError
        The header or a row is damaged.
    """
    lines = Lines(file)
    plain = _Plain()
    text = plain.watch(lines.text())
    header = next(text, "").lstrip("#").strip()
    separator = max("\t,;", key=header.count)
    reader = csv.reader(text, delimiter=separator, strict=True)
    names = _names(next(csv.reader([header], delimiter=separator), []), file)
    text_columns: set[str] = set()
    first = 2
    while True:
        plain.all = True
        try:
            rows = list(islice(reader, BATCH_ROWS))
        except csv.Error as error:
            raise FormatError(
                f"{file.name}, line {lines.number:,}: {str(error)[:80]}; expected values separated by {separator!r}. "
                "The file is damaged: fetch it again."
            ) from None
        if not rows:
            break
        if lines.number - first + 1 != len(rows):
            raise FormatError(
                f"{file.name}, lines {first:,} to {lines.number:,}: a cell holds a line end; rows of numbers do not. "
                "Leave columns of text out of the export."
            )
        at = np.array([first + k for k, row in enumerate(rows) if row], dtype=np.int64)
        first = lines.number + 1
        rows = [row for row in rows if row]
        if any(len(row) != len(names) for row in rows):
            rows = _without_cut_row(rows, at, len(names), lines, file)
            at = at[: len(rows)]
        if rows:
            builder.block(at, _cells(names, rows, at, builder, text_columns, fast=plain.all))
    if lines.unfinished:
        builder.fault("cut_end", lines.number)
    return sorted(text_columns)


class _Plain:
    """Watches lines for what `float` would read and a table does not hold: ``1_000``, digits of other scripts."""

    def __init__(self) -> None:
        self.all = True

    def watch(self, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            if "_" in line or not line.isascii():
                self.all = False
            yield line


def _names(header: list[str], file: LogFile) -> list[str]:
    names = [name.strip() for name in header]
    if not names or all(number_of(name) is not None for name in names):
        raise FormatError(
            f"{file.name}, line 1: expected a header with the names of the columns, found "
            f"{', '.join(names)[:60] or 'nothing'!r}. Add one."
        )
    if len(names) > MAX_METRICS:
        raise FormatError(
            f"{file.name}, line 1: {len(names):,} columns; a log has at most {MAX_METRICS:,}. Check the file."
        )
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise FormatError(
            f"{file.name}, line 1: the column {min(twice)[:60]!r} is there twice. Give each its own name."
        )
    return names


def _without_cut_row(
    rows: list[list[str]], at: np.ndarray, width: int, lines: Lines, file: LogFile
) -> list[list[str]]:
    """All rows but a last one that ends in the middle of the file's last line.

    Raises
    ------
    FormatError
        Another row has too few or too many cells.
    """
    for row, line in zip(rows, at, strict=True):
        if len(row) != width and not (lines.unfinished and int(line) == lines.number and len(row) < width):
            raise FormatError(
                f"{file.name}, line {int(line):,}: {len(row):,} cells; the header names {width:,}. "
                "The file is damaged: fetch it again."
            )
    return rows[:-1]


def _cells(
    names: list[str],
    rows: list[list[str]],
    at: np.ndarray,
    builder: LogBuilder,
    text_columns: set[str],
    *,
    fast: bool,
) -> dict[str, Cells]:
    found: dict[str, Cells] = {}
    for name, cells in zip(names, zip(*rows, strict=True), strict=True):
        if fast and name not in text_columns:
            try:
                found[name] = (None, np.fromiter(map(float, cells), np.float64, len(cells)))
                continue
            except ValueError:
                pass  # a cell is empty or text: one by one
        found_numbers, odd = _one_by_one(name, cells)
        if found_numbers:
            if name in text_columns:
                text_columns.discard(name)
            for row in odd:
                builder.fault("not_number", int(at[row]), metric=name, value=cells[row][:40])
            rows_of = np.fromiter(found_numbers, np.int64, len(found_numbers))
            found[name] = (rows_of, np.fromiter(found_numbers.values(), np.float64, len(found_numbers)))
        elif odd:
            text_columns.add(name)
    return found


def _one_by_one(name: str, cells: Sequence[str]) -> tuple[dict[int, float], list[int]]:
    """Numbers by row, and the rows that hold text."""
    found: dict[int, float] = {}
    odd: list[int] = []
    for row, cell in enumerate(cells):
        number = cell_number(name, cell)
        if number is not None:
            found[row] = number
        elif cell.strip().lower() not in MISSING:
            odd.append(row)
    return found, odd
