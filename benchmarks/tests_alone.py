"""The exact tests on rows in memory: 64 gate and up rows of 32 layers at width 4096; prints seconds."""

from __future__ import annotations

import time

import numpy as np
from threadpoolctl import threadpool_limits

from jokbo.architectures.base import Role
from jokbo.independence.examine import BLAS_THREADS
from jokbo.independence.fixed_points import fixed_points
from jokbo.independence.grams import unit_grams
from jokbo.independence.index_structure import (
    axis_features,
    index_structure,
    row_products,
    sign_balance,
    sign_repeats,
)
from jokbo.independence.rank_betting import rank_betting
from jokbo.independence.self_dependence import UNITS, tie_blocks
from jokbo.independence.unit_signs import unit_signs_in_order
from jokbo.views.component import Block, Component, ComponentKind
from jokbo.views.samples import UNIT_ROLES, UnitRows


def main() -> None:
    """Make the rows, then time all tests of one MLP component, E0 included."""
    rng = np.random.default_rng(0)
    blocks = tuple(Block(layer) for layer in range(32))
    reference, candidate = (
        UnitRows(
            blocks,
            np.arange(64),
            {role: rng.standard_normal((32, 64, 4096), dtype=np.float32) for role in UNIT_ROLES},
        )
        for _ in range(2)
    )
    component = Component("text", ComponentKind.MLP)
    start = time.perf_counter()
    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        for rows in (reference, candidate):
            tie_blocks(rows, order=rng.permutation(UNITS))
        grams = unit_grams(reference, candidate, clusters=None, signed=frozenset({Role.FFN_UP}))
        rank_betting(grams, component=component, stage="rows", order=rng.permutation(64))
        fixed_points(grams, component=component, stage="rows", rng=rng)
        unit_signs_in_order(grams, component=component, stage="rows")
        for rows, own in ((reference, grams.reference), (candidate, grams.candidate)):
            products = row_products([rows.rows[role] for role in UNIT_ROLES])
            features = axis_features(products)
            index_structure(features, next(iter(own.values())), rng=rng)
            sign_balance(products.cosines())
            sign_repeats(own[Role.FFN_UP])
    print(f"{time.perf_counter() - start:.4f}")


if __name__ == "__main__":
    main()
