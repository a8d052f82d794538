"""C8: numbers printed in one way, and such that change."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.records.checks.base import CheckContext, Observation
from jokbo.records.checks.number_grid import NumberGrid, follow
from jokbo.records.declaration import Event, EventKind
from jokbo.records.statistics.grid import Grid, GridKind, decimals, find_grid, on_grid
from jokbo.testing.records import honest_losses, make_log, make_record

CONTEXT = CheckContext(0)


def run(losses, events=(), **columns):
    log = make_log(np.arange(1, len(losses) + 1), columns={"loss": losses, **columns})
    return NumberGrid().run(make_record(log, steps=len(losses), event=tuple(events)), CONTEXT)


def losses(n=600, seed=0):
    return honest_losses(n, np.random.default_rng(seed))


PRINTS = {
    "float32": lambda x: x.astype(np.float32).astype(float),
    "four": lambda x: x.round(4),
    "three": lambda x: x.round(3),
    "megatron": lambda x: np.array([float(f"{v:.6E}") for v in x]),
    "short-float32": lambda x: np.array([float(str(v)) for v in x.astype(np.float32)]),
}


@pytest.mark.parametrize("name", PRINTS)
def test_one_print_holds(name):
    result = run(PRINTS[name](losses()))
    assert result.observation is Observation.HOLDS, result
    assert result.planted[0].found == 59


def test_bfloat16_is_no_fault():
    assert run(Grid(GridKind.BFLOAT16).put(losses())).observation is not Observation.VIOLATED


def test_plain_doubles_are_no_fault():
    assert run(losses()).observation is not Observation.VIOLATED


@pytest.mark.parametrize(
    ("before", "after"), [("float32", "four"), ("four", "three"), ("three", "four"), ("four", "float32")]
)
def test_a_change_midway_is_found(before, after):
    x = losses()
    mixed = np.r_[PRINTS[before](x[:380]), PRINTS[after](x[380:])]
    result = run(mixed)
    assert result.observation is Observation.VIOLATED
    assert result.reasons[0].values["metric"] == "loss"


def test_a_pasted_piece_of_doubles_is_found():
    x = PRINTS["float32"](losses())
    x[300:400] += 1e-9
    assert run(x).observation is Observation.VIOLATED


@pytest.mark.parametrize("kind", [EventKind.RESTART, EventKind.PRECISION_CHANGE, EventKind.LOG_EDIT])
def test_a_declared_event_explains_a_change(kind):
    x = losses()
    mixed = np.r_[PRINTS["float32"](x[:380]), PRINTS["four"](x[380:])]
    assert run(mixed, [Event(kind, 381)]).observation is not Observation.VIOLATED


def test_trailing_zeros_are_no_change():
    rng = np.random.default_rng(1)
    for _ in range(50):
        x = PRINTS["four"](honest_losses(300, rng))
        assert follow(x, np.arange(300), ())[1] is None


def test_few_values_are_unknown():
    assert run(losses(100)).missing == ("loss",)
    assert NumberGrid().run(make_record(None, steps=3), CONTEXT).missing == ("log",)


def test_decimals_are_those_of_the_shortest_print():
    rng = np.random.default_rng(0)
    for places in range(9):
        values = np.array([float(f"{v:.{places}f}") for v in rng.uniform(0, 20, 500)])
        assert (decimals(values) <= places).all()
        assert decimals(values).max() == places


def test_put_lands_on_the_grid():
    values = np.random.default_rng(0).uniform(1, 9, 500)
    for grid in (
        Grid(GridKind.BFLOAT16),
        Grid(GridKind.FLOAT16),
        Grid(GridKind.FLOAT32),
        Grid(GridKind.PRINTED, 3, 4),
    ):
        there = grid.put(values)
        assert on_grid(there, grid).all()
        assert np.abs(there - values).max() <= grid.unit(values).max()
        assert find_grid(there) == grid


def test_nothing_finite_is_a_double():
    assert find_grid(np.array([np.nan, np.inf, 0.0])).kind is GridKind.DOUBLE


@pytest.mark.parametrize("fixed", [True, False])
def test_numbers_that_pass_one_or_ten_are_still_printed_alike(fixed: bool):
    """A gradient norm that falls from 30 below 1 has fewer digits at fixed places, fewer places at fixed digits."""
    size = np.geomspace(30, 0.05, 4000) * np.random.default_rng(0).lognormal(0, 0.05, 4000)
    printed = np.array([float(f"{v:.4f}" if fixed else f"{v:.5g}") for v in size])
    assert follow(printed, np.arange(4000), ())[1] is None
