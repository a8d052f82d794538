"""C17: weights move no further than the optimizer can carry them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weight_runs import HOLDS, UNKNOWN, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType
from jokbo.records.checks.step_bound import StepBound
from jokbo.records.declaration import Event, EventKind, Optimizer, Schedule
from jokbo.records.forgeries import Forgery
from jokbo.records.motion import adam_bounds, first_known, leg, limit_bound, upper_rates
from jokbo.records.record import Record
from jokbo.records.schedule import scheduled_rates
from jokbo.records.series import Column, Log, Segment
from jokbo.testing.trainings import NORM, declared, disclose, orthogonal

BETAS = [(0.9, 0.95), (0.9, 0.999), (0.95, 0.95), (0.5, 0.9), (0.99, 0.98)]


@given(
    st.sampled_from(BETAS),
    st.lists(st.floats(-1e3, 1e3).filter(lambda g: g == 0 or abs(g) > 1e-6), min_size=1, max_size=40),
)
def test_no_gradients_carry_adam_beyond_its_bound(betas, gradients):
    m = v = 0.0
    bounds = adam_bounds(betas, 0, len(gradients))
    for count, g in enumerate(gradients, start=1):
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
        if v > 0:
            ratio = abs(m / (1 - betas[0] ** count)) / math.sqrt(v / (1 - betas[1] ** count))
            assert ratio <= bounds[count - 1] * (1 + 1e-9)


@pytest.mark.parametrize("betas", BETAS)
def test_the_worst_gradients_reach_the_bound(betas):
    n = 30
    # Cauchy-Schwarz is an equality where the j-th gradient back is (b1 / b2)^j.
    gradients = [(betas[0] / betas[1]) ** (n - 1 - k) for k in range(n)]
    m = v = 0.0
    for g in gradients:
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g * g
    ratio = (m / (1 - betas[0] ** n)) / math.sqrt(v / (1 - betas[1] ** n))
    assert ratio == pytest.approx(adam_bounds(betas, n - 1, n)[0], rel=1e-9)


def test_published_values_of_the_limit():
    assert limit_bound((0.9, 0.95)) == pytest.approx(1.165, abs=1e-3)
    assert limit_bound((0.9, 0.999)) == pytest.approx(7.27, abs=1e-2)


@pytest.mark.parametrize("shape", [(64, 32), (16, 16), (8, 200)])
def test_newton_schulz_stays_below_its_constant(shape):
    rng = np.random.default_rng(0)
    for scale in (1.0, 30.0):
        matrix = rng.standard_normal(shape) * np.exp(scale * rng.standard_normal((shape[0], 1)) / 10)
        assert np.linalg.svd(orthogonal(matrix), compute_uv=False)[0] < 1.2026


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "muon", "sgd"])
@pytest.mark.parametrize("seed", [0, 1])
def test_honest_trainings_stay_below_one(tmp_path, optimizer, seed):
    result = see(StepBound(), disclose(trained(seed, optimizer), tmp_path))
    assert result.observation is not VIOLATED
    assert result.statistic is not None
    assert result.statistic < 1


@pytest.mark.parametrize("dtype", [DType.BF16, DType.F16])
def test_storage_in_16_bits_is_allowed_for(tmp_path, dtype):
    assert see(StepBound(), disclose(trained(), tmp_path, dtype=dtype)).observation is not VIOLATED


@pytest.mark.parametrize("kind", ["middle", "start", "last", "relabelled"])
def test_jumps_are_found(tmp_path, kind):
    run, other = trained(), trained(1)
    if kind == "start":
        run.weights[0] = other.weights[0]
    elif kind == "last":
        run.weights[60] = other.weights[60]
    elif kind == "middle":
        for step in (32, 48, 60):
            run.weights[step] = other.weights[step]
    else:
        order = np.random.default_rng(0).permutation(64)
        end = run.weights[60]
        end["model.layers.0.mlp.up_proj.weight"] = end["model.layers.0.mlp.up_proj.weight"][order]
        end["model.layers.0.mlp.down_proj.weight"] = end["model.layers.0.mlp.down_proj.weight"][:, order]
    result = see(StepBound(), disclose(run, tmp_path))
    assert result.observation is VIOLATED
    assert result.reasons[0].values["ratio"] > 1


def test_one_element_moved_a_little_too_far_is_found(tmp_path):
    run = trained()
    run.weights[60][NORM][5] = run.weights[48][NORM][5] + 2 * 1.165 * 3e-3 * 12
    result = see(StepBound(), disclose(run, tmp_path))
    assert result.observation is VIOLATED
    assert result.reasons[0].values["tensor"] == NORM


def test_an_honest_record_of_an_elementwise_rule_holds_and_says_what_escapes(tmp_path):
    result = see(StepBound(), disclose(trained(), tmp_path), plants=59)
    assert result.observation is HOLDS
    by = [p for p in result.planted if p.forgery in (Forgery.SWAPPED_MIDDLE, Forgery.UNRELATED_START)]
    assert len(by) == 3
    assert all(p.powered for p in by)


def test_a_rollback_counts_both_branches(tmp_path):
    event = Event(EventKind.ROLLBACK, 40, 30)
    record = disclose(trained(), tmp_path, events=(event,))
    stretch = leg(record, 32, 48)
    assert stretch is not None
    assert len(stretch.rates) == 16
    assert len(stretch.detour) == 4
    plain = leg(declared(record, event=()), 32, 48)
    assert plain is not None
    assert plain.detour.size == 0
    assert leg(record, 16, 30).detour.size == 0


def test_a_restart_takes_the_largest_bound_of_all_counts():
    assert (adam_bounds((0.9, 0.999), 10, 20, restarted=True) >= adam_bounds((0.9, 0.999), 10, 20)).all()
    assert adam_bounds((0.9, 0.999), 0, 1, restarted=True)[0] == pytest.approx(7.27, abs=0.01)


def test_what_has_no_bound_is_not_judged(tmp_path):
    record = disclose(trained(), tmp_path)
    other = declared(record, optimizer=Optimizer("sophia"))
    assert codes(see(StepBound(), other)) == ["unknown_optimizer"]
    loose = declared(record, optimizer=Optimizer("sgd", betas=(0.9,)))
    assert see(StepBound(), loose).observation is UNKNOWN
    assert see(StepBound(), declared(record, optimizer=None)).missing == ("optimizer_declared",)
    assert see(StepBound(), declared(record, schedule=None)).missing == ("learning_rate",)


def test_a_rate_that_is_declared_too_small_is_a_contradiction(tmp_path):
    record = disclose(trained(), tmp_path)
    schedule = record.declaration.schedule
    assert schedule is not None
    slow = declared(record, schedule=replace(schedule, peak=schedule.peak / 2))
    assert see(StepBound(), slow).observation is VIOLATED


def rates_logged(record: Record, steps: list[int]) -> Record:
    """The record with its schedule's rates in a log at some steps, and no formula."""
    rates = scheduled_rates(record.declaration.schedule, record.declaration.steps)
    assert rates is not None
    made = declared(record, schedule=Schedule("logged"))
    place, empty = np.array(steps, dtype=np.int64), np.full(len(steps), np.nan)
    made.__dict__["log"] = Log(
        place,
        empty,
        empty,
        {"learning_rate": Column("lr", rates[place - 1])},
        (Segment("l", "jsonl", 0, 99),),
    )
    return made


@pytest.mark.parametrize("warmup", [0, 20, 23, 27])
def test_rates_between_rows_may_be_higher_than_both(tmp_path, warmup):
    """A warm-up that ends between two rows; and before the first row nothing is known."""
    record = disclose(trained(), tmp_path)
    schedule = Schedule("linear", 3e-3, warmup_steps=warmup, total_steps=60)
    true = scheduled_rates(schedule, 60)
    assert true is not None
    made = rates_logged(declared(record, schedule=schedule), [10, 20, 30, 40, 50, 60])
    upper = upper_rates(made)
    assert upper is not None
    assert first_known(made) == 9
    assert (upper[9:] >= true[9:] * (1 - 1e-9)).all()
    assert upper.max() < 2 * true.max()


def test_what_was_walked_before_the_first_logged_rate_is_not_judged(tmp_path):
    record = rates_logged(disclose(trained(), tmp_path), list(range(12, 61, 12)))
    assert see(StepBound(), record).observation is not VIOLATED
    made = see(StepBound(), rates_logged(record := disclose(trained(), tmp_path / "b"), [60]))
    assert (made.observation, codes(made), made.missing) == (UNKNOWN, ["no_rates"], ("learning_rate",))
    result = see(StepBound(), rates_logged(record, [1, *range(4, 61, 4)]), plants=59)
    assert {row.variant for row in result.planted} >= {"fresh"}


def test_interpolation_as_fast_as_the_bound_allows_is_not_called_found(tmp_path):
    result = see(StepBound(), disclose(trained(0, steps=600), tmp_path), plants=3)
    rows = [p for p in result.planted if p.forgery is Forgery.INTERPOLATION]
    assert rows
    assert not any(p.found for p in rows)
