r"""C22, optimizer state: moments belong to their weights and to each other (exact).

Claim
    The disclosed optimizer states are those of the run at their steps.
Statistic
    The largest of these ratios, each at most 1 in an honest run.

    - *Steps.* The state's count is its checkpoint's step (or fewer: after a restart, or skipped by a loss scale).
    - *One Adam state.* ``|m| <= rho_t sqrt(v)`` with the bound of :mod:`jokbo.records.motion` before bias correction.
    - *Two Adam states*, k updates apart: :math:`v_b \ge \beta_2^k v_a`, and with :math:`q = \beta_1^2/\beta_2`
      :math:`|m_b - \beta_1^k m_a| \le \frac{1-\beta_1}{\sqrt{1-\beta_2}} \sqrt{\frac{1-q^k}{1-q}}
      \sqrt{v_b - \beta_2^k v_a}`.
    - *Momentum* (SGD, Muon, Lion) under clipping at c: ``||m_b - mu^k m_a|| <= g c (1 - mu^k) / (1 - mu)``, g = 1 for
      SGD and Muon, ``1 - beta_2`` for Lion; decay inside SGD's gradient adds ``lambda max ||W||`` to c.
    - *Unseen tokens.* Moments of untied input rows that no window holds are zero (decoupled decay only).
    - *Weights.* Where the last checkpoint before lies at most ``1 / (1 - beta_1)`` updates back, the displacement
      has a cosine of at least .05 with the state's own direction ``-m / sqrt(v)`` (``-m`` for SGD). This one is no
      theorem: honest runs gave .68 to .99, and a state of other weights gives 0 to a few thousandths. Displacements
      that the stored type does not show are left out.
Why it is valid
    The moments of the second state are those of the first, decayed, and the gradients between, whose squares are
    what v gained: Cauchy-Schwarz. A thousandth is allowed for float32. Pairs with a declared restart, rollback
    or change of backbone between them are left out.
What it catches
    States invented, or taken from another run or another step.
What fools it
    Genuine optimization from the final weights on: it leaves a genuine state.
Power
    Measured on the record: states with rows, columns and signs of another order (as another run's would be), and states
    of the right weights a hundred updates apart, where there are two. With k over 1 / (1 - beta_2) the
    pair bounds are loose, and only the weights' test is left.

References
----------
Kingma and Ba (2015), Adam. Fang et al. (2023), Proof-of-learning is currently more broken than you think.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.declaration import EventKind, Optimizer
from jokbo.records.forgeries import Forgery
from jokbo.records.motion import (
    SKIPPED,
    UNKNOWN_BETAS,
    decays,
    leg,
    limit_bound,
    moment_bound,
    rule_of,
    scales_loss,
    shrink,
)
from jokbo.records.optimizer_state import UnnamedParametersError, read_optimizer_state
from jokbo.records.plants import conclude, count, spots
from jokbo.records.record import Record
from jokbo.records.trajectory import Trajectory, trajectory
from jokbo.views.component import Reason

SLACK = 1e-3
TINY = 1e-18
MIN_COSINE = 0.05
MIN_ENTRIES = 10_000
SHOWN = 2.0
"""Square of a displacement over that of its stored roundings, below which the cosine is of roundings."""

FAR = 100
"""Updates between a state and the weights that a forger gives it to, in one of the plants."""

BREAKS = (EventKind.RESTART, EventKind.ROLLBACK, EventKind.BACKBONE_CHANGE)

Moments = dict[tuple[str, str], np.ndarray]
"""Rows of each tensor's slots, by key and slot."""


class OptimizerState(Check):
    """Hold optimizer states against each other and against the weights."""

    number = 22
    name = "optimizer_state"
    kind = CheckKind.EXACT
    catches = (Forgery.FAKE_OPTIMIZER_STATE,)
    needs = ("optimizer_state", "checkpoints", "optimizer_declared")
    follows = True

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Read every state and hold it against all that binds it."""
        optimizer = record.declaration.optimizer
        if optimizer is None:
            return unknown("no_optimizer", missing=["optimizer_declared"])
        path = trajectory(record)
        states, miscounted, unnamed = _read(record, path)
        if miscounted is not None:
            return CheckResult(Observation.VIOLATED, (miscounted,), statistic=1e30, threshold=1.0)
        if not states and unnamed:
            return CheckResult(Observation.UNKNOWN, _left_out(unnamed), missing=("optimizer_state",))
        if not states:
            return unknown("no_states", missing=["optimizer_state"])
        laws = _Laws(record, optimizer, path)
        found = [f for k in states for f in laws.all(k, states)]
        if not found:
            return unknown("unknown_optimizer", optimizer=optimizer.name)
        worst = max(found, key=lambda f: f.ratio)
        values: dict[str, int | float | str] = {
            "ratio": float(f"{min(worst.ratio, 1e30):.4g}"),
            "step": path.steps[worst.state],
            "tensor": worst.tensor,
            "states": len(states),
        }
        cosines = [1 / f.ratio * MIN_COSINE for f in found if f.law == "weights" and f.ratio > 0]
        details = {"states": [path.steps[k] for k in states], "cosines": [round(c, 3) for c in cosines]}
        events = record.events(*BREAKS)
        if worst.ratio > 1:
            return CheckResult(
                Observation.VIOLATED,
                (Reason(f"broken_{worst.law}", values),),
                statistic=float(min(worst.ratio, 1e30)),
                threshold=1.0,
                events=events,
                details=details,
            )
        return conclude(
            _plants(context.draw(record, self.name, "plants"), context.n_plants, laws, states),
            statistic=worst.ratio,
            threshold=1.0,
            reasons=(Reason("consistent", values), *_left_out(unnamed)),
            events=events,
            details=details,
        )


def _read(record: Record, path: Trajectory) -> tuple[dict[int, Moments], Reason | None, list[str]]:
    """Moments of the tensors read, by state; a reason where a count is not its step; states that name nothing."""
    found: dict[int, Moments] = {}
    unnamed: list[str] = []
    for k, index in enumerate(path.indices):
        entry = record.rows.entries[index]
        if not entry.optimizer or not record.path(entry.optimizer).is_file():
            continue
        try:
            state = read_optimizer_state(record, entry)
        except UnnamedParametersError:
            unnamed.append(entry.name)  # as most trainers save it: nothing wrong, and nothing to compare
            continue
        try:
            if state.step is not None and not _counts(record, state.step, entry.step):
                values: dict[str, int | float | str] = {
                    "checkpoint": entry.name,
                    "step": entry.step,
                    "found": state.step,
                }
                return found, Reason("wrong_count", values), unnamed
            found[k] = {
                (key, slot): tensor.rows(path.tensors[key].rows)
                for (name, slot), tensor in state.tensors.items()
                for key in path.states[k]
                if path.tensors[key].name == name and tensor.sides == path.tensors[key].shape
            }
        finally:
            state.close()
    return {k: moments for k, moments in found.items() if moments}, None, unnamed


def _left_out(unnamed: list[str]) -> tuple[Reason, ...]:
    return (Reason("unnamed", {"count": len(unnamed), "checkpoint": unnamed[0]}),) if unnamed else ()


def _counts(record: Record, found: int, step: int) -> bool:
    if found == step or (scales_loss(record) and step - SKIPPED <= found < step):
        return True
    begun = (record.declaration.event[k].step for k in record.events(*BREAKS, last=step))
    return any(step - first <= found <= step - first + 1 for first in begun)


@dataclass(frozen=True, slots=True)
class _Ratio:
    """How near a state comes to breaking a law, at 1."""

    law: str
    state: int
    tensor: str
    ratio: float


class _Laws:
    """What binds a state."""

    def __init__(self, record: Record, optimizer: Optimizer, path: Trajectory) -> None:
        self._record, self._optimizer, self._path = record, optimizer, path
        self._unseen = _unseen_rows(record, path)

    @property
    def steps(self) -> tuple[int, ...]:
        """Step of every state of the run."""
        return self._path.steps

    def all(self, k: int, states: dict[int, Moments]) -> list[_Ratio]:
        """Every law that applies to state `k` as it stands among the others."""
        found = self.alone(k, states[k]) + self.weights(k, states[k])
        earlier = [j for j in states if j < k]
        later = [j for j in states if j > k]
        if earlier:
            found += self.pair(earlier[-1], k, states[earlier[-1]], states[k])
        if later:
            found += self.pair(k, later[0], states[k], states[later[0]])
        return found

    def _betas(self, key: str) -> tuple[float, float] | None:
        """Betas of the Adam that moves a tensor; None where another rule does."""
        rule = rule_of(self._optimizer, self._path.tensors[key])
        if rule not in ("adamw", "adam"):
            return None
        betas = self._optimizer.betas
        own = rule == self._optimizer.name.lower() and len(betas) == 2
        return (betas[0], betas[1]) if own else UNKNOWN_BETAS

    def _floor(self, key: str, k: int) -> float:
        """Epsilon over the root of a second moment whose bias is not corrected."""
        betas = self._betas(key)
        known = betas is not None and len(self._optimizer.betas) == 2
        bias = math.sqrt(1 - betas[1] ** max(self._path.steps[k], 1)) if known and betas is not None else 1.0
        return max(self._optimizer.eps * bias, 1e-12)

    def alone(self, k: int, moments: Moments) -> list[_Ratio]:
        """Bounds of one state."""
        found = []
        for (key, slot), m in moments.items():
            if slot != "exp_avg_sq" and key in self._unseen and self._path.states[k][key].shape == m.shape:
                rows = np.abs(m[self._unseen[key]])
                found.append(_Ratio("unseen", k, key, float(np.max(rows, initial=0.0)) / TINY))
            betas = self._betas(key)
            v = moments.get((key, "exp_avg_sq"))
            if slot != "exp_avg" or v is None or betas is None:
                continue
            if float(v.min()) < 0:
                found.append(_Ratio("moments", k, key, math.inf))
                continue
            known = len(self._optimizer.betas) == 2
            most = moment_bound(betas, self._path.steps[k]) if known else limit_bound(betas)
            root = np.sqrt(v.astype(np.float64))
            found.append(
                _Ratio("moments", k, key, float(np.max(np.abs(m) / (most * root * (1 + SLACK) + TINY))))
            )
        return found

    def pair(self, a: int, b: int, first: Moments, last: Moments) -> list[_Ratio]:
        """Bounds of two states by what lies between."""
        steps = self._path.steps
        if steps[a] == steps[b] or self._record.events(*BREAKS, first=steps[a] + 1, last=steps[b]):
            return []
        k, found = steps[b] - steps[a], []
        for key in {name for name, _ in first} & {name for name, _ in last}:
            betas = self._betas(key)
            if betas is not None and len(self._optimizer.betas) == 2:
                found += _adam_pair(key, b, betas, k, first, last)
        momentum = self._momentum_pair(a, b, first, last)
        return found if momentum is None else [*found, momentum]

    def _momentum_pair(self, a: int, b: int, first: Moments, last: Moments) -> _Ratio | None:
        """The norm of all momenta together."""
        optimizer, k = self._optimizer, self._path.steps[b] - self._path.steps[a]
        keys = [key for key, slot in first if slot == "momentum" and (key, slot) in last]
        if not keys or optimizer.clip <= 0 or not optimizer.betas:
            return None
        lion = optimizer.name.lower() == "lion"
        mu, gain = (optimizer.betas[-1], 1 - optimizer.betas[-1]) if lion else (optimizer.betas[0], 1.0)
        squares = weights = 0.0
        for key in keys:
            moved = last[key, "momentum"].astype(np.float64) - mu**k * first[key, "momentum"]
            squares += float(np.sum(moved**2))
            if optimizer.name.lower() == "sgd" and decays(optimizer, self._path.tensors[key]):
                ends = [float(np.sum(self._path.states[s][key].astype(np.float64) ** 2)) for s in (a, b)]
                weights += max(ends)
        clip = optimizer.clip + 2 * optimizer.weight_decay * math.sqrt(weights)
        most = gain * clip * (1 - mu**k) / (1 - mu)
        return _Ratio("momentum", b, keys[0], math.sqrt(squares) / (most * (1 + SLACK) + TINY))

    def weights(self, k: int, moments: Moments) -> list[_Ratio]:
        """The state's direction against the displacement of the weights before it."""
        steps, before = self._path.steps, None
        for j in range(k):
            if steps[j] < steps[k]:
                before = j
        beta = self._optimizer.betas[0] if self._optimizer.betas else 0.0
        if before is None or steps[k] - steps[before] > 1 / max(1 - beta, 1e-6) + 1e-9:
            return []
        if self._record.events(*BREAKS, first=steps[before] + 1, last=steps[k]):
            return []
        stretch = leg(self._record, steps[before], steps[k])
        along = moved_size = size = rounding = 0.0
        n = 0
        for key in self._path.shared(before, k, vectors=False):
            direction = _direction(moments, key, self._floor(key, k))
            if direction is None or rule_of(self._optimizer, self._path.tensors[key]) == "muon":
                continue
            left = 1.0 if stretch is None else shrink(self._optimizer, self._path.tensors[key], stretch)
            moved = self._path.states[k][key].astype(np.float64) - left * self._path.states[before][key]
            along += float(np.vdot(moved, direction))
            moved_size += float(np.vdot(moved, moved))
            stored = self._path.roundoff(key, before) ** 2 + self._path.roundoff(key, k) ** 2
            rounding += stored * float(np.sum(self._path.states[k][key].astype(np.float64) ** 2))
            size += float(np.vdot(direction, direction))
            n += moved.size
        if n < MIN_ENTRIES or moved_size <= SHOWN * rounding or size <= 0:
            return []
        cosine = along / math.sqrt(moved_size * size)
        ratio = MIN_COSINE / cosine if cosine > 0 else 1e30
        return [_Ratio("weights", k, "", ratio)]


def _direction(moments: Moments, key: str, floor: float) -> Float64[np.ndarray, "rows cols"] | None:
    """Where the state would push next, up to the rate; `floor` is what epsilon adds to the root."""
    m, v = moments.get((key, "exp_avg")), moments.get((key, "exp_avg_sq"))
    if m is not None and v is not None:
        return np.asarray(-m.astype(np.float64) / (np.sqrt(np.maximum(v, 0).astype(np.float64)) + floor))
    momentum = moments.get((key, "momentum"))
    return None if momentum is None else np.asarray(-momentum.astype(np.float64))


def _adam_pair(
    key: str, b: int, betas: tuple[float, float], k: int, first: Moments, last: Moments
) -> list[_Ratio]:
    slots = ("exp_avg", "exp_avg_sq")
    if any((key, slot) not in moments for slot in slots for moments in (first, last)):
        return []
    m_a, v_a = (first[key, slot].astype(np.float64) for slot in slots)
    m_b, v_b = (last[key, slot].astype(np.float64) for slot in slots)
    if m_a.shape != m_b.shape:
        return []
    kept = betas[1] ** k * v_a
    gained = np.maximum(v_b - kept, 0) + SLACK * (v_b + kept)
    moved = np.abs(m_b - betas[0] ** k * m_a)
    rounding = 1e-5 * (np.abs(m_b) + np.abs(m_a)) + TINY
    return [
        _Ratio("second", b, key, float(np.max(kept / (v_b * (1 + SLACK) + TINY**2)))),
        _Ratio("first", b, key, float(np.max(moved / (moment_bound(betas, k) * np.sqrt(gained) + rounding)))),
    ]


def _unseen_rows(record: Record, path: Trajectory) -> dict[str, np.ndarray]:
    """Places, among the rows read, of input rows that never get a gradient."""
    from jokbo.records.checks.unused_rows import embedding_key, truly_unseen

    optimizer, data = record.declaration.optimizer, record.data
    if optimizer is None or data is None or not data.unseen_tokens or path.start is None:
        return {}
    key = embedding_key(record, path)
    coupled = optimizer.name.lower() in ("sgd", "adam") and optimizer.weight_decay > 0
    if key is None or coupled:
        return {}
    tokens = truly_unseen(record, np.asarray(data.unseen_tokens, dtype=np.int64))
    return {key: np.flatnonzero(np.isin(path.tensors[key].rows, tokens))}


def _plants(rng: np.random.Generator, tries: int, laws: _Laws, states: dict[int, Moments]) -> list[Planted]:
    """Another run's state: rows, columns and signs in another order, the same in every slot of a tensor."""

    def strength(k: int) -> float:
        forged = states | {k: _shuffled(states[k], rng)}
        return max((f.ratio for f in laws.all(k, forged)), default=0.0)

    foreign, misplaced = [], []
    for k in spots(list(states), strength, tries, rng):
        forged = states | {k: _shuffled(states[k], rng)}
        foreign.append(any(f.ratio > 1 for f in laws.all(k, forged)))
        steps = laws.steps
        far = [j for j in states if abs(steps[j] - steps[k]) >= FAR]
        others = [j for j in far if states[j].keys() == states[k].keys()]
        if others:
            moved = states | {k: states[others[int(rng.integers(len(others)))]]}
            misplaced.append(any(f.ratio > 1 for f in laws.all(k, moved)))
    ways = {"foreign": foreign, "misplaced": misplaced}
    return [count(Forgery.FAKE_OPTIMIZER_STATE, found, variant=way) for way, found in ways.items() if found]


def _shuffled(moments: Moments, rng: np.random.Generator) -> Moments:
    orders: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    found = {}
    for (key, slot), values in moments.items():
        rows, cols = values.shape
        order = orders.setdefault(
            key, (rng.permutation(rows), rng.permutation(cols), rng.choice([-1.0, 1.0], cols))
        )
        made = values[order[0]][:, order[1]]
        found[key, slot] = made if slot == "exp_avg_sq" else made * order[2]
    return found
