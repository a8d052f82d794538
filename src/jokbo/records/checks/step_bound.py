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
    the largest that the log allows (a step off by one, a step that ran twice, a bend between two rows); where there
    is no formula, stretches that begin before the first logged rate are not judged. After a restart, a rollback
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
    Measured on the record itself: 59 look-alikes each of a start, of a middle, and of a middle with permuted units,
    and 59 ends that are interpolated to as fast as the bound allows. A jump can be bridged by computed states, so
    jumps are excluded only where interpolation is, by whatever check.
    Headroom (one less the ratio) on 32 honest runs of 13 kinds: ratio .90 to .95 under AdamW, .9982 under Lion,
    .88 under Muon, .21 under SGD; forged middles and starts of such runs 1.6 to 68.

References
----------
Loshchilov and Hutter (2019), Decoupled weight decay regularization. Kosson et al. (2024), Rotational equilibrium.
"""

from __future__ import annotations

from collections.abc import Collection

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
    first_known,
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
    lookalike,
    permuted_units,
    spots,
)
from jokbo.records.record import Record
from jokbo.records.trajectory import State, Trajectory, trajectory
from jokbo.views.component import Reason

FLOAT32 = 2.0**-24
MISSED = 0.5
"""Share of the way to stolen weights that a forger cannot go without: what is left is then not those weights."""

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
    presumes = (
        (Forgery.UNRELATED_START, Forgery.INTERPOLATION),
        (Forgery.SWAPPED_MIDDLE, Forgery.INTERPOLATION),
    )

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
        first = first_known(record) or 1
        if not any(stretch.first + 1 >= first for stretch in bounds.legs):
            return unknown("no_rates", missing=["learning_rate"])
        ratios = [r if at.first + 1 >= first else None for r, at in zip(ratios, bounds.legs, strict=True)]
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

    def unreached(self, start: State, end: State, judged: Collection[int]) -> float:
        """Share of the way from one state to another, by norm, that no walk within the bounds can cover.

        In a stretch that is not judged any distance can be walked.
        """
        missed = whole = 0.0
        for key in start.keys() & end.keys():
            reach, left_of_start = 0.0, 1.0
            for k, fixed in enumerate(self._fixed):
                _, left, most = fixed[key]
                reach = left * reach + (np.inf if most is None or k not in judged else most)
                left_of_start *= left
            away = np.abs(end[key].astype(np.float64) - left_of_start * start[key])
            missed += float(np.sum(np.maximum(away - reach, 0) ** 2))
            whole += float(np.sum(away**2))
        return float(np.sqrt(missed / max(whole, 1e-300)))

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
        return strength(k, before, after) > 1

    def strength(k: int, before: State, after: State) -> float:
        # In a stretch that is not judged nothing is seen, and forgers may choose it.
        ratio = bounds.ratio(k, before, after) if k in known else None
        return 0.0 if ratio is None else ratio[0]

    def foreign(k: int) -> float:
        return strength(k, path.states[k], lookalike(path.states[k + 1], tensors, rng))

    planted = []
    middles = range(1, len(bounds.legs)) or range(1)
    swapped: list[bool] = []
    permuted: list[bool] = []
    fresh: list[bool] = []
    for k in spots(middles, foreign, context.n_plants, rng):
        swapped.append(seen(k, path.states[k], lookalike(path.states[k + 1], tensors, rng)))
        relabelled = permuted_units(path.states[k + 1], tensors, rng)
        if relabelled is not None:
            permuted.append(seen(k, path.states[k], relabelled))
        if path.start == 0 and 0 in known:
            fresh.append(seen(0, lookalike(path.states[0], tensors, rng), path.states[1]))
    planted.append(count(Forgery.SWAPPED_MIDDLE, swapped, variant="another_model"))
    if permuted:
        planted.append(count(Forgery.SWAPPED_MIDDLE, permuted, variant="relabelled"))
    if fresh:
        planted.append(count(Forgery.UNRELATED_START, fresh, variant="fresh"))
    return planted + _interpolations(context, path, bounds, known, rng)


def _interpolations(
    context: CheckContext, path: Trajectory, bounds: _Bounds, known: list[int], rng: np.random.Generator
) -> list[Planted]:
    """A forger walks towards the stolen weights as fast as the bound allows: found where they are out of reach.

    Curves and noise only make the way longer, and each is cut to what the bound allows as well.
    """
    if len(path) < 3:
        return []
    found = []
    for _ in range(context.n_plants):
        end = lookalike(path.states[-1], dict(path.tensors), rng)
        found.append(bounds.unreached(path.states[0], end, known) > MISSED)
    return [count(Forgery.INTERPOLATION, found, variant=style) for style in STYLES]
