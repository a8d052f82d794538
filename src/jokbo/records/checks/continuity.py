"""C4, continuity: the log has every step it should have, once (exact).

Claim
    The log covers the declared run from its first update to its last; what was run again or is missing is
    declared.
Statistic
    Undeclared holes and overlaps: intervals between rows longer than is usual on both sides of them; rows
    missing at either end; processes that begin before the one before them ended, or that their writer marks
    as resumed or branched off.
Why it is valid
    A trainer logs by its step counter. Logging every k steps, logging less often from some step on, extra rows
    of evaluations, and the same run written in several formats are no faults. A restart, a rollback and a lost
    piece are, unless an event declares them (a restart or rollback that concerns the steps run again, give or
    take one logging interval; a missing log or an edit that covers the hole).
What it catches
    A piece cut out, a tail moved, a piece repeated, a log that ends before the run or goes on after it.
What fools it
    Renumbering the steps after a cut, and a piece of another log pasted at the same steps: here the numbering is
    all that is looked at. The clock, the arithmetic and the noise are for the other checks.
Power
    Plants: 1 to 8 rows cut out, everything after some row moved on, a piece repeated; away from declared events,
    in a stretch of at most 20,000 rows, since a fault is judged by the 8 intervals on each side of it.
References
    ``training-record.md`` section 6, check 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.declaration import Event, EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.series import Log, Series
from jokbo.records.statistics.cadence import Cadence, cadence
from jokbo.records.statistics.grid import find_grid
from jokbo.records.statistics.planting import plant, standing
from jokbo.records.statistics.processes import CONTINUING, Process, declared_between, processes
from jokbo.views.component import Reason

MAX_REASONS = 20
LOST = (EventKind.MISSING_LOG, EventKind.LOG_EDIT)
PLANTED_ROWS = 20_000
WAYS = ("cut", "moved_tail", "repeated")
"""Plants; the check passes only where it finds every cut."""

MIN_ROWS = 32
"""Fewer rows do not show how often a run was logged."""


@dataclass(frozen=True, slots=True)
class Strand:
    """Rows of one process that count as logging.

    Attributes
    ----------
    steps : ndarray of int64
        Ascending, distinct: of rows with a loss, or of all rows where the process logged none.
    others : ndarray of int64
        Ascending, distinct: of all its rows.
    losses : ndarray of float64
        At `steps`; empty where none was logged.
    segment : int
    format : str
    marked : bool
        The writer says that it resumed or branched off.
    inside : bool
        Found inside a file, not at its beginning.
    """

    steps: Int64[np.ndarray, " n"]
    others: Int64[np.ndarray, " m"]
    losses: Float64[np.ndarray, " k"]
    segment: int
    format: str
    marked: bool
    inside: bool


class Continuity(Check):
    """Find steps that are missing, or there twice, without a declared event."""

    number = 4
    name = "continuity"
    kind = CheckKind.EXACT
    catches = (Forgery.SPLICED_LOG,)
    needs = ("log",)

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Walk along the processes of the log."""
        log = record.log
        if log is None:
            return unknown("no_log", missing=["log"])
        if log.sampled:
            return unknown("sampled", missing=["log"])
        strands = strands_of(log)
        if sum(len(s.steps) for s in strands) < MIN_ROWS:
            return unknown(
                "few_rows", missing=["log"], rows=sum(len(s.steps) for s in strands), least=MIN_ROWS
            )
        events, steps = record.declaration.event, record.declaration.steps
        found = walk(strands, events, steps)
        details = {"holes": [list(h) for h in found.holes[:MAX_REASONS]], "processes": len(strands),
                   "every": found.every, "copies": found.copies}  # fmt: skip
        notes = found.notes
        if found.faults:
            shown = found.faults[:MAX_REASONS]
            if len(found.faults) > MAX_REASONS:
                shown = (*shown, Reason("and_more", {"n": len(found.faults) - MAX_REASONS}))
            return CheckResult(
                Observation.VIOLATED,
                (*shown, *notes),
                float(len(found.faults)),
                0.0,
                events=found.events,
                details=details,
            )
        if not found.regular:
            return CheckResult(
                Observation.UNKNOWN, (Reason("irregular"), *notes), 0.0, 0.0, events=found.events, details=details
            )  # fmt: skip
        rng = context.draw(record, self.name, "plant")
        sample = _stretch(strands, events, rng)
        planted = tuple(_plant(way, sample, events, context.n_plants, rng) for way in WAYS)
        observation, why = standing(planted[:1], sampled=False)
        return CheckResult(
            observation, (*why, *notes), 0.0, 0.0, planted=planted, events=found.events, details=details
        )


def _plant(
    way: str, sample: Strand, events: Sequence[Event], tries: int, rng: np.random.Generator
) -> Planted:
    def found(r: np.random.Generator) -> bool:
        return bool(_forged(way, sample, events, r).faults)

    return plant(Forgery.SPLICED_LOG, tries, rng, found, variant=way)


def strands_of(log: Log) -> list[Strand]:
    """The logging rows of every process."""
    whole = log.series("loss")
    found = []
    for process in processes(log):
        segment = log.segments[process.segment]
        steps, losses = _logging_rows(log, process, whole)
        found.append(
            Strand(
                steps,
                _distinct(log.steps[process.rows]),
                losses,
                process.segment,
                segment.format,
                process.opens_segment and (segment.resumed or segment.forked_from is not None),
                not process.opens_segment,
            )
        )
    return found


def _logging_rows(
    log: Log, process: Process, loss: Series | None
) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " k"]]:
    if loss is not None:
        low, high = np.searchsorted(loss.rows, [process.first_row, process.last_row])
        steps, values = loss.steps[low:high], loss.values[low:high]
        kept = steps >= 0
        if kept.any():
            steps, values = steps[kept], values[kept]
            if (np.diff(steps) > 0).all():
                return steps, values
            distinct, first = np.unique(steps, return_index=True)
            return distinct, values[first]
    return _distinct(log.steps[process.rows]), np.zeros(0)


def _distinct(steps: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " m"]:
    """Ascending, distinct steps; rows that name none left out."""
    named = steps[steps >= 0]
    return named if (np.diff(named) > 0).all() else np.unique(named)


@dataclass(frozen=True, slots=True)
class Walk:
    """What walking along the processes found."""

    faults: tuple[Reason, ...]
    notes: tuple[Reason, ...]
    holes: tuple[tuple[int, int], ...]
    events: tuple[int, ...]
    regular: bool
    every: int
    copies: int


def walk(strands: Sequence[Strand], events: Sequence[Event], total: int | None) -> Walk:
    """Faults along the processes in file order; ends are judged where `total` says how long the run was."""
    faults: list[Reason] = []
    notes: list[Reason] = []
    used: set[int] = set()
    rhythm = [cadence(s.steps) for s in strands]
    holes = [h for s, c in zip(strands, rhythm, strict=True) for h in _holes(s, c)]
    copies, reached, before = 0, 0, -1
    for k, (strand, beat) in enumerate(zip(strands, rhythm, strict=True)):
        first, last = int(strand.steps[0]), int(strand.steps[-1])
        if k == 0:
            if total is not None and first > beat.every + 1:
                holes.append((0, first))
            reached, before = last, k
            continue
        slack = max(beat.every, rhythm[before].every)
        agreement = _agreement(strands[:k], strand)
        if agreement is not None and agreement > 0.99:
            copies += 1
        elif agreement is not None and strand.format != strands[before].format:
            notes.append(Reason("copies_disagree", {"share": agreement, "first": first, "last": last}))
            continue
        elif first <= reached or strand.marked or strand.inside:
            declared = declared_between(
                events, CONTINUING, min(first, reached) - slack, max(first, min(reached, last)) + slack
            )
            used.update(declared)
            if not declared:
                code = "overlap" if first <= reached else "undeclared_process"
                faults.append(Reason(code, {"first": first, "last": min(reached, last), "before": reached}))
        if first > reached + slack:
            holes.append((reached, first))
        reached, before = max(reached, last), k
    if total is not None:
        usual = rhythm[before].every
        if reached < total - usual:
            holes.append((reached, total + 1))
        if reached > total + 1:
            faults.append(Reason("beyond_end", {"last": reached, "steps": total}))
    left, excused = _unexcused(_still_open(holes, strands, copies), events, max(c.every for c in rhythm))
    used |= excused
    faults[:0] = [Reason("hole", {"first": a + 1, "last": b - 1}) for a, b in left]
    long = [c.regular for s, c in zip(strands, rhythm, strict=True) if len(s.steps) >= MIN_ROWS]
    regular = bool(long) and all(long)
    return Walk(
        tuple(faults), tuple(notes), tuple(holes), tuple(sorted(used)), regular, rhythm[0].every, copies
    )


def _holes(strand: Strand, beat: Cadence) -> list[tuple[int, int]]:
    """Holes of one process in which no row of any kind stands where a loss should."""
    found = []
    for before, after in beat.holes.tolist():
        inside = strand.others[
            np.searchsorted(strand.others, before, side="right") : np.searchsorted(strand.others, after)
        ]
        if len(inside) < max((after - before - 1) // max(beat.every, 1), 1):
            found.append((before, after))
    return found


def _still_open(
    holes: Sequence[tuple[int, int]], strands: Sequence[Strand], copies: int
) -> list[tuple[int, int]]:
    """Holes of one copy of the log that no other copy fills."""
    if not copies:
        return list(holes)
    rows = np.unique(np.concatenate([s.steps for s in strands]))
    return [(a, b) for a, b in holes if np.searchsorted(rows, a, side="right") == np.searchsorted(rows, b)]


def _unexcused(
    holes: Sequence[tuple[int, int]], events: Sequence[Event], slack: int
) -> tuple[list[tuple[int, int]], set[int]]:
    """Holes that no declared loss covers, and the events that cover the others."""
    left, used = [], set()
    for before, after in holes:
        covering = [
            k
            for k, event in enumerate(events)
            if event.kind in LOST
            and event.step <= before + slack
            and (event.step if event.to_step is None else event.to_step) >= after - slack
        ]
        used.update(covering)
        if not covering:
            left.append((before, after))
    return left, used


def _agreement(earlier: Sequence[Strand], strand: Strand) -> float | None:
    """Share of common steps at which another file gives the same loss, to the precision of the coarser one."""
    shares = []
    for other in earlier:
        if other.segment == strand.segment or len(other.losses) == 0 or len(strand.losses) == 0:
            continue
        _, mine, theirs = np.intersect1d(strand.steps, other.steps, assume_unique=True, return_indices=True)
        if mine.size == 0:
            continue
        a, b = strand.losses[mine], other.losses[theirs]
        unit = np.maximum(find_grid(strand.losses).unit(a), find_grid(other.losses).unit(b))
        both = np.isnan(a) & np.isnan(b)
        shares.append(float(np.mean(both | (np.abs(a - b) <= 1.01 * unit + 1e-6 * np.abs(a)))))
    return max(shares) if shares else None


def _stretch(strands: Sequence[Strand], events: Sequence[Event], rng: np.random.Generator) -> Strand:
    """A stretch of the longest process into which forgeries are planted."""
    longest = max(strands, key=lambda s: len(s.steps))
    begin = int(rng.integers(0, max(len(longest.steps) - PLANTED_ROWS, 0) + 1))
    steps = longest.steps[begin : begin + PLANTED_ROWS]
    return replace(longest, steps=steps, others=steps, losses=np.zeros(0), marked=False, inside=False)


def _forged(way: str, strand: Strand, events: Sequence[Event], rng: np.random.Generator) -> Walk:
    """Plant a cut, a move or a repetition, and walk along it."""
    steps = strand.steps
    every = max(cadence(steps).every, 1)
    margin = min(12, len(steps) // 4)
    for _ in range(100):
        at = int(rng.integers(margin, len(steps) - margin))
        width = int(rng.integers(1, min(8, margin) + 1))
        reach = 20 * every
        if not any(e.concerns(int(steps[at]) - reach, int(steps[at]) + reach) for e in events):
            break
    if way == "cut":
        made = [replace(strand, steps=(cut := np.delete(steps, slice(at, at + width))), others=cut)]
    elif way == "moved_tail":
        moved = np.concatenate([steps[:at], steps[at:] + width * every])
        made = [replace(strand, steps=moved, others=moved)]
    else:
        tail = replace(strand, steps=steps[at - width :], others=steps[at - width :], inside=True)
        made = [replace(strand, steps=steps[:at], others=steps[:at]), tail]
    return walk(made, events, None)
