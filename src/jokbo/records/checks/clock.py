"""C6, clock: time runs forward, at one pace in every process (exact; what is only odd is said beside it).

Claim
    The times of the rows were read from a clock while the run ran.
Statistic
    The largest contradiction in seconds: a row earlier than the row before it; a start of the process
    (time less time since the process began) that moves back; a process that continues from a state that did not exist
    yet; a row later than the record says it was packed.
Why it is valid
    Clocks are set back by time servers, by less than 5 s; a local time is set back by an hour once a year, which
    is allowed once a process where the format has no time zone. Clocks of processes stand still while a machine
    is suspended, and some leave evaluations out: a start that moves forward is not held against the record, but
    then nothing is passed, unless a restart is declared there. Drift of
    200 parts in a million and clocks of whole seconds are allowed. This machine's clock is not asked: the
    same record has to give the same answer tomorrow. A declared edit of the log may have made its times.
What it catches
    Pieces of logs put together with the times that they came with.
What fools it
    Times computed along with the steps. Those that are too regular, or do not pause where checkpoints were written,
    get a reason (soft: asynchronous writing is usual), never a violation.
Power
    Plants: half of them a tail, half a middle piece, of another run at another time, days apart, earlier or later as
    it falls. Found where the check would not pass them. Without the time since the process began, a tail
    that is later fits, and the check cannot tell.
References
    ``training-record.md`` section 6, check 6.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.checks.base import Check, CheckContext, CheckKind, CheckResult, Observation, unknown
from jokbo.records.declaration import EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.series import Log
from jokbo.records.statistics.grid import decimals
from jokbo.records.statistics.planting import plant, standing
from jokbo.records.statistics.processes import CONTINUING, Process, declared_between, processes
from jokbo.views.component import Reason

BACK_SECONDS = 5.0
DRIFT = 2e-4
HOUR = 3600.0
DAY = 86400.0
ZONELESS = ("console", "megatron", "csv")
"""Formats whose times may be local."""

PACKED = ("packed", "packed_at", "created", "created_at", "date")
"""Keys of a declared environment that say when the record was made."""

REGULAR = 1e-3
MIN_ROWS = 32
EXAMINED = 512
PLANTED_ROWS = 5_000


@dataclass(frozen=True, slots=True)
class Stretch:
    """Timed rows of one process, in file order."""

    steps: Int64[np.ndarray, " n"]
    times: Float64[np.ndarray, " n"]
    runtimes: Float64[np.ndarray, " n"]
    format: str


class Clock(Check):
    """Walk along the times of every process."""

    number = 6
    name = "clock"
    kind = CheckKind.EXACT
    catches = (Forgery.SPLICED_LOG,)
    needs = ("log", "timestamps")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Hold the times against each other."""
        log = record.log
        if log is None:
            return unknown("no_log", missing=["log"])
        edited = record.events(EventKind.LOG_EDIT)
        if edited:
            return replace(unknown("edited", missing=["timestamps"]), events=edited)
        parts = processes(log)
        stretches = [s for s in (_stretch(log, p) for p in parts) if len(s.steps)]
        if sum(len(s.steps) for s in stretches) < MIN_ROWS:
            return unknown("no_times", missing=["timestamps"])
        faults, worst, jumps = contradictions(stretches)
        faults += _after_packing(record, stretches)
        used = _declared(record, parts)
        notes, details = _odd(record, stretches)
        if faults:
            return CheckResult(
                Observation.VIOLATED, (*faults[:20], *notes), worst, BACK_SECONDS, events=used, details=details
            )  # fmt: skip
        if len(jumps) > len(used):
            longest = max(jumps)
            return CheckResult(
                Observation.UNKNOWN, (Reason("stood_still", {"times": len(jumps), "seconds": longest}), *notes),
                worst, BACK_SECONDS, events=used, details=details,
            )  # fmt: skip
        rng = context.draw(record, self.name, "plant")
        longest_part = max(stretches, key=lambda s: len(s.steps))
        planted = plant(
            Forgery.SPLICED_LOG,
            context.n_plants,
            rng,
            lambda r: _caught(longest_part, r),
            variant="kept_times",
        )
        seen, why = standing([planted], sampled=log.sampled)
        return CheckResult(
            seen, (*why, *notes), worst, BACK_SECONDS, planted=(planted,), events=used, details=details
        )


def _declared(record: Record, parts: Sequence[Process]) -> tuple[int, ...]:
    """Declared restarts at which a process begins."""
    events = record.declaration.event
    found = {
        k for p in parts[1:] for k in declared_between(events, CONTINUING, p.first_step - 1, p.first_step + 1)
    }
    return tuple(sorted(found))


def _stretch(log: Log, part: Process) -> Stretch:
    rows = np.arange(part.first_row, part.last_row)
    rows = rows[np.isfinite(log.times[rows]) & (log.steps[rows] >= 0)]
    return Stretch(log.steps[rows], log.times[rows], log.runtimes[rows], log.segments[part.segment].format)


def contradictions(stretches: Sequence[Stretch]) -> tuple[list[Reason], float, list[float]]:
    """What cannot be, the largest number of seconds that it is off by, and how long each clock stood still."""
    faults: list[Reason] = []
    jumps: list[float] = []
    worst = 0.0
    for k, part in enumerate(stretches):
        for reason in (_runs_back(part), _moving_start(part, jumps), _before_its_cause(stretches[:k], part)):
            if reason is not None:
                faults.append(reason)
                worst = max(worst, float(reason.values["seconds"]))
    return faults, worst, jumps


def _runs_back(part: Stretch) -> Reason | None:
    change = np.diff(part.times)
    back = np.flatnonzero(change < -BACK_SECONDS)
    if part.format in ZONELESS and len(back) == 1 and change[back[0]] >= -HOUR - 1:
        return None  # the end of summer time
    if len(back) == 0:
        return None
    at = int(back[np.argmin(change[back])])
    values = {"step": int(part.steps[at + 1]), "seconds": float(-change[at]), "times": len(back)}
    return Reason("runs_back", values)


def _moving_start(part: Stretch, jumps: list[float]) -> Reason | None:
    """The process went faster than the clock, which nothing does; slower is a machine that stood still."""
    known = np.flatnonzero(np.isfinite(part.runtimes))
    if known.size < 2:
        return None
    runtimes = part.runtimes[known]
    start = part.times[known] - runtimes
    allowed = BACK_SECONDS + DRIFT * float(runtimes.max() - runtimes.min())
    forward = float(start.max() - start[0])
    if forward > allowed:
        jumps.append(forward)
    over = start - np.minimum.accumulate(start[::-1])[::-1]
    at = int(np.argmax(over))
    if over[at] <= allowed:
        return None
    return Reason("moving_start", {"step": int(part.steps[known[at]]), "seconds": float(over[at])})


def _before_its_cause(earlier: Sequence[Stretch], part: Stretch) -> Reason | None:
    """A process continues from a step that another of the same format had not reached yet."""
    first, begun = int(part.steps[0]), float(part.times[0])
    for other in reversed(earlier):
        if other.format != part.format or int(other.steps[0]) >= first:
            continue
        before = np.flatnonzero(other.steps < first)
        cause = float(other.times[before[-1]])
        slack = HOUR if part.format in ZONELESS else BACK_SECONDS
        if begun < cause - slack:
            return Reason("before_its_cause", {"step": first, "seconds": cause - begun})
        return None
    return None


def _after_packing(record: Record, stretches: Sequence[Stretch]) -> list[Reason]:
    newest = max(float(s.times.max()) for s in stretches)
    stamps = [_unix(record.declaration.environment.get(key, "")) for key in PACKED]
    known = [t for t in stamps if t is not None]
    if not known or newest <= max(known) + 2 * DAY:
        return []
    return [Reason("after_packing", {"seconds": newest - max(known), "days": (newest - max(known)) / DAY})]


def _unix(text: str) -> float | None:
    """A date and time as ISO 8601 writes it; None for anything else."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d([T ][0-9:.+Z-]{5,30})?", text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _odd(record: Record, stretches: Sequence[Stretch]) -> tuple[tuple[Reason, ...], dict[str, object]]:
    """What is odd and nothing more: too regular, or no pause where checkpoints were written."""
    longest = max(stretches, key=lambda s: len(s.steps))
    gaps = np.diff(longest.times)
    places = longest.steps[1:]
    details: dict[str, object] = {
        "rows": len(longest.steps),
        "median_seconds": float(np.median(gaps)) if len(gaps) else 0.0,
    }
    found: list[Reason] = []
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    resolution = 10.0 ** -min(int(decimals(longest.times[:EXAMINED]).max()), 6)
    if len(gaps) >= 100 and usual > 0:
        spread = 1.4826 * float(np.median(np.abs(gaps - usual))) / usual
        details["spread"] = spread
        fine = spread < REGULAR and resolution < REGULAR * usual
        # Whole multiples of the last place: a clock whose jitter is below it alternates between two.
        if fine or (float(gaps.std()) < 0.3 * resolution and resolution < 0.1 * usual):
            found.append(Reason("too_regular", {"spread": spread}))
    written = [c.step for c in record.training_checkpoints() if c.step > 0]
    lengths = np.diff(longest.steps)
    at = np.unique(
        np.searchsorted(longest.steps, [s for s in written if s < longest.steps[-1]], side="right") - 1
    )
    at = at[(at >= 0) & (at < len(gaps))]
    if len(at) >= 5 and len(gaps) - len(at) >= 20 and usual > 0 and bool(np.all(lengths == lengths[0])):
        pause = float(np.median(gaps[at]) - np.median(np.delete(gaps, at)))
        details["pause_seconds"] = pause
        if pause < 0.02 * usual and len(places):
            found.append(Reason("no_pauses", {"checkpoints": len(at), "seconds": pause}))
    return tuple(found), details


def _caught(part: Stretch, rng: np.random.Generator) -> bool:
    """Put a piece of another run, with its own times, into the process; True where it would not pass."""
    n = min(len(part.steps), PLANTED_ROWS)
    cut = slice(0, n)
    times, runtimes = part.times[cut].copy(), part.runtimes[cut].copy()
    a, b = np.sort(rng.integers(n // 8, n * 7 // 8, 2))
    where = slice(a, n) if rng.random() < 0.5 else slice(a, max(b, a + 1))
    times[where] += float(rng.choice([-1, 1])) * float(rng.uniform(1, 30)) * DAY
    runtimes[where] += float(rng.uniform(0.1, 10)) * max(float(np.nanmax(runtimes, initial=0.0)), 60.0)
    forged = Stretch(part.steps[cut], times, runtimes, part.format)
    faults, _, jumps = contradictions([forged])
    return bool(faults) or bool(jumps)
