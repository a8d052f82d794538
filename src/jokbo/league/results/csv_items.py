"""Item scores in a plain table: the way in for whatever no other reader knows.

Columns: ``item``; optionally ``task``, ``group``, ``cluster``, ``repeat`` (0, 1, ...), ``digest`` (of the question, 64
hexadecimal digits); columns that the round declares; and every other column is a metric, whose cells are all numbers.
Without a ``task`` column the task is the file's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from jokbo.errors import FormatError
from jokbo.formats.strict_csv import number, read_csv
from jokbo.league.results.base import ResultFile, TaskResult
from jokbo.league.results.reading import brief, fields_of, name_of, open_file
from jokbo.league.results.rows import RowBuilder

READER = "csv_items"
MAX_BYTES = 64 << 20
MAX_ROWS = 500_000
_RESERVED = frozenset({"item", "task", "group", "cluster", "repeat", "digest"})
_DIGEST = re.compile(r"[0-9a-f]{64}")


def recognises(file: ResultFile, head: bytes) -> bool:
    """Whether a file is a table whose header has ``item``."""
    if not file.name.endswith((".csv", ".tsv")):
        return False
    first = head.decode("utf-8-sig", "replace").lstrip().partition("\n")[0]
    return "item" in [cell.strip().strip('"') for cell in re.split(r"[,;\t]", first)]


def read(files: Sequence[ResultFile], *, fields: Sequence[str] = ()) -> tuple[TaskResult, ...]:
    """Read tables, each with the rows of one model.

    Raises
    ------
    FormatError
        A table has no item column, no scores, an empty or malformed cell, or an item twice.
    """
    return tuple(result for file in files for result in _read_table(file, fields))


def read_table(
    file: ResultFile, *, most_bytes: int = MAX_BYTES, most_rows: int = MAX_ROWS
) -> tuple[list[str], list[tuple[int, dict[str, str]]], str]:
    """Header, rows by column with their lines, and the decimal mark, of any table of a results list.

    Raises
    ------
    FormatError
        It is no such table.
    """
    with open_file(file, most=most_bytes) as opened:
        data = opened.read(most_bytes + 1)
    header, rows, mark = read_csv(data, where=file.name, most_bytes=most_bytes, most_rows=most_rows)
    return header, [(line, dict(zip(header, cells, strict=True))) for line, cells in rows], mark


def _read_table(file: ResultFile, fields: Sequence[str]) -> list[TaskResult]:
    with open_file(file, most=MAX_BYTES) as opened:
        opened.seek(max(0, file.size - 1))
        if opened.read(1) not in (b"\n", b"\r"):
            raise FormatError(
                f"{file.name}: the last line has no line break, so nobody can tell whether the table is whole. Add it."
            )
    header, rows, mark = read_table(file)
    declared = {name for name in fields if name in header} | ({"group", "cluster"} & set(header))
    metrics = [name for name in header if name not in _RESERVED | declared]
    if "item" not in header or not metrics or not rows:
        raise FormatError(
            f"{file.name}:1: the columns are {brief(', '.join(header))}; expected item, at least one column of "
            "scores, and at least one row."
        )
    builders: dict[str, RowBuilder] = {}
    for line, row in rows:
        where = f"{file.name}:{line}"
        task = name_of(row.get("task", PurePosixPath(file.name).stem), where=where, what="task")
        builders.setdefault(task, RowBuilder(task)).add(
            name_of(row["item"], where=where, what="item"),
            {name: _score(row[name], name, mark, where) for name in metrics},
            place=where,
            digest=_digest(row, where),
            repeat=_repeat(row, where),
            fields=fields_of(row, sorted(declared)),
        )
    found = []
    for task, builder in builders.items():
        items, notes = builder.finish()
        found.append(
            TaskResult(task, None, None, READER, (file,), {}, items, (), notes, named="task" in header)
        )
    return found


def _score(cell: str, name: str, mark: str, where: str) -> float | None:
    try:
        return number(cell, mark=mark, where=f"{where} ({name[:60]})")
    except FormatError as error:
        raise FormatError(
            f"{error} A column that is no score is one that an event groups or clusters by (--field, in inspect), or "
            "does not belong here."
        ) from None


def _digest(row: Mapping[str, str], where: str) -> str | None:
    if "digest" not in row:
        return None
    if not _DIGEST.fullmatch(row["digest"]):
        raise FormatError(
            f"{where}: digest is {brief(row['digest'])}; expected 64 hexadecimal digits in every row."
        )
    return row["digest"]


def _repeat(row: Mapping[str, str], where: str) -> int:
    text = row.get("repeat", "0")
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise FormatError(f"{where}: repeat is {brief(text)}; expected 0, 1, 2...")
    return int(text)
