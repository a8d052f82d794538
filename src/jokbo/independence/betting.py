"""E-values by betting: the arithmetic that every exact test shares.

An e-value is a non-negative statistic with mean at most one under the null
hypothesis, so that ``P(E >= 1/alpha) <= alpha`` by Markov's inequality. All
functions work on natural logarithms, because evidence of 1e300 is ordinary here,
and on stacks: the leading axis counts layers, which are tested all at once.

References
----------
.. [1] V. Vovk, A. Gammerman, G. Shafer, *Algorithmic Learning in a Random World*,
   2nd ed., 2022, ch. 8 (conformal test martingales).
.. [2] G. Shafer, "Testing by betting", JRSS A 184 (2021).
.. [3] V. Vovk, R. Wang, "E-values: calibration, combination and applications",
   Annals of Statistics 49 (2021).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

BET_POWERS = (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85)
"""The grid of `k` in :func:`rank_bets`: small values bet boldly on the first rank."""

COIN_STAKES = tuple(2.0**power for power in range(-1, 9))
"""Stakes ``.5, 1, 2, ..., 256`` in units of ``1 / sqrt(sum t^2)``, taken with both signs."""

MIXTURE_SHARES = (0.25, 0.5, 1.0)
"""Shares `w` of dependent clusters that :func:`combine_clusters` mixes over, beside ``1 / L``."""


def count_ranks(
    scores: Float[np.ndarray, "layers m m"],
    order: Int[np.ndarray, " m"],
    *,
    labels: Int[np.ndarray, " m"] | None = None,
) -> tuple[Int[np.ndarray, "layers m"], Int[np.ndarray, "layers m"], Int[np.ndarray, " m"]]:
    """Rank the true index among those not yet used, visit by visit.

    Parameters
    ----------
    scores : array (layers, m, m)
        ``scores[l, i, j]``: how well candidate index `j` of the reference suits index `i` of
        the candidate model. The true partner of `i` is `i`.
    order : array (m,)
        The order of visits, a permutation.
    labels : array (m,), optional
        Compare only indices of equal label: the local form, with blocks of neighbours.

    Returns
    -------
    better, tied : arrays (layers, m)
        How many unused indices score strictly better than the true one at each
        visit, and how many score the same, the true one included.
    candidates : array (m,)
        How many indices were unused.
    """
    eligible = np.triu(np.ones((len(order), len(order)), dtype=bool))
    if labels is not None:
        eligible &= labels[order][:, None] == labels[order][None, :]
    visited = scores[:, order[:, None], order[None, :]]
    return (*_compare(visited, eligible), eligible.sum(axis=1))


def count_anchored_ranks(
    reference_gram: Float[np.ndarray, "layers m m"],
    candidate_gram: Float[np.ndarray, "layers m m"],
    order: Int[np.ndarray, " m"],
    *,
    labels: Int[np.ndarray, " m"] | None = None,
) -> tuple[Int[np.ndarray, "layers m"], Int[np.ndarray, "layers m"], Int[np.ndarray, " m"]]:
    """Rank the true index by how its Gram row agrees on the indices already visited.

    The score of candidate `j` at visit `i` is ``sum over past t of (G_B(i, t) - mean)
    G_A(j, t)``. A Gram matrix of rows does not see a rotation, a permutation or signs
    of the columns, so neither does this test.
    """
    m = len(order)
    reference = reference_gram[:, order[:, None], order[None, :]]
    candidate = candidate_gram[:, order[:, None], order[None, :]]
    past = np.tril(np.ones((m, m)), -1)
    if labels is not None:
        # A copy of the index in another block, as a tiled axis has, must not name it.
        past *= labels[order][:, None] == labels[order][None, :]
    means = (candidate * past).sum(axis=2, keepdims=True) / np.maximum(past.sum(axis=1), 1)[None, :, None]
    scores = ((candidate - means) * past) @ reference.transpose(0, 2, 1)
    eligible = past.T + np.eye(m) > 0
    return (*_compare(scores, eligible), eligible.sum(axis=1))


def _compare(
    visited: Float[np.ndarray, "layers m m"], eligible: Bool[np.ndarray, "m m"]
) -> tuple[Int[np.ndarray, "layers m"], Int[np.ndarray, "layers m"]]:
    # Rounding makes a near-tie a tie on every machine: linear algebra libraries differ in the last bits.
    visited = np.round(visited, 9)
    true = np.diagonal(visited, axis1=1, axis2=2)[:, :, None]
    better = ((visited > true) & eligible).sum(axis=2)
    tied = ((visited == true) & eligible).sum(axis=2)
    return better, tied


def rank_bets(
    better: Int[np.ndarray, "*layers m"],
    tied: Int[np.ndarray, "*layers m"],
    candidates: Int[np.ndarray, " m"],
    *,
    blocks: Int[np.ndarray, " m"] | None = None,
) -> Float[np.ndarray, "*layers"]:
    r"""Wealth of a bettor on ranks: the conformal test martingale of test E1.

    At a visit with `n` unused indices, of which `g` score strictly better than the
    true one and `t` tie with it, the bettor with parameter `k` multiplies its money by

    .. math:: b_k = \frac{n}{t}\left[\left(\frac{g+t}{n}\right)^k - \left(\frac{g}{n}\right)^k\right].

    If labels are uniformly random, `b_k` has mean one whatever happened before, because the
    terms of all ranks telescope to `n`. The e-value is the mean of the final wealth over
    the grid :data:`BET_POWERS`.

    Parameters
    ----------
    better, tied, candidates : arrays
        From :func:`count_ranks` or :func:`count_anchored_ranks`.
    blocks : array (m,), optional
        Block of each visit. Blocks of a tiled axis repeat one another, so their wealth is
        averaged, never multiplied.

    Returns
    -------
    array
        Natural log e-value of each layer.

    Examples
    --------
    The true index ranks first at each of ten visits:

    >>> n = np.arange(10, 0, -1)
    >>> round(float(rank_bets(np.zeros(10, int), np.ones(10, int), n)), 2)
    13.42
    """
    n = candidates.astype(float)
    wealth = []
    for k in BET_POWERS:
        gain = ((better + tied) / n) ** k - (better / n) ** k
        bets = np.log(n / tied * gain)
        if blocks is None:
            wealth.append(bets.sum(axis=-1))
        else:
            each = [bets[..., blocks == block].sum(axis=-1) for block in np.unique(blocks)]
            wealth.append(np.logaddexp.reduce(np.stack(each), axis=0) - math.log(len(each)))
    return np.asarray(np.logaddexp.reduce(np.stack(wealth), axis=0) - math.log(len(BET_POWERS)))


def coin_bets(coins: Float[np.ndarray, "*layers n"]) -> Float[np.ndarray, "*layers"]:
    r"""Bet on the signs of symmetric numbers: tests E8, E9 and E10.

    Under the null each `t_j` is as likely as `-t_j`, whatever the others, so
    :math:`\prod_j \exp(\lambda t_j)/\cosh(\lambda t_j)` has mean one for every `lambda`
    that depends only on the sizes :math:`|t_j|`. The e-value is the mean over the stakes
    :data:`COIN_STAKES` with both signs: related rows can share a direction either way.

    Examples
    --------
    >>> round(float(coin_bets(np.ones(100)) / np.log(10)), 1)
    29.4
    """
    norm = np.sqrt((coins**2).sum(axis=-1, keepdims=True))
    unit = np.divide(coins, norm, out=np.zeros_like(coins, dtype=float), where=norm > 0)
    wealth = []
    for stake in COIN_STAKES:
        log_cosh = _log_cosh(stake * unit).sum(axis=-1)
        lean = stake * unit.sum(axis=-1)
        wealth += [lean - log_cosh, -lean - log_cosh]
    return np.asarray(np.logaddexp.reduce(np.stack(wealth), axis=0) - math.log(len(wealth)))


def _log_cosh(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    size = np.abs(x)
    return size + np.log1p(np.exp(-2 * size)) - math.log(2)


def log_fixed_points_pvalue(hits: int, m: int, n: int) -> float:
    """Natural log of the bound ``C(m, k) / (n)_k`` on seeing `hits` fixed points or more.

    By the union bound over which `k` of the `m` visited indices are fixed; with
    ``m == n`` it is ``1 / k!``.
    """
    if hits == 0:
        return 0.0
    choose = math.lgamma(m + 1) - math.lgamma(hits + 1) - math.lgamma(m - hits + 1)
    falling = math.lgamma(n + 1) - math.lgamma(n - hits + 1)
    return min(0.0, choose - falling)


def calibrate_log_pvalue(log_pvalue: float) -> float:
    r"""Turn a p-value into an e-value (natural logs): :math:`(1 - p + p \ln p) / (p \ln^2 p)`.

    The calibrator of Vovk and Wang (2021), eq. (1): the integral over `k` of `k p^(k-1)`.

    Examples
    --------
    >>> calibrate_log_pvalue(0.0)
    -0.6931471805599453
    """
    if log_pvalue > -1e-4:
        return math.log(0.5)
    p = math.exp(log_pvalue) if log_pvalue > -700 else 0.0
    return math.log(1 - p + p * log_pvalue) - log_pvalue - 2 * math.log(-log_pvalue)


def average(log_evalues: Sequence[float] | np.ndarray) -> float:
    """Log of the arithmetic mean of e-values: an e-value under any dependence."""
    values = np.asarray(log_evalues, dtype=float)
    if values.size == 0:
        return 0.0
    return float(np.logaddexp.reduce(values) - math.log(values.size))


def combine_clusters(log_evalues: Sequence[float] | np.ndarray) -> float:
    r"""Combine independent clusters, of which any share may be dependent.

    :math:`E = \mathrm{mean}_w \prod_l (1 - w + w e_l)` over `w` in ``{1/L, 1/4, 1/2, 1}``.
    The plain product is ``w = 1``; alone it would drown one copied layer among many others.

    Parameters
    ----------
    log_evalues : array (L,)
        Natural log e-values of clusters whose randomness is independent.

    Examples
    --------
    One layer of 32 with evidence of 1e12, the others with none:

    >>> print(round(combine_clusters([np.log(1e12)] + 31 * [np.log(0.1)]) / np.log(10), 1))
    9.5
    """
    values = np.asarray(log_evalues, dtype=float)
    if values.size == 0:
        return 0.0
    products = []
    for w in (1 / values.size, *MIXTURE_SHARES):
        stay = math.log1p(-w) if w < 1 else -math.inf
        products.append(np.logaddexp(stay, math.log(w) + values).sum())
    return float(np.logaddexp.reduce(products) - math.log(len(products)))
