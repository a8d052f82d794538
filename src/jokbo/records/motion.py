r"""How far the declared optimizer can carry weights between two checkpoints.

Decoupled weight decay first: over the updates of a stretch, weights shrink by
:math:`D = \prod (1 - \eta_t \lambda)` and receive updates of at most :math:`\eta_t \rho_t`. So
:math:`|W_b - D W_a| \le \sum \eta_t \rho_t`, element by element, whatever the gradients were.

Adam's :math:`\rho_t`: with :math:`m_t = (1-\beta_1) \sum_j \beta_1^j g_{t-j}` and
:math:`v_t = (1-\beta_2) \sum_j \beta_2^j g_{t-j}^2`, Cauchy-Schwarz gives

.. math:: |\hat m_t| / \sqrt{\hat v_t} \le \frac{1-\beta_1}{\sqrt{1-\beta_2}}
          \sqrt{\frac{1-q^t}{1-q}} \frac{\sqrt{1-\beta_2^t}}{1-\beta_1^t}, \quad q = \beta_1^2/\beta_2,

1 at the first update and :math:`(1-\beta_1)/\sqrt{(1-\beta_2)(1-q)}` in the end. The bias correction is
inside, so the bound holds at every update; eps in the denominator only shrinks the update. A restart
may begin the count again: from then on the largest of all counts is taken.

References
----------
Loshchilov and Hutter (2019), Decoupled weight decay regularization. Chen et al. (2023), Symbolic
discovery of optimization algorithms (Lion: updates are signs). Jordan et al. (2024), Muon.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from jokbo.errors import FormatError
from jokbo.records.checkpoints import TensorRows
from jokbo.records.declaration import EventKind, Optimizer
from jokbo.records.statistics.ledger import SLACK, band

if TYPE_CHECKING:
    from jokbo.records.record import Record

NEWTON_SCHULZ = 1.25
"""Bound on a singular value after five Newton-Schulz rounds with (3.4445, -4.7750, 2.0315).

The quintic takes its largest value on [0, 1], 1.2025, at .5545, and maps [0, 1.2025] into itself; 4 % are
for rounds in bfloat16."""

SKIPPED = 32
"""Updates that a dynamic loss scale may skip at first: it begins at 2^16 (PyTorch) or 2^32 (Megatron) and is halved."""

UNKNOWN_BETAS = (0.9, 0.999)
"""For the Adam beside Muon, whose betas are not declared: of the usual pairs the one with the largest bound."""

UNBOUNDED = 1e30
"""Where betas let an update grow without end."""

MAX_DETOUR = 1 << 24
"""Updates that rollbacks may repeat in one stretch: an array of 128 MB."""


@dataclass(frozen=True, slots=True)
class Leg:
    """The updates between two checkpoints, along the path really walked.

    Attributes
    ----------
    first, last : int
        Updates ``first + 1`` to ``last``.
    rates : ndarray
        Their learning rates, as declared or logged.
    upper : ndarray
        The largest that they can have been (a log may number them one off, and a step run twice has two).
    detour : ndarray
        Upper rates of updates that were walked on a branch later given up, and again.
    """

    first: int
    last: int
    rates: Float64[np.ndarray, " updates"]
    upper: Float64[np.ndarray, " updates"]
    detour: Float64[np.ndarray, " detour"]


def upper_rates(record: Record) -> Float64[np.ndarray, " steps"] | None:
    """Of each update the largest learning rate that it can have had; None where none is known.

    Trainers log the rate before or after they advance the schedule, and count from 0 or 1, so two neighbours on
    each side count as well; and of a step that ran more than once all logged rates do. Where no formula fills the
    steps between logged ones, a peak may lie there.
    """
    rates = record.rates
    if rates is None:
        return None
    largest = np.maximum(rates, _peaks_between(record)) if first_known(record) is not None else rates.copy()
    logged = record.log.series("learning_rate") if record.log is not None else None
    if logged is not None:
        inside = (logged.steps >= 1) & (logged.steps <= len(rates)) & np.isfinite(logged.values)
        np.maximum.at(largest, logged.steps[inside] - 1, logged.values[inside])
    return np.asarray(band(largest).high)


def first_known(record: Record) -> int | None:
    """Where there is no formula, the first update with a rate that is known from the log; else None.

    What rates were before the first logged one, nothing says: a schedule without a warm-up began higher.
    """
    from jokbo.records.schedule import scheduled_rates

    if scheduled_rates(record.declaration.schedule, record.declaration.steps) is not None:
        return None
    logged = record.log.effective("learning_rate") if record.log is not None else None
    inside = logged.steps[logged.steps >= 1] if logged is not None else np.zeros(0, dtype=np.int64)
    return max(int(inside[0]) - 1, 1) if len(inside) else record.declaration.steps + 1


def _peaks_between(record: Record) -> Float64[np.ndarray, " steps"]:
    """Largest rates of updates between logged ones, where the schedule has at most a bend between two rows.

    A warm-up that ends between two rows, and what falls from there, lie below the line through the two rows
    before, and below the line through the two rows after.
    """
    logged = record.log.effective("learning_rate") if record.log is not None else None
    place = np.arange(1, record.declaration.steps + 1, dtype=np.float64)
    if logged is None or len(logged) < 3:
        return np.zeros(len(place))
    steps, values = logged.steps.astype(np.float64), logged.values
    slopes = np.diff(values) / np.diff(steps)
    row = np.clip(np.searchsorted(steps, place, side="right") - 1, 0, len(steps) - 2)  # the row before each
    # The first interval has no line before it, the last none after it: the other one bounds them alone.
    from_before = values[row] + slopes[np.maximum(row - 1, 0)] * (place - steps[row])
    from_after = values[row + 1] - slopes[np.minimum(row + 1, len(slopes) - 1)] * (steps[row + 1] - place)
    found = np.where(row == 0, from_after, np.minimum(from_before, from_after))
    found = np.where(row == len(steps) - 2, from_before, found)
    return np.where((place >= steps[0]) & (place <= steps[-1]), found, 0.0)


def lower_rates(record: Record) -> Float64[np.ndarray, " steps"] | None:
    """Of each update the smallest learning rate that it can have had; None where none is known.

    The neighbours count as in :func:`upper_rates`, and before the first update the line through the first two:
    trainers whose schedule counts from 0 make the first update of a warm-up at rate 0, and move nothing. In float16
    the first updates of all may have been skipped, until the scale of the loss was small enough.
    """
    rates = record.rates
    if rates is None or not len(rates):
        return rates
    found = np.array(band(np.concatenate([before_first(rates), rates])).low[SLACK:])
    if scales_loss(record):
        found[:SKIPPED] = 0.0
    return found


def scales_loss(record: Record) -> bool:
    """Whether the run is declared to have computed in float16, whose range needs a dynamic loss scale."""
    hardware = record.declaration.hardware
    return hardware is not None and bool(
        re.search(r"(?<!b)(fp|float|f)_?16|half", hardware.precision.lower())
    )


def before_first(rates: Float64[np.ndarray, " steps"]) -> Float64[np.ndarray, " before"]:
    """Rates of the :data:`SLACK` updates before the first, on the line through the first two.

    Examples
    --------
    >>> before_first(np.array([3.0, 4.0, 5.0])).tolist()
    [1.0, 2.0]
    """
    slope = float(rates[min(1, len(rates) - 1)] - rates[0])
    return np.maximum(rates[0] - slope * np.arange(SLACK, 0, -1), 0.0)


def leg(record: Record, first: int, last: int) -> Leg | None:
    """The updates from one checkpoint's step to another's; None where the rates are not known."""
    rates, upper = record.rates, record.upper_rates
    if rates is None or upper is None:
        return None
    detour, walked = [np.zeros(0)], 0
    for event in record.declaration.event:
        back = event.to_step
        if event.kind is EventKind.ROLLBACK and back is not None and back < first <= event.step:
            # The earlier checkpoint may lie on the branch that was given up: out and back again.
            detour += [upper[back:first]] * 2
            walked += 2 * (first - back)
            if walked > MAX_DETOUR:
                raise FormatError(
                    f"declared rollbacks that lead back from step {first:,} walk more than {MAX_DETOUR:,} "
                    "updates twice; no run does. Correct the events of the declaration."
                )
    return Leg(first, last, rates[first:last], upper[first:last], np.concatenate(detour))


def decays(optimizer: Optimizer, tensor: TensorRows) -> bool:
    """Whether weight decay acts on a tensor."""
    return optimizer.decays == "all" or (optimizer.decays == "matrices" and not tensor.is_vector)


def shrink(optimizer: Optimizer, tensor: TensorRows, stretch: Leg) -> float:
    """What decoupled weight decay leaves of a tensor over a stretch."""
    if rule_of(optimizer, tensor) in ("sgd", "adam") or not decays(optimizer, tensor):
        return 1.0
    rates = stretch.rates * scale_of(optimizer, tensor)
    return float(np.prod(1 - np.minimum(rates * optimizer.weight_decay, 1.0)))


def carried(optimizer: Optimizer, tensor: TensorRows, stretch: Leg, *, nesterov: bool = False) -> float:
    """What any decay leaves of a tensor over a stretch: under SGD through the momentum; 0 where no factor is known.

    Which momentum SGD has (`nesterov` or the heavy ball) no declaration says.

    Decay inside Adam's gradient is divided by the root of the second moment with it, so that it moves weights by
    up to the whole rate, however small it is declared to be: no factor follows from the declaration.
    """
    rule = rule_of(optimizer, tensor)
    if rule not in ("sgd", "adam") or not decays(optimizer, tensor) or optimizer.weight_decay == 0:
        return shrink(optimizer, tensor, stretch)
    if rule == "adam":
        return 0.0
    momentum = optimizer.betas[0] if optimizer.betas else 0.0
    # Momentum starts empty, and is full of decay soon after.
    value, buffer = 1.0, 0.0 if stretch.first == 0 else optimizer.weight_decay / (1 - momentum)
    for rate in stretch.rates * scale_of(optimizer, tensor):
        buffer = momentum * buffer + optimizer.weight_decay * value
        value -= float(rate) * (optimizer.weight_decay * value + momentum * buffer if nesterov else buffer)
    return value


RULES = ("adamw", "adam", "lion", "sgd", "muon")


def is_known(optimizer: Optimizer) -> bool:
    """Whether the declaration says how weights move and decay: another word, as for rates by group, does not."""
    names = (optimizer.name.lower(), optimizer.vectors.lower())
    return names[0] in RULES and (not names[1] or names[1] in RULES)


def coupled(optimizer: Optimizer) -> bool:
    """Whether decay is inside the gradient of an Adam that trains everything."""
    return optimizer.name.lower() == "adam" and optimizer.weight_decay > 0 and optimizer.decays != "none"


def rule_of(optimizer: Optimizer, tensor: TensorRows) -> str:
    """Which optimizer moves a tensor: ``"adamw"``, ``"adam"``, ``"lion"``, ``"sgd"``, ``"muon"`` or another word."""
    name = optimizer.name.lower()
    if name != "muon" or not optimizer.vectors:
        return name
    return optimizer.vectors.lower() if tensor.is_vector or tensor.layer is None else name


def scale_of(optimizer: Optimizer, tensor: TensorRows) -> float:
    """Rate of a tensor over that of the log."""
    return optimizer.rate_scale if rule_of(optimizer, tensor) == optimizer.name.lower() else 1.0


def adam_bounds(
    betas: tuple[float, ...], first: int, last: int, *, restarted: bool = False
) -> Float64[np.ndarray, " updates"]:
    """Largest ``|m_hat| / sqrt(v_hat)`` of updates ``first + 1`` to ``last``.

    Examples
    --------
    >>> adam_bounds((0.9, 0.95), 0, 1)
    array([1.])
    >>> print(round(float(adam_bounds((0.9, 0.95), 9999, 10000)[0]), 3))
    1.165
    """
    b1, b2 = betas[0], betas[1]
    counts = np.arange(1 if restarted else first + 1, last + 1, dtype=np.float64)
    terms = series_sum(b1, b2, counts)
    found = (1 - b1) / math.sqrt(1 - b2) * np.sqrt(terms) * np.sqrt(1 - b2**counts) / (1 - b1**counts)
    if restarted:
        found = np.full(last - first, max(float(found.max()), limit_bound(betas)))
    # No bound at all, but a number: an update at rate 0 still moves nothing.
    return np.minimum(found, UNBOUNDED)


def series_sum(b1: float, b2: float, counts: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    r""":math:`\sum_{j<n} q^j` with :math:`q = b_1^2/b_2` for each n; infinite where it passes what a float holds.

    Examples
    --------
    >>> series_sum(0.5, 0.25, np.array([3.0])), series_sum(0.9, 0.0, np.array([1.0, 2.0]))
    (array([3.]), array([ 1., inf]))
    """
    if b1 == 0:
        return np.minimum(counts, 1.0)
    if b2 == 0:
        return np.where(counts > 1, np.inf, np.minimum(counts, 1.0))
    q = b1 * b1 / b2
    with np.errstate(over="ignore"):
        return np.asarray(counts if q == 1 else (1 - q**counts) / (1 - q))


def moment_bound(betas: tuple[float, float], count: int) -> float:
    """Largest ``|m| / sqrt(v)`` after so many updates, without bias correction."""
    b1, b2 = betas
    terms = float(series_sum(b1, b2, np.array([float(count)]))[0])
    return (1 - b1) / math.sqrt(1 - b2) * math.sqrt(min(max(terms, 0.0), UNBOUNDED))


def limit_bound(betas: tuple[float, ...]) -> float:
    """The same once bias correction is over; infinite where it grows without end.

    Examples
    --------
    >>> round(limit_bound((0.9, 0.999)), 2)
    7.27
    """
    b1, b2 = betas[0], betas[1]
    q = b1 * b1 / b2 if b2 > 0 else math.inf if b1 > 0 else 0.0
    return math.inf if q >= 1 else (1 - b1) / math.sqrt((1 - b2) * (1 - q))


def element_bound(record: Record, optimizer: Optimizer, tensor: TensorRows, stretch: Leg) -> float | None:
    """Largest distance from ``D W_a`` of any element of a tensor; None where the rule gives none.

    Learning rates are the upper ones, detours are counted, and roundoff is not.
    """
    rule = rule_of(optimizer, tensor)
    ways = float(stretch.upper.sum() + stretch.detour.sum())
    if rule == "lion":
        return ways
    if rule not in ("adamw", "adam"):
        return None
    betas = optimizer.betas if rule == optimizer.name.lower() and len(optimizer.betas) == 2 else UNKNOWN_BETAS
    kinds = (EventKind.RESTART, EventKind.BACKBONE_CHANGE, EventKind.ROLLBACK)
    restarted = bool(record.events(*kinds, last=stretch.last))
    bounds = adam_bounds(betas, stretch.first, stretch.last, restarted=restarted)
    most = max(float(bounds.max(initial=0.0)), limit_bound(betas)) if stretch.detour.size else 0.0
    most = min(most, UNBOUNDED)
    return float(stretch.upper @ bounds + most * stretch.detour.sum())


def spectral_bound(optimizer: Optimizer, tensor: TensorRows, stretch: Leg) -> float:
    """Largest singular value of ``W_b - D W_a`` under Muon.

    Two scales of the orthogonal update are in use, ``sqrt(max(1, rows / columns))`` and
    ``.2 sqrt(max(rows, columns))``; the declaration does not say which, so the larger counts.
    """
    rows, cols = tensor.shape
    scale = max(math.sqrt(max(1.0, rows / cols)), 0.2 * math.sqrt(max(rows, cols)))
    ways = float(stretch.upper.sum() + stretch.detour.sum())
    return NEWTON_SCHULZ * scale * optimizer.rate_scale * ways


def sgd_bound(optimizer: Optimizer, stretch: Leg) -> float | None:
    """Largest norm of ``W_b - W_a`` over all tensors together under SGD, without weight decay; None without clipping.

    The clipped gradient has at most the norm `clip`, its momentum ``clip / (1 - mu)``.
    """
    if optimizer.clip <= 0:
        return None
    momentum = optimizer.betas[0] if optimizer.betas else 0.0
    return float(stretch.upper.sum() + stretch.detour.sum()) * optimizer.clip / (1 - momentum)
