"""What time stamps say of a chain: whether links were written while the training that they describe went on.

Pure: time stamps verified elsewhere, the log's clock, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

MAX_LAG_SHARE = 0.1
"""Of the run's duration: a link stamped later than that after its step was not written at its time."""

MAX_GAP_SHARE = 0.25
"""Of the run's steps: a stretch this long without a supported link could have been written afterwards."""

MAX_EARLY_SECONDS = 86_400.0
"""A time stamp this long before the log's own time of its step contradicts the log, whatever the time zone."""


@dataclass(frozen=True, slots=True)
class Clock:
    """When the log says that updates were made.

    Attributes
    ----------
    steps : ndarray of int64
        Of every row with a time, in the log's order.
    times : ndarray of float64
        Unix seconds.
    """

    steps: Int64[np.ndarray, " rows"]
    times: Float64[np.ndarray, " rows"]

    @property
    def duration(self) -> float:
        """Seconds from the first time to the last."""
        return float(self.times.max() - self.times.min()) if self.times.size else 0.0

    def at(self, step: int) -> tuple[float, ...]:
        """Every time at which the run stood at a step: more than one after a rollback.

        Steps between logged ones take the next row that is as far.
        """
        if step <= int(self.steps.min()):
            return (float(self.times.min()),)
        reached = np.flatnonzero((self.steps >= step) & (np.r_[-1, self.steps[:-1]] < step))
        if reached.size == 0:
            return (float(self.times.max()),)
        return tuple(float(time) for time in self.times[reached])


@dataclass(frozen=True, slots=True)
class Support:
    """Links that an independent clock supports.

    Attributes
    ----------
    supported : int
        Links stamped within the allowed lag after their step.
    stamped : int
    gap : float
        Longest stretch of steps without a supported link, as a share of all.
    early : tuple of int
        Links stamped long before the log says that their step was made.
    """

    supported: int
    stamped: int
    gap: float
    early: tuple[int, ...]

    @property
    def contemporary(self) -> bool:
        """Whether the chain was written along with the training, as far as the clock tells."""
        return self.gap <= MAX_GAP_SHARE and not self.early


def find_support(
    steps: Int64[np.ndarray, " links"],
    stamps: Float64[np.ndarray, " links"],
    clock: Clock,
    total: int,
) -> Support:
    """Hold time stamps against the log's clock.

    Parameters
    ----------
    steps : ndarray of int64
        Of the links that have a verified time stamp.
    stamps : ndarray of float64
        Their times, Unix seconds.
    clock : Clock
    total : int
        Steps of the run.
    """
    lags = nearest_lags(steps, stamps, clock)
    good = supported(lags, clock)
    early = tuple(int(k) for k in np.flatnonzero(lags < -MAX_EARLY_SECONDS))
    return Support(int(good.sum()), len(steps), longest_gap(steps[good], total), early)


def nearest_lags(
    steps: Int64[np.ndarray, " links"], stamps: Float64[np.ndarray, " links"], clock: Clock
) -> Float64[np.ndarray, " links"]:
    """Seconds from the nearest time at which the log stood at a link's step to its time stamp."""
    known: Mapping[int, tuple[float, ...]] = {int(s): clock.at(int(s)) for s in set(steps.tolist())}
    lags = [
        min((stamp - time for time in known[int(step)]), key=abs)
        for step, stamp in zip(steps, stamps, strict=True)
    ]
    return np.array(lags, dtype=np.float64)


def supported(lags: Float64[np.ndarray, " links"], clock: Clock) -> Bool[np.ndarray, " links"]:
    """Links stamped soon enough after their step; a second is what time stamps resolve."""
    allowed = max(MAX_LAG_SHARE * clock.duration, 1.0)
    return (lags >= -MAX_EARLY_SECONDS) & (lags <= allowed)


def longest_gap(steps: Int64[np.ndarray, " links"], total: int) -> float:
    """Longest stretch between steps, both ends of the run counted, as a share of all steps.

    Examples
    --------
    >>> longest_gap(np.array([0, 50, 100]), 100)
    0.5
    """
    places = np.r_[0, np.sort(np.clip(steps, 0, total)), total]
    return float(np.diff(places).max() / max(total, 1))


def backfill(
    steps: Int64[np.ndarray, " links"],
    stamps: Float64[np.ndarray, " links"],
    clock: Clock,
    total: int,
    rng: np.random.Generator,
) -> Float64[np.ndarray, " links"]:
    """Time stamps of a chain of which at least the later half was written when the run was over.

    The forger holds the key and may sign what he likes; what he cannot have is a time stamp of the past.
    """
    begin = rng.integers(0, max(total // 2, 1))
    end = float(clock.times.max()) + clock.duration * rng.uniform(0.11, 2.0)
    return np.where(steps > begin, np.maximum(stamps, end), stamps)
