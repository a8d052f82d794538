"""Plant forgeries, count those that a check finds, and say whether nothing found is a pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jokbo.records.checks.base import Observation, Planted
from jokbo.records.forgeries import Forgery
from jokbo.views.component import Reason


def plant(
    forgery: Forgery,
    tries: int,
    rng: np.random.Generator,
    found: Callable[[np.random.Generator], bool],
    *,
    variant: str = "",
) -> Planted:
    """Plant `tries` forgeries; `found` makes one with the generator it is given, and says whether it is seen.

    Examples
    --------
    >>> plant(Forgery.SPLICED_LOG, 3, np.random.default_rng(0), lambda rng: True).found
    3
    """
    return Planted(forgery, sum(bool(found(rng)) for _ in range(tries)), tries, variant=variant)


def standing(
    planted: Sequence[Planted], *, sampled: bool, **values: int | float | str
) -> tuple[Observation, tuple[Reason, ...]]:
    """What a check that found nothing may say: it holds only where it had power, on rows that are all there.

    Parameters
    ----------
    planted : sequence of Planted
    sampled : bool
        The log is a sample of what the run wrote: what was left out cannot be vouched for.
    **values
        Of the reason ``no_power``.

    Examples
    --------
    >>> standing([Planted(Forgery.SPLICED_LOG, 59, 59)], sampled=False)
    (<Observation.HOLDS: 'holds'>, ())
    """
    if sampled:
        return Observation.UNKNOWN, (Reason("sampled"),)
    if any(row.powered for row in planted):
        return Observation.HOLDS, ()
    return Observation.UNKNOWN, (Reason("no_power", values),)
