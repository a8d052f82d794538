"""C17, step bound: weights move no further than the optimizer can carry them (exact).

Claim
    Between two checkpoints of the run, only the declared updates happened.
Statistic
    The largest ratio, over neighbouring checkpoints and tensors, of what moved to what can have moved:
    ``|W_b - D W_a| / (sum eta_t rho_t + roundoff)``, where D is what weight decay leaves. Elements under
    AdamW, Adam (L2 decay is part of the gradient, D = 1) and Lion (rho = 1); the largest singular value of
    each matrix under Muon (1.25 times the scale of its update); the norm of all tensors together under SGD
    with clipping. Above 1 the claim is false.
Why it is valid
    :mod:`jokbo.records.motion` derives rho, bias correction included, whatever the gradients were. Rates are
    the largest that the log allows (a step off by one, a step that ran twice); after a restart, a rollback
    or a change of backbone the largest rho of all counts is taken; steps of a branch that was given up count
    twice. Rounding of the stored type is added, and four float32 roundings an update; where weights are stored
    in 16 bits, so is half a last place an update, as if they had been trained so. With decay inside SGD's
    gradient the bound adds ``lambda ||W|| / (1 - mu)``. After a declared change of backbone the tensors that
    both have are compared.
What it catches
    Jumps: a middle or a start that is another model's. Interpolation only where it is longer than the
    optimizer could walk.
What fools it
    Anything slow: real training towards stolen weights, interpolation spread over all checkpoints.
Power
    Measured on the record itself: 59 look-alikes each of a start, of a middle, and of a middle with permuted units.
    Headroom (one less the ratio) on 32 honest runs of 13 kinds: ratio .90 to .95 under AdamW, .9982 under Lion,
    .88 under Muon, .21 under SGD; forged middles and starts of such runs 1.6 to 68.

References
----------
Loshchilov and Hutter (2019), Decoupled weight decay regularization. Kosson et al. (2024), Rotational equilibrium.
"""

from __future__ import annotations

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
from jokbo.records.motion import (
    Leg,
    decays,
    element_bound,
    leg,
    rule_of,
    scale_of,
    sgd_bound,
    shrink,
    spectral_bound,
)
from jokbo.records.plants import (
    STYLES,
    conclude,
    count,
    interpolated,
    lookalike,
    permuted_units,
    spots,
)
from jokbo.records.record import Record
from jokbo.records.trajectory import State, Trajectory, trajectory
from jokbo.views.component import Reason

FLOAT32 = 2.0**-24
POWER_ROUNDS = 12
"""Rounds of power iteration: any number of them gives a value not above the largest singular value."""

EVENTS = (EventKind.RESTART, EventKind.ROLLBACK, EventKind.BACKBONE_CHANGE)


class StepBound(Check):
    """Hold displacements against the optimizer's bound."""

    number = 17
    name = "step_bound"
    kind = CheckKind.EXACT
    catches = (Forgery.SWAPPED_MIDDLE, Forgery.UNRELATED_START, Forgery.INTERPOLATION)
    needs = ("checkpoints", "optimizer_declared", "learning_rate")
    follows = True

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Measure every stretch between neighbouring checkpoints."""
        optimizer = record.declaration.optimizer
        if optimizer is None:
            return unknown("no_optimizer", missing=["optimizer_declared"])
        path = trajectory(record)
        if len(path) < 2:
            return unknown("too_few", missing=["checkpoints"])
        legs = [leg(record, a, b) for a, b in zip(path.steps[:-1], path.steps[1:], strict=True)]
        if any(stretch is None for stretch in legs):
            return unknown("no_rates", missing=["learning_rate"])
        bounds = _Bounds(record, optimizer, path, [stretch for stretch in legs if stretch is not None])
        ratios = [bounds.ratio(k, path.states[k], path.states[k + 1]) for k in range(len(legs))]
        known = [k for k, ratio in enumerate(ratios) if ratio is not None]
        if not known:
            return unknown("unknown_optimizer", optimizer=optimizer.name)
        worst = max(known, key=lambda k: ratios[k][0] if ratios[k] is not None else 0.0)  # type: ignore[index]
        largest, tensor = ratios[worst] or (0.0, "")
        events = record.events(*EVENTS)
        details = {
            "stretches": [
                {
                    "from": path.steps[k],
                    "to": path.steps[k + 1],
                    "ratio": None if r is None else round(r[0], 4),
                }
                for k, r in enumerate(ratios)
            ]
        }
        values: dict[str, int | float | str] = {
            "ratio": round(largest, 4),
            "first": path.steps[worst],
            "last": path.steps[worst + 1],
            "tensor": tensor,
        }
        if largest > 1:
            return CheckResult(
                Observation.VIOLATED,
                (Reason("too_far", values),),
                statistic=largest,
                threshold=1.0,
                events=events,
                details=details,
            )
        return conclude(
            _plants(record, context, path, bounds, known),
            reasons=(Reason("within", values | {"headroom": round(1 - largest, 4)}),),
            statistic=largest,
            threshold=1.0,
            events=events,
            details=details,
        )


class _Bounds:
    """Ratios of a trajectory's stretches; what does not depend on the weights is computed once."""

    def __init__(self, record: Record, optimizer: Optimizer, path: Trajectory, legs: list[Leg]) -> None:
        self.optimizer, self.path, self.legs = optimizer, path, legs
        self._fixed = [
            {
                key: (
                    rule_of(optimizer, t),
                    shrink(optimizer, t, stretch),
                    element_bound(record, optimizer, t, stretch),
                )
                for key, t in path.tensors.items()
            }
            for stretch in legs
        ]

    def ratio(self, k: int, before: State, after: State) -> tuple[float, str] | None:
        """Largest ratio of one stretch and its tensor; None where no rule gives a bound."""
        stretch, found = self.legs[k], []
        squares = rounding = norm = 0.0
        for key in self.path.shared(k, k + 1):
            if key not in before or key not in after or before[key].shape != after[key].shape:
                continue
            rule, left, most = self._fixed[k][key]
            a, b = before[key].astype(np.float64), after[key].astype(np.float64)
            moved = b - left * a
            slack = self._slack(key, k, stretch, a, b)
            if most is not None:
                found.append((float(np.max(np.abs(moved) / (most + slack + 1e-300))), key))
            elif rule == "muon":
                top = spectral_bound(self.optimizer, self.path.tensors[key], stretch)
                found.append((_top(moved) / (top + float(np.linalg.norm(slack)) + 1e-300), key))
            elif rule == "sgd":
                squares += float(np.sum(moved**2))
                rounding += float(np.sum(slack**2))
                decayed = decays(self.optimizer, self.path.tensors[key])
                norm += float(max(np.sum(a**2), np.sum(b**2))) if decayed else 0.0
        bound = sgd_bound(self.optimizer, stretch) if squares else None
        if bound is not None:
            # Decay is part of SGD's gradient; the norm on the way is at most the ends' and what was walked.
            momentum = self.optimizer.betas[0] if self.optimizer.betas else 0.0
            ways = float(stretch.upper.sum() + stretch.detour.sum()) / (1 - momentum)
            extra = self.optimizer.weight_decay * ways
            bound = (bound + extra * np.sqrt(norm)) / max(1 - extra, 1e-3)
            found.append((float(np.sqrt(squares) / (bound + np.sqrt(rounding) + 1e-300)), ""))
        return max(found) if found else None

    def _slack(self, key: str, k: int, stretch: Leg, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Rounding, and decay that the log's rates do not settle."""
        first, last = self.path.roundoff(key, k), self.path.roundoff(key, k + 1)
        updates = len(stretch.rates) + len(stretch.detour)
        each = 4 * FLOAT32 + (max(first, last) / 2 if max(first, last) > FLOAT32 else 0.0)
        size = np.maximum(np.abs(a), np.abs(b))
        tensor = self.path.tensors[key]
        unsure = 0.0
        if decays(self.optimizer, tensor):
            gap = float((stretch.upper - stretch.rates).sum()) * scale_of(self.optimizer, tensor)
            unsure = self.optimizer.weight_decay * gap
        return np.asarray((first + last + updates * each + unsure) * size)


def _top(matrix: np.ndarray) -> float:
    """The largest singular value, from below: an estimate that is never too large."""
    if min(matrix.shape) <= 256:
        return float(np.linalg.svd(matrix, compute_uv=False)[0])
    vector = matrix.T @ matrix[int(np.argmax(np.sum(matrix**2, axis=1)))]
    for _ in range(POWER_ROUNDS):
        vector = vector / max(float(np.linalg.norm(vector)), 1e-300)
        image = matrix @ vector
        vector = matrix.T @ image
    return float(np.linalg.norm(image))


def _plants(
    record: Record, context: CheckContext, path: Trajectory, bounds: _Bounds, known: list[int]
) -> list[Planted]:
    rng = context.draw(record, StepBound.name, "plants")
    path = path.lighter(1 << 18)
    bounds = _Bounds(record, bounds.optimizer, path, bounds.legs)
    tensors = dict(path.tensors)

    def seen(k: int, before: State, after: State) -> bool:
        ratio = bounds.ratio(k, before, after)
        return ratio is not None and ratio[0] > 1

    planted = []
    middles = [k for k in known if k > 0] or known
    swapped: list[bool] = []
    permuted: list[bool] = []
    fresh: list[bool] = []

    def strength(k: int) -> float:
        ratio = bounds.ratio(k, path.states[k], lookalike(path.states[k + 1], tensors, rng))
        return 0.0 if ratio is None else ratio[0]

    for k in spots(middles, strength, context.n_plants, rng):
        swapped.append(seen(k, path.states[k], lookalike(path.states[k + 1], tensors, rng)))
        relabelled = permuted_units(path.states[k + 1], tensors, rng)
        if relabelled is not None:
            permuted.append(seen(k, path.states[k], relabelled))
        if path.start == 0:
            fresh.append(seen(0, lookalike(path.states[0], tensors, rng), path.states[1]))
    planted.append(count(Forgery.SWAPPED_MIDDLE, swapped, variant="another_model"))
    if permuted:
        planted.append(count(Forgery.SWAPPED_MIDDLE, permuted, variant="relabelled"))
    if fresh:
        planted.append(count(Forgery.UNRELATED_START, fresh, variant="fresh"))
    return planted + _interpolations(context, path, bounds, rng)


def _interpolations(
    context: CheckContext, path: Trajectory, bounds: _Bounds, rng: np.random.Generator
) -> list[Planted]:
    """A forger paces the checkpoints by what the optimizer can walk."""
    if len(path) < 3:
        return []
    ways = np.cumsum([0.0, *(float(stretch.upper.sum()) for stretch in bounds.legs)])
    shares = ways / max(float(ways[-1]), 1e-300)
    planted = []
    for style in STYLES:
        found = []
        for _ in range(context.n_plants):
            end = lookalike(path.states[-1], dict(path.tensors), rng)
            forged = interpolated(path, end, shares, style, rng)
            ratios = (
                bounds.ratio(k, forged.states[k], forged.states[k + 1])
                for k in reversed(range(len(bounds.legs)))
            )
            found.append(any(ratio is not None and ratio[0] > 1 for ratio in ratios))
        planted.append(count(Forgery.INTERPOLATION, found, variant=style))
    return planted
