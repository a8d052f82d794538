"""C6: clocks that run, and such that cannot."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jokbo.records.checks.base import CheckContext, Observation
from jokbo.records.checks.clock import Clock
from jokbo.records.declaration import CheckpointEntry, Event, EventKind
from jokbo.records.series import Segment
from jokbo.testing.records import honest_record, make_log, make_record

CONTEXT = CheckContext(0)
DAY = 86400.0


def run(record):
    return Clock().run(record, CONTEXT)


def timed(times, runtimes=None, *, steps=None, form="jsonl", **declared):
    steps = np.arange(1, len(times) + 1) if steps is None else steps
    log = make_log(steps, times=times, runtimes=runtimes, segments=[Segment("log", form, 0, len(times))])
    return run(make_record(log, steps=int(np.max(steps)), **declared))


def pace(n=300, seed=0):
    return np.cumsum(np.random.default_rng(seed).gamma(50, 0.01, n))


def codes(result):
    return [reason.code for reason in result.reasons]


def test_an_honest_clock_holds():
    result = run(honest_record(300))
    assert result.observation is Observation.HOLDS
    assert result.planted[0].found == 59


def test_without_the_age_of_the_process_a_later_tail_fits():
    result = timed(1.7e9 + pace())
    assert (result.observation, codes(result)) == (Observation.UNKNOWN, ["no_power"])
    assert 0 < result.planted[0].found < 59


def test_time_that_runs_back_is_found():
    times = 1.7e9 + pace()
    times[200:] -= 3 * DAY
    assert codes(timed(times)) == ["runs_back"]


@pytest.mark.parametrize("back", [0.5, 4.0])
def test_a_clock_set_back_a_little_is_honest(back):
    times = 1.7e9 + pace()
    times[200:] -= back
    assert timed(times).observation is not Observation.VIOLATED


def test_the_end_of_summer_time_is_honest_where_times_are_local():
    times = 1.7e9 + pace()
    times[200:] -= 3600
    assert timed(times, form="console").observation is not Observation.VIOLATED
    assert timed(times, form="wandb_offline").observation is Observation.VIOLATED


def test_a_process_cannot_age_faster_than_the_clock():
    runtimes = pace()
    times = 1.7e9 + runtimes
    runtimes = runtimes.copy()
    runtimes[200:] += 600
    assert codes(timed(times, runtimes)) == ["moving_start"]


def test_a_machine_that_stood_still_is_neither_passed_nor_condemned():
    runtimes = pace()
    times = 1.7e9 + runtimes + 600 * (np.arange(300) >= 200)
    assert (timed(times, runtimes).observation, codes(timed(times, runtimes))[0]) == (
        Observation.UNKNOWN,
        "stood_still",
    )


def test_an_age_that_leaves_evaluations_out_is_not_condemned():
    runtimes = pace()
    times = 1.7e9 + runtimes + 2.0 * (np.arange(300) // 20)
    assert timed(times, runtimes).observation is not Observation.VIOLATED


def test_drift_and_whole_seconds_are_honest():
    runtimes = np.floor(pace(3000))
    times = 1.7e9 + pace(3000) * (1 + 1e-4)
    assert timed(times, runtimes).observation is Observation.HOLDS


def test_a_restart_inside_a_file_begins_a_new_clock():
    runtimes = np.r_[pace(150), pace(150, 1)]
    times = 1.7e9 + np.r_[pace(150), 500 + pace(150, 1)]
    result = timed(times, runtimes, event=(Event(EventKind.RESTART, 151),))
    assert (result.observation, result.events) == (Observation.HOLDS, (0,))


def test_a_process_cannot_continue_what_was_not_done():
    times = 1.7e9 + np.r_[pace(150), pace(150, 1) - DAY]
    segments = [Segment("a", "wandb_offline", 0, 150), Segment("b", "wandb_offline", 150, 300)]
    log = make_log(np.arange(1, 301), times=times, segments=segments)
    assert "before_its_cause" in codes(run(make_record(log, steps=300)))


def test_a_log_from_after_the_record_was_made_is_found():
    times = 1.7e9 + pace()
    late = timed(times, environment={"created": "2020-01-01"})
    assert codes(late)[0] == "after_packing"
    assert (
        timed(times, environment={"created": "2033-01-01T00:00:00Z"}).observation is not Observation.VIOLATED
    )
    assert timed(times, environment={"created": "not a date"}).observation is not Observation.VIOLATED


def test_what_is_only_odd_never_violates():
    times = 1.7e9 + np.arange(300) * 0.7123457
    checkpoints = tuple(CheckpointEntry(f"c{k}", k) for k in range(20, 300, 20))
    result = timed(times, times - 1.7e9, checkpoint=checkpoints)
    assert result.observation is Observation.HOLDS
    assert set(codes(result)) == {"too_regular", "no_pauses"}


def test_times_in_whole_multiples_of_the_last_place_are_told():
    times = np.round(1.7e9 + 0.137 + 0.021 * np.arange(300), 3)
    assert "too_regular" in codes(timed(times))
    jittered = np.round(
        1.7e9 + 0.02 * np.arange(300) + 3e-4 * np.random.default_rng(0).standard_normal(300), 3
    )
    assert "too_regular" not in codes(timed(jittered))


def test_pauses_at_checkpoints_are_seen():
    gaps = np.random.default_rng(0).gamma(50, 0.01, 300)
    gaps[20::20] += 2
    checkpoints = tuple(CheckpointEntry(f"c{k}", k) for k in range(20, 300, 20))
    result = timed(1.7e9 + np.cumsum(gaps), np.cumsum(gaps), checkpoint=checkpoints)
    assert result.details["pause_seconds"] > 1.5
    assert "no_pauses" not in codes(result)


def test_missing_times_and_edits_are_unknown():
    assert codes(run(make_record(None, steps=3))) == ["no_log"]
    assert codes(run(make_record(make_log(np.arange(1, 301)), steps=300))) == ["no_times"]
    assert codes(timed(1.7e9 - pace(), event=(Event(EventKind.LOG_EDIT, 1, 300),))) == ["edited"]


def test_a_sampled_log_never_passes():
    record = honest_record(300)
    record.__dict__["log"] = dataclasses.replace(
        record.log, segments=(Segment("l", "x", 0, 300, sampled="declared"),)
    )
    assert codes(run(record))[0] == "sampled"
