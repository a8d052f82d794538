"""C21, geometry: a path of training turns, one that was computed does not (soft).

Claim
    The checkpoints are states that a noisy training passed through.

Statistic
    The steps between checkpoints that lie at least ``3 / (1 - beta_1)`` updates apart, each of length one: the
    share of their squared length outside the plane that holds most of it (one minus the two largest
    eigenvalues of their Gram matrix over its trace). Beside it, straightness (distance between the ends over the
    length of the path), and the largest cosine of two steps that follow each other, over all checkpoints.

Why it is valid
    It rests on no theorem, so it is soft. Gradients of fresh batches differ, and a path that they drive
    leaves every plane: on 34 honest runs (AdamW at rates of .0003 to .03 and decays of .1 to 8, SGD, Lion, Muon;
    ramps, rollbacks, rewarming, averages, bf16 storage, a changed backbone) the share outside was .07 to .64,
    the least at the lowest rate. Checkpoints computed on a line or a parabola have none but rounding (1e-13).
    The limit of .02 lies between. Steps a few updates apart share momentum, hence the distance asked for.

What it catches
    Checkpoints interpolated between two ends, straight or curved; a single state computed between its
    neighbours (cosine above .999), unless an average is declared there.

What fools it
    Noise of a tenth of each step over a computed path leaves .1 outside, as an honest run at a low rate does: the
    bound on steps and replay are made for it. Training with a hidden pull (.54 to .58): real gradients drive it.

Power
    59 interpolations of each of the three styles between this record's own ends, the noisy ones with noise of .05 to 1
    of each step: most of these pass, so this check excludes the straight and the curved ones.

References
    Merrill et al. 2021, Effects of parameter norm growth during transformer training, for the geometry of real paths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from jokbo.records.checks.base import Check, CheckContext, CheckKind, CheckResult, Observation, unknown
from jokbo.records.declaration import EventKind, Optimizer
from jokbo.records.forgeries import Forgery
from jokbo.records.plants import STYLES, conclude, count, interpolated
from jokbo.records.record import Record
from jokbo.records.trajectory import Trajectory, trajectory
from jokbo.views.component import Reason

MIN_OUTSIDE = 0.02
MAX_COSINE = 0.999
MIN_STATES = 5
"""Four steps: three of them span more than a plane."""

MOMENTUM = 0.9
"""Where the optimizer is not declared."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a path.

    Attributes
    ----------
    outside : float
        Share of the steps' squared length outside their best plane.
    straightness : float
    collinear : tuple of int
        States that lie on the line through their neighbours.
    """

    outside: float
    straightness: float
    collinear: tuple[int, ...]

    @property
    def flat(self) -> bool:
        """Whether the whole path looks computed."""
        return self.outside < MIN_OUTSIDE


class Geometry(Check):
    """Whether the path of the checkpoints turns as training does."""

    number = 21
    name = "geometry"
    kind = CheckKind.SOFT
    catches = (Forgery.INTERPOLATION,)
    needs = ("checkpoints",)
    follows = True

    def run(self, record: Record, context: CheckContext) -> CheckResult:
        """Measure the path, and paths computed between its ends."""
        path = trajectory(record).lighter()
        spaced = spaced_states(path.steps, record.declaration.optimizer)
        if len(spaced) < MIN_STATES:
            return unknown("few_states", missing=["checkpoints"], found=len(spaced), needed=MIN_STATES)
        shape = shape_of(path, spaced)
        if shape is None:
            return unknown("nothing_shared")
        events = record.events(EventKind.AVERAGE)
        declared = [record.declaration.event[k] for k in events]
        undeclared = [
            k for k in shape.collinear if not any(e.concerns(path.steps[k], path.steps[k]) for e in declared)
        ]
        details = {"straightness": shape.straightness, "states": [path.steps[k] for k in spaced]}
        planted = [
            count(Forgery.INTERPOLATION, self._plant(path, spaced, context, record, s), variant=s)
            for s in STYLES
        ]
        if shape.flat or undeclared:
            code = "flat" if shape.flat else "collinear"
            values = {"outside": shape.outside, "straightness": shape.straightness}
            if not shape.flat:
                values = {"step": path.steps[undeclared[0]], "count": len(undeclared)}
            return CheckResult(
                Observation.VIOLATED,
                (Reason(code, values),),
                shape.outside,
                MIN_OUTSIDE,
                planted=tuple(planted),
                events=events,
                details=details,
            )
        return conclude(
            planted, statistic=shape.outside, threshold=MIN_OUTSIDE, events=events, details=details
        )

    def _plant(
        self, path: Trajectory, spaced: Sequence[int], context: CheckContext, record: Record, style: str
    ) -> list[bool]:
        """Whether each of many interpolations between the ends would have been flagged."""
        light = path.lighter(1 << 14)
        found = []
        for k in range(context.n_plants):
            rng = context.draw(record, self.name, f"{style}{k}")
            # Forgers bend the timetable: a step counts by a random power of its number.
            shares = (np.array(light.steps, dtype=np.float64) / max(light.steps[-1], 1)) ** rng.uniform(
                0.4, 1.2
            )
            # How much noise hides a computed path best is theirs to find.
            noise = rng.uniform(0.05, 1.0)
            made = interpolated(light, light.states[-1], shares, style, rng, noise=noise)
            shape = shape_of(made, spaced)
            found.append(shape is not None and (shape.flat or bool(shape.collinear)))
        return found


def spaced_states(steps: Sequence[int], optimizer: Optimizer | None) -> list[int]:
    """Indices of states at least three time constants of momentum apart, from the last one back.

    Examples
    --------
    >>> spaced_states([0, 8, 100, 200], None)
    [1, 2, 3]
    """
    beta = optimizer.betas[0] if optimizer is not None and optimizer.betas else MOMENTUM
    gap = math.ceil(3 / (1 - min(beta, 0.999)))
    chosen: list[int] = []
    for k in reversed(range(len(steps))):
        if not chosen or steps[chosen[-1]] - steps[k] >= gap:
            chosen.append(k)
    return chosen[::-1]


def shape_of(path: Trajectory, spaced: Sequence[int]) -> Shape | None:
    """The shape of a path over the tensors that all its states have; None where there are none, or it rests."""
    everywhere = [key for key in path.tensors if all(key in state for state in path.states)]
    if not everywhere:
        return None
    points = np.array(
        [np.concatenate([state[key].ravel() for key in everywhere]) for state in path.states],
        dtype=np.float64,
    )
    gram = _gram(np.diff(points[spaced], axis=0))
    if gram is None:
        return None
    values = np.linalg.eigvalsh(gram)
    length = float(np.sum(np.linalg.norm(np.diff(points[spaced], axis=0), axis=1)))
    steps = np.diff(points, axis=0)
    norms = np.linalg.norm(steps, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.sum(steps[1:] * steps[:-1], axis=1) / (norms[1:] * norms[:-1])
    return Shape(
        outside=float(max(0.0, 1 - values[-2:].sum() / values.sum())),
        straightness=float(np.linalg.norm(points[spaced[-1]] - points[spaced[0]])) / length,
        collinear=tuple(int(k) + 1 for k in np.flatnonzero(cosines > MAX_COSINE)),
    )


def _gram(steps: Float64[np.ndarray, "steps numbers"]) -> Float64[np.ndarray, "steps steps"] | None:
    norms = np.linalg.norm(steps, axis=1, keepdims=True)
    if np.count_nonzero(norms) < 2:
        return None
    unit = steps[norms[:, 0] > 0] / norms[norms[:, 0] > 0]
    found: Float64[np.ndarray, "steps steps"] = unit @ unit.T
    return found
