r"""E11, anchored signs: do the cosines among one model's rows have the signs that the other's have?

Null
    H0, and a row may change its sign (with the column that reads it) without changing the model: up rows of gated
    MLPs, value rows of attention. A flip of row `i` changes the sign of every cosine of `i` with others.
Why the e-value is valid
    Rows are visited one after another; those visited are anchors. The coin of row `i` is
    ``t_i = sum over past t of G_A(i, t) G_B(i, t)``, `G` the cosine Gram matrices. Given everything but the flip of
    row `i` of the reference, the flips of its anchors included, ``t_i`` is as likely as ``-t_i``. So
    ``exp(s t_i) / cosh(s t_i)`` has mean one whatever happened before, and the product is a martingale, if the stake
    `s` depends on no flip: it is a multiple of ``1 / sqrt(W)``, `W` the sum of all ``(G_A(i, t) G_B(i, t))^2``. The
    e-value is the mean over stakes. No order is compared, so sorted or tiled units do no harm unless they repeat rows.
What fools it
    Rows that repeat others, which E0(c) looks for; repeated rows are left out. An accuser who flips its own rows until
    the signs agree: the verdict counts no cosine seen here, so such evidence alone is a lead and no finding.
    Erased by flipping rows at random. It sees Gram matrices alone and so survives every rotation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from jokbo.independence.base import Alignment, Cluster, Family, IndependenceResult, IndependenceTest
from jokbo.independence.betting import COIN_STAKES
from jokbo.independence.grams import cluster_rows
from jokbo.views.component import Component

AT_ONCE = 512
"""Pairs of Gram matrices held in memory."""


class AnchoredSigns(IndependenceTest):
    """Coins on the signs of Gram matrices."""

    name = "anchored_signs"
    code = "E11"
    family = Family.SIGNS
    symmetry = "unit_sign"
    survives = frozenset({Alignment.SAME_BASIS, Alignment.ROTATED})


def anchored_coin_bets(
    reference: Float[np.ndarray, "*pairs m m"],
    candidate: Float[np.ndarray, "*pairs m m"],
    order: Int[np.ndarray, " m"],
) -> Float[np.ndarray, "*pairs"]:
    """Natural log e-values of pairs of Gram matrices.

    Parameters
    ----------
    reference, candidate : arrays (..., m, m)
    order : array (m,)
        Order of visits.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(2, 64, 200))
    >>> a, b = rows @ rows.transpose(0, 2, 1) / 200
    >>> same, other = (float(anchored_coin_bets(a, g, np.arange(64)) / np.log(10)) for g in (a, b))
    >>> round(same), bool(other < 3)
    (18, True)
    """
    products = (reference * candidate)[..., order[:, None], order[None, :]]
    past = np.tril(products, -1)
    coins = past.sum(axis=-1)
    size = np.sqrt((past**2).sum(axis=(-2, -1)))[..., None]
    unit = np.divide(coins, size, out=np.zeros_like(coins), where=size > 0)
    wealth = []
    for stake in COIN_STAKES:
        lean = np.abs(stake * unit)
        # Dependence agrees: a bet on signs that are opposite throughout would be lost money.
        wealth.append((stake * unit - lean - np.log1p(np.exp(-2 * lean)) + math.log(2)).sum(axis=-1))
    return np.asarray(np.logaddexp.reduce(np.stack(wealth), axis=0) - math.log(len(wealth)))


def anchored_signs(
    reference: Float[np.ndarray, "blocks m m"],
    candidate: Float[np.ndarray, "others m m"],
    pairs: Int[np.ndarray, "pairs 2"],
    clusters: Sequence[Cluster],
    *,
    component: Component,
    stage: str,
    order: Int[np.ndarray, " m"],
    family: Family,
    matching: str = "number",
) -> IndependenceResult:
    """Run E11 on pairs of blocks.

    Parameters
    ----------
    reference, candidate : arrays (blocks, m, m)
        Cosine Gram matrices of rows whose signs are free.
    pairs : array (pairs, 2)
        Which block of the reference meets which of the candidate.
    clusters : sequence of Cluster
        One a pair.
    order : array (m,)
    family : Family
        Signs of units or of attention.
    matching : str
        Which blocks were paired: those of the same ``number``, or all (``layer_grid``).
    """
    logs, effects = np.empty(len(pairs)), np.empty(len(pairs))
    for start in range(0, len(pairs), AT_ONCE):
        use = slice(start, start + AT_ONCE)
        both = reference[pairs[use, 0]], candidate[pairs[use, 1]]
        logs[use], effects[use] = anchored_coin_bets(*both, order), gram_agreement(*both)
    return IndependenceResult(
        test=AnchoredSigns.name,
        version=AnchoredSigns.version,
        component=component,
        family=family,
        alignment=Alignment.ROTATED,
        stage=stage,
        local=False,
        rows=cluster_rows(tuple(clusters), logs, effects, len(order)),
        parameters={"coins": "anchored", "matching": matching},
    )


def gram_agreement(
    reference: Float[np.ndarray, "pairs m m"], candidate: Float[np.ndarray, "pairs m m"]
) -> Float[np.ndarray, " pairs"]:
    """Cosine of rows that Gram matrices agreeing this well imply: ``G_B = c^2 G_A + noise``."""
    above = np.triu_indices(reference.shape[1], 1)
    a, b = reference[:, above[0], above[1]], candidate[:, above[0], above[1]]
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    correlation = np.divide((a * b).sum(axis=1), size, out=np.zeros(len(a)), where=size > 0)
    return np.sqrt(np.maximum(correlation, 0))
