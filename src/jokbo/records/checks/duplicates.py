"""C3, duplicates: checkpoints of different steps differ, and none is missing from the cadence (exact).

Claim
    Every state that is shown is one of its own, and the series of states has no hole that was not declared.
Statistic
    For each pair of states the share of elements in tensors that are equal, among tensors that move at all
    during the run; the distance of a pair for each unit of learning rate between them, over the median of
    neighbours; and gaps in a regular cadence.
Why it is valid
    Between two states lie updates with a positive learning rate, and no optimizer leaves more than half of
    all weights where they were, bit by bit. Tensors are compared, not files, so that another file format, other
    shards or other names of files do not hide a copy; states stored in different types are compared in the
    coarser one. Pairs whose updates are too small for their stored type to show are left out (of states that show
    a digest alone the type is taken to be the coarsest), and frozen tensors too. So are pairs between which all
    rates may have been 0: the Transformers Trainer makes its first update at rate 0, and step 1 equals step 0.
    A pair nearer than a thousandth of what neighbours move (per unit of rate) is a copy with noise: training
    would have to walk back to the same point. A hole is a gap between runs of at least five equal steps on each
    side.
What it catches
    Histories filled up with copies, also slightly noisy ones; states left out of a regular series.
What fools it
    Copies with noise as large as training itself; holes in an irregular series, which nothing tells from a choice.
Power
    59 of 59 for exact copies, for copies of all matrices, and for copies with noise; for holes where there is
    a cadence.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from dataclasses import dataclass

import numpy as np

from jokbo.formats.dtypes import DType, decode
from jokbo.formats.writer import encode
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
from jokbo.records.motion import lower_rates
from jokbo.records.plants import conclude, count
from jokbo.records.record import Record
from jokbo.records.trajectory import State, Trajectory, trajectory
from jokbo.views.component import Reason

EQUAL_SHARE = 0.5
NEAR = 1e-3
SHOWN = 8.0
"""Rate between two states, in roundings of a weight, from which on their stored type shows what moved."""

COARSEST = 2.0**-8
USUAL_SIZE = 0.02
"""Of a weight, where no law of step 0 is declared."""

MIN_RUN = 5
"""Equal steps on either side of a hole."""

_COARSE = {2.0**-8: DType.BF16, 2.0**-11: DType.F16}


class Duplicates(Check):
    """Compare all pairs of states, and look for holes."""

    number = 3
    name = "duplicates"
    kind = CheckKind.EXACT
    catches = (Forgery.PADDING,)
    needs = ("checkpoints",)
    follows = True

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Look for copies, then for holes in the cadence."""
        steps = sorted({c.step for c in record.training_checkpoints()})
        declared_gaps = record.events(EventKind.MISSING_CHECKPOINTS)
        gaps = [g for g in holes(steps) if not record.events(EventKind.MISSING_CHECKPOINTS, first=g, last=g)]
        copies = _same_files(record)
        path = trajectory(record)
        pairs = _Pairs(record, path)
        if len(path) >= 2:
            copies += pairs.copies(path)
        copies = [pair for pair in dict.fromkeys(copies) if not _declared(record, pair)]
        events = (*record.events(EventKind.DUPLICATE_CHECKPOINTS), *declared_gaps)
        reasons = [Reason("copy", {"first": a, "last": b, "count": len(copies)}) for a, b in copies[:1]]
        reasons += [Reason("hole", {"step": g, "count": len(gaps)}) for g in gaps[:1]]
        details = {"copies": [list(pair) for pair in copies[:50]], "holes": gaps[:50]}
        if reasons:
            return CheckResult(
                Observation.VIOLATED,
                tuple(reasons),
                statistic=float(len(copies) + len(gaps)),
                threshold=0.0,
                events=events,
                details=details,
            )
        if len(path) < 2:
            return unknown("too_few", missing=["checkpoints"])
        planted = _plants(context.draw(record, self.name, "plants"), context.n_plants, record, path, steps)
        return conclude(
            planted,
            statistic=0.0,
            threshold=0.0,
            reasons=(Reason("all_differ", {"states": len(path)}),),
            events=events,
            details=details,
        )


def holes(steps: list[int]) -> list[int]:
    """First missing step of every gap in a regular series.

    Examples
    --------
    >>> holes([0, 10, 20, 30, 40, 50, 70, 80, 90, 100, 110, 120])
    [60]
    >>> holes([0, 1, 2, 4, 8, 16, 32, 64])
    []
    """
    differences = np.diff(steps)
    found = []
    for k, difference in enumerate(differences):
        before, after = differences[max(k - MIN_RUN, 0) : k], differences[k + 1 : k + 1 + MIN_RUN]
        if len(before) < MIN_RUN or len(after) < MIN_RUN:
            continue
        usual = int(before[0])
        regular = np.all(before == usual) and np.all(after == usual)
        if regular and difference > usual and difference % usual == 0:
            found.append(int(steps[k]) + usual)
    return found


def _same_files(record: Record) -> list[tuple[int, int]]:
    """Pairs of training checkpoints that show one digest and no weights; tensors of others are compared."""
    by_digest: dict[str, list[int]] = {}
    for entry in record.training_checkpoints():
        if entry.digest and not entry.path:
            by_digest.setdefault(entry.digest, []).append(entry.step)
    law, least = record.declaration.initialisation, lower_rates(record)
    size = law.std if law is not None and law.std > 0 else USUAL_SIZE
    found = []
    for same in by_digest.values():
        for a, b in itertools.combinations(sorted(set(same)), 2):
            if least is None or float(least[a:b].sum()) > SHOWN * COARSEST * size:
                found.append((a, b))
    return found


def _declared(record: Record, pair: tuple[int, int]) -> bool:
    kind = EventKind.DUPLICATE_CHECKPOINTS
    return any(record.events(kind, first=step, last=step) for step in pair)


@dataclass(frozen=True, slots=True)
class _Marks:
    """Digests of a state's tensors, as stored and in the coarsest type of the run."""

    own: dict[str, bytes]
    coarse: dict[str, bytes]


class _Pairs:
    """Pairs of states that updates lie between."""

    def __init__(self, record: Record, path: Trajectory) -> None:
        self._steps, self._sizes = path.steps, {key: t.values[0].size for key, t in path.tensors.items()}
        self._path = path
        n = len(path)
        self._ways = np.zeros((n, n))
        self.least = np.zeros((n, n))
        """Sum of the smallest rates that the updates between two states can have had."""
        rates, lower = record.rates, lower_rates(record)
        self._known = rates is not None
        # Sums up to each step, so that a pair costs a subtraction and not a sum over the run.
        sums = None if rates is None else np.concatenate([[0.0], np.cumsum(rates)])
        least = None if lower is None else np.concatenate([[0.0], np.cumsum(lower)])
        for i, j in itertools.combinations(range(n), 2):
            a, b = path.steps[i], path.steps[j]
            ways = float(b - a) if sums is None else float(sums[b] - sums[a])
            self._ways[i, j] = self._ways[j, i] = ways
            self.least[i, j] = self.least[j, i] = ways if least is None else float(least[b] - least[a])
        self._marks = [self.mark(k, state) for k, state in enumerate(path.states)]
        self._moving = {key for key in path.tensors if len({m.coarse.get(key) for m in self._marks}) > 1}
        self._light = path.lighter()
        self._usual = self._usual_rate()

    def mark(self, k: int, state: State) -> _Marks:
        """Digests of one state, stored as state `k` is."""
        own, coarse = {}, {}
        for key, values in state.items():
            tensor = self._path.tensors[key]
            coarsest = float(max(tensor.roundoff[np.isfinite(tensor.roundoff)], default=0.0))
            own[key] = hashlib.sha256(values.tobytes()).digest()
            rough = coarsest > self._path.roundoff(key, k)
            coarse[key] = hashlib.sha256(_rounded(values, coarsest).tobytes()).digest() if rough else own[key]
        return _Marks(own, coarse)

    def copies(self, path: Trajectory) -> list[tuple[int, int]]:
        """Steps of all pairs that are copies of each other."""
        return [
            (path.steps[a], path.steps[b])
            for a, b in itertools.combinations(range(len(path)), 2)
            if self.equal(a, b, self._marks[a], self._marks[b])
            or self.near(a, b, self._light.states[a], self._light.states[b])
        ]

    def equal(self, a: int, b: int, first: _Marks, last: _Marks) -> bool:
        """Whether most of what moves is the same in two states."""
        same = total = 0
        for key in self._moving & set(first.own) & set(last.own):
            if not self._shows(key, a, b):
                continue
            alike = self._path.roundoff(key, a) == self._path.roundoff(key, b)
            equal = first.own[key] == last.own[key] if alike else first.coarse[key] == last.coarse[key]
            total += self._sizes[key]
            same += self._sizes[key] if equal else 0
        return total > 0 and same > EQUAL_SHARE * total

    def near(self, a: int, b: int, first: State, last: State) -> bool:
        """Whether two states are far closer than the updates between them move."""
        ways = self._ways[a, b]
        if not self._known or ways <= 0 or self._usual <= 0:
            return False
        floor = max((self._light.roundoff(k, a) + self._light.roundoff(k, b) for k in first), default=0.0)
        distance, size = _distance(first, last)
        # Below the stored type's own grid nothing can be said.
        return bool(distance > floor * size and distance / ways < NEAR * self._usual)

    def _shows(self, key: str, a: int, b: int) -> bool:
        """Whether updates between two states are large enough for the stored type to show."""
        if self.least[a, b] <= 0:
            return False
        roundoff = max(self._path.roundoff(key, a), self._path.roundoff(key, b))
        if not self._known or roundoff <= 2.0**-20:
            return True
        size = float(np.median(np.abs(self._path.states[a][key])))
        return bool(self.least[a, b] > SHOWN * roundoff * size)

    def _usual_rate(self) -> float:
        """Median distance of neighbours for each unit of learning rate."""
        found = [
            _distance(self._light.states[k], self._light.states[k + 1])[0] / self._ways[k, k + 1]
            for k in range(len(self._light) - 1)
            if self._ways[k, k + 1] > 0
        ]
        return float(np.median(found)) if found else 0.0


def _rounded(values: np.ndarray, roundoff: float) -> np.ndarray:
    kind = _COARSE.get(roundoff)
    return values if kind is None else decode(encode(values, kind), kind).reshape(values.shape)


def _distance(a: State, b: State) -> tuple[float, float]:
    """Root mean square difference of two states, and of the first one."""
    squares = size = n = 0.0
    for key in a.keys() & b.keys():
        if a[key].shape == b[key].shape:
            squares += float(np.sum((a[key] - b[key]) ** 2, dtype=np.float64))
            size += float(np.sum(a[key] ** 2, dtype=np.float64))
            n += a[key].size
    return float(np.sqrt(squares / max(n, 1))), float(np.sqrt(size / max(n, 1)))


def _plants(
    rng: np.random.Generator, tries: int, record: Record, path: Trajectory, steps: list[int]
) -> list[Planted]:
    light = path.lighter()
    pairs = _Pairs(record, light)
    exact, matrices, noisy = [], [], []
    apart = np.argwhere(np.triu(pairs.least) > 0)  # elsewhere equal states are no copies
    for _ in range(tries if len(apart) else 0):
        a, b = apart[rng.integers(len(apart))].tolist()
        source, target = light.states[a], light.states[b]
        shared = {key: values for key, values in source.items() if key in target}
        first = pairs.mark(a, source)
        exact.append(pairs.equal(a, b, first, pairs.mark(b, {**target, **shared})))
        only = {key: values for key, values in shared.items() if not light.tensors[key].is_vector}
        matrices.append(pairs.equal(a, b, first, pairs.mark(b, {**target, **only})))
        shaken = {
            key: np.asarray(v * (1 + 1e-6 * rng.standard_normal(v.shape, dtype=np.float32)), dtype=np.float32)
            for key, v in shared.items()
        }
        changed = {**target, **{key: _rounded(v, light.roundoff(key, b)) for key, v in shaken.items()}}
        noisy.append(pairs.near(a, b, source, changed) or pairs.equal(a, b, first, pairs.mark(b, changed)))
    ways = {
        "repeated": exact,
        "repeated_in_part": matrices,
        "shaken": noisy,
        "gap": _holes_planted(rng, tries, steps),
    }
    return [count(Forgery.PADDING, found, variant=way) for way, found in ways.items() if found]


def _holes_planted(rng: np.random.Generator, tries: int, steps: list[int]) -> list[bool]:
    """States taken out of the inside of a regular series; nothing where there is none."""
    differences = np.diff(steps)
    if not len(differences):
        return []
    usual, times = Counter(differences.tolist()).most_common(1)[0]
    if times < 2 * MIN_RUN + 2:
        return []
    inside = [
        k
        for k in range(MIN_RUN + 1, len(steps) - MIN_RUN - 1)
        if np.all(differences[k - MIN_RUN - 1 : k + MIN_RUN + 1] == usual)
    ]
    if not inside:
        return []
    return [
        bool(holes([s for j, s in enumerate(steps) if j != k])) for k in rng.choice(inside, tries).tolist()
    ]
