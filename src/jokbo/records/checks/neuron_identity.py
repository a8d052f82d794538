"""C20, identity of neurons: the same unit keeps its number from checkpoint to checkpoint (calibrated).

Claim
    Neighbouring checkpoints, and the first and the last, are states of one network.
Statistic
    MLP units are matched by the cosine of their rows (gate and up, mean row removed); a unit whose best match
    in the other checkpoint has its own number is a fixed point (test E2 of
    :mod:`jokbo.independence.fixed_points`). Reported is the smallest share of fixed points among the pairs in
    which identity is predicted.
Why it is valid
    A unit's row keeps ``D |w_a| / |w_b|`` of itself (see C19; honest drift kept at least .63 of that). Where
    .6 of it still exceeds the largest of all chance cosines by a deviation, ``(sqrt(2 ln n) + 1) / sqrt(d)``,
    an honest unit is fixed with a probability of at least one half; units are counted only there, and over at most
    the 300 updates that the drift was measured on. The p-value
    is the binomial tail below the count at one half, which honest runs never come near. Units may be lost
    together, hence a fifth of them counts as independent: a model of dependence, not a proof.
    Whether an observed agreement could be chance is the exact bound ``1 / k!`` of E2, given in the details.
What it catches
    Middles swapped for another model or for a relabelled copy; ends that do not go back to the start (anchored
    training), where identity from 0 to the end is predicted.
What fools it
    Whoever has both models relabels the other one's units by best match: between neighbours that raises the
    share, and to one half only where the weights are related. Sampled rows match only among themselves.
Power
    Measured on the record: look-alikes, relabelled copies, foreign ends. Honest: every unit counted kept its
    number in all pairs of 32 runs, .94 at decay 8 (of nine more with other rates and decays); forged .00 to .08.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from jokbo.independence.betting import log_fixed_points_pvalue
from jokbo.records.checks.base import (
    Check,
    CheckContext,
    CheckKind,
    CheckResult,
    Observation,
    Planted,
    unknown,
)
from jokbo.records.checks.init_imprint import LOG_LEVEL, MAX_UPDATES
from jokbo.records.declaration import EventKind, Optimizer
from jokbo.records.forgeries import Forgery
from jokbo.records.motion import carried, coupled, is_known, leg
from jokbo.records.plants import ROWS_OF_UNITS, conclude, count, lookalike, permuted_units, spots
from jokbo.records.record import Record
from jokbo.records.trajectory import State, Trajectory, trajectory
from jokbo.views.component import Reason

MIN_UNITS = 16
MAX_UNITS = 2048
"""Units matched in one layer: the first so many of those that were read."""

INDEPENDENT_SHARE = 0.2
HONEST_DRIFT = 0.6
MAX_LAYERS = 8


@dataclass(frozen=True, slots=True)
class _Match:
    """Fixed points between two states."""

    first: int
    last: int
    fixed: int
    units: int
    log_chance: float

    @property
    def share(self) -> float:
        return self.fixed / self.units

    @property
    def log_pvalue(self) -> float:
        """Binomial tail at one half, of a fifth of the units."""
        from scipy.special import bdtr

        n = max(int(INDEPENDENT_SHARE * self.units), 1)
        tail = float(bdtr(math.ceil(self.share * n), n, 0.5))
        return math.log(max(tail, 1e-300))


class NeuronIdentity(Check):
    """Match units between neighbours, and between the first and the last."""

    number = 20
    name = "neuron_identity"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.SWAPPED_MIDDLE, Forgery.ANCHORED, Forgery.UNRELATED_START)
    needs = ("checkpoints", "optimizer_declared", "learning_rate")
    follows = True
    presumes = (
        (Forgery.ANCHORED, Forgery.PLANTED_START),
        (Forgery.SWAPPED_MIDDLE, Forgery.INTERPOLATION),
    )

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Count fixed points where the imprint predicts them."""
        optimizer = record.declaration.optimizer
        if optimizer is None:
            return unknown("no_optimizer", missing=["optimizer_declared"])
        path = trajectory(record)
        if len(path) < 2:
            return unknown("too_few", missing=["checkpoints"])
        if record.rates is None:
            return unknown("no_rates", missing=["learning_rate"])
        if coupled(optimizer) or not is_known(optimizer):
            return unknown(
                "coupled_decay" if coupled(optimizer) else "unknown_optimizer", optimizer=optimizer.name
            )
        units = _Units(record, optimizer, path)
        if not units.keys:
            return unknown("no_units")
        pairs = [(k, k + 1) for k in range(len(path) - 1)] + ([(0, len(path) - 1)] if len(path) > 2 else [])
        matches = [m for a, b in pairs if (m := units.match(path, a, b)) is not None]
        if not matches:
            return unknown("not_predicted")
        worst = min(matches, key=lambda m: m.share)
        log_pvalue = min(0.0, min(m.log_pvalue for m in matches) + math.log(len(matches)))
        values: dict[str, int | float | str] = {
            "share": round(worst.share, 3),
            "first": worst.first,
            "last": worst.last,
            "units": worst.units,
            "pairs": len(matches),
        }
        details = {
            "pairs": [
                {
                    "from": m.first,
                    "to": m.last,
                    "share": round(m.share, 4),
                    "log10_chance": round(m.log_chance / math.log(10), 1),
                }
                for m in matches
            ]
        }
        events = record.events(EventKind.BACKBONE_CHANGE)
        shown: dict[str, Any] = {
            "statistic": worst.share,
            "threshold": 0.5,
            "events": events,
            "details": details,
        }
        if log_pvalue < LOG_LEVEL:
            return CheckResult(
                Observation.VIOLATED, (Reason("lost", values),), log_pvalue=log_pvalue, **shown
            )
        rng = context.draw(record, self.name, "plants")
        planted = _plants(rng, context.n_plants, record, optimizer, path, len(matches))
        return conclude(planted, log_pvalue=log_pvalue, reasons=(Reason("kept", values),), **shown)


class _Units:
    """Matching of units by their rows."""

    def __init__(self, record: Record, optimizer: Optimizer, path: Trajectory) -> None:
        self._record, self._optimizer = record, optimizer
        self._left: dict[tuple[int, int, str], float] = {}
        found: dict[int | None, list[str]] = {}
        for key, tensor in path.tensors.items():
            if tensor.role in ROWS_OF_UNITS and not tensor.is_vector and len(tensor.rows) >= MIN_UNITS:
                found.setdefault(tensor.layer, []).append(key)
        layers = sorted(found, key=lambda layer: -1 if layer is None else layer)
        # Spread over the depth where there are many.
        kept = layers[:: max(1, math.ceil(len(layers) / MAX_LAYERS))]
        self.keys = [found[layer] for layer in kept]

    def match(self, path: Trajectory, a: int, b: int) -> _Match | None:
        """Fixed points of all layers together; None where identity is not predicted for enough units."""
        if path.steps[a] == path.steps[b] or path.steps[b] - path.steps[a] > MAX_UPDATES:
            return None
        fixed = units = 0
        log_chance = 0.0
        for keys in self.keys:
            here = [k for k in keys if k in path.states[a] and k in path.states[b]]
            if not here or len({path.states[a][k].shape[0] for k in here}) != 1:
                continue
            before, after = (np.hstack([_centred(path.states[s][k]) for k in here]) for s in (a, b))
            predicted = self._predicted(path, here, a, b, before, after)
            cosines = _cosines(before, after)
            n = len(cosines)
            level = (math.sqrt(2 * math.log(n)) + 1) / math.sqrt(before.shape[1])
            counted = HONEST_DRIFT * predicted > level
            if not counted.any():
                continue
            hits = (cosines.argmax(axis=0) == np.arange(n)) & counted
            fixed, units = fixed + int(hits.sum()), units + int(counted.sum())
            log_chance += log_fixed_points_pvalue(int(hits.sum()), int(counted.sum()), n)
        return _Match(path.steps[a], path.steps[b], fixed, units, log_chance) if units >= MIN_UNITS else None

    def _predicted(
        self, path: Trajectory, keys: list[str], a: int, b: int, before: np.ndarray, after: np.ndarray
    ) -> np.ndarray:
        left = min(self._decay(path, key, a, b) for key in keys)
        sizes = (np.linalg.norm(x, axis=1) for x in (before, after))
        first, last = sizes
        return np.asarray(left * first / np.maximum(last, 1e-300))

    def _decay(self, path: Trajectory, key: str, a: int, b: int) -> float:
        place = (path.steps[a], path.steps[b], key)
        if place not in self._left:
            stretch = leg(self._record, path.steps[a], path.steps[b])
            found = 0.0 if stretch is None else carried(self._optimizer, path.tensors[key], stretch)
            self._left[place] = found
        return self._left[place]


def _centred(values: Float[np.ndarray, "rows cols"]) -> Float[np.ndarray, "units cols"]:
    """Rows less their mean: what all units share tells none of them apart."""
    some = values[:MAX_UNITS].astype(np.float64)
    return np.asarray(some - some.mean(axis=0))


def _cosines(
    before: Float[np.ndarray, "units cols"], after: Float[np.ndarray, "units cols"]
) -> Float[np.ndarray, "units units"]:
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-300) for x in (before, after))
    return np.asarray(a @ b.T)


def _plants(
    rng: np.random.Generator, tries: int, record: Record, optimizer: Optimizer, path: Trajectory, n_pairs: int
) -> list[Planted]:
    kept = {key: t for key, t in path.tensors.items() if t.role in (*ROWS_OF_UNITS, "ffn_down")}
    path = Trajectory(
        path.names,
        path.steps,
        path.indices,
        kept,
        tuple({k: s[k] for k in kept if k in s} for s in path.states),
    ).lighter(1 << 19)
    units, last = _Units(record, optimizer, path), len(path) - 1
    if not units.keys:
        return []

    def seen(a: int, b: int, forged: State) -> bool:
        match = units.match(path.with_state(b, forged), a, b)
        return match is not None and match.log_pvalue + math.log(n_pairs) < LOG_LEVEL

    def strength(k: int) -> float:
        match = units.match(path.with_state(k, lookalike(path.states[k], kept, rng)), k - 1, k)
        return 0.0 if match is None else -match.log_pvalue

    swapped, relabelled, ends, starts = [], [], [], []
    for k in spots(range(1, last + 1), strength, tries, rng):
        swapped.append(seen(k - 1, k, lookalike(path.states[k], kept, rng)))
        other = permuted_units(path.states[k], kept, rng)
        relabelled.append(other is not None and seen(k - 1, k, other))
        ends.append(seen(0, last, lookalike(path.states[last], kept, rng)))
        if path.start == 0:
            forged = path.with_state(0, lookalike(path.states[0], kept, rng))
            match = units.match(forged, 0, last)
            starts.append(match is not None and match.log_pvalue + math.log(n_pairs) < LOG_LEVEL)
    planted = [
        count(Forgery.SWAPPED_MIDDLE, swapped, variant="another_model"),
        count(Forgery.SWAPPED_MIDDLE, relabelled, variant="relabelled"),
    ]
    if units.match(path, 0, last) is None:
        return planted  # identity from 0 to the end is not predicted, so its absence says nothing
    planted.append(count(Forgery.ANCHORED, ends, variant="pulled"))
    return [*planted, count(Forgery.UNRELATED_START, starts, variant="fresh")] if starts else planted
