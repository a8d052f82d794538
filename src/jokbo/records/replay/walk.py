"""Replays of a record's segments, drawn at random, within a budget of arithmetic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Float64

from jokbo.records.forgeries import Forgery
from jokbo.records.replay.compare import (
    ROUGHNESS,
    Comparison,
    Yardstick,
    compare,
    relative_distance,
    roughened,
    shuffled,
)
from jokbo.records.replay.gate import CannotRun
from jokbo.records.replay.material import Material, in_halves, rates_are_known
from jokbo.records.replay.model import Loaded
from jokbo.records.replay.optimizers import EXACT, State, Stepper, disclosed_state, stepper
from jokbo.records.replay.segment import Pull, Replayed, cosine, counted_otherwise, displacement, replay
from jokbo.records.replay.weights import Weights, read_state

WRONG = 2
"""Replays on wrong data a segment: one is the yardstick, the other a planted forgery."""

PULL = 1.0
"""Strength of the planted hidden objective, against the honest gradient."""

LENGTHS = 6
"""Updates planned for each of a segment: replay, simulated record, two wrong ones, a pull, and the state warmed."""

AGREES = math.log(1e-3)
"""Log p-value above which the state at a replay's end counts as the record's own."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Updates between two neighbouring checkpoints that are both there."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """Updates."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Finding:
    """What the replays of one segment said.

    Attributes
    ----------
    segment : Segment
    state : str
        How the optimizer's state at the start is known (:attr:`States.quality`).
    yardstick : Yardstick
    claimed : Comparison
    plants : mapping of Forgery to Comparison
    events : tuple of int
        Declared events inside.
    """

    segment: Segment
    state: str
    yardstick: Yardstick
    claimed: Comparison
    plants: Mapping[Forgery, Comparison]
    events: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class States:
    """The optimizer's state at the start of a segment, twice.

    Attributes
    ----------
    best : State
        The best that can be had: for the replay.
    other : State
        One that differs as the true one may: for the simulated honest record.
    quality : str
        ``"known"`` (step 0, or disclosed), ``"carried"`` from replays of all segments since, ``"warmed"`` over the
        segment before, or ``"none"``.
    """

    best: State
    other: State
    quality: str


@dataclass
class Walk:
    """Replays segments and keeps the optimizer's state from one to the next.

    Attributes
    ----------
    material : Material
    rates : ndarray
        Of update 1, 2, ...
    rng : Generator
    """

    material: Material
    rates: Float64[np.ndarray, " steps"]
    rng: np.random.Generator
    _states: dict[int, States] = field(default_factory=dict)

    def segments(self) -> list[Segment]:
        """Every pair of neighbouring checkpoints."""
        steps = self.material.steps
        return [Segment(a, b) for a, b in pairwise(steps)]

    def cost(self, segment: Segment, size: int) -> float:
        """Arithmetic of everything that is replayed for a segment, FLOP."""
        tokens = sum(self.material.tokens(u) for u in range(segment.start + 1, segment.stop + 1))
        more = len(counted_otherwise(self.rates, segment.start, segment.stop)) - 1
        return 6.0 * size * tokens * (LENGTHS + more)

    def choose(self, budget: float) -> list[Segment]:
        """Segments in random order as far as the budget goes, then by step; at least none.

        Raises
        ------
        CannotRun
            Not even one fits into the budget.
        """
        segments = self.segments()
        size = self.material.load(self.material.steps[0]).network.size
        chosen: list[Segment] = []
        for k in self.rng.permutation(len(segments)):
            price = self.cost(segments[k], size)
            if price <= budget:
                chosen.append(segments[k])
                budget -= price
        if not chosen:
            least = min((self.cost(s, size) for s in segments), default=0.0)
            raise CannotRun("too_slow", needed=least, allowed=budget)
        return sorted(chosen, key=lambda s: s.start)

    def find(self, segment: Segment) -> Finding | None:
        """Replay one segment; None where the record does not give what that takes."""
        before, after = self.material.load(segment.start), self.material.load(segment.stop)
        batches = self.material.segment(segment.start, segment.stop)
        if batches is None or before.network is not after.network:
            self._states.clear()
            return None
        make = stepper(self.material.record.declaration.optimizer, before.network)
        pair = self._state(segment.start, make)
        rates = counted_otherwise(self.rates, segment.start, segment.stop)
        run = _Run(self, segment, make, before, after, batches, rates[0])
        finding, ends = run.nearest(pair.best, rates).finding(pair)
        # A state is carried on only from a segment that agreed: after another it is nobody's.
        self._states = {segment.stop: ends} if finding.claimed.log_pvalue > AGREES else {}
        return finding

    def _state(self, step: int, make: Stepper) -> States:
        entry, _ = self.material.models[step]
        found = read_state(self.material.record, entry)
        if found is not None or step == 0:
            state = State(0) if found is None else disclosed_state(*found, make.network)
            return States(state, state, "known")
        return self._states[step] if step in self._states else self._warm(step, make)

    def _warm(self, step: int, make: Stepper) -> States:
        """States from a replay of the segment before: from no moments, and from no moments half-way through it."""
        start = max((s for s in self.material.steps if s < step), default=None)
        batches = None if start is None else self.material.segment(start, step)
        broken = start is None or self.material.broken(start + 1, step)
        if (
            start is None
            or batches is None
            or broken
            or self.material.load(start).network is not make.network
        ):
            return States(State(step), State(step), "none")
        half = len(batches) // 2
        first, second = self.rates[start : start + half], self.rates[start + half : step]
        middle = replay(make, self.material.load(start).weights, State(start), batches[:half], first)
        ends = [
            replay(make, middle.weights, begun, batches[half:], second).state
            for begun in (middle.state, State(start + half))
        ]
        return States(ends[0], ends[1], "warmed")


@dataclass(frozen=True, slots=True)
class _Run:
    """One segment being replayed."""

    walk: Walk
    segment: Segment
    make: Stepper
    before: Loaded
    after: Loaded
    batches: Sequence[np.ndarray]
    rates: Float64[np.ndarray, " updates"]
    main: Replayed | None = None

    def nearest(self, state: State, rates: Sequence[Float64[np.ndarray, " updates"]]) -> _Run:
        """The same with the rates, of those that the record may mean, whose replay ends nearest the claim."""
        start, names = self._plain(self.before), list(self.make.network.parameters)
        claimed = displacement(self._plain(self.after), start, names)
        ends = [replay(self.make, start, state, self.batches, each) for each in rates]
        apart = [relative_distance(displacement(end.weights, start, names), claimed) for end in ends]
        best = int(np.argmin(apart))
        return replace(self, rates=rates[best], main=ends[best])

    def finding(self, states: States) -> tuple[Finding, States]:
        """What the replays say, and the states at the segment's end."""
        state, start, names = states.best, self._plain(self.before), list(self.make.network.parameters)
        main = self.main or replay(self.make, start, state, self.batches, self.rates)
        moved = displacement(main.weights, start, names)
        honest, other = self._simulated(start, states.other)
        wrong = [
            displacement(replay(self.make, start, state, other, self.rates).weights, start, names)
            for other in (self._other_windows() for _ in range(WRONG))
        ]
        events = self.walk.material.broken(self.segment.start + 1, self.segment.stop)
        well = states.quality in ("known", "carried") and not events
        exact = well and self.make.declared.name in EXACT and not self._half()
        exact = exact and not self.make.network.dropout and rates_are_known(self.walk.material.record)
        noise = relative_distance(moved, honest)
        yardstick = Yardstick(moved, cosine(moved, honest), cosine(moved, wrong[0]), noise, exact)
        claimed = displacement(self._plain(self.after), start, names)
        plants = {k: compare(yardstick, d) for k, d in self._plants(start, state, wrong[1], names).items()}
        finding = Finding(
            self.segment, states.quality, yardstick, compare(yardstick, claimed), plants, events
        )
        carried = "carried" if states.quality in ("known", "carried") else "warmed"
        return finding, States(main.state, other, carried)

    def _simulated(self, start: Weights, state: State) -> tuple[Float64[np.ndarray, " n"], State]:
        """What an honest record would show (rounded at both ends, added up in another order), and its state."""
        rng = self.walk.rng
        rough = roughened(start, max(self.before.roundoff, ROUGHNESS), rng)
        split = max(1, len(self.batches[0]) // 3)
        half, seed = self._half(), 1 + int(rng.integers(1 << 31))
        end = replay(self.make, rough, state, self.batches, self.rates, split=split, half=half, seed=seed)
        stored = roughened(end.weights, self.after.roundoff, rng)
        return displacement(stored, start, list(self.make.network.parameters)), end.state

    def _plants(
        self, start: Weights, state: State, wrong: Float64[np.ndarray, " n"], names: list[str]
    ) -> dict[Forgery, Float64[np.ndarray, " n"]]:
        rng, steps = self.walk.rng, self.walk.material.steps
        foreign = shuffled(self._plain(self.after), rng)
        pulled = replay(self.make, start, state, self.batches, self.rates, pull=Pull(foreign, PULL)).weights
        found = {
            Forgery.FALSE_DATA: wrong,
            Forgery.SWAPPED_MIDDLE: displacement(foreign, start, names),
            Forgery.ANCHORED: displacement(pulled, start, names),
        }
        last = self.walk.material.load(steps[-1])
        if self.segment.stop != steps[-1] and last.network is self.make.network:
            part = self.segment.length / (steps[-1] - self.segment.start)
            found[Forgery.INTERPOLATION] = part * displacement(self._plain(last), start, names)
        return found

    def _other_windows(self) -> list[np.ndarray]:
        windows = self.walk.material.record.windows
        if windows is None:
            raise CannotRun("no_data", missing=["windows"])
        count = len(windows)
        chosen = [np.sort(self.walk.rng.integers(0, count, len(b))) for b in self.batches]
        return [np.asarray(windows[rows], dtype=np.int64) for rows in chosen]

    def _plain(self, loaded: Loaded) -> dict[str, np.ndarray]:
        """Weights by parameter, tied ones once."""
        network = loaded.network
        loaded.network.fill(loaded.weights)
        return {n: loaded.weights[_stored(n, loaded)] for n in network.parameters}

    def _half(self) -> bool:
        return in_halves(self.walk.material.record)


def _stored(name: str, loaded: Loaded) -> str:
    """The stored name of a parameter: its own, or that of the one it is tied to."""
    if name in loaded.weights:
        return name
    return next(alias for alias, owner in loaded.network.aliases.items() if owner == name)
