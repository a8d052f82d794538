"""Rows of two independent models without the models: hundreds of pairs a second."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from jokbo.architectures.base import Role
from jokbo.independence.base import Family
from jokbo.independence.betting import combine_clusters, rank_bets
from jokbo.independence.betting import count_anchored_ranks as anchored
from jokbo.independence.betting import count_ranks as direct
from jokbo.independence.fixed_points import fixed_points
from jokbo.independence.grams import AxisGrams, unit_grams
from jokbo.independence.rank_betting import rank_betting
from jokbo.independence.unit_signs import unit_signs_in_order
from jokbo.views.component import Block, Component, ComponentKind
from jokbo.views.samples import UnitRows

MLP = Component("text", ComponentKind.MLP)
LAYERS, UNITS, WIDTH = 2, 32, 48

Draw = Callable[[np.random.Generator], np.ndarray]


def gaussian(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((LAYERS, UNITS, WIDTH))


def heavy(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_t(1.5, (LAYERS, UNITS, WIDTH))


def massive(rng: np.random.Generator) -> np.ndarray:
    rows = rng.standard_normal((LAYERS, UNITS, WIDTH))
    rows[:, :, :2] *= 50
    return rows


def spiked(rng: np.random.Generator) -> np.ndarray:
    """One unit of each layer is far larger than all, and rows repeat a few values: many ties."""
    rows = rng.integers(-1, 2, (LAYERS, UNITS, WIDTH)).astype(float)
    rows[:, :, 0] = 3 * rng.choice([-1, 1], (LAYERS, UNITS))  # either sign: a flip must change nothing
    rows[:, int(rng.integers(UNITS))] *= 1000
    return rows


DRAWS: dict[str, Draw] = {"gaussian": gaussian, "heavy": heavy, "massive": massive, "spiked": spiked}


def make_units(draw: Draw, rng: np.random.Generator) -> UnitRows:
    blocks = tuple(Block(layer) for layer in range(LAYERS))
    rows = {role: draw(rng).astype(np.float32) for role in (Role.FFN_GATE, Role.FFN_UP)}
    return UnitRows(blocks, np.arange(UNITS), rows)


def make_grams(draw: Draw, rng: np.random.Generator) -> AxisGrams:
    a, b = make_units(draw, rng), make_units(draw, rng)
    return unit_grams(a, b, clusters=None, signed=frozenset({Role.FFN_UP}))


def evalues(grams: AxisGrams, rng: np.random.Generator) -> dict[str, float]:
    """Log e-value of every unit test."""
    results = rank_betting(
        grams, component=MLP, stage="rows", order=rng.permutation(UNITS), family=Family.UNITS
    )
    results += fixed_points(grams, component=MLP, stage="rows", rng=rng)
    results += unit_signs_in_order(grams, component=MLP, stage="rows")
    return {
        f"{r.test} {r.parameters.get('score', '')} {'local' if r.local else ''}".strip(): combine_clusters(
            [row.log_evalue for row in r.rows]
        )
        for r in results
    }


__all__ = [
    "DRAWS",
    "LAYERS",
    "MLP",
    "UNITS",
    "anchored",
    "direct",
    "evalues",
    "make_grams",
    "make_units",
    "rank_bets",
]
