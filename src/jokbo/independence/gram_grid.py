"""Ties between blocks of one model, and the grid of two models' layers, from Gram matrices alone.

As :mod:`jokbo.independence.self_dependence` and :mod:`jokbo.independence.unit_grid`, for models whose rows are not
there: only what is anchored can be asked. Copies are seen; a layer that resembles another at a cosine of .3 is not,
because a Gram matrix sees its square, and bets on Gram matrices then hardly depend on one another either.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from jokbo.independence.anchored_signs import AT_ONCE, anchored_coin_bets
from jokbo.independence.base import Alignment, Cluster, ClusterRow, Family, IndependenceResult
from jokbo.independence.betting import average, count_anchored_ranks, rank_bets
from jokbo.independence.layer_grid import LayerGrid
from jokbo.independence.rank_betting import LOCAL_BLOCK, RankBetting, gram_effect
from jokbo.independence.self_dependence import MIN_EVALUE
from jokbo.independence.unit_grid import MAX_CELLS
from jokbo.views.component import Component

TIE_ROWS = GRID_ROWS = 32
"""Rows of each block that are compared; half as many, as tests on rows take, anchor too little."""


def tie_grams(
    ordered: Float[np.ndarray, "blocks m m"] | None, signed: Float[np.ndarray, "blocks m m"] | None
) -> dict[int, int]:
    """Map each block of one model to the first block of its cluster.

    Parameters
    ----------
    ordered : array (blocks, m, m), or None
        Gram matrices whose order is compared.
    signed : array (blocks, m, m), or None
        Gram matrices whose signs are compared.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(2, 32, 200))
    >>> a, b = rows @ rows.transpose(0, 2, 1) / 200
    >>> tie_grams(np.stack([a, b, a]), None)
    {0: 0, 1: 1, 2: 0}
    """
    some = ordered if ordered is not None else signed
    assert some is not None
    parent = list(range(len(some)))
    i, j = np.triu_indices(len(some), 1)
    for use in _chunks(len(i)):
        found = []
        if ordered is not None:
            few = ordered[:, :TIE_ROWS, :TIE_ROWS]
            order = np.arange(few.shape[1])
            found.append(rank_bets(*count_anchored_ranks(few[i[use]], few[j[use]], order)))
        if signed is not None:
            few = signed[:, :TIE_ROWS, :TIE_ROWS]
            found.append(anchored_coin_bets(few[i[use]], few[j[use]], np.arange(few.shape[1])))
        logs = np.logaddexp.reduce(np.stack(found)) - math.log(len(found))
        for a, b in zip(
            i[use][logs >= math.log(MIN_EVALUE)], j[use][logs >= math.log(MIN_EVALUE)], strict=True
        ):
            first, second = _root(parent, int(a)), _root(parent, int(b))
            parent[max(first, second)] = min(first, second)
    return {block: _root(parent, block) for block in range(len(parent))}


def gram_grid(
    reference: Float[np.ndarray, "blocks m m"],
    candidate: Float[np.ndarray, "others m m"],
    *,
    layers: tuple[Sequence[int], Sequence[int]],
    clusters: Sequence[Cluster],
    component: Component,
    stage: str,
    index: Int[np.ndarray, " m"],
    order: Int[np.ndarray, " m"],
) -> tuple[LayerGrid, list[IndependenceResult]] | None:
    """Compare every block of the reference with every block of the candidate, anchored.

    Parameters
    ----------
    reference, candidate : arrays (blocks, m, m)
        Summed Gram matrices; the first :data:`GRID_ROWS` rows are compared.
    layers : pair of sequences of int
    clusters : sequence of Cluster
        One a block of the reference.
    index : array (m,)
        Places of the rows on their axis.
    order : array (m,)

    Returns
    -------
    LayerGrid and results, or None
        In full and in local form. None where there is one layer each, or more than
        :data:`~jokbo.independence.unit_grid.MAX_CELLS` cells.
    """
    shape = len(reference), len(candidate)
    if max(shape) < 2 or shape[0] * shape[1] > MAX_CELLS:
        return None
    few = min(GRID_ROWS, len(index))
    index, order = index[:few], order[order < few]
    i, j = (axis.reshape(-1) for axis in np.indices(shape))
    neighbours = (index - index.min()) // LOCAL_BLOCK
    logs = {block: np.empty(len(i)) for block in (0, LOCAL_BLOCK)}
    effects = np.empty(len(i))
    for use in _chunks(len(i)):
        pair = reference[i[use], :few, :few], candidate[j[use], :few, :few]
        effects[use] = gram_effect(*pair)
        logs[0][use] = rank_bets(*count_anchored_ranks(*pair, order))
        local = count_anchored_ranks(*pair, order, labels=neighbours)
        logs[LOCAL_BLOCK][use] = rank_bets(*local, blocks=neighbours[order])
    results = [
        IndependenceResult(
            test=RankBetting.name,
            version=RankBetting.version,
            component=component,
            family=Family.UNITS,
            alignment=Alignment.ROTATED,
            stage=stage,
            local=bool(block),
            rows=_rows(clusters, values.reshape(shape), effects.reshape(shape), len(order)),
            parameters={"score": "grid, anchored", "block": block},
        )
        for block, values in logs.items()
    ]
    return LayerGrid(
        tuple(layers[0]), tuple(layers[1]), logs[0].reshape(shape), effects.reshape(shape)
    ), results


def _rows(
    clusters: Sequence[Cluster],
    logs: Float[np.ndarray, "blocks others"],
    effects: Float[np.ndarray, "blocks others"],
    n: int,
) -> tuple[ClusterRow, ...]:
    groups: dict[Cluster, list[int]] = {}
    for k, cluster in enumerate(clusters):
        groups.setdefault(cluster, []).append(k)
    return tuple(
        ClusterRow(cluster, average(logs[members].reshape(-1)), float(effects[members].max()), n)
        for cluster, members in groups.items()
    )


def _chunks(count: int) -> Iterator[slice]:
    for start in range(0, count, AT_ONCE):
        yield slice(start, min(start + AT_ONCE, count))


def _root(parent: list[int], block: int) -> int:
    while parent[block] != block:
        block = parent[block]
    return block
