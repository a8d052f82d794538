"""C10, borrowed noise: the noise of the loss is this run's own (calibrated).

Claim
    The log was written by one run, once: its noise is that of its own batches.
Statistic
    The largest correlation between a stretch of the detrended, whitened loss (64 rows or more) and any other
    stretch as long: of the log itself, and of each log that the auditor gave (packs, files, folders).
Why it is valid
    Batches drawn anew have unrelated losses, so that the order of a stretch is as good as any other; the p-value
    is that of a permuted correlation, times all stretches and shifts that were compared (Bonferroni), and
    widened by what dependence is left (module ``statistics.matching``). Spikes are pulled in. Rows replaced
    after a rollback are left out. Where the data themselves come again, losses are alike by right: shifts by
    a multiple of a declared epoch, shifts back to a declared restart, and stretches whose disclosed batches share
    windows are not compared; nor is, with a reference whose data order is declared to be shared, the same
    place. The first tenth (at most 500 rows) of each log is compared with no reference: all runs fall alike there.
What it catches
    A piece used twice, or another run's log, under any positive scale and trend.
What fools it
    Noise made by a generator; a public log that the auditor did not give; added noise of the size of what was
    there; averaging over other intervals. So it only passes where references were given, and speaks of those.
Power
    Plants, of itself and of the given logs: two stretches (128 rows; one and a half where the log is short) replaced
    by such a piece, rescaled to the local level by .5 to 2, with a fifth of fresh noise, printed as the log is; not
    in the first tenth. Where a reference's order is shared, pieces of it are not planted, and it is not spoken of.
References
    ``training-record.md`` section 6, check 10. Pitman (1937); Bartlett (1935).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from jokbo.records.checks.base import (
    FOUND_LOG_PVALUE,
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
from jokbo.records.series import Series
from jokbo.records.statistics.detrend import local_scale, residuals, whitened
from jokbo.records.statistics.grid import find_grid
from jokbo.records.statistics.matching import BLOCK, Match, best_match, log_tail, normal_scores, plan
from jokbo.records.statistics.planting import plant, standing
from jokbo.records.statistics.references import Reference, read_references
from jokbo.views.component import Reason

MIN_ROWS = 3 * BLOCK
EARLY_SHARE, EARLY_ROWS = 0.1, 500
FRESH = 0.2
EDGE = 64
"""Rows beside a stretch that its trend is taken from."""

REPEATING = (EventKind.RESTART, EventKind.ROLLBACK, EventKind.DATA_CHANGE)


@dataclass(frozen=True, slots=True)
class Source:
    """What the log is compared with: its name, its noise, how much of its beginning is left out."""

    name: str
    noise: Float64[np.ndarray, " n"]
    steps: Int64[np.ndarray, " n"]
    shared: bool
    own: bool


class BorrowedNoise(Check):
    """Search the log's noise in itself and in other logs."""

    number = 10
    name = "borrowed_noise"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.RECYCLED_LOG,)
    needs = ("log", "loss", "against")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Compare every stretch with every other."""
        loss = record.log.effective("loss") if record.log is not None else None
        if record.log is None or loss is None:
            return unknown("no_loss", missing=["log" if record.log is None else "loss"])
        if record.log.sampled:
            return unknown("sampled", missing=["log"])
        if len(loss) < MIN_ROWS:
            return unknown("few_rows", missing=["loss"], rows=len(loss), least=MIN_ROWS)
        rough = residuals(loss.values)
        noise = whitened(rough)
        if float(np.median(local_scale(rough))) <= 0.5 * float(
            np.median(find_grid(loss.values).unit(loss.values))
        ):
            return unknown("no_noise")
        sources = [Source("", noise, loss.steps, False, True), *_references(record, context)]
        matches = [_match(record, loss, noise, s) for s in sources]
        log_p = min(0.0, min(m.log_pvalue for m in matches) + float(np.log(len(sources))))
        which = int(np.argmin([m.log_pvalue for m in matches]))
        best, source = matches[which], sources[which]
        details = {
            "rows": len(loss), "size": best.size, "sources": [s.name for s in sources[1:]][:100],
            "correlations": [m.correlation for m in matches][:101],
        }  # fmt: skip
        notes = tuple(Reason("shared_order", {"name": s.name}) for s in sources if s.shared)
        if log_p <= FOUND_LOG_PVALUE:
            values: dict[str, int | float | str] = {
                "correlation": best.correlation,
                "first": int(loss.steps[best.start]),
                "last": int(loss.steps[best.start + best.size - 1]),
                "source": int(source.steps[best.source]),
                "name": source.name,
            }
            reason = Reason("repeats_itself" if source.own else "repeats_reference", values)
            return CheckResult(
                Observation.VIOLATED, (reason, *notes), best.correlation, None, log_p, details=details
            )
        apart = [s for s in sources if not s.shared and (s.own or len(s.noise) >= 2 * BLOCK)]
        rng = context.draw(record, self.name, "plant")
        planted = tuple(
            _plant(way, loss, rough, some, matches, context.n_plants, rng)
            for way, some in (("own_piece", apart[:1]), ("given_log", apart[1:]))
            if some
        )
        if len(apart) < 2:
            return CheckResult(
                Observation.UNKNOWN, (Reason("no_reference"), *notes), best.correlation, None, log_p,
                planted=planted, missing=("against",), details=details,
            )  # fmt: skip
        # The more common of the two, and the one that the given logs are for.
        seen, why = standing(planted[1:], sampled=False)
        return CheckResult(
            seen, (*why, *notes), best.correlation, None, log_p, planted=planted, details=details
        )


def _plant(
    way: str,
    loss: Series,
    rough: Float64[np.ndarray, " n"],
    sources: Sequence[Source],
    matches: Sequence[Match],
    tries: int,
    rng: np.random.Generator,
) -> Planted:
    def found(r: np.random.Generator) -> bool:
        return _caught(loss, rough, sources, matches, r)

    return plant(Forgery.RECYCLED_LOG, tries, rng, found, variant=way)


def _references(record: Record, context: CheckContext) -> list[Source]:
    declared = record.data.shared_order_with.lower() if record.data else ""
    found = []
    for reference in read_references(context.against):
        if len(reference.loss) < 2 * BLOCK:
            continue
        noise = whitened(residuals(reference.loss.values))
        early = _early(len(noise))
        found.append(
            Source(
                reference.name,
                noise[early:],
                reference.loss.steps[early:],
                _is_named(declared, reference),
                False,
            )
        )
    return found


def _is_named(declared: str, reference: Reference) -> bool:
    names = {reference.name.lower(), reference.run.lower()} - {""}
    return bool(declared) and any(n in declared or declared in n for n in names)


def _early(rows: int) -> int:
    return min(int(EARLY_SHARE * rows), EARLY_ROWS)


def _match(record: Record, loss: Series, noise: Float64[np.ndarray, " n"], source: Source) -> Match:
    if not source.own:
        early = _early(len(noise))
        if source.shared:
            cut = plan(len(noise) - early, len(source.noise))
            elsewhere = lambda start, places: np.abs(places - start) >= cut.size  # noqa: E731
            found = best_match(noise[early:], source.noise, elsewhere)
        else:
            found = best_match(noise[early:], source.noise)
        return replace(found, start=found.start + early)
    barred = _barred_shifts(record, loss)
    order = record.order
    size = plan(len(noise), len(noise)).size

    def allowed(start: int, places: Int64[np.ndarray, " shifts"]) -> Bool[np.ndarray, " shifts"]:
        shift = np.abs(places - start)
        usable = shift >= size
        for middle, reach in barred:
            usable &= np.abs(shift - middle) > reach
        return usable

    found = best_match(noise, noise, allowed)
    if order is not None and found.log_pvalue <= np.log(1e-3) and _same_data(order, loss, found):
        # The declared batches of both stretches share windows: compare what does not.
        shift = abs(found.source - found.start)
        barred.append((shift, size))
        found = best_match(noise, noise, allowed)
    return found


def _barred_shifts(record: Record, loss: Series) -> list[tuple[float, float]]:
    """Shifts, in rows, at which data come again by declaration, and how far around them."""
    every = float(np.median(np.diff(loss.steps)))
    found = []
    data = record.data
    if data is not None and data.epochs > 1:
        length = record.declaration.steps / data.epochs / every
        found += [
            (k * length, max(0.02 * k * length, 4.0)) for k in range(1, min(int(data.epochs) + 1, 1000))
        ]
    starts = [0.0]
    for k in record.events(*REPEATING):
        event = record.declaration.event[k]
        ends = [event.step / every, *([] if event.to_step is None else [event.to_step / every])]
        found += [(abs(a - b), 4.0) for a in ends for b in starts if abs(a - b) > 0]
        starts += ends
    return found


def _same_data(order: np.ndarray, loss: Series, match: Match) -> bool:
    """Whether the batches of both stretches share windows."""
    ends = match.start + match.size, match.source + match.size
    mine = order[np.clip(loss.steps[match.start : ends[0]] - 1, 0, len(order) - 1)]
    theirs = order[np.clip(loss.steps[match.source : ends[1]] - 1, 0, len(order) - 1)]
    common = np.intersect1d(mine[mine >= 0], theirs[theirs >= 0])
    return bool(len(common) >= 0.1 * mine.size)


def _caught(
    loss: Series,
    rough: Float64[np.ndarray, " n"],
    sources: Sequence[Source],
    matches: Sequence[Match],
    rng: np.random.Generator,
) -> bool:
    """Replace a piece of the log by one from elsewhere; True where that very match would be a finding.

    Only matches of whole stretches of the piece with its source are computed: the search over all shifts finds
    them too.
    """
    n = len(rough)
    source = sources[int(rng.integers(len(sources)))]
    cut = plan(n, len(source.noise))
    first, width = _early(n), 2 * cut.size
    room = min(n // 2 - first, len(source.noise))
    if width > room:
        width = cut.size + cut.size // 2
    if width > room:
        return False
    at, origin = int(rng.integers(first, n - width + 1)), int(rng.integers(0, len(source.noise) - width + 1))
    if source.own:
        early, late = int(rng.integers(first, n // 2 - width + 1)), int(rng.integers(n // 2, n - width + 1))
        at, origin = (early, late) if rng.random() < 0.5 else (late, early)
    inside = cut.starts[(cut.starts >= at) & (cut.starts + cut.size <= at + width)]
    grid, scale = find_grid(loss.values), float(np.exp(rng.uniform(np.log(0.5), np.log(2))))
    # As many pairs as the search compares, and as many sources.
    penalty = float(np.log(max(max(m.compared for m in matches), 1)) + np.log(len(matches)))
    for start in inside[:3].tolist():
        low, high = max(start - EDGE, 0), min(start + cut.size + EDGE, n)
        take = np.arange(max(low, at), min(high, at + width))
        piece = source.noise[take - at + origin] + FRESH * rng.standard_normal(len(take))
        forged = loss.values[low:high].copy()
        forged[take - low] += piece * scale * local_scale(rough[low:high])[take - low] - rough[take]
        forged[take - low] = grid.put(forged[take - low])
        stretch = whitened(residuals(forged))[start - low : start - low + cut.size]
        other = source.noise[origin + start - at : origin + start - at + cut.size]
        spread = float(np.linalg.norm(other - other.mean()))
        if np.ptp(stretch) <= 0 or spread <= 0:
            continue
        value = float(normal_scores(stretch) @ other) / spread
        if float(log_tail(np.array([value]), cut.size)[0]) + penalty <= FOUND_LOG_PVALUE:
            return True
    return False
