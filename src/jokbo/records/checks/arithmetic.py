"""C5, arithmetic: logged tokens and learning rates are those that the declaration implies (exact).

Claim
    Tokens seen are the sum of the declared batches; the learning rate follows the declared schedule; the declared
    total is the sum of its parts.
Statistic
    Rows whose value lies outside what the declaration implies within two updates, to the precision with
    which the log prints: that is worked out of the values themselves (decimals, significant digits, or the
    floating-point type that they passed through).
Why it is valid
    Both are computed, not measured. Trainers differ in counting from 0 or 1, in logging before or after an update
    and in ``(k + 1) / (n + 1)``, which moves a value by at most two updates; labels are rounded or cut, by one
    unit. A sequence's last token has no target, and some count it and some do not: either will do, throughout (of
    the declared total not one token more). After a declared restart a count may go on, begin anew, or be set
    back. A learning rate from a declared change of rate on, and rows of a declared edit, are not held against
    the formula.
What it catches
    Totals made larger than their parts, rows moved without computing their columns anew, another schedule.
What fools it
    Computing all of it consistently, which is easy: then the claim of compute is larger too (check 7). A constant
    learning rate and no tokens say nothing.
Power
    Plants: totals times 1.02 to 3; a tail taken from 8 or more updates away, columns and all.
References
    ``training-record.md`` sections 4 (labels round up or cut: one unit) and 6, check 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.declaration import EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.records.schedule import scheduled_rates
from jokbo.records.series import Log, Series
from jokbo.records.statistics.ledger import Band, band, label_unit, offsets, print_slack, token_unit
from jokbo.records.statistics.planting import plant, standing
from jokbo.records.statistics.processes import processes
from jokbo.views.component import Reason

PLANTED_ROWS = 2_000
LEAST_MOVE = 8
INFLATION = (1.02, 3.0)


@dataclass(frozen=True, slots=True)
class Column:
    """A logged column and what the declaration implies for it.

    Attributes
    ----------
    metric : str
    steps : ndarray of int64
    values, slack : ndarray of float64
        In the units of the declaration.
    band : Band
        Of what is implied after update 0, 1, 2, ...
    fits : ndarray of bool
    """

    metric: str
    steps: Int64[np.ndarray, " n"]
    values: Float64[np.ndarray, " n"]
    slack: Float64[np.ndarray, " n"]
    band: Band
    fits: Bool[np.ndarray, " n"]


class Arithmetic(Check):
    """Compute tokens and rates anew, and compare."""

    number = 5
    name = "arithmetic"
    kind = CheckKind.EXACT
    catches = (Forgery.INFLATED_TOTALS, Forgery.SPLICED_LOG)
    needs = ("log", "batch", "tokens", "schedule", "learning_rate")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Hold both columns and the total against the declaration."""
        totals, total_tested = _totals(record)
        columns, used = _columns(record) if record.log is not None else ([], ())
        missing = _missing(record, columns)
        if not columns and not total_tested:
            return unknown("nothing_to_compare", missing=missing)
        faults = [*totals, *(_fault(c) for c in columns if not c.fits.all())]
        off = sum(int((~c.fits).sum()) for c in columns) + len(totals)
        details = {"rows": {c.metric: len(c.steps) for c in columns}}
        if faults:
            return CheckResult(
                Observation.VIOLATED, tuple(faults), float(off), 0.0, missing=missing, events=used, details=details
            )  # fmt: skip
        planted = _plants(columns, record, total_tested, context)
        seen, why = standing(planted, sampled=record.log is not None and record.log.sampled)
        return CheckResult(
            seen, why, 0.0, 0.0, planted=planted, missing=missing, events=used, details=details
        )


def _missing(record: Record, columns: Sequence[Column]) -> tuple[str, ...]:
    found, have = [], {c.metric for c in columns}
    if record.log is None:
        found.append("log")
    if not record.declaration.batch:
        found.append("batch")
    if "tokens" not in have and record.log is not None:
        found.append("tokens")
    if record.declaration.schedule is None:
        found.append("schedule")
    if "learning_rate" not in have and record.log is not None and record.log.series("learning_rate") is None:
        found.append("learning_rate")
    return tuple(found)


def _totals(record: Record) -> tuple[list[Reason], bool]:
    """The declared total against the declared batches."""
    tokens, batches = record.data.tokens if record.data else 0, record.batch_tokens()
    if not tokens or batches is None:
        return [], False
    if _total_fits(record, tokens):
        return [], True
    return [Reason("total_off", {"declared": tokens, "implied": int(batches.sum())})], True


def _columns(record: Record) -> tuple[list[Column], tuple[int, ...]]:
    log, declaration = record.log, record.declaration
    assert log is not None
    found: list[Column] = []
    used: set[int] = set(record.events(EventKind.LOG_EDIT))
    batches = record.batch_tokens()
    if batches is not None:
        counts = [_token_columns(log, each) for each in _ways_to_count(record)]
        found += max(counts, key=lambda columns: sum(int(c.fits.sum()) for c in columns))
        single = log.series("batch_tokens")
        if single is not None:
            found.append(
                _column("batch_tokens", single, band(np.concatenate([batches[:1], batches]).astype(float)))
            )
    rates = scheduled_rates(declaration.schedule, declaration.steps)
    logged = log.series("learning_rate")
    if rates is not None and logged is not None:
        changed = record.events(EventKind.RATE_CHANGE)
        used.update(changed)
        column = _column("learning_rate", logged, band(np.concatenate([rates[:1] * 0, rates])))
        found.append(_without(column, record, changed, to_end=True))
    edited = record.events(EventKind.LOG_EDIT)
    found = [_without(c, record, edited, to_end=False) for c in found]
    return [c for c in found if len(c.steps)], tuple(sorted(used))


def _column(metric: str, series: Series, implied: Band) -> Column:
    kept = np.isfinite(series.values) & (series.steps >= 0)
    steps, values = series.steps[kept], series.values[kept]
    slack = print_slack(values)
    if metric == "learning_rate":
        # Warm-up from nothing: a first value of 0 belongs to it.
        slack = np.maximum(slack, 1e-9 * float(np.abs(implied.implied).max(initial=0.0)))
    return Column(metric, steps, values, slack, implied, implied.within(values, steps, slack))


def _ways_to_count(record: Record) -> list[Int64[np.ndarray, " steps"]]:
    """Tokens of every update: as declared, and with the one token a sequence less or more that has no target."""
    batches = record.batch_tokens()
    if batches is None:
        return []
    sequences = np.zeros(len(batches), dtype=np.int64)
    for phase in sorted(record.declaration.batch, key=lambda p: p.from_step):
        sequences[max(phase.from_step - 1, 0) :] = phase.sequences
    return [batches, batches - sequences, batches + sequences]


def _total_fits(record: Record, tokens: int) -> bool:
    """A total with a token more in every sequence would be an inflated one."""
    return any(
        abs(tokens - int(each.sum())) <= label_unit(tokens) + int(each.max())
        for each in _ways_to_count(record)[:2]
    )


def _token_columns(log: Log, batches: Int64[np.ndarray, " steps"]) -> list[Column]:
    """Tokens so far, process by process, each with the offset that suits it."""
    # Two updates more: some count the next batch with the last row.
    seen = np.concatenate([[0.0], np.cumsum(np.concatenate([batches, batches[-1:], batches[-1:]]))])
    whole = log.series("tokens")
    if whole is None:
        return []
    single = _column("tokens", whole, band(np.concatenate([batches[:1], batches]).astype(float)))
    if len(single.steps) > 2 and single.fits.all():
        return [single]  # A column of this name that holds each batch by itself.
    parts = processes(log)
    allowed = offsets([p.first_step for p in parts], [p.last_step for p in parts], seen)
    found, around = [], band(seen)
    for part, choices in zip(parts, allowed, strict=True):
        low, high = np.searchsorted(whole.rows, [part.first_row, part.last_row])
        piece = Series(whole.rows[low:high], whole.steps[low:high], whole.values[low:high])
        kept = np.isfinite(piece.values) & (piece.steps >= 0)
        if not kept.any():
            continue
        steps, raw = piece.steps[kept], piece.values[kept]
        unit = token_unit(raw, seen[np.clip(steps, 0, len(seen) - 1)])
        values, slack = raw * unit, print_slack(raw) * unit
        tried = [(off, around.within(values - off, steps, slack)) for off in choices]
        offset, fits = max(tried, key=lambda row: int(row[1].sum()))
        found.append(Column("tokens", steps, values - offset, slack, around, fits))
    return _joined(found)


def _joined(parts: Sequence[Column]) -> list[Column]:
    if not parts:
        return []
    fields = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("steps", "values", "slack", "fits")
    }
    return [Column(parts[0].metric, band=parts[0].band, **fields)]


def _without(column: Column, record: Record, events: Sequence[int], *, to_end: bool) -> Column:
    """The column without rows that declared events concern."""
    kept = np.ones(len(column.steps), dtype=bool)
    for k in events:
        event = record.declaration.event[k]
        last = (
            event.to_step
            if event.to_step is not None
            else (record.declaration.steps if to_end else event.step)
        )
        kept &= ~((column.steps >= event.step - 1) & (column.steps <= last + 1))
    return Column(
        column.metric, column.steps[kept], column.values[kept], column.slack[kept], column.band, column.fits[kept]
    )  # fmt: skip


def _fault(column: Column) -> Reason:
    bad = np.flatnonzero(~column.fits)
    first = int(column.steps[bad[0]])
    place = min(max(first, 0), len(column.band.implied) - 1)
    values = {"rows": len(bad), "of": len(column.steps), "step": first, "logged": float(column.values[bad[0]]),
              "implied": float(column.band.implied[place])}  # fmt: skip
    return Reason(f"{column.metric}_off", values)


def _plants(
    columns: Sequence[Column], record: Record, total_tested: bool, context: CheckContext
) -> tuple[Planted, ...]:
    rng = context.draw(record, Arithmetic.name, "plant")
    found = []
    tokens = [_thin(c) for c in columns if c.metric == "tokens"]
    total = record.data.tokens if record.data and total_tested else 0
    if tokens or total:

        def inflated(r: np.random.Generator) -> bool:
            factor = float(np.exp(r.uniform(*np.log(INFLATION))))
            more = int(total * factor)
            if total and not _total_fits(record, more):
                return True
            return any(not c.band.within(c.values * factor, c.steps, c.slack).all() for c in tokens)

        found.append(plant(Forgery.INFLATED_TOTALS, context.n_plants, rng, inflated, variant="totals"))
    thin = [_thin(c) for c in columns if c.metric != "batch_tokens" and len(c.steps) >= 16]
    if thin:
        found.append(
            plant(
                Forgery.SPLICED_LOG,
                context.n_plants,
                rng,
                lambda r: any(_moved(c, r) for c in thin),
                variant="kept_columns",
            )
        )
    return tuple(found)


def _thin(column: Column) -> Column:
    """At most :data:`PLANTED_ROWS` rows, evenly spaced: each row is judged by itself."""
    every = max(1, len(column.steps) // PLANTED_ROWS)
    parts = (column.steps[::every], column.values[::every], column.slack[::every])
    return Column(column.metric, *parts, column.band, column.fits[::every])


def _moved(column: Column, rng: np.random.Generator) -> bool:
    """A tail that belongs to other updates, at least :data:`LEAST_MOVE` away."""
    implied = column.band.implied
    longest = max(len(implied) // 4, LEAST_MOVE + 1)
    move = int(rng.integers(LEAST_MOVE, longest)) * int(rng.choice([-1, 1]))
    at = int(rng.integers(len(column.steps) // 8, len(column.steps) * 7 // 8))
    steps = np.clip(column.steps[at:] + move, 0, len(implied) - 1)
    return not column.band.within(implied[steps], column.steps[at:], column.slack[at:]).all()
