"""Two clocks: what the wall says, and time that has passed.

The log states the time of the wall as it is, steps included. Whatever *lasts* for a time - sessions, codes, rights of
reply on the page - is held against a steady clock: the wall's time when the server started, and what has passed since.
A clock that is set back or forth while the hearing goes on then ends nobody's session, and gives nobody a longer one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime


def passed() -> float:
    """Seconds since the machine started, those in which it slept included where the system counts them."""
    which = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(which)


@dataclass(frozen=True, slots=True)
class Clocks:
    """The clocks of a server; each call gives seconds since 1970.

    Parameters
    ----------
    wall : callable
        What the machine believes, which may step.
    elapsed : callable
        Seconds that never run backwards.

    Examples
    --------
    >>> wall, elapsed = iter([1000.0, 400.0]), iter([5.0, 7.5])
    >>> clocks = Clocks(wall=lambda: next(wall), elapsed=lambda: next(elapsed))
    >>> clocks.steady(), clocks.wall()
    (1002.5, 400.0)
    """

    wall: Callable[[], float] = time.time
    elapsed: Callable[[], float] = passed
    _start: tuple[float, float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_start", (self.wall(), self.elapsed()))

    def steady(self) -> float:
        """The wall's time at the start, and what has passed since."""
        wall, elapsed = self._start
        return wall + self.elapsed() - elapsed

    def moment(self) -> datetime:
        """The wall's time, as the log states it."""
        return datetime.fromtimestamp(self.wall(), UTC)
