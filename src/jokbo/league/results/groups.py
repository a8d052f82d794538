"""What the mean that a file states of a group of tasks is: of all items, of all tasks, or neither."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from jokbo.league.results.base import Published
from jokbo.league.results.rows import TOLERANCE
from jokbo.views.component import Reason


def mean_notes(
    group: str, stated: Published, values: np.ndarray, sizes: np.ndarray, errors: Sequence[float | None]
) -> Iterator[Reason]:
    """Name what a stated group mean is, and an error that does not belong to it.

    Parameters
    ----------
    values, sizes : numpy.ndarray, shape (tasks,)
        Means and numbers of items of the tasks in the group.
    errors : sequence of (float or None)
        Their standard errors as stated; empty where a tool computes none for groups.

    Examples
    --------
    >>> stated = Published("acc", 0.5, None)
    >>> [note.code for note in mean_notes("g", stated, np.array([0.25, 0.75]), np.array([10, 30]), [])]
    ['group_mean_macro']
    """
    if sizes.sum() <= 0:
        return
    micro, macro = float(values @ sizes / sizes.sum()), float(values.mean())
    same = {
        kind: abs(stated.value - mean) <= TOLERANCE for kind, mean in (("micro", micro), ("macro", macro))
    }
    facts: dict[str, int | float | str] = {
        "group": group, "metric": stated.metric, "published": stated.value, "micro": micro, "macro": macro,
    }  # fmt: skip
    if not any(same.values()):
        yield Reason("group_mean_neither", facts)
    elif not all(same.values()):
        yield Reason("group_mean_micro" if same["micro"] else "group_mean_macro", facts)
    if stated.standard_error is None or not errors or None in errors:
        return
    known = np.array(errors, np.float64)
    # Both formulas are the harness's own: pooled_sample_stderr and unweighted_mean_stderr of lm_eval/api/metrics.py.
    pooled = math.sqrt(
        float(((sizes - 1) * sizes) @ known**2) / max(1.0, sizes.sum() - len(sizes)) / sizes.sum()
    )
    plain = math.sqrt(float(known @ known)) / len(known)
    wanted = pooled if same["micro"] else plain
    if abs(stated.standard_error - wanted) > TOLERANCE:
        yield Reason(
            "group_error_other",
            {"group": group, "metric": stated.metric, "published": stated.standard_error, "expected": wanted},
        )
