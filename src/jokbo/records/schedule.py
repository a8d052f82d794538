"""Learning rates that a declaration gives by formula."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float64

from jokbo.records.declaration import Schedule

Part = Callable[[np.ndarray], np.ndarray]
"""Share of the way from the peak down to the final rate, over progress 0 to 1."""

_SHAPES: Mapping[str, Part] = {
    "constant": np.zeros_like,
    "linear": lambda t: t,
    "cosine": lambda t: 0.5 * (1 - np.cos(np.pi * t)),
}

KINDS = (*_SHAPES, "wsd", "logged")


def scheduled_rates(schedule: Schedule | None, steps: int) -> Float64[np.ndarray, " steps"] | None:
    """Learning rate of update 1, 2, ..., `steps`; None where there is no formula.

    Examples
    --------
    >>> scheduled_rates(Schedule("linear", peak=1.0, warmup_steps=2, total_steps=4), 4)
    array([0.5, 1. , 0.5, 0. ])
    """
    if schedule is None or schedule.kind not in KINDS or schedule.kind == "logged":
        return None
    place = np.arange(1, steps + 1, dtype=np.float64)
    warm, total = schedule.warmup_steps, max(schedule.total_steps, schedule.warmup_steps + 1)
    if schedule.kind == "wsd":
        begin = total - max(schedule.decay_steps, 1)
        down = np.clip((place - begin) / max(schedule.decay_steps, 1), 0, 1)
    else:
        down = _SHAPES[schedule.kind](np.clip((place - warm) / (total - warm), 0, 1))
    rates = schedule.peak * (1 - (1 - schedule.final) * down)
    return np.where(place <= warm, schedule.peak * place / max(warm, 1), rates) if warm else rates
