"""Megatron-style console output: ``iteration i/N | key: value | key: value |``.

Forks print different fields, so every ``key: value`` between bars is taken whose value is a number; units
that stand in a key are kept in it (``elapsed time per iteration (ms)``). A date in brackets before it is
the row's time, UTC where it names no zone. Lines of validation (``validation loss at iteration 100 | lm
loss value: ...``) are rows as well, with their names ending in ``validation``. Other lines are output of
another kind and are passed over.

References
----------
Megatron-LM, ``megatron/training/training.py``, ``training_log`` and ``evaluate_and_print_results``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import LogFile, number_of
from jokbo.records.readers.builder import LogBuilder
from jokbo.records.readers.lines import Lines
from jokbo.records.readers.tabular import unix_seconds

ITERATION = re.compile(r"\biteration\s+(\d{1,15})\s*/\s*(\d{1,15})\s*\|")
VALIDATION = re.compile(r"\bvalidation loss at iteration (\d{1,15})\b[^|]{0,80}\|")
DATE = re.compile(r"\[?(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,6})?)\]?")
MAX_LINE = 8192
"""Longest line in which fields are looked for."""

SEVERAL = re.compile(rb"iteration\s+\d{1,15}\s*/\s*\d{1,15}\s*\|")


def recognises(file: LogFile, head: bytes) -> bool:
    """By a line of training in the first 64 KiB."""
    return SEVERAL.search(head) is not None and b"\0" not in head


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read console output, a segment each.

    Raises
    ------
    FormatError
        A file holds no line of training.
    """
    for file in files:
        builder.begin(file, "megatron", entry.metrics)
        lines, rows = Lines(file), 0
        for raw in lines:
            if len(raw) > MAX_LINE or b"iteration" not in raw:
                continue
            row = row_of(raw.decode("utf-8", "replace"))
            if row is None:
                continue
            if lines.unfinished:  # the last number may be cut
                builder.fault("cut_end", lines.number)
                break
            builder.row(row, lines.number)
            rows += 1
        if not rows:
            raise FormatError(
                f"{file.name}: no line like 'iteration 1/100 | key: value |' among {lines.number:,}. "
                "Declare the format of this log in [[log]]."
            )
        builder.end()


def row_of(line: str) -> dict[str, float] | None:
    """The numbers of a line of training or validation; None for any other line.

    Examples
    --------
    >>> row_of(" iteration 20/ 100 | consumed samples: 5120 | lm loss: 9.5E+00 | skipped: no |")
    {'iteration': 20.0, 'iterations': 100.0, 'consumed samples': 5120.0, 'lm loss': 9.5}
    >>> row_of(" validation loss at iteration 20 | lm loss value: 9.1E+00 | lm loss PPL: 8.9E+03 | ")
    {'iteration': 20.0, 'lm loss validation': 9.1, 'lm loss PPL validation': 8900.0}
    >>> row_of("loading iteration 20 ...")
    """
    found = ITERATION.search(line)
    if found is not None:
        row = {"iteration": float(found[1]), "iterations": float(found[2])}
        _add_fields(row, line[found.end() :], "")
    else:
        found = VALIDATION.search(line)
        if found is None:
            return None
        row = {"iteration": float(found[1])}
        _add_fields(row, line[found.end() :], " validation")
    date = DATE.search(line, 0, found.start())
    seconds = unix_seconds(date[1]) if date else None
    if seconds is not None:
        row["timestamp"] = seconds
    return row


def _add_fields(row: dict[str, float], text: str, suffix: str) -> None:
    for part in text.split("|"):
        key, colon, value = part.rpartition(":")
        key = " ".join(key.split()).removesuffix(" value")
        number = number_of(value)
        if colon and key and number is not None:
            row.setdefault(key + suffix, number)
