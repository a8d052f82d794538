"""MLflow: its SQLite store, and ``mlruns`` folders.

A folder keeps ``<experiment>/<run>/metrics/<key>`` with lines ``milliseconds value step`` (a key may have
folders of its own: ``train/loss``). The SQLite store keeps the same in the table ``metrics``. Points of one
step that follow each other are a row with the time of the first, in the order in which the store was
written (folders: merged by their times); a metric that comes again begins a new row.

**SQLite from a stranger.** The file is opened read-only and immutable, so that nothing beside it (``-wal``,
``-journal``) is touched, with its schema distrusted, cells checked, extensions off, and a bound on the
steps of the engine. The table must be a table (a view could compute anything) with the columns named here;
nothing else is read. Changes that were never written back from a ``-wal`` file are not seen: close the
server, or run ``PRAGMA wal_checkpoint``, before packing.

Several runs are several segments, the first written first; name one run's folder to read that alone. MLflow
itself samples nothing in its stores; pages and ``get_metric_history`` of some versions do.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import MAX_METRICS, MAX_ROWS, LogFile, number_of
from jokbo.records.readers.builder import LogBuilder
from jokbo.records.readers.lines import Lines

MAGIC = b"SQLite format 3\0"
COLUMNS = ("key", "value", "timestamp", "run_uuid", "step", "is_nan")
MAX_ENGINE_STEPS = 2_000_000_000
ENGINE_PERIOD = 1_000_000
MAX_CELL_BYTES = 1 << 20
SETTINGS = (
    "trusted_schema = OFF",
    "cell_size_check = ON",
    "query_only = ON",
    "mmap_size = 0",
    "temp_store = MEMORY",
)
MAX_RUNS = 1000
"""Runs of one store, and metrics of one run's folder: as many files are open at once."""

Point = tuple[int, int, str, float]
"""Step, milliseconds, name, value."""

POINTS = (
    "SELECT step, timestamp, key, CASE WHEN is_nan THEN NULL ELSE value END FROM main.metrics "
    "WHERE run_uuid = ? ORDER BY rowid LIMIT ?"
)
RUNS = "SELECT DISTINCT run_uuid FROM main.metrics LIMIT ?"
FIRST_ROW = "SELECT MIN(rowid) FROM main.metrics WHERE run_uuid = ?"


def recognises(file: LogFile, head: bytes) -> bool:
    """A SQLite file, or a file of a folder ``metrics`` whose lines are as above."""
    if head.startswith(MAGIC):
        return True
    if "metrics" not in file.name.split("/")[:-1]:
        return False
    try:
        return _point(head.split(b"\n", 1)[0].decode(), "") is not None
    except UnicodeDecodeError:
        return False


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read stores, a segment for each run.

    Raises
    ------
    FormatError
        One is damaged, or is another kind of SQLite file.
    """
    runs: dict[str, list[LogFile]] = {}
    for file in files:
        with file.path.open("rb") as opened:
            is_store = opened.read(len(MAGIC)) == MAGIC
        if is_store:
            _read_store(file, entry, builder)
        else:
            runs.setdefault(_run_and_key(file)[0], []).append(file)
    if max(len(runs), *map(len, runs.values()), 0) > MAX_RUNS:
        raise FormatError(
            f"{files[0].name}: more than {MAX_RUNS:,} runs, or metrics of one; at most as many are read. "
            "Name the folder of one run, without metrics of single tensors."
        )
    for run, own in sorted(runs.items(), key=lambda pair: min(_first_time(file) for file in pair[1])):
        points = heapq.merge(*map(_file_points, own), key=lambda point: (point[1], point[0]))
        _add(own[0], points, entry, builder, {"run": run.rpartition("/")[2]})


def _run_and_key(file: LogFile) -> tuple[str, str]:
    """Folder of the run, and name of the metric: what stands before and after the first ``metrics``."""
    parts = file.name.split("/")
    k = parts.index("metrics")
    return "/".join(parts[:k]), "/".join(parts[k + 1 :])


def _first_time(file: LogFile) -> int:
    point = next(iter(_file_points(file)), None)
    return point[1] if point else 0


def _point(line: str, name: str) -> Point | None:
    parts = line.split()
    if len(parts) != 3:
        return None
    value, step = number_of(parts[1]), parts[2]
    if value is None or not parts[0].isdecimal() or not step.removeprefix("-").isdecimal() or len(line) > 200:
        return None
    return int(step), int(parts[0]), name, value


def _file_points(file: LogFile) -> Iterator[Point]:
    """Points of a metric's file, as written."""
    name = _run_and_key(file)[1]
    lines = Lines(file)
    for text in lines.text():
        point = _point(text, name)
        if point is None:
            raise FormatError(
                f"{file.name}, line {lines.number:,}: {text[:40]!r}; expected 'milliseconds value step'. "
                "The file is damaged: fetch it again."
            )
        yield point


def _add(
    file: LogFile, points: Iterable[Point], entry: LogEntry, builder: LogBuilder, facts: dict[str, str]
) -> None:
    """A segment of one run: points of one step that follow each other are a row."""
    builder.begin(file, "mlflow", {"step": "step", "time": "timestamp", **entry.metrics})
    row: dict[str, float] = {}
    number = 0
    for step, milliseconds, name, value in points:
        key = f"{name} (metric)" if name in ("step", "timestamp") else name
        if row and (row["step"] != step or key in row):
            builder.row(row, number)
            row = {}
        number += 1
        if not row:
            row = {"step": float(step), "timestamp": milliseconds / 1000}
        row[key] = value
    if row:
        builder.row(row, number)
    builder.end(facts=facts)


def _read_store(file: LogFile, entry: LogEntry, builder: LogBuilder) -> None:
    left = [MAX_ENGINE_STEPS // ENGINE_PERIOD]

    def watch() -> int:
        left[0] -= 1
        return int(left[0] <= 0)

    try:
        connection = sqlite3.connect(f"file:{quote(str(file.path.absolute()))}?mode=ro&immutable=1", uri=True)
        try:
            connection.set_progress_handler(watch, ENGINE_PERIOD)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL_BYTES)
            for setting in SETTINGS:
                connection.execute(f"PRAGMA {setting}")
            _check_schema(connection, file)
            runs = [str(run) for (run,) in connection.execute(RUNS, (MAX_RUNS + 1,))]
            if len(runs) > MAX_RUNS:
                raise FormatError(
                    f"{file.name}: more than {MAX_RUNS:,} runs. Keep the run that is disclosed alone."
                )
            for run in sorted(runs, key=lambda run: int(connection.execute(FIRST_ROW, (run,)).fetchone()[0])):
                _add(file, _store_points(connection, run, file), entry, builder, {"run": run})
        finally:
            connection.close()
    except (sqlite3.Error, OverflowError) as error:
        why = "takes too long to read" if left[0] <= 0 else str(error)[:120]
        raise FormatError(
            f"{file.name}: {why}; expected an MLflow store. The SQLite file is damaged: fetch it again."
        ) from None


def _check_schema(connection: sqlite3.Connection, file: LogFile) -> None:
    # A virtual table has no pages of its own.
    question = "SELECT type, rootpage > 0 FROM main.sqlite_schema WHERE name = 'metrics'"
    kinds = connection.execute(question).fetchmany(2)
    names = [
        str(row[1]) for row in connection.execute("PRAGMA main.table_xinfo(metrics)").fetchmany(MAX_METRICS)
    ]
    hidden = [
        row for row in connection.execute("PRAGMA main.table_xinfo(metrics)").fetchmany(MAX_METRICS) if row[6]
    ]
    if kinds != [("table", 1)] or hidden or not set(COLUMNS) <= set(names):
        raise FormatError(
            f"{file.name}: a SQLite file without MLflow's table 'metrics' ({', '.join(COLUMNS)}). "
            "Name the store of the tracking server (mlflow.db)."
        )


def _store_points(connection: sqlite3.Connection, run: str, file: LogFile) -> Iterator[Point]:
    for step, milliseconds, key, value in connection.execute(POINTS, (run, MAX_ROWS)):
        if type(step) is not int or type(milliseconds) is not int or type(key) is not str or len(key) > 1024:
            raise FormatError(
                f"{file.name}, run {run[:40]}: a row of 'metrics' holds values of other types than MLflow writes. "
                "The store is damaged: fetch it again."
            )
        yield step, milliseconds, key, float("nan") if value is None else float(value)
