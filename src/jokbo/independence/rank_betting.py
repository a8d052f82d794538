"""E1, rank betting: does an index of the reference find itself in the candidate?

Null
    H0, and the axis is exchangeable: relabelling it gives an equally likely model.
Why the e-value is valid
    Given everything but the reference's labels, those are a uniformly random
    bijection, so at each visit the rank of the true index among the unused ones is
    uniform; :func:`~jokbo.independence.betting.rank_bets` multiplies bets of mean one.
What fools it
    Index structure shared by both models (sorted or tiled units), which E0 looks for
    and the *local* form is immune to where it is coarser than a neighbourhood: there candidates and
    anchors are of one block and blocks, which tiles make copies of one another, are averaged.
    And an accuser who reorders its own units, which the verdict's cosine guard answers.
    Erased by permuting the axis.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from jokbo.independence.base import Alignment, Family, IndependenceResult, IndependenceTest
from jokbo.independence.betting import count_anchored_ranks, count_ranks, rank_bets
from jokbo.independence.grams import AxisGrams, cluster_rows
from jokbo.views.component import Component

LOCAL_BLOCK = 16
"""Neighbouring indices compared with one another, and with nothing else, by the local form."""


class RankBetting(IndependenceTest):
    """Rank betting on the unit axis, directly or on anchored Gram matrices."""

    name = "rank_betting"
    code = "E1"
    family = Family.UNITS
    symmetry = "unit_permutation"
    survives = frozenset({Alignment.SAME_BASIS, Alignment.ROTATED})


def rank_betting(
    grams: AxisGrams,
    *,
    component: Component,
    stage: str,
    order: Int[np.ndarray, " m"],
    family: Family = Family.UNITS,
) -> list[IndependenceResult]:
    """Run the direct, the anchored and both local forms.

    Parameters
    ----------
    grams : AxisGrams
    component : Component
    stage : str
        Where the rows came from.
    order : array (m,)
        Order of visits: a permutation drawn from a seed that no model's maker controls alone.
    family : Family
        Units, or channels when the axis is the residual stream.

    Returns
    -------
    list of IndependenceResult
        Direct results are missing where the widths differ.
    """
    scores = grams.direct_scores()
    reference, candidate = grams.gram_stacks()
    results = []
    for block in (None, LOCAL_BLOCK):
        # Neighbours are neighbours on the axis of the model, not in the list of rows kept.
        labels = None if block is None else _neighbourhoods(grams.index, block)
        blocks = None if labels is None else labels[order]
        if scores is not None:
            counts = count_ranks(scores, order, labels=labels)
            log_evalues = rank_bets(*counts, blocks=blocks)
            results.append((Alignment.SAME_BASIS, block, "direct", log_evalues, _direct_effect(grams)))
        counts = count_anchored_ranks(reference, candidate, order, labels=labels)
        turned = (
            family is Family.UNITS
        )  # anchors on the channel axis undo a relabelling of rows, not a rotation
        effects = gram_effect(reference, candidate) if turned or scores is None else _direct_effect(grams)
        alignment = Alignment.ROTATED if turned else Alignment.SAME_BASIS
        results.append((alignment, block, "anchored", rank_bets(*counts, blocks=blocks), effects))
    return [
        IndependenceResult(
            test=RankBetting.name,
            version=RankBetting.version,
            component=component,
            family=family,
            alignment=alignment,
            stage=stage,
            local=block is not None,
            rows=cluster_rows(grams.clusters, log_evalues, effects, len(order)),
            parameters={"score": score, "block": block or 0},
        )
        for alignment, block, score, log_evalues, effects in results
    ]


def _neighbourhoods(index: Int[np.ndarray, " m"], block: int) -> Int[np.ndarray, " m"]:
    return (index - index.min()) // block


def _direct_effect(grams: AxisGrams) -> np.ndarray:
    """Mean cosine of the paired rows of the first tensor, which no unit flip changes."""
    assert grams.cross is not None
    first = next(iter(grams.cross.values()))
    return np.diagonal(first, axis1=1, axis2=2).mean(axis=1)


def gram_effect(reference: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Cosine of rows that Gram matrices correlated this well imply: G_B = c^2 G_A + noise."""
    m = reference.shape[1]
    above = np.triu_indices(m, 1)
    a, b = reference[:, above[0], above[1]], candidate[:, above[0], above[1]]
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlation = np.divide((a * b).sum(axis=1), scale, out=np.zeros(len(a)), where=scale > 0)
    return np.sqrt(np.maximum(correlation, 0))
