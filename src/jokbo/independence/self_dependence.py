"""E0(b): do layers, or experts, of one model depend on one another?

Depth up-scaled, looped and upcycled models hold copies of their own blocks. Their randomness
is not independent, so such blocks are tied into one cluster, whose e-values are averaged
and never multiplied.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float, Int

from jokbo.independence.betting import coin_bets, count_anchored_ranks, count_ranks, rank_bets
from jokbo.independence.grams import normalise
from jokbo.views.samples import UnitRows

MIN_EVALUE = 100.0
"""Two blocks with this much evidence of dependence are tied."""

UNITS = 16
"""Units of each block that are compared: 16! leaves evidence of 1e13 for copies."""


def tie_blocks(units: UnitRows, *, order: Int[np.ndarray, " m"]) -> dict[int, int]:
    """Map each block to the first block of its cluster.

    Parameters
    ----------
    units : UnitRows
        One model's rows.
    order : array (m,)
        Order of visits, a permutation of the units used.

    Returns
    -------
    dict
        Block number to block number; a block that depends on no other maps to itself.
    """
    blocks = len(units.blocks)
    m = len(order)
    first = next(iter(units.rows.values()))[:, :m]
    rows = normalise(first)
    flat = rows.reshape(blocks * m, -1)
    cross = (flat @ flat.T).reshape(blocks, m, blocks, m).transpose(0, 2, 1, 3)
    above = np.triu_indices(blocks, 1)
    parent = list(range(blocks))
    if not len(above[0]):
        return dict(enumerate(parent))
    grams = cross[np.arange(blocks), np.arange(blocks)]
    direct = rank_bets(*count_ranks(cross[above[1], above[0]], order))
    anchored = rank_bets(*count_anchored_ranks(grams[above[0]], grams[above[1]], order))
    tied = np.logaddexp(direct, anchored) - math.log(2) >= math.log(MIN_EVALUE)
    for i, j in zip(above[0][tied], above[1][tied], strict=True):
        a, b = _root(parent, int(i)), _root(parent, int(j))
        parent[max(a, b)] = min(a, b)
    return {block: _root(parent, block) for block in range(blocks)}


def tie_rows(rows: Float[np.ndarray, "layers n d"]) -> dict[int, int]:
    """Map each layer to the first of its cluster by the signs of rows with the same number.

    Layers whose signs agree are no independent witnesses of signs, whatever else they share.

    Parameters
    ----------
    rows : array (layers, n, d)
        One model's rows whose signs are invoked.
    """
    unit = normalise(rows).transpose(1, 0, 2)
    coins = (unit @ unit.transpose(0, 2, 1)).transpose(1, 2, 0)
    above = np.triu_indices(len(rows), 1)
    parent = list(range(len(rows)))
    tied = coin_bets(coins[above]) >= math.log(MIN_EVALUE)
    for i, j in zip(above[0][tied], above[1][tied], strict=True):
        a, b = _root(parent, int(i)), _root(parent, int(j))
        parent[max(a, b)] = min(a, b)
    return {layer: _root(parent, layer) for layer in range(len(rows))}


def _root(parent: list[int], block: int) -> int:
    while parent[block] != block:
        block = parent[block]
    return block


def join_ties(*ties: dict[int, int]) -> dict[int, int]:
    """Clusters that hold whatever any of several models ties."""
    parent = list(range(max((len(tie) for tie in ties), default=0)))
    for tie in ties:
        for block, head in tie.items():
            a, b = _root(parent, block), _root(parent, head)
            parent[max(a, b)] = min(a, b)
    return {block: _root(parent, block) for block in range(len(parent))}
