"""Which rows of a log one process wrote, and which of them repeat another log of the same run.

A segment is a file, or what its writer marks as one process. A file that was appended to after a
restart holds several: the next one begins where the step runs back, or where the time since the
process began does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.declaration import Event, EventKind
from jokbo.records.series import Log

CONTINUING = (EventKind.RESTART, EventKind.ROLLBACK)
"""Declared events that begin a new process."""


@dataclass(frozen=True, slots=True)
class Process:
    """Rows that one process wrote.

    Attributes
    ----------
    segment : int
        Index into the log's segments.
    first_row, last_row : int
        Half-open.
    first_step, last_step : int
        Of its rows that name a step.
    opens_segment : bool
        The file, or its writer, marks the beginning; else it was found inside a segment.
    """

    segment: int
    first_row: int
    last_row: int
    first_step: int
    last_step: int
    opens_segment: bool

    @property
    def rows(self) -> slice:
        """Its rows."""
        return slice(self.first_row, self.last_row)


def processes(log: Log) -> tuple[Process, ...]:
    """Processes in file order; rows without a step begin none.

    Examples
    --------
    >>> from jokbo.testing.records import make_log
    >>> [(p.first_step, p.last_step) for p in processes(make_log([1, 2, 3, 2, 3, 4]))]
    [(1, 3), (2, 4)]
    """
    found: list[Process] = []
    for number, segment in enumerate(log.segments):
        rows = np.arange(segment.first_row, segment.last_row)
        rows = rows[log.steps[rows] >= 0]
        if rows.size == 0:
            continue
        cuts = _cuts(log.steps[rows], log.runtimes[rows])
        ends = (*cuts, len(rows))
        for k, (begin, end) in enumerate(zip((0, *cuts), ends, strict=True)):
            steps = log.steps[rows[begin:end]]
            last = segment.last_row if end == len(rows) else int(rows[end])
            first = segment.first_row if begin == 0 else int(rows[begin])
            found.append(Process(number, first, last, int(steps.min()), int(steps.max()), k == 0))
    return tuple(found)


def _cuts(steps: Int64[np.ndarray, " n"], runtimes: Float64[np.ndarray, " n"]) -> tuple[int, ...]:
    """Positions at which another process begins."""
    back = np.diff(steps) < 0
    known = np.flatnonzero(np.isfinite(runtimes))
    # A clock that starts anew, as against one that was read a moment late.
    before, after = runtimes[known[:-1]], runtimes[known[1:]]
    anew = known[1:][(after < before - 0.5) & (after < 0.5 * before)]
    return tuple(int(k) for k in np.unique(np.concatenate([np.flatnonzero(back) + 1, anew])))


def declared_between(events: Sequence[Event], kinds: Sequence[EventKind], first: int, last: int) -> list[int]:
    """Indices of declared events of these kinds in the steps `first` to `last`, both counted in."""
    return [k for k, event in enumerate(events) if event.kind in kinds and event.concerns(first, last)]
