"""C2, precedence: commitments were made one after another, and while the training went on (exact).

Claim
    The chain of commitments was written link by link during the training, by the keys declared, and what it
    names is what the record holds.

Statistic
    Number of contradictions: links that do not follow from the one before, signatures that do not hold or are of
    other keys, items that are not the record's files or belong to another step, time stamps for other bytes, or
    from a day or more before the log says that the step was made. Any is a violation.

Why it is valid
    A link names the one before by SHA-256 and is signed; a time stamp under a certificate that the auditor
    trusts shows that its link, and so every one before it, was there at that time: the earliest of a link's own
    stamp and those of later links is when it is known to have been there, and so these times never run back. A
    link counts as written at its time where it was there within a tenth of the run's duration of its step, by the
    log's clock. Declared rollbacks, restarts, repeated checkpoints and log edits shift what is expected.

What it catches
    A history written after the fact, if the auditor trusts the time stamp authority: no stretch of a quarter
    of the run may be without a link stamped at its time. Without independent time stamps a chain shows an
    order, and only to whoever does not hold its key.

What fools it
    A forgery prepared while a training went on, link by link. An authority that works for the maker. A log whose
    clock was invented to fit (C6).

Power
    Chains of which at least the later half is written after the run are planted into this record's own time
    stamps: those links carry stamps of .11 to 2 durations after its end.

References
    Haber and Stornetta 1991, How to time-stamp a digital document, Journal of Cryptology 3; RFC 3161.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from jokbo.errors import EvidenceError, MissingExtraError
from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.commit.chain import MAX_PROBLEMS, Chain, chain_keys, find_problems, read_chain
from jokbo.records.commit.files import Beside, hold_against
from jokbo.records.commit.support import Clock, Support, backfill, find_support
from jokbo.records.forgeries import Forgery
from jokbo.records.record import Record
from jokbo.views.component import Reason

if TYPE_CHECKING:
    from jokbo.records.commit.keys import PublicKey
    from jokbo.records.declaration import Commitments


@dataclass(frozen=True, slots=True)
class Stamps:
    """Time stamps of a chain's links.

    Attributes
    ----------
    times : dict of int to float
        Link -> Unix seconds, of those that hold.
    problems : tuple of Reason
        ``stamp_of_other_bytes``.
    late : int
        Links stamped after a later link was.
    untrusted : int
        Time stamps by nobody whom the auditor trusts, or unreadable.
    """

    times: dict[int, float]
    problems: tuple[Reason, ...] = ()
    late: int = 0
    untrusted: int = 0


class Precedence(Check):
    """Verify a chain of commitments, its time stamps and its items."""

    number = 2
    name = "precedence"
    kind = CheckKind.EXACT
    catches = (Forgery.BACKDATING,)
    needs = ("chain", "time_stamps", "trusted_authority", "timestamps")

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Verify the chain, then ask when it was written."""
        made = record.declaration.commitments
        if made is None or not made.chain:
            return unknown("no_chain", missing=["chain"])
        try:
            keys, source = _keys(record, context, made)
            chain = read_chain(record.path(made.chain))
            keys = keys if source != "chain" else chain_keys(chain)
            stamps = _stamps(record, context, made, chain)
        except MissingExtraError:
            return unknown("no_cryptography", missing=["cryptography_extra"])
        found = [p for p in find_problems(chain, keys) if p.code != "half_written"]
        beside = hold_against(chain, record, made.chain)
        early, support = _support(record, chain, stamps)
        problems = [*found, *beside.problems, *stamps.problems, *early][:MAX_PROBLEMS]
        details = _details(chain, beside, stamps, support, source)
        if problems:
            return CheckResult(
                Observation.VIOLATED,
                tuple(problems[:10]),
                statistic=float(len(problems)),
                threshold=0.0,
                events=beside.events,
                details=details,
            )
        return _without_problems(record, context, chain, stamps, support, beside, source, details)


def _keys(record: Record, context: CheckContext, made: Commitments) -> tuple[tuple[PublicKey, ...], str]:
    from jokbo.records.commit.keys import load_public_keys

    if context.keys:
        return load_public_keys(context.keys), "auditor"
    if made.keys:
        return load_public_keys([record.path(key) for key in made.keys]), "declared"
    return (), "chain"


def _stamps(record: Record, context: CheckContext, made: Commitments, chain: Chain) -> Stamps:
    from jokbo.records.commit.timestamps import (
        MAX_ANSWER_BYTES,
        load_certificates,
        parse_timestamp,
        stamped_bytes,
        timestamp_name,
        verify_timestamp,
    )

    if not made.timestamps:
        return Stamps({})
    trusted = load_certificates(context.tsa_certificates) if context.tsa_certificates else ()
    times: dict[int, float] = {}
    problems: list[Reason] = []
    untrusted = 0
    for k, link in enumerate(chain.links):
        name = f"{made.timestamps}/{timestamp_name(k)}"
        if name not in record.files or not record.path(name).is_file():
            continue
        with open(record.path(name), "rb") as stream:
            data = stream.read(MAX_ANSWER_BYTES + 1)
        try:
            if not stamped_bytes(parse_timestamp(data, name), link.line):
                problems.append(Reason("stamp_of_other_bytes", {"line": k + 1, "path": name}))
                continue
            if trusted:
                times[k] = verify_timestamp(data, link.line, trusted, name).time.timestamp()
            else:
                untrusted += 1
        except EvidenceError:
            # Unreadable, or of an authority that the auditor does not know: it counts as none.
            untrusted += 1
    proven = _proven(times)
    return Stamps(proven, tuple(problems), sum(proven[k] < times[k] for k in times), untrusted)


def _proven(times: dict[int, float]) -> dict[int, float]:
    """When each link is known to have been there: by its own time stamp, or an earlier one of a later link.

    So the times never run back: whoever stamps link k + 1 stamps link k with it.
    """
    found: dict[int, float] = {}
    least = math.inf
    for k in sorted(times, reverse=True):
        least = min(least, times[k])
        found[k] = least
    return dict(sorted(found.items()))


def _support(record: Record, chain: Chain, stamps: Stamps) -> tuple[list[Reason], Support | None]:
    clock = _clock(record)
    links = [k for k in sorted(stamps.times) if chain.links[k].step is not None]
    if clock is None or not links:
        return [], None
    steps = np.array([chain.links[k].step for k in links], dtype=np.int64)
    times = np.array([stamps.times[k] for k in links], dtype=np.float64)
    support = find_support(steps, times, clock, record.declaration.steps)
    return [
        Reason("stamped_before_its_step", {"line": links[k] + 1, "step": int(steps[k])})
        for k in support.early
    ], support


def _clock(record: Record) -> Clock | None:
    log = record.log
    if log is None:
        return None
    rows = np.flatnonzero((log.steps >= 0) & np.isfinite(log.times))
    clock = Clock(log.steps[rows], log.times[rows])
    return clock if clock.duration > 0 else None


def _without_problems(
    record: Record,
    context: CheckContext,
    chain: Chain,
    stamps: Stamps,
    support: Support | None,
    beside: Beside,
    source: str,
    details: dict[str, Any],
) -> CheckResult:
    """A chain that holds: whether it dates the record too."""
    reasons = [Reason("chain_holds", {"links": len(chain.links), "logs": beside.logs}), *beside.notes]
    if chain.tail:
        reasons.append(Reason("half_written", {"bytes": chain.tail}))
    missing: list[str] = []
    if source == "chain":
        reasons.append(Reason("keys_of_the_chain"))
    if beside.uncovered:
        missing.append("chain")
        reasons.append(
            Reason("not_committed", {"count": len(beside.uncovered), "first": beside.uncovered[0]})
        )
    undated = _undated(record, context, stamps, support)
    if undated is not None:
        missing.append(undated[1])
        reasons.append(undated[0])
    holds = not missing and bool(beside.covered) and not beside.notes
    planted = [_plants(record, context, chain, stamps)] if holds else []
    if planted and not planted[0].powered:
        holds = False
        reasons.append(Reason("policy.no_power"))
    return CheckResult(
        Observation.HOLDS if holds else Observation.UNKNOWN,
        tuple(reasons),
        statistic=0.0,
        threshold=0.0,
        planted=tuple(planted),
        missing=tuple(missing),
        events=beside.events,
        details=details,
    )


def _undated(
    record: Record, context: CheckContext, stamps: Stamps, support: Support | None
) -> tuple[Reason, str] | None:
    """Why the chain gives no dates, and which disclosure would help."""
    if not stamps.times and not stamps.untrusted:
        return Reason("no_time_stamps"), "time_stamps"
    if not stamps.times:
        return Reason("authority_unknown", {"count": stamps.untrusted}), "trusted_authority"
    made = record.declaration.commitments
    dispute = _date(made.dispute) if made is not None and made.dispute else None
    if dispute is not None and min(stamps.times.values()) >= dispute:
        return Reason("after_dispute", {"dispute": made.dispute if made else ""}), "time_stamps"
    if support is None:
        return Reason("no_clock"), "timestamps"
    if not support.contemporary:
        values = {"percent": round(100 * support.gap), "supported": support.supported}
        return Reason("written_afterwards", values), "time_stamps"
    return None


def _date(text: str) -> float | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _plants(record: Record, context: CheckContext, chain: Chain, stamps: Stamps) -> Planted:
    clock = _clock(record)
    assert clock is not None
    rng = context.draw(record, Precedence.name, "plants")
    links = [k for k in sorted(stamps.times) if chain.links[k].step is not None]
    steps = np.array([chain.links[k].step for k in links], dtype=np.int64)
    times = np.array([stamps.times[k] for k in links], dtype=np.float64)
    total = record.declaration.steps
    found = sum(
        not find_support(steps, backfill(steps, times, clock, total, rng), clock, total).contemporary
        for _ in range(context.n_plants)
    )
    return Planted(Forgery.BACKDATING, found, context.n_plants, variant="afterwards")


def _details(
    chain: Chain, beside: Beside, stamps: Stamps, support: Support | None, source: str
) -> dict[str, Any]:
    genesis = chain.genesis
    return {
        "links": len(chain.links),
        "keys": source,
        "name": genesis.name[:80] if genesis else "",
        "covered": len(beside.covered),
        "uncovered": list(beside.uncovered[:20]),
        "logs": beside.logs,
        "stamped": len(stamps.times),
        "stamped_late": stamps.late,
        "untrusted": stamps.untrusted,
        "supported": support.supported if support else 0,
        "gap": support.gap if support else None,
        "first_stamp": min(stamps.times.values(), default=None),
        "last_stamp": max(stamps.times.values(), default=None),
    }
