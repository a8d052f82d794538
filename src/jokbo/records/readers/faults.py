"""What is odd in a segment that is well formed: kept with its place, for checks and readers to judge."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jokbo.records.readers.parts import Part
from jokbo.views.component import Reason

MAX_FAULTS = 100
"""Faults of a log that are kept; all are counted."""

MAX_ALIKE = 10
"""Faults of one kind in one segment (and one metric) that are kept."""

DAY_SECONDS = 86400.0
"""Clocks of machines may be off by a time zone."""


def find_faults(part: Part, now: float) -> tuple[list[Reason], int]:
    """Faults of a segment, the first of each kind, and how many there are.

    ``not_finite``, ``no_step``, ``step_back``, ``clock_back`` and ``clock_future``, each with the file and
    the line or offset ``at`` which it stands.
    """
    kept: list[Reason] = []
    count = 0
    for number, reasons in _kinds(part, now):
        count += number
        kept += reasons
    return kept, count


def _kinds(part: Part, now: float) -> Iterator[tuple[int, list[Reason]]]:
    for name, column in part.columns.items():
        odd = np.flatnonzero(~np.isfinite(column.values))
        where = odd if column.rows is None else column.rows[odd]
        told = zip(odd[:MAX_ALIKE].tolist(), where[:MAX_ALIKE].tolist(), strict=True)
        source = part.raw_names[name]
        yield (
            len(odd),
            [
                _told(part, "not_finite", row, metric=source, value=str(float(column.values[k])))
                for k, row in told
            ],
        )
    lacking = np.flatnonzero(part.steps < 0)
    yield len(lacking), [_told(part, "no_step", row) for row in lacking[:MAX_ALIKE].tolist()]
    stepped = np.flatnonzero(part.steps >= 0)
    steps = part.steps[stepped]
    back = np.flatnonzero(np.diff(steps) < 0)
    yield (
        len(back),
        [
            _told(part, "step_back", int(stepped[k + 1]), step=int(steps[k + 1]), before=int(steps[k]))
            for k in back[:MAX_ALIKE].tolist()
        ],
    )
    timed = np.flatnonzero(np.isfinite(part.times))
    times = part.times[timed]
    back = np.flatnonzero(np.diff(times) < 0)
    yield (
        len(back),
        [
            _told(part, "clock_back", int(timed[k + 1]), seconds=round(float(times[k] - times[k + 1]), 6))
            for k in back[:MAX_ALIKE].tolist()
        ],
    )
    ahead = np.flatnonzero(times > now + DAY_SECONDS)
    yield (
        len(ahead),
        [
            _told(part, "clock_future", int(timed[k]), days=round((float(times[k]) - now) / DAY_SECONDS, 1))
            for k in ahead[:MAX_ALIKE].tolist()
        ],
    )


def _told(part: Part, code: str, row: int, **values: int | float | str) -> Reason:
    return Reason(code, {"file": part.segment.file, "at": int(part.at[row]), **values})
