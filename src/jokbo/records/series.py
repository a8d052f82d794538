"""What log readers yield: rows with a step and a time, and metrics over those rows.

A log is kept as it was written: rows in file order, nothing sorted, merged or filled. What is
odd about it (steps that run back, values that are no number) is for the checks to judge, so it
is kept as a *fault* with its place, never dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.views.component import Reason


class Metric(StrEnum):
    """Standard names; readers translate the usual ones, and a declaration may name others."""

    LOSS = "loss"
    VALIDATION_LOSS = "validation_loss"
    LEARNING_RATE = "learning_rate"
    GRADIENT_NORM = "gradient_norm"
    TOKENS = "tokens"
    """Seen so far."""
    BATCH_TOKENS = "batch_tokens"
    STEP_SECONDS = "step_seconds"
    TOKENS_PER_SECOND = "tokens_per_second"
    FLOPS = "flops"
    """FLOP/s of one device."""


@dataclass(frozen=True, slots=True)
class Series:
    """One metric where it was logged.

    Attributes
    ----------
    rows : ndarray of int64
        Row of the log that each value stands in, ascending.
    steps : ndarray of int64
    values : ndarray of float64
        Finite, or what was logged (NaN and infinities are values, and are faults of the log as well).
    """

    rows: Int64[np.ndarray, " n"]
    steps: Int64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class Column:
    """Values of one metric as stored: `rows` is None where every row has one."""

    name: str
    values: Float64[np.ndarray, " n"]
    rows: Int64[np.ndarray, " n"] | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """Rows that one process wrote.

    Attributes
    ----------
    file : str
        File of the pack.
    format : str
        Name of the reader.
    first_row, last_row : int
        Half-open range of the log's rows.
    resumed : bool
        The writer itself says that it continued a run.
    forked_from : int or None
        Step at which the writer says it branched off.
    sampled : str
        Why the rows are a sample (a code), or empty.
    facts : mapping of str to str
        What the writer says of its surroundings: device, host, git commit.
    """

    file: str
    format: str
    first_row: int
    last_row: int
    resumed: bool = False
    forked_from: int | None = None
    sampled: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Log:
    """Rows of all logs, one segment after another.

    Attributes
    ----------
    steps : ndarray of int64
        Step of each row; -1 where a row names none.
    times : ndarray of float64
        Unix seconds; NaN where a row names none.
    runtimes : ndarray of float64
        Seconds since its process began; NaN where a row names none.
    columns : mapping of str to Column
        By standard name where there is one (:class:`Metric`), else by the name in the file.
    segments : tuple of Segment
    faults : tuple of Reason
        What is odd, with file, line or offset, at most 100; `n_faults` counts all.
    """

    steps: Int64[np.ndarray, " rows"]
    times: Float64[np.ndarray, " rows"]
    runtimes: Float64[np.ndarray, " rows"]
    columns: Mapping[str, Column]
    segments: tuple[Segment, ...]
    faults: tuple[Reason, ...] = ()
    n_faults: int = 0

    @property
    def n_rows(self) -> int:
        """Rows in all."""
        return len(self.steps)

    @property
    def sampled(self) -> bool:
        """Whether any segment is a sample of what its run wrote."""
        return any(segment.sampled for segment in self.segments)

    def series(self, name: str) -> Series | None:
        """One metric, or None where it was not logged."""
        column = self.columns.get(name)
        if column is None or len(column.values) == 0:
            return None
        rows = np.arange(self.n_rows, dtype=np.int64) if column.rows is None else column.rows
        return Series(rows, self.steps[rows], column.values)

    def effective(self, name: str) -> Series | None:
        """One metric along the history that led to the end: of every step the value logged last, steps ascending.

        Rows before a rollback that were run again count as replaced; values that are no number are left out.
        """
        whole = self.series(name)
        if whole is None:
            return None
        kept = np.flatnonzero(np.isfinite(whole.values) & (whole.steps >= 0))
        if kept.size == 0:
            return None
        steps, last = np.unique(whole.steps[kept][::-1], return_index=True)
        index = kept[::-1][last]
        return Series(whole.rows[index], steps.astype(np.int64), whole.values[index])
