"""How far a run of tasks is: done, failed, rate, time left."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_SECONDS = 0.001
"""A rate over less than this says nothing."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes
    ----------
    total : int
        Tasks of the plan.
    done : int
        With a result, those of earlier runs included.
    failed : int
        Without one, for good.
    resumed : int
        Of `done`, those that this run did not have to do.
    seconds : float
        Since the run began.
    tasks_per_second : float or None
        Of this run; None before its first task ends.
    seconds_left : float or None
        At that rate; None while it is not known.
    """

    total: int
    done: int
    failed: int
    resumed: int
    seconds: float
    tasks_per_second: float | None
    seconds_left: float | None


def measure(*, total: int, done: int, failed: int, resumed: int, seconds: float) -> Progress:
    """Rate and time left from counts and a clock.

    Examples
    --------
    >>> measure(total=10, done=5, failed=1, resumed=2, seconds=8.0).seconds_left
    8.0
    """
    ended = done + failed - resumed
    rate = ended / seconds if ended and seconds >= LEAST_SECONDS else None
    left = total - done - failed
    seconds_left = 0.0 if left == 0 else None if rate is None else left / rate
    return Progress(total, done, failed, resumed, seconds, rate, seconds_left)
