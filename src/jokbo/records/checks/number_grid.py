"""C8, number grid: every column is printed in one way from beginning to end (soft).

Claim
    One program wrote the log.
Statistic
    The grid of each column (decimals, significant digits, bfloat16, float16, float32 or plain doubles), taken over
    20 stretches of each file; the headline number counts the columns whose grid changes inside a file.
Why it is valid
    A program prints a column in one way. A change at the beginning of a process, or where a change of precision, a
    restart or an edit is declared, is a new program and no fault. Stretches whose values are the
    coarser grid's by chance (whole numbers, zeros) do not count: a stretch is finer or coarser only where
    at least 8 values say so. A loss in float32 is what a training loop reads off a tensor; an average over
    micro-batches may be a plain double, so that "double" alone is no fault.
What it catches
    Numbers pasted from elsewhere, or rounded differently midway.
What fools it
    Rounding pasted numbers to the same grid. So a pass does not exclude an invented log, and it is not listed.
Power
    Plants: a stretch of at least an eighth and at most a third of the loss (thinned to 20,000 values), a decimal
    shorter, one or two longer, or as plain doubles, or passed through bfloat16; whichever differs from its own.
References
    ``training-record.md`` section 6, check 8 (honest 100 %, synthetic 0 % on float32).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.checks.base import Check, CheckContext, CheckKind, CheckResult, Observation, unknown
from jokbo.records.declaration import Event, EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.series import Metric
from jokbo.records.statistics.grid import Grid, GridKind, find_grid, on_grid
from jokbo.records.statistics.planting import plant, standing
from jokbo.records.statistics.processes import CONTINUING
from jokbo.views.component import Reason

STRETCHES = 20
MIN_VALUES = 200
PLANTED_VALUES = 20_000
SAYS_SO = 8
"""Values that must lie off the others' grid for a stretch to be finer."""

LEFT_TO_CHANCE = 1e-12
"""Chance that a stretch looks coarser although it is not; there may be thousands of stretches."""

COLUMNS = tuple(str(m) for m in (Metric.LOSS, Metric.VALIDATION_LOSS, Metric.GRADIENT_NORM))
EXCUSES = (*CONTINUING, EventKind.PRECISION_CHANGE, EventKind.LOG_EDIT, EventKind.BACKBONE_CHANGE)


class NumberGrid(Check):
    """Compare how numbers are printed along the log."""

    number = 8
    name = "number_grid"
    kind = CheckKind.SOFT
    catches = (Forgery.SPLICED_LOG,)
    needs = ("log", "loss")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Find each column's grid, stretch by stretch."""
        log = record.log
        if log is None:
            return unknown("no_log", missing=["log"])
        changes: list[Reason] = []
        grids: dict[str, dict[str, object]] = {}
        longest = np.zeros(0)
        for name in COLUMNS:
            series = log.series(name)
            if series is None:
                continue
            for part in log.segments:
                low, high = np.searchsorted(series.rows, [part.first_row, part.last_row])
                values, steps = series.values[low:high], series.steps[low:high]
                if len(values) < MIN_VALUES:
                    continue
                grid, change = follow(values, steps, record.declaration.event)
                grids[name] = {
                    "kind": str(grid.kind),
                    "decimals": grid.decimals,
                    "significant": grid.significant,
                }
                if change is not None:
                    changes.append(Reason("changes", {"metric": name, "step": change}))
                if name == COLUMNS[0] and len(values) > len(longest):
                    longest = values
        if not grids:
            return unknown("few_values", missing=["loss"], least=MIN_VALUES)
        details = {"grids": grids}
        if changes:
            return CheckResult(
                Observation.VIOLATED, tuple(changes), float(len(changes)), 0.0, details=details
            )
        if len(longest) == 0:
            return CheckResult(
                Observation.UNKNOWN, (Reason("no_power"),), 0.0, 0.0, missing=("loss",), details=details
            )
        rng = context.draw(record, self.name, "plant")
        planted = plant(
            Forgery.SPLICED_LOG, context.n_plants, rng, lambda r: _caught(longest, r), variant="reprinted"
        )
        seen, reasons = standing([planted], sampled=log.sampled)
        return CheckResult(seen, reasons, 0.0, 0.0, planted=(planted,), details=details)


def follow(
    values: Float64[np.ndarray, " n"], steps: Int64[np.ndarray, " n"], events: Sequence[Event]
) -> tuple[Grid, int | None]:
    """The usual grid of a column, and the first step at which a stretch departs from it without a declared event."""
    bounds = np.linspace(0, len(values), STRETCHES + 1).astype(int)
    pieces = [values[a:b] for a, b in pairwise(bounds)]
    grids = [find_grid(p) for p in pieces]
    usual = _usual(grids)
    for k, piece in enumerate(pieces):
        if not _departs(piece, usual):
            continue
        first, last = int(steps[bounds[k]]), int(steps[bounds[k + 1] - 1])
        # From a declared event on another program may print.
        if not any(e.kind in EXCUSES and e.step <= last + 1 for e in events):
            return usual, first
    return usual, None


def _usual(grids: Sequence[Grid]) -> Grid:
    """The grid of most stretches; of printed ones the middle number of digits."""
    kinds = [g.kind for g in grids]
    kind = max(set(kinds), key=lambda k: (kinds.count(k), str(k)))
    same = [g for g in grids if g.kind is kind]
    return Grid(
        kind, int(np.median([g.decimals for g in same])), int(np.median([g.significant for g in same]))
    )


def _departs(piece: Float64[np.ndarray, " n"], usual: Grid) -> bool:
    kept = piece[np.isfinite(piece) & (piece != 0)]
    if kept.size < SAYS_SO:
        return False
    if usual.kind is not GridKind.DOUBLE and int((~on_grid(kept, usual)).sum()) >= SAYS_SO:
        return True
    return _coarser(kept, usual)


def _coarser(values: Float64[np.ndarray, " n"], usual: Grid) -> bool:
    """Whether all values lie on a grid that values of the usual one lie on by chance a tenth (a 2^8-th) of the time."""
    distinct = len(np.unique(values))
    if usual.kind is GridKind.PRINTED:
        if usual.decimals == 0:
            return False
        # Coarser by places and by digits both: numbers below one have fewer digits in a print of fixed places,
        # and numbers above ten fewer places in a print of fixed digits.
        own = find_grid(values)
        fewer = own.decimals < usual.decimals and own.significant < max(usual.significant, 2)
        return bool(own.kind is usual.kind and fewer and distinct * np.log(10) > -np.log(LEFT_TO_CHANCE))
    found = find_grid(values).kind
    if found is usual.kind or found is GridKind.DOUBLE:
        return False
    return bool(distinct * 8 * np.log(2) > -np.log(LEFT_TO_CHANCE))


def _caught(values: Float64[np.ndarray, " n"], rng: np.random.Generator) -> bool:
    """Print a stretch differently; True where it shows."""
    values = values[:: max(1, len(values) // PLANTED_VALUES)]
    n = len(values)
    width = int(rng.integers(-(-n // 8), n // 3 + 1))
    at = int(rng.integers(0, n - width + 1))
    forged = values.copy()
    piece = forged[at : at + width]
    forged[at : at + width] = _reprinted(piece, find_grid(values), rng)
    return follow(forged, np.arange(n), ())[1] is not None


def _reprinted(
    piece: Float64[np.ndarray, " n"], own: Grid, rng: np.random.Generator
) -> Float64[np.ndarray, " n"]:
    if own.kind is GridKind.PRINTED:
        change = int(rng.choice([-1, 1, 2]))
        unit = 10.0**-own.decimals
        if change < 0 and own.decimals > 0:
            return np.round(piece, own.decimals - 1)
        return np.round(piece + rng.uniform(-0.5, 0.5, len(piece)) * unit, own.decimals + max(change, 1))
    other = [GridKind.BFLOAT16, GridKind.FLOAT32, GridKind.DOUBLE]
    choice = [k for k in other if k is not own.kind][int(rng.integers(2 if own.kind in other else 3))]
    if choice is GridKind.DOUBLE:
        return piece * (1 + rng.uniform(-1, 1, len(piece)) * 1e-9)
    return Grid(choice).put(piece)
