"""Which reader reads which file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

from jokbo.errors import FormatError, UsageError
from jokbo.league.results.base import ResultFile, ResultReader, TaskResult
from jokbo.league.results.reading import head_of

READERS: Mapping[str, str] = {
    name: f"jokbo.league.results.{name}"
    for name in ("lm_harness", "lighteval", "inspect_eval", "every_eval_ever", "hret", "csv_items")
}
"""Modules by the name that a results list may give."""

MAX_FILES = 5_000


def reader_of(name: str) -> ResultReader:
    """A reader by name.

    Raises
    ------
    UsageError
        There is none of this name.

    Examples
    --------
    >>> reader_of("csv_items").__name__
    'jokbo.league.results.csv_items'
    """
    if name not in READERS:
        raise UsageError(f"there is no reader {name[:60]!r}; the readers are {', '.join(READERS)}.")
    module = import_module(READERS[name])
    assert isinstance(module, ResultReader)
    return module


def choose(file: ResultFile) -> str:
    """The reader of a file, by its name and first bytes.

    Raises
    ------
    FormatError
        No reader knows it.
    """
    head = head_of(file)
    if not head.strip():
        raise FormatError(f"{file.name} is empty. Give it whole, or take it off the list.")
    for name in READERS:
        if reader_of(name).recognises(file, head):
            return name
    raise FormatError(
        f"{file.name} is in no format that is known here ({', '.join(READERS)}). Take it off the list, name its "
        "reader, or write its items as a table: docs/reference/league-results.md."
    )


def read_files(
    files: Sequence[ResultFile], *, reader: str | None = None, fields: Sequence[str] = ()
) -> tuple[TaskResult, ...]:
    """Read the files of one model, every one of them.

    Parameters
    ----------
    reader : str, optional
        Reads them all; otherwise each file is read by the reader that recognises it.
    fields : sequence of str
        Columns that an event groups or clusters by.

    Raises
    ------
    FormatError
        A file is in no known format, damaged, or contradicts another.
    """
    if not 0 < len(files) <= MAX_FILES:
        first = f" ({files[0].name} and on)" if files else ""
        raise FormatError(
            f"{len(files):,} files{first}; expected 1 to {MAX_FILES:,} of a model. Name the files that count."
        )
    chosen: dict[str, list[ResultFile]] = {}
    for file in files:
        chosen.setdefault(reader or choose(file), []).append(file)
    found: list[TaskResult] = []
    for name, own in chosen.items():
        found += reader_of(name).read(own, fields=tuple(dict.fromkeys(fields)))
    return tuple(found)
