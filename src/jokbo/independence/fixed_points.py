"""E2, fixed points: how many indices are their own best match?

Null
    H0, and the axis is exchangeable.
Why it is valid
    Given the models up to the reference's labels, each set of `k` indices is fixed with
    probability at most ``1 / (n)_k``; the union bound over ``C(m, k)`` sets gives the p-value,
    which enters the combination through a calibrator.
What fools it
    As E1. It has no local form; it sees a few copied units where E1 averages over all.
"""

from __future__ import annotations

import numpy as np

from jokbo.independence.base import Alignment, ClusterRow, Family, IndependenceResult, IndependenceTest
from jokbo.independence.betting import average, calibrate_log_pvalue, log_fixed_points_pvalue
from jokbo.independence.grams import AxisGrams, per_cluster
from jokbo.views.component import Component


class FixedPoints(IndependenceTest):
    """Count the units whose best match has their own number."""

    name = "fixed_points"
    code = "E2"
    family = Family.UNITS
    symmetry = "unit_permutation"
    survives = frozenset({Alignment.SAME_BASIS})


def fixed_points(
    grams: AxisGrams, *, component: Component, stage: str, rng: np.random.Generator
) -> list[IndependenceResult]:
    """Run E2 on the direct scores; nothing where the widths differ.

    Ties for the best match are broken at random by `rng`.
    """
    scores = grams.direct_scores()
    if scores is None:
        return []
    m = scores.shape[1]
    jitter = rng.permuted(np.tile(np.arange(m), (m, 1)), axis=1)
    rounded = np.round(scores, 9)
    best = rounded == rounded.max(axis=2, keepdims=True)
    chosen = np.where(best, jitter[None], -1).argmax(axis=2)
    hits = (chosen == np.arange(m)).sum(axis=1)
    log_evalues = np.array([calibrate_log_pvalue(log_fixed_points_pvalue(int(k), m, m)) for k in hits])
    shares = per_cluster(grams.clusters, hits / m)
    rows = tuple(
        ClusterRow(cluster, average(values), float(shares[cluster].max()), m)
        for cluster, values in per_cluster(grams.clusters, log_evalues).items()
    )
    return [
        IndependenceResult(
            test=FixedPoints.name,
            version=FixedPoints.version,
            component=component,
            family=Family.UNITS,
            alignment=Alignment.SAME_BASIS,
            stage=stage,
            local=False,
            rows=rows,
        )
    ]
