"""Forgeries of weights, planted into the record's own checkpoints.

Stand-ins for weights that came from elsewhere are made of the record's own: rows and columns of every
matrix in a random order and columns with random signs. Such a model has exactly the norms, the spectra
and the values of the one it was made of, and shares no direction with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from jokbo.records.checkpoints import TensorRows
from jokbo.records.checks.base import CheckResult, Observation, Planted
from jokbo.records.forgeries import Forgery
from jokbo.records.trajectory import State, Trajectory
from jokbo.views.component import Reason

ROWS_OF_UNITS = ("ffn_gate", "ffn_up")
COLUMNS_OF_UNITS = ("ffn_down",)
STYLES = ("straight", "curved", "noisy")


def lookalike(state: State, tensors: dict[str, TensorRows], rng: np.random.Generator) -> State:
    """A model that shares nothing with `state` and has its norms, spectra and values, tensor by tensor."""
    found = {}
    for key, values in state.items():
        rows, cols = values.shape
        made = values[rng.permutation(rows)]
        if not tensors[key].is_vector:
            made = made[:, rng.permutation(cols)] * rng.choice(np.array([-1, 1], dtype=np.float32), cols)
        found[key] = np.ascontiguousarray(made, dtype=np.float32)
    return found


def permuted_units(state: State, tensors: dict[str, TensorRows], rng: np.random.Generator) -> State | None:
    """The same function with its MLP units in another order; None where no MLP is known.

    Of a sampled tensor the rows that were read are permuted among themselves.
    """
    orders: dict[tuple[int | None, int], np.ndarray] = {}
    found = dict(state)
    for key, values in state.items():
        tensor = tensors[key]
        axis = 0 if tensor.role in ROWS_OF_UNITS else 1 if tensor.role in COLUMNS_OF_UNITS else None
        if axis is None or tensor.is_vector:
            continue
        place = (tensor.layer, values.shape[axis])
        order = orders.setdefault(place, rng.permutation(values.shape[axis]))
        found[key] = np.ascontiguousarray(np.take(values, order, axis=axis))
    return found if orders else None


def blend(a: State, b: State, share: float) -> State:
    """``(1 - share) a + share b``, over the tensors that both have."""
    return {
        key: np.asarray((1 - share) * values + share * b[key], dtype=np.float32)
        for key, values in a.items()
        if key in b and b[key].shape == values.shape
    }


def interpolated(
    path: Trajectory,
    end: State,
    shares: Float64[np.ndarray, " states"],
    style: str,
    rng: np.random.Generator,
    *,
    noise: float = 0.1,
) -> Trajectory:
    """Every state but the first computed between the first one and `end`.

    Parameters
    ----------
    path : Trajectory
    end : State
    shares : ndarray
        Share of the way that each state has gone, 0 for the first and 1 for the last.
    style : str
        ``"straight"``; ``"curved"``, a parabola through a third model; ``"noisy"``, each state with noise of its own.
    noise : float
        Size of that noise over the step to the state.
    """
    start = path.states[0]
    third = lookalike(end, dict(path.tensors), rng)
    made: list[State] = []
    for k, share in enumerate(shares):
        state = blend(start, end, float(share))
        if style == "curved":
            state = _add(state, third, start, 0.5 * float(share * (1 - share)))
        elif style == "noisy" and 0 < k < len(shares) - 1:
            state = _shaken(state, made[-1], noise, rng)
        made.append(state)
    return path.with_states(dict(enumerate(made)))


def _add(state: State, third: State, start: State, weight: float) -> State:
    return {
        key: np.asarray(values + weight * (third[key] - start[key]), dtype=np.float32)
        for key, values in state.items()
        if key in third
    }


def _shaken(state: State, before: State, share: float, rng: np.random.Generator) -> State:
    found = {}
    for key, values in state.items():
        size = share * float(np.sqrt(np.mean((values - before[key]) ** 2)))
        noise = rng.standard_normal(values.shape, dtype=np.float32)
        found[key] = np.asarray(values + size * noise, dtype=np.float32)
    return found


def trained_start(
    start: State, trained: State, noise: float, deviations: Mapping[str, float], rng: np.random.Generator
) -> State:
    """A trained model posing as step 0: its matrices at the declared deviation, gains and biases as they begin.

    Parameters
    ----------
    start, trained : State
    noise : float
        Share of the variance that is fresh noise.
    deviations : mapping of str to float
        Declared deviation of each matrix; other tensors are those of the true start.
    """
    found = dict(start)
    for key, deviation in deviations.items():
        if key not in trained or key not in start or trained[key].shape != start[key].shape:
            continue
        values = trained[key] / max(float(np.sqrt(np.mean(trained[key] ** 2))), 1e-300)
        fresh = rng.standard_normal(values.shape, dtype=np.float32)
        mixed = np.sqrt(1 - noise) * values + np.sqrt(noise) * fresh
        found[key] = np.asarray(deviation * mixed, dtype=np.float32)
    return found


def spots(
    places: Sequence[int], strength: Callable[[int], float], tries: int, rng: np.random.Generator
) -> list[int]:
    """Where plants go: every other one to the place where a plant shows least, since a forger would go there.

    Drawn evenly, a hundred strong places would hide one weak one.

    Parameters
    ----------
    places : sequence of int
    strength : callable
        How plainly a plant at a place shows; larger is plainer.
    tries : int
    rng : Generator

    Examples
    --------
    >>> spots([3, 5, 8], lambda place: abs(place - 5), 4, np.random.default_rng(0))[::2]
    [5, 5]
    """
    weakest = min(places, key=strength)
    return [weakest if k % 2 == 0 else int(rng.choice(places)) for k in range(tries)]


def count(forgery: Forgery, found: Sequence[bool], *, variant: str = "", costly: bool = False) -> Planted:
    """How many of the plants were found."""
    return Planted(forgery, sum(map(bool, found)), len(found), costly, variant)


def conclude(
    planted: Sequence[Planted],
    *,
    statistic: float | None = None,
    threshold: float | None = None,
    log_pvalue: float | None = None,
    reasons: Sequence[Reason] = (),
    events: Sequence[int] = (),
    details: Mapping[str, object] | None = None,
) -> CheckResult:
    """A result for a record in which nothing was found: it holds where plants of some kind would have been.

    Without power it says that nothing can be told, and keeps the plants.
    """
    powered = {(p.forgery, p.variant) for p in planted} - {
        (p.forgery, p.variant) for p in planted if not p.powered
    }
    kept = tuple(reasons) if powered else (*reasons, Reason("no_power", {}))
    return CheckResult(
        Observation.HOLDS if powered else Observation.UNKNOWN,
        kept,
        statistic=statistic,
        threshold=threshold,
        log_pvalue=log_pvalue,
        planted=tuple(planted),
        events=tuple(events),
        details=details or {},
    )
