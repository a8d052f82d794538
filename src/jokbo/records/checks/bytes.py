"""C1, bytes: files are those of the manifest, and the published weights are the end of the run (exact).

Claim
    Every file has the size and the digest that the manifest gives, and what was published is the last state
    of the run, perhaps cast, or the declared average of some of its states.
Statistic
    Files whose size or SHA-256 differ; and, over the tensors read, the largest difference between the
    published weights and what they are said to be, over what rounding allows.
Why it is valid
    A digest is of the whole file. Weights of one stored type must be equal to the bit; a cast rounds once
    (the unit roundoffs of both types), an average once more, besides four float32 roundings of its sum. It passes
    only where every published tensor was compared, whole weights are there, and the run's last step is disclosed.
What it catches
    Files changed after the manifest was made; published weights that are another model's, an earlier state, or
    trained further.
What fools it
    Whoever also rewrites the manifest: the record's own digest changes then, which is why it is worth publishing.
    Of weights too large for the budget only some rows are compared, which nobody can know beforehand.
Power
    59 of 59 for an earlier state, a foreign model and the right weights moved by a thousandth of themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jokbo.records.checkpoints import CheckpointRows
from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.declaration import CheckpointEntry, CheckpointRole, EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.gather import hash_file
from jokbo.records.plants import conclude, count, lookalike
from jokbo.records.record import Record
from jokbo.records.trajectory import State, weight_names
from jokbo.views.component import Reason

FLOAT32 = 2.0**-24
MAX_NAMED = 20
PLANT_ELEMENTS = 1 << 18
"""Elements of the published weights, the first rows of every tensor, that plants are put into."""


class Bytes(Check):
    """Digest every file, then hold the published weights against the run."""

    number = 1
    name = "bytes"
    kind = CheckKind.EXACT
    catches = (Forgery.SWAPPED_WEIGHTS,)
    needs = ("final",)

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Compare digests, then weights."""
        absent = sorted(name for name in record.files if not record.path(name).is_file())
        wrong = []
        for name, claimed in sorted(record.files.items()):
            if name in absent:
                continue
            context.tell(name)
            if hash_file(record.path(name)) != claimed:
                wrong.append(name)
        details: dict[str, object] = {
            "files": len(record.files) - len(absent),
            "absent": absent[:MAX_NAMED],
            "wrong": wrong[:MAX_NAMED],
        }
        if wrong:
            return CheckResult(
                Observation.VIOLATED,
                (Reason("digest", {"file": wrong[0], "count": len(wrong)}),),
                statistic=float(len(wrong)),
                threshold=0.0,
                details=details,
            )
        reasons = [Reason("absent", {"count": len(absent), "file": absent[0]})] if absent else []
        reasons.append(Reason("digests", {"files": len(record.files) - len(absent)}))
        return _weights(record, context, reasons, details)


@dataclass(frozen=True, slots=True)
class _Pair:
    """Published weights and what they are said to be."""

    entry: CheckpointEntry
    published: State
    expected: Mapping[str, np.ndarray]
    allowed: Mapping[str, np.ndarray]
    """What rounding allows each element to differ by."""

    def ratio(self, published: State) -> tuple[float, str]:
        """Largest difference over what is allowed, and the tensor where it is."""
        worst = (0.0, "")
        for key, expected in self.expected.items():
            difference = np.abs(published[key].astype(np.float64) - expected)
            # Where nothing is allowed, any difference is infinitely too much.
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.where(difference == 0, 0.0, difference / self.allowed[key])
            worst = max(worst, (float(np.max(ratio)), key))
        return worst


def _weights(
    record: Record, context: CheckContext, reasons: list[Reason], details: dict[str, object]
) -> CheckResult:
    published = [c for c in record.declaration.checkpoint if c.role is not CheckpointRole.TRAINING]
    if not any(c.role is CheckpointRole.PUBLISHED for c in published):
        return unknown("no_published", missing=["final"])
    rows = record.rows
    pairs = [pair for c in published if (pair := _pair(record, rows, c)) is not None]
    if not any(pair.entry.role is CheckpointRole.PUBLISHED for pair in pairs):
        return unknown("not_comparable", missing=["final", "checkpoints"])
    ratios = {pair.entry.name: pair.ratio(pair.published) for pair in pairs}
    worst = max(ratios, key=lambda name: ratios[name][0])
    largest, tensor = ratios[worst]
    shown = float(min(largest, 1e30))
    events = record.events(EventKind.AVERAGE)
    if largest > 1:
        return CheckResult(
            Observation.VIOLATED,
            (Reason("other_weights", {"checkpoint": worst, "tensor": tensor, "ratio": shown}),),
            statistic=shown,
            threshold=1.0,
            events=events,
            details=details,
        )
    pair = next(p for p in pairs if p.entry.role is CheckpointRole.PUBLISHED)
    reasons.append(Reason("same_weights", {"checkpoint": pair.entry.name, "tensors": len(pair.expected)}))
    planted = _plants(context.draw(record, Bytes.name, "plants"), context.n_plants, rows, pair)
    left = _left_open(record, pairs)
    found = conclude(
        planted, statistic=shown, threshold=1.0, reasons=[*reasons, *left], events=events, details=details
    )
    return (
        replace(found, observation=Observation.UNKNOWN, missing=("final", "checkpoints")) if left else found
    )


def _left_open(record: Record, pairs: Sequence[_Pair]) -> list[Reason]:
    """What equal weights do not settle: parts that were compared with nothing, and ends that are not the end."""
    by_name = {p.entry.name: p for p in pairs}
    models = {m.entry.name: m.model for m in record.checkpoints.members}
    last = max((c.step for c in record.training_checkpoints()), default=0)
    found: list[Reason] = []
    for entry in record.declaration.checkpoint:
        if entry.role is not CheckpointRole.PUBLISHED:
            continue
        pair = by_name.get(entry.name)
        if pair is None:
            found.append(Reason("said_to_be_nothing", {"checkpoint": entry.name}))
            continue
        sources = {c.name for c in record.training_checkpoints() if c.step in (entry.average_of or (last,))}
        for name in sorted({entry.name, *sources}):
            if models[name] is None:
                found.append(Reason("policy.rows_of_the_maker", {"checkpoint": name, "step": entry.step}))
        missing = [key for key in weight_names(models[entry.name]) if not _compared(record.rows, pair, key)]
        if missing:
            found.append(Reason("not_compared", {"count": len(missing), "tensor": min(missing)}))
        if not entry.average_of and last < record.declaration.steps:
            found.append(Reason("not_the_end", {"step": last, "steps": record.declaration.steps}))
    return found


def _compared(rows: CheckpointRows, pair: _Pair, name: str) -> bool:
    """Whether a published tensor was compared, or is a copy of one that was (a tied head written out)."""
    if any(rows.tensors[key].name == name for key in pair.expected):
        return True
    own = pair.published.get(name)
    return own is not None and any(np.array_equal(own, pair.published[key]) for key in pair.expected)


def _pair(record: Record, rows: CheckpointRows, entry: CheckpointEntry) -> _Pair | None:
    """What a published or averaged checkpoint is said to be; None where that is not disclosed."""
    index = rows.entries.index(entry) if entry in rows.entries else None
    states = rows.training()
    if index is None or not states:
        return None
    if entry.average_of:
        members = [k for k in states if rows.entries[k].step in entry.average_of]
        if {rows.entries[k].step for k in members} != set(entry.average_of):
            return None
    elif entry.role is CheckpointRole.AVERAGE:
        return None  # an average whose members are not declared
    else:
        last = max(rows.entries[k].step for k in states)
        if last < max(c.step for c in record.training_checkpoints()):
            return None  # the true last state is declared, and not disclosed
        members = [k for k in states if rows.entries[k].step == last][-1:]
    published, expected, allowed = {}, {}, {}
    for key, tensor in rows.tensors.items():
        own = tensor.at(index)
        if own is None:
            continue
        published[key] = own
        parts = [tensor.at(k) for k in members]
        kept = [part for part in parts if part is not None]
        roundoffs = [_roundoff(rows, key, k) for k in (index, *members)]
        if len(kept) < len(parts) or not np.isfinite(sum(roundoffs)):
            continue
        mean = np.mean(np.stack(kept).astype(np.float64), axis=0)
        sizes = np.mean(np.abs(np.stack(kept)), axis=0)
        same = len(members) == 1 and roundoffs[0] == roundoffs[1]
        slack = roundoffs[0] * np.abs(mean) + max(roundoffs[1:]) * sizes + 4 * FLOAT32 * sizes
        expected[key] = mean
        allowed[key] = np.zeros_like(mean) if same else slack + 1e-38
    return _Pair(entry, published, expected, allowed) if expected else None


def _roundoff(rows: CheckpointRows, key: str, index: int) -> float:
    tensor = rows.tensors[key]
    found = np.flatnonzero(tensor.checkpoints == index)
    return float(tensor.roundoff[found[0]]) if found.size else 0.0


def _plants(rng: np.random.Generator, tries: int, rows: CheckpointRows, pair: _Pair) -> list[Planted]:
    tensors = {key: rows.tensors[key] for key in pair.expected}
    cut = {key: max(1, PLANT_ELEMENTS // len(tensors) // t.values.shape[2]) for key, t in tensors.items()}
    own = {key: pair.published[key][: cut[key]] for key in pair.expected}
    expected = {key: values[: cut[key]] for key, values in pair.expected.items()}
    allowed = {key: values[: cut[key]] for key, values in pair.allowed.items()}
    pair = _Pair(pair.entry, own, expected, allowed)
    states = [k for k in rows.training() if rows.entries[k].step < pair.entry.step]
    earlier, foreign, further = [], [], []
    for _ in range(tries):
        if states:
            k = int(rng.choice(states))
            other = {key: v[: cut[key]] for key, t in tensors.items() if (v := t.at(k)) is not None}
            earlier.append(pair.ratio(own | other)[0] > 1)
        foreign.append(pair.ratio(lookalike(own, tensors, rng))[0] > 1)
        key = list(own)[int(rng.integers(len(own)))]
        noise = 1 + 1e-3 * rng.standard_normal(own[key].shape, dtype=np.float32)
        moved = own | {key: np.asarray(own[key] * noise, dtype=np.float32)}
        further.append(pair.ratio(moved)[0] > 1)
    # In 16 bits a thousandth can round away; the plant then says what remains open.
    ways = {"earlier_state": earlier, "another_model": foreign, "trained_further": further}
    return [count(Forgery.SWAPPED_WEIGHTS, found, variant=way) for way, found in ways.items() if found]
