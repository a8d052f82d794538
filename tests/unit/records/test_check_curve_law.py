"""C11: ends that the first half foretells, and such that are too good."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.records.checks.base import CheckContext, Observation
from jokbo.records.checks.curve_law import CurveLaw
from jokbo.records.declaration import Event, EventKind, Schedule
from jokbo.records.schedule import scheduled_rates
from jokbo.records.statistics.loss_law import LossLaw, fit_law, thin_curve
from jokbo.testing.records import honest_record, make_log, make_record

CONTEXT = CheckContext(0)
STEPS = 2000
SCHEDULE = Schedule("wsd", 1e-3, warmup_steps=40, total_steps=STEPS, decay_steps=400)


def law_losses(seed=0, gain=0.4):
    rates = scheduled_rates(SCHEDULE, STEPS)
    place = np.arange(1, STEPS + 1)
    curve = thin_curve(place, np.ones(STEPS), rates)
    law = LossLaw(2.0, 0.6, 0.01, 0.4, gain, 30.0, 1.0)
    smooth = np.interp(place, curve.steps, law.at(curve))
    return smooth + 0.03 * np.random.default_rng(seed).standard_normal(STEPS)


def run(losses, events=()):
    log = make_log(np.arange(1, STEPS + 1), columns={"loss": losses})
    return CurveLaw().run(make_record(log, steps=STEPS, schedule=SCHEDULE, event=tuple(events)), CONTEXT)


def codes(result):
    return [reason.code for reason in result.reasons]


@pytest.mark.parametrize("seed", range(5))
def test_a_curve_that_follows_the_law_is_not_flagged(seed):
    result = run(law_losses(seed))
    assert result.observation is not Observation.VIOLATED
    assert abs(result.statistic) < 0.1


def test_an_end_far_below_is_flagged():
    x = law_losses()
    x -= np.clip((np.arange(STEPS) - 1000) / 400, 0, 1) * 1.2
    assert (run(x).observation, codes(run(x))) == (Observation.VIOLATED, ["too_good"])


@pytest.mark.parametrize("seed", range(8))
def test_honest_records_are_never_flagged(seed):
    assert CurveLaw().run(honest_record(300, seed=seed), CONTEXT).observation is not Observation.VIOLATED


def test_a_fit_of_a_law_foretells_its_own_end():
    curve = thin_curve(np.arange(1, STEPS + 1), law_losses(), scheduled_rates(SCHEDULE, STEPS))
    whole = fit_law(curve, 5, len(curve.steps))
    assert np.abs(whole.at(curve) - curve.losses)[5:].max() < 0.1


def test_a_plateau_foretells_nothing():
    x = np.r_[np.full(1000, 6.0), np.linspace(6, 3, 1000)]
    assert codes(run(x + 0.01 * np.random.default_rng(0).standard_normal(STEPS))) == ["still_steep"]


def test_a_changed_run_has_two_laws():
    result = run(law_losses(), [Event(EventKind.BACKBONE_CHANGE, 1000)])
    assert (codes(result), result.events) == (["changed"], (0,))


def test_missing_inputs_are_named():
    assert CurveLaw().run(make_record(None, steps=3), CONTEXT).missing == ("log",)
    bare = make_record(make_log(np.arange(1, 301), columns={"loss": np.ones(300)}), steps=300)
    assert CurveLaw().run(bare, CONTEXT).missing == ("schedule",)
