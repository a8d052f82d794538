r"""C19, imprint of step 0: later weights still carry what decay leaves of the first (calibrated).

Claim
    Every checkpoint was reached from the disclosed step 0 by the declared updates.
Statistic
    For a group of tensors (input embedding; MLP matrices) the ratio of the component of ``W_k`` along ``W_0`` to
    the predicted one: ``r = <W_k, W_0> / (D |W_0|^2)`` with D what weight decay leaves, that is
    ``cos(W_0, W_k)`` over ``D |W_0| / |W_k|``. Between neighbours the same, with their own D. Reported is the
    p-value of the worst ratio, and that ratio.
Why it is valid
    ``W_k = D W_0 + U`` with U the sum of decayed updates. Were U orthogonal to ``W_0``, r would be 1. Gradients of
    what stands before a norm are orthogonal to the weights themselves, not to their start, and honest training
    drifts: on 32 honest runs of 13 kinds (AdamW, SGD, Lion, Muon; 300 steps) r lay within .63 to 1.60 in MLPs
    (.91 and more but for SGD) and .83 to 1.51 in embeddings, at every checkpoint; in a smaller model in NumPy up
    to 1.8; nine more runs with peak rates of 3e-4 to .03 and decays of .1 to 8 gave .94 to 2.4 (the most under the
    heaviest decay). Attention and output matrices are left out: r reached -.04 and 1.7 there. The null takes
    ``ln r`` as normal, with deviation .25 below zero (.5 under SGD, which wears the start away at its own rate) and
    .5 above (a small start may grow in its own direction), so that the family's level is passed below r = .25
    (.06) and above 16; Bonferroni over groups and checkpoints. These tails are an assumption, made on short runs.
    So only pairs inside the range of those runs are used: D of at least .1 (honest r there: .63 to 1.43), and
    weights that moved by at most ten times the start's norm, in at most 300 updates.
    Where the predicted ``cos sqrt(n)`` is under 10, r itself is too noisy, and the group is not used; where none
    is left, nothing can be told. Nor can it under Adam with decay inside the gradient, which wears the start away
    at a rate that no declaration gives (r = -.06 honestly).
What it catches
    A start that the weights do not come from (r is 0 within noise of at most .1), a middle or an end that is another
    model's, and weights anchored to another model at the end.
What fools it
    A start with so much of the final weights in it that the cosine fits: that is what the spectrum of step 0
    (C14) is for. Heavy decay, under which the prediction itself vanishes.
Power
    Measured on the record: fresh starts, swapped middles, ends anchored to another model to cosines of .9995 and 1.

References
----------
Kosson et al. (2024), Rotational equilibrium: how weight decay balances learning across neural networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

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
from jokbo.records.motion import carried, coupled, is_known, leg
from jokbo.records.plants import blend, conclude, count, lookalike, spots
from jokbo.records.record import Record
from jokbo.records.trajectory import State, Trajectory, trajectory
from jokbo.views.component import Reason

GROUPS = {"embedding": ("token_embd",), "mlp": ("ffn_gate", "ffn_up", "ffn_down"), "matrices": ("other",)}
SPREAD = 0.25
"""Deviation of ``ln r`` below zero under honest training."""

WIDE_SPREAD = 0.5
"""The same above zero, and below under SGD."""

MIN_SIGNAL = 10.0
LOG_LEVEL = math.log(1e-6 / 27)
"""The family's level shared among all checks: beyond it a violation counts whatever the others say."""

MIN_LEFT, MAX_MOVED = 0.1, 10.0
"""The range of the honest runs that the deviations were measured on: what decay leaves, and the relative movement."""

MAX_UPDATES = 300
"""Updates of those runs: over 2,000 small batches an honest r fell to .63 after 300, .36 after 500, .07 in the end."""

MIN_RATIO = 1e-3
"""Smaller and negative ratios count as this one."""


class InitImprint(Check):
    """Follow the component along step 0, and along each neighbour."""

    number = 19
    name = "init_imprint"
    kind = CheckKind.CALIBRATED
    catches = (Forgery.UNRELATED_START, Forgery.ANCHORED, Forgery.SWAPPED_MIDDLE)
    needs = ("step0", "final", "optimizer_declared", "learning_rate")
    follows = True
    presumes = ((Forgery.ANCHORED, Forgery.PLANTED_START),)

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Compare predicted and found imprints at every later checkpoint."""
        optimizer = record.declaration.optimizer
        if optimizer is None:
            return unknown("no_optimizer", missing=["optimizer_declared"])
        path = trajectory(record)
        if path.start is None or len(path) < 2:
            return unknown("no_start", missing=["step0", "final"])
        if record.rates is None:
            return unknown("no_rates", missing=["learning_rate"])
        if coupled(optimizer) or not is_known(optimizer):
            return unknown(
                "coupled_decay" if coupled(optimizer) else "unknown_optimizer", optimizer=optimizer.name
            )
        imprint = Imprint(record, optimizer, path)
        found = imprint.all(path)
        if not any(each.step == path.steps[-1] and each.start == 0 for each in found):
            left, moved, signal = imprint.reach(path, path.start, len(path) - 1)
            if left < MIN_LEFT or moved > MAX_MOVED or path.steps[-1] > MAX_UPDATES:
                return unknown("outside_range", left=round(left, 4), moved=round(moved, 2))
            return unknown("faded", signal=round(signal, 2))
        worst = min(found, key=lambda each: each.log_pvalue)
        log_pvalue = min(0.0, worst.log_pvalue + math.log(len(found)))
        ends = [each.ratio for each in found if each.start == 0]
        values: dict[str, int | float | str] = {
            "ratio": round(worst.ratio, 3),
            "group": worst.group,
            "first": worst.start,
            "last": worst.step,
            "least": round(min(ends), 3),
            "most": round(max(ends), 3),
        }
        details = {
            "ratios": [
                {"from": each.start, "to": each.step, "group": each.group, "ratio": round(each.ratio, 4)}
                for each in found
            ]
        }
        events = record.events(EventKind.BACKBONE_CHANGE, EventKind.RATE_CHANGE, EventKind.ROLLBACK)
        shown: dict[str, Any] = {
            "statistic": worst.ratio,
            "threshold": lower_ratio(optimizer),
            "events": events,
            "details": details,
        }
        if log_pvalue < LOG_LEVEL:
            code = "missing" if worst.ratio < 1 else "excess"
            return CheckResult(Observation.VIOLATED, (Reason(code, values),), log_pvalue=log_pvalue, **shown)
        planted = _plants(
            context.draw(record, self.name, "plants"), context.n_plants, record, optimizer, path
        )
        return conclude(planted, log_pvalue=log_pvalue, reasons=(Reason("carried", values),), **shown)


@dataclass(frozen=True, slots=True)
class Found:
    """The ratio of one group between two states, by their steps."""

    start: int
    step: int
    group: str
    ratio: float
    spread: float

    @property
    def log_pvalue(self) -> float:
        """Two-sided, ``ln r`` normal."""
        from scipy.special import log_ndtr

        size = math.log(max(self.ratio, MIN_RATIO))
        size = size / WIDE_SPREAD if size > 0 else -size / self.spread
        return min(0.0, math.log(2) + float(log_ndtr(-size)))


class Measured(NamedTuple):
    """A group between two states.

    Attributes
    ----------
    ratio : float
    signal : float
        Predicted ``cos sqrt(n)``.
    left : float
        What decay leaves of the first, root mean square over tensors.
    moved : float
        ``|W_b - D W_a| / |W_a|``.
    """

    ratio: float
    signal: float
    left: float
    moved: float


def spread_below(optimizer: Optimizer) -> float:
    """Deviation of ``ln r`` below zero under an optimizer."""
    return WIDE_SPREAD if optimizer.name.lower() == "sgd" else SPREAD


def lower_ratio(optimizer: Optimizer) -> float:
    """The ratio below which one comparison alone passes the family's level.

    Examples
    --------
    >>> round(lower_ratio(Optimizer("adamw")), 2)
    0.25
    """
    from scipy.special import ndtri

    return math.exp(spread_below(optimizer) * float(ndtri(math.exp(LOG_LEVEL) / 2)))


class Imprint:
    """Ratios between the states of a trajectory."""

    def __init__(self, record: Record, optimizer: Optimizer, path: Trajectory) -> None:
        self._left: dict[tuple[int, int, str], float] = {}
        self._record, self._optimizer, self._spread = record, optimizer, spread_below(optimizer)
        known = {t.role for t in path.tensors.values()} & {
            role for g in ("embedding", "mlp") for role in GROUPS[g]
        }
        self._groups = {
            name: [k for k, t in path.tensors.items() if t.role in roles and not t.is_vector]
            for name, roles in GROUPS.items()
            if name != "matrices" or not known
        }

    def all(self, path: Trajectory) -> list[Found]:
        """From step 0 to every later state, and between neighbours."""
        pairs = {(path.start or 0, k) for k in range(1, len(path))} | {
            (k - 1, k) for k in range(1, len(path))
        }
        return [each for a, b in sorted(pairs) for each in self.between(path, a, b)]

    def between(self, path: Trajectory, a: int, b: int) -> list[Found]:
        """The ratio of every group whose prediction stands out of the noise."""
        if path.steps[a] == path.steps[b]:
            return []
        found = []
        for group in self._groups if path.steps[b] - path.steps[a] <= MAX_UPDATES else ():
            each = self._measure(path, a, b, group)
            if each.signal >= MIN_SIGNAL and each.left >= MIN_LEFT and each.moved <= MAX_MOVED:
                found.append(Found(path.steps[a], path.steps[b], group, each.ratio, self._spread))
        return found

    def reach(self, path: Trajectory, a: int, b: int) -> tuple[float, float, float]:
        """What decay leaves, the movement, and the predicted ``cos sqrt(n)``, of the group where that is largest."""
        groups = [self._measure(path, a, b, group) for group in self._groups]
        best = max(groups, key=lambda each: each.signal, default=Measured(1.0, 0.0, 1.0, 0.0))
        return best.left, best.moved, best.signal

    def predicted_cosine(self, path: Trajectory, key: str, a: int, b: int) -> float:
        """``D |W_a| / |W_b|`` of one tensor."""
        before, after = (float(np.linalg.norm(path.states[k][key])) for k in (a, b))
        return self._decay(path, key, a, b) * before / max(after, 1e-300)

    def _decay(self, path: Trajectory, key: str, a: int, b: int) -> float:
        place = (path.steps[a], path.steps[b], key)
        if place not in self._left:
            stretch = leg(self._record, path.steps[a], path.steps[b])
            found = 1.0 if stretch is None else carried(self._optimizer, path.tensors[key], stretch)
            self._left[place] = found
        return self._left[place]

    def _measure(self, path: Trajectory, a: int, b: int, group: str) -> Measured:
        """What is found of a group, its tensors taken together."""
        product = predicted = after = before = moved = 0.0
        for key in self._groups[group]:
            if key not in path.states[a] or key not in path.states[b]:
                continue
            x, y = path.states[a][key], path.states[b][key]
            left = self._decay(path, key, a, b)
            square, cross, later = (float(np.vdot(u, v)) for u, v in ((x, x), (x, y), (y, y)))
            # Weighed by decay, so that a tensor which kept little of its start says little.
            product += left * cross
            predicted += left**2 * square
            after += left**2 * square / x.size * later
            before += square
            moved += max(later - 2 * left * cross + left**2 * square, 0.0)
        if predicted <= 0 or after <= 0:
            return Measured(1.0, 0.0, 1.0, 0.0)
        # For unrelated weights the product has deviation sqrt(after), so this is the prediction over its noise.
        signal = predicted / math.sqrt(after)
        return Measured(product / predicted, signal, math.sqrt(predicted / before), math.sqrt(moved / before))


def _plants(
    rng: np.random.Generator, tries: int, record: Record, optimizer: Optimizer, path: Trajectory
) -> list[Planted]:
    path = path.lighter()
    imprint, tensors = Imprint(record, optimizer, path), dict(path.tensors)
    start, last, trial = path.start or 0, len(path) - 1, rng.spawn(1)[0]

    def worst(forged: Trajectory, *pairs: tuple[int, int]) -> float:
        found = (each.log_pvalue for a, b in pairs for each in imprint.between(forged, a, b))
        return min(found, default=0.0)

    def strength(k: int) -> float:
        return -worst(path.with_state(k, lookalike(path.states[k], tensors, trial)), (start, k), (k - 1, k))

    def seen(forged: Trajectory, *pairs: tuple[int, int]) -> bool:
        # The same correction as in the check itself.
        return worst(forged, *pairs) + math.log(2 * len(path) * len(GROUPS)) < LOG_LEVEL

    fresh, swapped, anchored, nearly = [], [], [], []
    for k in spots(range(1, last + 1), strength, tries, rng):
        other: State = lookalike(path.states[start], tensors, rng)
        fresh.append(seen(path.with_state(start, other), (start, last)))
        middle = path.with_state(k, lookalike(path.states[k], tensors, rng))
        swapped.append(seen(middle, (start, k), (k - 1, k)))
        owner = lookalike(path.states[last], tensors, rng)
        anchored.append(seen(path.with_state(last, owner), (start, last)))
        nearly.append(seen(path.with_state(last, blend(path.states[last], owner, 0.97)), (start, last)))
    return [
        count(Forgery.UNRELATED_START, fresh, variant="fresh"),
        count(Forgery.SWAPPED_MIDDLE, swapped, variant="another_model"),
        count(Forgery.ANCHORED, anchored, variant="pulled"),
        count(Forgery.ANCHORED, nearly, variant="pulled"),
    ]
