"""Rows of all logs, collected in compact columns, and put in order when each segment ends.

A cell costs eight bytes; where a column has a value in every row it stands in no table of rows.
Readers hand over raw names. When a segment ends, the step, the clock and the standard metrics are
found among them, and what is odd is noted with its place. Nothing is sorted, merged or dropped.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.errors import FormatError
from jokbo.records.readers.base import MAX_METRICS, MAX_ROWS, LogFile
from jokbo.records.readers.faults import MAX_FAULTS, find_faults
from jokbo.records.readers.parts import Part, RawColumn, RawSegment, join_parts, resolve
from jokbo.records.series import Log
from jokbo.views.component import Reason

BATCH_ROWS = 4096
"""Rows of one shape that are gathered before they are turned into columns."""

FEW_ROWS = 16
"""Below this, cell by cell is faster."""

MAX_FACTS = 32
MAX_FACT_CHARACTERS = 200

Cells = tuple[Int64[np.ndarray, " k"] | None, Float64[np.ndarray, " k"]]
"""Rows within a block (None for all of them) and their values."""


class LogBuilder:
    """Collects the rows of all logs of a record, one segment after another.

    Parameters
    ----------
    now : float or None
        Unix seconds after which a clock is in the future; today where None. The fault ``clock_future`` is the only
        thing in a log that depends on the day on which it is read.

    Examples
    --------
    >>> from pathlib import Path
    >>> builder = LogBuilder(now=0.0)
    >>> builder.begin(LogFile("log.csv", Path("log.csv"), 0), "tabular", {})
    >>> for step in (1, 2, 3):
    ...     builder.row({"step": float(step), "train/loss": 3.0 / step}, at=step + 1)
    >>> builder.end()
    >>> builder.build().series("loss").values.tolist()
    [3.0, 1.5, 1.0]
    """

    def __init__(self, *, now: float | None = None) -> None:
        self._now = time.time() if now is None else now
        self._parts: list[Part] = []
        self._faults: list[Reason] = []
        self._n_faults = 0
        self._n_rows = 0
        self._raw: RawSegment | None = None
        self._keys: tuple[str, ...] = ()
        self._pending: list[tuple[float, ...]] = []
        self._pending_at: list[int] = []

    @property
    def file(self) -> str:
        """The file whose segment is open."""
        return self._segment.file

    @property
    def names(self) -> list[str]:
        """Raw names of the open segment so far."""
        self._flush()
        return list(self._segment.columns)

    @property
    def _segment(self) -> RawSegment:
        if self._raw is None:
            raise RuntimeError("no segment is open")
        return self._raw

    def begin(self, file: LogFile, format: str, declared: Mapping[str, str]) -> None:
        """Open a segment: what follows was written by one process."""
        self._raw = RawSegment(file.name, format, dict(declared))

    def row(self, values: Mapping[str, float], at: int) -> None:
        """Add a row: `at` is its line, or its offset in a binary file."""
        keys = tuple(values)
        if keys != self._keys or len(self._pending) >= BATCH_ROWS:
            self._flush()
            self._keys = keys
        self._pending.append(tuple(values.values()))
        self._pending_at.append(at)

    def block(self, at: Int64[np.ndarray, " n"], columns: Mapping[str, Cells]) -> None:
        """Add rows, one for each of `at`, and what the columns have in them."""
        self._flush()
        first = self._grow(at)
        for name, (rows, values) in columns.items():
            self._column(name).extend(first, len(at), rows, values)

    def fault(self, code: str, at: int, **values: int | float | str) -> None:
        """Note something odd at a line or offset of the open segment's file."""
        self._note(Reason(code, {"file": self.file, "at": at, **values}))

    def end(
        self,
        *,
        resumed: bool = False,
        forked_from: int | None = None,
        sampled: str = "",
        usual_samples: Mapping[int, str] | None = None,
        unit_stride: bool = False,
        facts: Mapping[str, str] | None = None,
    ) -> None:
        """Close the segment: find its steps, clocks and standard metrics, and what is odd.

        Parameters
        ----------
        sampled : str
            Why the reader knows the rows to be a sample; found from the steps where empty.
        usual_samples, unit_stride
            See :func:`~jokbo.records.readers.sampling.sampled_code`.
        """
        self._flush()
        raw, self._raw = self._segment, None
        kept = {key: value[:MAX_FACT_CHARACTERS] for key, value in list((facts or {}).items())[:MAX_FACTS]}
        part = resolve(
            raw,
            first_row=self._n_rows,
            resumed=resumed,
            forked_from=forked_from,
            sampled=sampled,
            usual_samples=usual_samples,
            unit_stride=unit_stride,
            facts=kept,
        )
        self._n_rows += part.n_rows
        self._parts.append(part)
        faults, count = find_faults(part, self._now)
        for reason in faults:
            self._note(reason)
        self._n_faults += count - len(faults)

    @property
    def n_segments(self) -> int:
        """Segments that are closed."""
        return len(self._parts)

    def raw_names(self, since: int) -> set[str]:
        """Names in the files of the segments from number `since` on."""
        return {name for part in self._parts[since:] for name in part.found}

    def mark_sampled(self, since: int, code: str) -> None:
        """Note why the segments from number `since` on are a sample, where they do not look it by themselves."""
        for k in range(since, len(self._parts)):
            part = self._parts[k]
            if not part.segment.sampled:
                self._parts[k] = replace(part, segment=replace(part.segment, sampled=code))

    def build(self) -> Log:
        """All rows so far. The builder gives its memory away and is used up."""
        parts, self._parts = self._parts, []
        return join_parts(parts, tuple(self._faults), self._n_faults)

    def _note(self, reason: Reason) -> None:
        self._n_faults += 1
        if len(self._faults) < MAX_FAULTS:
            self._faults.append(reason)

    def _grow(self, at: Sequence[int] | Int64[np.ndarray, " n"]) -> int:
        segment = self._segment
        first = len(segment.at)
        if self._n_rows + first + len(at) > MAX_ROWS:
            raise FormatError(
                f"{segment.file}: more than {MAX_ROWS:,} rows in all logs; that is more than is read. "
                "Disclose the log of the training alone, without per-layer or system metrics in rows of their own."
            )
        if isinstance(at, np.ndarray):
            segment.at.frombytes(at.astype(np.int64, copy=False).tobytes())
        else:
            segment.at.extend(at)
        return first

    def _column(self, name: str) -> RawColumn:
        columns = self._segment.columns
        column = columns.get(name)
        if column is None:
            if len(columns) >= MAX_METRICS:
                raise FormatError(
                    f"{self.file}: more than {MAX_METRICS:,} metrics; expected the log of one training. "
                    "Leave out metrics of single tensors, or split the log."
                )
            column = columns[name] = RawColumn(array("d"))
        return column

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        places, self._pending_at = self._pending_at, []
        if not pending:
            return
        first = self._grow(places)
        columns = [self._column(name) for name in self._keys]
        if len(pending) < FEW_ROWS:
            for row, cells in enumerate(pending, first):
                for column, value in zip(columns, cells, strict=True):
                    column.append(row, value)
            return
        count = len(pending) * len(columns)
        table = np.fromiter(chain.from_iterable(pending), np.float64, count).reshape(len(pending), -1)
        for column, values in zip(columns, table.T, strict=True):
            column.extend(first, len(pending), None, values)
