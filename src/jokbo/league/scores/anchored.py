"""Points on a fixed scale: 0 at the floor, 100 at the anchor, the same whoever else takes part."""

from __future__ import annotations

import numpy as np

from jokbo.errors import FormatError, UsageError
from jokbo.league.round import Event

MOST_POINTS = 1e9
"""A score beyond is a wrong unit, or a floor and an anchor that are almost the same."""


def anchored(values: np.ndarray, event: Event) -> np.ndarray:
    """Points of values in an event's own unit.

    ``100 (v - floor) / (anchor - floor)``, on the ``log`` scale the same of logarithms. Points below 0 and above 100
    are kept: cutting them would hide how far a team lies from the floor. A value is never compared with another team's.

    Parameters
    ----------
    values : numpy.ndarray, any shape, float64
        NaN and infinity (did not finish) stay NaN.

    Raises
    ------
    UsageError
        Floor and anchor are equal, or lie the wrong way round for the event's direction.
    FormatError
        A value that a logarithm cannot take, or one beyond any scale.

    Examples
    --------
    >>> from jokbo.league.round import Anchor, Event, EventKind
    >>> event = Event("kmmlu", {}, EventKind.ITEMS, (), None, 1, "", (), "higher", "linear", 0.25, Anchor(0.75))
    >>> anchored(np.array([0.25, 0.5, 0.8]), event).round(6).tolist()
    [0.0, 50.0, 110.0]
    """
    floor, top = float(event.floor), float(event.anchor.value)
    if not (top > floor if event.direction == "higher" else top < floor):
        raise UsageError(
            f"event {event.id}: floor {floor:g} and anchor {top:g} with direction {event.direction}; expected an "
            "anchor that is better than the floor."
        )
    values = np.asarray(values, np.float64)
    finite = np.isfinite(values)
    if event.scale == "log":
        least = min(floor, top, float(values[finite].min(initial=np.inf)))
        if least <= 0:
            raise FormatError(
                f"event {event.id}: {least:g} on the log scale; expected floor, anchor and values above 0. "
                "Use `scale: linear`."
            )
        points = 100 * np.log(np.where(finite, values, floor) / floor) / np.log(top / floor)
    else:
        points = 100 * (np.where(finite, values, floor) - floor) / (top - floor)
    far = np.abs(np.where(finite, points, 0.0))
    if not (far <= MOST_POINTS).all():
        odd = float(np.where(finite, values, floor).flat[int(np.nan_to_num(far, nan=np.inf).argmax())])
        raise FormatError(
            f"event {event.id}: a value of {odd:g} between the floor {floor:g} and the anchor {top:g} is more than "
            f"{MOST_POINTS:,.0f} points. Correct the value's unit, or floor and anchor."
        )
    return np.where(finite, points, np.nan)
