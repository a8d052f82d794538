"""Whether logged steps are all that was logged, or a sample of it.

W&B's ``Run.history()`` hands out 500 rows of any run, TensorBoard's pages 1,000 points of any curve, its
accumulators 10,000 (a reservoir: every point is equally likely to stay, so gaps are irregular). What is
computed from a sample (totals, holes, noise between neighbours) is not what the run did, so such a log is
marked, and checks that need every row say that they cannot tell.

A log that keeps every tenth row looks as one that was only written every tenth step: that is not seen, and
does no harm, since a constant stride hides nothing that a step bound or a schedule would need.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Int64

MIN_STEPS = 30
"""With fewer, gaps say nothing."""

MAX_CHANGES = 0.05
"""Share of neighbouring gaps that may differ in a log written at regular steps: restarts, phases, the end."""


def irregular(steps: Int64[np.ndarray, " n"]) -> bool:
    """Whether gaps between steps change more often than restarts and phases of a run explain.

    Two gaps of a log from which each row was dropped with probability `q` differ with probability
    ``2 q / (1 + q)`` (the gaps are geometric), so a twentieth is passed once one row in forty is dropped.

    Examples
    --------
    >>> irregular(np.arange(0, 1000, 10))
    False
    >>> irregular(np.flatnonzero(np.random.default_rng(0).random(1000) < 0.5))
    True
    """
    gaps = np.diff(np.unique(steps[steps >= 0]))
    if len(gaps) + 1 < MIN_STEPS:
        return False
    changes = int(np.count_nonzero(np.diff(gaps)))
    return changes > max(8, MAX_CHANGES * len(gaps))


def sampled_code(
    steps: Int64[np.ndarray, " n"], *, usual: Mapping[int, str] | None = None, unit_stride: bool = False
) -> str:
    """Why the steps of a series look like a sample; empty where they do not.

    Parameters
    ----------
    usual : mapping of int to str
        Sizes of samples that this format is known to be exported in, and their codes.
    unit_stride : bool
        The format counts rows, so that a sample of a usual size is one already if it skips any.
    """
    code = (usual or {}).get(len(steps), "")
    odd = irregular(steps)
    if code and (odd or (unit_stride and len(steps) > 1 and int(np.ptp(steps)) >= len(steps))):
        return code
    return "irregular_steps" if odd else ""
