"""C4: honest ways of logging pass, cuts and repetitions do not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jokbo.records.checks.base import CheckContext, CheckResult, Observation
from jokbo.records.checks.continuity import Continuity
from jokbo.records.declaration import Event, EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.series import Segment
from jokbo.testing.records import honest_record, make_log, make_record

CONTEXT = CheckContext(0)


def check(steps, total=None, *, events=(), segments=None, losses=None) -> CheckResult:
    steps = np.asarray(steps)
    losses = 5 - 0.001 * steps if losses is None else losses
    log = make_log(steps, columns={"loss": losses}, segments=segments)
    return Continuity().run(
        make_record(log, steps=int(steps.max()) if total is None else total, event=tuple(events)), CONTEXT
    )


def codes(result: CheckResult) -> list[str]:
    return [reason.code for reason in result.reasons]


@pytest.mark.parametrize(
    "steps",
    [
        np.arange(1, 301),
        np.arange(0, 300),
        np.arange(10, 1001, 10),
        np.r_[1, np.arange(10, 1001, 10)],
        np.r_[np.arange(10, 1001, 10), 1003],
        np.repeat(np.arange(1, 301), 2),
    ],
    ids=["each", "from-0", "tenth", "first-and-tenth", "odd-last", "two-rows-a-step"],
)
def test_an_honest_log_holds(steps):
    result = check(steps)
    assert result.observation is Observation.HOLDS
    assert {(p.forgery, p.variant, p.found, p.tried) for p in result.planted} == {
        (Forgery.SPLICED_LOG, way, 59, 59) for way in ("cut", "moved_tail", "repeated")
    }


def test_logging_less_often_from_some_step_on_is_no_hole():
    # A cut right where the habit changes cannot be seen, so that power is not asked for.
    result = check(np.r_[np.arange(1, 100), np.arange(100, 2000, 10)])
    assert result.observation is not Observation.VIOLATED
    assert result.planted[0].found > 50


def test_a_hole_is_named_with_its_steps():
    result = check(np.r_[1:121, 161:301])
    assert result.observation is Observation.VIOLATED
    assert [(r.code, dict(r.values)) for r in result.reasons] == [("hole", {"first": 121, "last": 160})]


def test_a_declared_loss_covers_its_hole_and_no_other():
    lost = Event(EventKind.MISSING_LOG, 121, 160)
    result = check(np.r_[1:121, 161:301], events=[lost])
    assert (result.observation, result.events) == (Observation.HOLDS, (0,))
    assert check(np.r_[1:121, 171:301], events=[lost]).observation is Observation.VIOLATED


@pytest.mark.parametrize("steps", [np.arange(20, 301), np.arange(1, 280)])
def test_missing_ends_are_holes(steps):
    assert codes(check(steps, 300)) == ["hole"]


def test_a_log_beyond_the_end_is_found():
    assert codes(check(np.arange(1, 331), 300)) == ["beyond_end"]


def test_steps_run_again_need_a_declared_rollback():
    steps = np.r_[1:181, 151:301]
    losses = np.r_[np.linspace(6, 4, 180), np.linspace(4.5, 3, 150)]
    assert codes(check(steps, losses=losses)) == ["overlap"]
    declared = check(steps, losses=losses, events=[Event(EventKind.ROLLBACK, 180, 150)])
    assert (declared.observation, declared.events) == (Observation.HOLDS, (0,))
    elsewhere = check(steps, losses=losses, events=[Event(EventKind.ROLLBACK, 60, 20)])
    assert codes(elsewhere) == ["overlap"]


def test_a_writer_that_resumed_must_be_declared():
    segments = [Segment("a", "x", 0, 100), Segment("b", "x", 100, 300, resumed=True)]
    assert codes(check(np.arange(1, 301), segments=segments)) == ["undeclared_process"]
    events = [Event(EventKind.RESTART, 101)]
    assert check(np.arange(1, 301), segments=segments, events=events).observation is Observation.HOLDS


def test_a_file_continued_by_the_next_is_no_fault():
    segments = [Segment("a", "x", 0, 100), Segment("b", "x", 100, 300)]
    assert check(np.arange(1, 301), segments=segments).observation is Observation.HOLDS


def two_formats(second):
    steps = np.r_[1:301, 1:301]
    segments = [Segment("a", "wandb", 0, 300), Segment("b", "console", 300, 600)]
    rng = np.random.default_rng(0)
    first = np.linspace(6, 3, 300) + 0.1 * rng.standard_normal(300)
    return check(steps, segments=segments, losses=np.r_[first, second(first)])


def test_the_same_run_in_two_formats_is_a_copy():
    result = two_formats(lambda first: first.round(3))
    assert (result.observation, result.details["copies"]) == (Observation.HOLDS, 1)


def test_two_formats_that_disagree_are_told_and_not_condemned():
    result = two_formats(lambda first: first + 0.05)
    assert result.observation is not Observation.VIOLATED
    assert "copies_disagree" in codes(result)


def test_a_loss_missing_among_other_rows_is_no_hole():
    losses = np.where(np.isin(np.arange(1, 301), [100, 101, 102]), np.nan, 4.0)
    assert check(np.arange(1, 301), losses=losses).observation is Observation.HOLDS


def test_an_irregular_log_cannot_be_judged():
    steps = np.cumsum(np.random.default_rng(0).integers(1, 9, 200))
    assert codes(check(steps)) == ["irregular"]


def test_missing_and_sampled_logs_are_unknown():
    assert Continuity().run(make_record(None, steps=10), CONTEXT).missing == ("log",)
    record = honest_record(300)
    sampled = dataclasses.replace(record.log, segments=(Segment("l", "x", 0, 300, sampled="declared"),))
    record.__dict__["log"] = sampled
    assert codes(Continuity().run(record, CONTEXT)) == ["sampled"]
    assert codes(check(np.arange(1, 21))) == ["few_rows"]


def test_a_million_rows_take_a_moment():
    import time

    record = honest_record(1_000_000)
    before = time.process_time()
    assert Continuity().run(record, CONTEXT).observation is Observation.HOLDS
    assert time.process_time() - before < 5
