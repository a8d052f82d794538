"""C5: tokens and rates that the declaration implies, and such that it does not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jokbo.records.checks.arithmetic import Arithmetic
from jokbo.records.checks.base import CheckContext, Observation
from jokbo.records.declaration import BatchPhase, Data, Event, EventKind, Schedule
from jokbo.records.forgeries import Forgery
from jokbo.records.series import Column, Segment
from jokbo.records.statistics.ledger import label_unit
from jokbo.testing.records import honest_record, make_log, make_record

CONTEXT = CheckContext(0)


def changed(record, name, change):
    log = record.log
    column = log.columns[name]
    record.__dict__["log"] = dataclasses.replace(
        log, columns={**log.columns, name: Column(name, change(column.values), column.rows)}
    )
    return record


def run(record):
    return Arithmetic().run(record, CONTEXT)


@pytest.mark.parametrize("kind", ["cosine", "linear", "wsd", "constant"])
@pytest.mark.parametrize("every", [1, 10])
def test_an_honest_log_holds(kind, every):
    schedule = Schedule(kind, 3e-3, warmup_steps=20, total_steps=600, decay_steps=100, final=0.1)
    result = run(honest_record(600, every=every, schedule=schedule, data=Data(tokens=614_400)))
    assert result.observation is Observation.HOLDS
    assert {p.forgery: p.found for p in result.planted} == {
        Forgery.INFLATED_TOTALS: 59,
        Forgery.SPLICED_LOG: 59,
    }


@pytest.mark.parametrize(
    "convention",
    [
        lambda rates: np.r_[0, rates[:-1]],
        lambda rates: np.r_[rates[1:], rates[-1]],
        lambda rates: rates.astype(np.float32).astype(float),
        lambda rates: np.array([float(f"{r:.6E}") for r in rates]),
        lambda rates: rates.round(5),
    ],
    ids=["before", "after", "float32", "megatron", "five-places"],
)
def test_conventions_and_prints_of_rates_are_honest(convention):
    assert (
        run(changed(honest_record(400), "learning_rate", convention)).observation is not Observation.VIOLATED
    )


@pytest.mark.parametrize(
    "convention",
    [
        lambda tokens: tokens - 1024,
        lambda tokens: tokens + 1024,
        lambda tokens: (tokens / 1e6).round(3),
        lambda tokens: np.full_like(tokens, 1024),
    ],
    ids=["before", "after", "millions", "each-batch"],
)
def test_conventions_of_tokens_are_honest(convention):
    assert run(changed(honest_record(400), "tokens", convention)).observation is not Observation.VIOLATED


def test_another_schedule_is_found():
    result = run(changed(honest_record(400), "learning_rate", lambda r: r * 1.02))
    assert [reason.code for reason in result.reasons] == ["learning_rate_off"]


def test_one_edited_rate_is_found_and_named():
    def edit(rates):
        rates = rates.copy()
        rates[199] *= 1.5
        return rates

    (reason,) = run(changed(honest_record(400), "learning_rate", edit)).reasons
    assert (reason.values["step"], reason.values["rows"]) == (200, 1)


def test_tokens_of_larger_batches_are_found():
    result = run(changed(honest_record(400), "tokens", lambda t: t * 1.03))
    assert result.observation is Observation.VIOLATED
    assert result.reasons[0].code == "tokens_off"


@pytest.mark.parametrize(
    ("total", "fine"), [(307_200, True), (311_000, False), (308_000, True), (330_000, False)]
)
def test_the_declared_total_is_rounded_by_one_unit_or_a_batch(total, fine):
    found = run(honest_record(300, data=Data(tokens=total)))
    assert (found.observation is Observation.HOLDS) == fine, found.reasons


def test_a_label_speaks_to_its_last_digit():
    assert label_unit(3_896_000_000_000) == 1_000_000_000


def test_a_batch_ramp_adds_up():
    phases = [BatchPhase(1, 8, 64), BatchPhase(101, 16, 64), BatchPhase(201, 32, 64)]
    assert run(honest_record(300, batch=phases)).observation is Observation.HOLDS


@pytest.mark.parametrize("counts", ["goes on", "is set back", "begins anew"])
def test_counts_after_a_rollback(counts):
    steps = np.r_[1:181, 151:301]
    tokens = steps * 1024.0
    tokens[180:] += {"goes on": 30 * 1024, "is set back": 0, "begins anew": -150 * 1024}[counts]
    log = make_log(steps, columns={"tokens": tokens})
    events = (Event(EventKind.ROLLBACK, 180, 150),)
    record = make_record(log, steps=300, batch=(BatchPhase(1, 16, 64),), event=events)
    assert run(record).observation is Observation.HOLDS
    tokens[180:] += 5 * 1024
    assert run(record).observation is Observation.VIOLATED


def test_a_declared_change_of_rate_excuses_what_follows_and_nothing_before():
    def rewarm(rates):
        return np.r_[rates[:200], np.full(100, 1e-3)]

    record = changed(honest_record(300), "learning_rate", rewarm)
    assert run(record).observation is Observation.VIOLATED
    declared = changed(
        honest_record(300, events=[Event(EventKind.RATE_CHANGE, 201)]), "learning_rate", rewarm
    )
    result = run(declared)
    assert (result.observation, result.events) == (Observation.HOLDS, (0,))
    again = changed(declared, "learning_rate", lambda r: np.r_[r[:100] * 2, r[100:]])
    assert run(again).observation is Observation.VIOLATED


def test_nothing_to_compare_is_unknown():
    record = make_record(make_log(np.arange(1, 301), columns={"loss": np.ones(300)}), steps=300)
    result = run(record)
    assert (result.observation, result.missing) == (
        Observation.UNKNOWN,
        ("batch", "tokens", "schedule", "learning_rate"),
    )
    assert "log" in run(make_record(None, steps=300)).missing


def test_a_sampled_log_never_passes():
    record = honest_record(300)
    record.__dict__["log"] = dataclasses.replace(
        record.log, segments=(Segment("l", "x", 0, 300, sampled="declared"),)
    )
    result = run(record)
    assert (result.observation, result.reasons[0].code) == (Observation.UNKNOWN, "sampled")


@pytest.mark.parametrize("more", [-1, 1])
def test_the_last_token_of_a_sequence_may_be_counted_or_not(more):
    """Throughout: in the log, and in the total."""
    record = honest_record(400, data=Data(tokens=400 * 1024))
    batch = record.declaration.batch[0]
    share = 1 + more / batch.sequence_length
    made = changed(record, "tokens", lambda tokens: np.round(tokens * share))
    result = run(made)
    assert result.observation is Observation.HOLDS
    half = changed(
        honest_record(400),
        "tokens",
        lambda t: np.where(np.arange(len(t)) < len(t) // 2, t, np.round(t * share)),
    )
    assert run(half).observation is Observation.VIOLATED
