"""Train a stretch again: declared windows in declared order, at the record's rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from jokbo.records.motion import before_first
from jokbo.records.replay.model import Network, Split
from jokbo.records.replay.optimizers import State, Stepper
from jokbo.records.replay.weights import Weights
from jokbo.records.statistics.ledger import SLACK

WHOLE: Split = 1 << 20
"""All sequences of a batch in one pass, as far as memory allows."""


SHAPE_MATTERS = 0.005
"""Least change of a segment's rates, beside their common scale, at which counting them otherwise is tried."""


@dataclass(frozen=True, slots=True)
class Pull:
    """A hidden objective, for forgeries planted by the audit itself: towards other weights.

    Its gradient is, parameter by parameter, the difference to `target`, scaled so that all of it together
    has `strength` times the norm of the honest gradient.
    """

    target: Mapping[str, np.ndarray]
    strength: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """Where a replay ended."""

    weights: Mapping[str, np.ndarray]
    state: State


def replay(
    stepper: Stepper,
    start: Weights,
    state: State,
    batches: Sequence[np.ndarray],
    rates: Float64[np.ndarray, " updates"],
    *,
    split: Split = WHOLE,
    pull: Pull | None = None,
    half: bool = False,
    seed: int = 0,
) -> Replayed:
    """Train from given weights and state.

    Parameters
    ----------
    stepper : Stepper
        Optimizer and network.
    start : mapping of str to ndarray
    state : State
        Not changed.
    batches : sequence of ndarray
        Windows of each update.
    rates : ndarray
        Learning rate of each.
    split : int
        Sequences of one pass: changes the order of additions and nothing else.
    pull : Pull, optional
        Plants a hidden objective.
    half : bool
        Compute gradients in mixed precision.
    seed : int
        Of dropout, where the model has any.
    """
    import torch

    network, moving = stepper.network, state.copy()
    network.fill(start)
    network.module.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for windows, rate in zip(batches, rates, strict=True):
            gradient = network.gradient(windows, split=split, half=half)
            if pull is not None:
                _add_pull(network, gradient, pull)
            stepper.apply(gradient, moving, float(rate))
    return Replayed(network.current(), moving)


def counted_otherwise(
    rates: Float64[np.ndarray, " steps"], start: int, stop: int
) -> list[Float64[np.ndarray, " updates"]]:
    """Rates of updates ``start + 1`` to `stop`: as recorded, one or two late, and one early, where these differ.

    Trainers log a rate before or after they advance the schedule, count from 0 or 1, and some begin a warm-up
    with an update at rate 0. What comes before the first rate is read off the line through the first two.

    Examples
    --------
    >>> [r.tolist() for r in counted_otherwise(np.array([1.0, 2.0, 3.0, 3.0]), 0, 2)]
    [[1.0, 2.0], [0.0, 1.0], [2.0, 3.0]]
    >>> len(counted_otherwise(np.full(9, 3.0), 0, 9))
    1
    """
    wide = np.concatenate([before_first(rates), rates, rates[-1:]])
    recorded = rates[start:stop]
    size = float(recorded @ recorded)
    found = [recorded]
    for late in (1, 2, -1):
        other = wide[start + SLACK - late : stop + SLACK - late]
        scale = float(other @ recorded) / size if size > 0 else 0.0
        if scale > 0 and float(np.sum((other - scale * recorded) ** 2)) > SHAPE_MATTERS**2 * size:
            found.append(other)
    return found


def _add_pull(network: Network, gradient: Mapping[str, Any], pull: Pull) -> None:
    import torch

    with torch.no_grad():
        towards = {n: p - torch.from_numpy(pull.target[n]) for n, p in network.parameters.items()}
        honest, hidden = _norm(gradient), _norm(towards)
        for name, g in gradient.items():
            g.add_(towards[name], alpha=pull.strength * honest / max(hidden, 1e-30))


def _norm(tensors: Mapping[str, Any]) -> float:
    return float(sum(float(t.double().square().sum()) for t in tensors.values()) ** 0.5)


def displacement(after: Weights, before: Weights, names: Sequence[str]) -> Float64[np.ndarray, " n"]:
    """Difference of weights as one vector."""
    return np.concatenate([(after[n].astype(np.float64) - before[n]).ravel() for n in names])


def cosine(a: Float64[np.ndarray, " n"], b: Float64[np.ndarray, " n"]) -> float:
    """Cosine of two vectors; 0 where one has no length."""
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale > 0 else 0.0
