"""Segments of a log while they are read, and as they are joined."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jokbo.records.readers.names import candidates, scale_of
from jokbo.records.readers.sampling import sampled_code
from jokbo.records.series import Column, Log, Metric, Segment
from jokbo.views.component import Reason

EARLIEST = 1e8
"""Unix seconds of March 1973: a smaller number is no time of day, but seconds since something."""

UNITS = (1.0, 1e-3, 1e-6, 1e-9)
"""Seconds, milliseconds, microseconds and nanoseconds; the unit is that which puts the first time before 2286."""

LATEST = 1e10


@dataclass(slots=True)
class RawColumn:
    """Values as they come; `rows` is None while every row so far has one."""

    values: array[float]
    rows: array[int] | None = None

    def append(self, row: int, value: float) -> None:
        """Add one cell."""
        if self.rows is None and row != len(self.values):
            self.rows = array("q", range(len(self.values)))
        if self.rows is not None:
            self.rows.append(row)
        self.values.append(value)

    def extend(
        self,
        first: int,
        n: int,
        rows: Int64[np.ndarray, " k"] | None,
        values: Float64[np.ndarray, " k"],
    ) -> None:
        """Add cells of the `n` rows from `first` on: all of them, or the ascending `rows` among them."""
        whole = rows is None or len(rows) == n
        if self.rows is None and not (whole and first == len(self.values)):
            self.rows = array("q", range(len(self.values)))
        if self.rows is not None:
            own = np.arange(first, first + n) if rows is None else rows + first
            self.rows.frombytes(own.astype(np.int64, copy=False).tobytes())
        self.values.frombytes(values.astype(np.float64, copy=False).tobytes())

    def columns(self, n_rows: int) -> tuple[Int64[np.ndarray, " k"] | None, Float64[np.ndarray, " k"]]:
        """Rows (None for all) and values, without a copy."""
        values = np.frombuffer(self.values, dtype=np.float64) if self.values else np.zeros(0)
        if self.rows is not None:
            return np.frombuffer(self.rows, dtype=np.int64), values
        return (None if len(values) == n_rows else np.arange(len(values), dtype=np.int64)), values


@dataclass(slots=True)
class RawSegment:
    """A segment while it is read: raw names, and the line or offset of each row."""

    file: str
    format: str
    declared: Mapping[str, str]
    columns: dict[str, RawColumn] = field(default_factory=dict)
    at: array[int] = field(default_factory=lambda: array("q"))


@dataclass(frozen=True, slots=True)
class Part:
    """A segment that is read: its rows count from 0, and its columns have their final names.

    Attributes
    ----------
    raw_names : mapping of str to str
        Final name -> name in the file.
    found : tuple of str
        All names in the file.
    at : ndarray of int64
        Line or offset of each row.
    """

    segment: Segment
    steps: Int64[np.ndarray, " rows"]
    times: Float64[np.ndarray, " rows"]
    runtimes: Float64[np.ndarray, " rows"]
    columns: Mapping[str, Column]
    raw_names: Mapping[str, str]
    found: tuple[str, ...]
    at: Int64[np.ndarray, " rows"]

    @property
    def n_rows(self) -> int:
        """Rows of this segment."""
        return len(self.at)


def resolve(
    raw: RawSegment,
    *,
    first_row: int,
    resumed: bool,
    forked_from: int | None,
    sampled: str,
    usual_samples: Mapping[int, str] | None,
    unit_stride: bool,
    facts: Mapping[str, str],
) -> Part:
    """Find steps, clocks and standard metrics among the columns."""
    n = len(raw.at)
    columns = {name: Column(name, *_swap(column.columns(n))) for name, column in raw.columns.items()}
    steps, step_name = _steps(columns, raw.declared, n)
    times, time_name = _times(columns, raw.declared, n)
    runtimes, runtime_name = _runtimes(columns, raw.declared, n)
    used = {name for name in (step_name, time_name, runtime_name) if name}
    standard: dict[str, str] = {}
    for name in (*Metric, "samples", "batch_samples"):
        best = candidates(name, columns, raw.declared, taken=[*used, *standard.values()])
        if best:
            standard[str(name)] = best[0]
    final: dict[str, Column] = {}
    for name, source in standard.items():
        values, scale = columns[source].values, scale_of(source)
        final[name] = Column(name, values if scale == 1.0 else values * scale, columns[source].rows)
    raw_names = {**standard}
    for source, column in columns.items():
        if source not in used and source not in standard.values():
            name = f"{source} (as named)" if source in final or source in list(Metric) else source
            final[name] = Column(name, column.values, column.rows)
            raw_names[name] = source
    if not sampled:
        logged = _main_steps(final, steps)
        sampled = sampled_code(logged, usual=usual_samples, unit_stride=unit_stride)
    segment = Segment(
        raw.file, raw.format, first_row, first_row + n, resumed, forked_from, sampled, dict(facts)
    )
    at = np.frombuffer(raw.at, dtype=np.int64) if n else np.zeros(0, dtype=np.int64)
    return Part(segment, steps, times, runtimes, final, raw_names, tuple(columns), at)


def _swap(
    cells: tuple[Int64[np.ndarray, " k"] | None, Float64[np.ndarray, " k"]],
) -> tuple[Float64[np.ndarray, " k"], Int64[np.ndarray, " k"] | None]:
    return cells[1], cells[0]


def _spread(column: Column, n: int) -> Float64[np.ndarray, " rows"]:
    """A column over all rows, NaN where it has no value."""
    if column.rows is None:
        return column.values
    spread = np.full(n, np.nan)
    spread[column.rows] = column.values
    return spread


def _whole(values: Float64[np.ndarray, " k"]) -> Bool[np.ndarray, " k"]:
    """Which values can be a step: whole, and counted exactly by a double."""
    with np.errstate(invalid="ignore"):
        return (values >= 0) & (values < 2**53) & (values == np.floor(values))


def _steps(
    columns: Mapping[str, Column], declared: Mapping[str, str], n: int
) -> tuple[Int64[np.ndarray, " rows"], str]:
    """Steps by the best name that at least half of the rows have, else by that which most have."""
    found = candidates("step", columns, declared)
    found = [name for name in found if _whole(columns[name].values).any()]
    if not found:
        return np.full(n, -1, dtype=np.int64), ""
    often = [name for name in found if 2 * len(columns[name].values) >= n]
    name = often[0] if often else max(found, key=lambda one: len(columns[one].values))
    values = _spread(columns[name], n)
    whole = _whole(values)
    return np.where(whole, np.where(whole, values, 0), -1).astype(np.int64), name


def _times(
    columns: Mapping[str, Column], declared: Mapping[str, str], n: int
) -> tuple[Float64[np.ndarray, " rows"], str]:
    for name in candidates("time", columns, declared):
        values = columns[name].values
        finite = values[np.isfinite(values)]
        middle = float(np.median(finite)) if finite.size else 0.0
        unit = next((u for u in UNITS if EARLIEST <= middle * u < LATEST), None)
        if unit is not None:
            spread = _spread(columns[name], n)
            return (spread if unit == 1.0 else spread * unit), name
    return np.full(n, np.nan), ""


def _runtimes(
    columns: Mapping[str, Column], declared: Mapping[str, str], n: int
) -> tuple[Float64[np.ndarray, " rows"], str]:
    found = candidates("runtime", columns, declared)
    if not found:
        return np.full(n, np.nan), ""
    spread = _spread(columns[found[0]], n)
    scale = scale_of(found[0])
    return (spread if scale == 1.0 else spread * scale), found[0]


def _main_steps(columns: Mapping[str, Column], steps: Int64[np.ndarray, " rows"]) -> Int64[np.ndarray, " k"]:
    """Steps at which the loss was logged, or where there is none, what was logged most often."""
    if not columns:
        return steps
    name = "loss" if "loss" in columns else max(columns, key=lambda one: len(columns[one].values))
    rows = columns[name].rows
    return steps if rows is None else steps[rows]


def join_parts(parts: Sequence[Part], faults: tuple[Reason, ...], n_faults: int) -> Log:
    """One log of all segments; a single one is not copied."""
    segments = tuple(part.segment for part in parts)
    if len(parts) == 1:
        (one,) = parts
        return Log(one.steps, one.times, one.runtimes, dict(one.columns), segments, faults, n_faults)
    empty = [np.zeros(0)]
    names = dict.fromkeys(name for part in parts for name in part.columns)
    return Log(
        np.concatenate([np.zeros(0, dtype=np.int64), *(part.steps for part in parts)]),
        np.concatenate([*empty, *(part.times for part in parts)]),
        np.concatenate([*empty, *(part.runtimes for part in parts)]),
        {name: _join_column(name, parts) for name in names},
        segments,
        faults,
        n_faults,
    )


def _join_column(name: str, parts: Sequence[Part]) -> Column:
    values, rows = [], []
    whole = True
    for part in parts:
        column = part.columns.get(name)
        if column is None:
            whole = whole and part.n_rows == 0
            continue
        own = np.arange(part.n_rows) if column.rows is None else column.rows
        whole = whole and column.rows is None
        values.append(column.values)
        rows.append(own + part.segment.first_row)
    return Column(name, np.concatenate(values), None if whole else np.concatenate(rows).astype(np.int64))
