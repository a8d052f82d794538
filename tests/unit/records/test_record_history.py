"""Curves of a history: extremes stay, spikes do not bend trends, what is not disclosed is null."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jokbo.records.checkpoints import CheckpointRows, TensorRows
from jokbo.records.declaration import (
    BatchPhase,
    CheckpointEntry,
    CheckpointRole,
    Declaration,
    LogEntry,
    Schedule,
)
from jokbo.records.history import MAX_POINTS, history, running_median, significant, thin
from jokbo.records.record import Record
from jokbo.records.series import Column, Log, Segment

STEPS = 60


@given(st.integers(1, 3000), st.integers(4, 60), st.integers(0, 2**32))
def test_thinning_keeps_ends_and_extremes(count: int, most: int, seed: int) -> None:
    array = np.random.default_rng(seed).standard_normal(count)
    kept = thin(array, most)
    assert len(kept) <= max(most, 3)
    assert np.all(np.diff(kept) > 0)
    assert {0, count - 1} <= set(kept.tolist())
    assert array[kept].min() == array.min()
    assert array[kept].max() == array.max()


def test_a_spike_of_one_step_among_a_million_stays() -> None:
    values = np.sin(np.arange(1_000_000) / 5e4)
    values[617_003] = 40.0
    kept = thin(values)
    assert 617_003 in kept
    assert len(kept) <= MAX_POINTS


def test_a_trend_follows_the_curve_and_not_its_spikes() -> None:
    steps = np.arange(5_000)
    smooth = 2 + 6 * np.exp(-steps / 300)
    rng = np.random.default_rng(0)
    noisy = smooth + 0.1 * rng.standard_normal(len(steps))
    noisy[rng.integers(100, 5_000, 40)] += 30
    trend = running_median(noisy)
    assert np.max(np.abs(trend - smooth)[50:]) < 0.15
    assert np.abs(np.median(noisy - trend)) < 0.02


def test_a_trend_of_a_straight_line_is_the_line() -> None:
    line = np.linspace(5, 1, 777)
    trend = running_median(line)
    assert np.allclose(trend[:-20], line[:-20])
    assert np.max(np.abs(trend - line)) < 0.05


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_curves_have_a_trend(count: int) -> None:
    assert len(running_median(np.arange(float(count)))) == count


def test_numbers_have_five_digits() -> None:
    assert significant(1234567.0) == 1234600.0
    assert str(significant(-0.0)) == "0.0"


def log(losses: np.ndarray, steps: np.ndarray) -> Log:
    nothing = np.full(len(steps), np.nan)
    rates = Column("learning_rate", np.linspace(1e-3, 1e-4, len(steps)))
    columns = {"loss": Column("loss", losses), "learning_rate": rates}
    return Log(steps, nothing, nothing, columns, (Segment("run.jsonl", "jsonl", 0, len(steps)),))


def record(**parts: object) -> Record:
    """A record whose log and weights are given, with no files behind it."""
    entries = tuple(CheckpointEntry(f"step{k}", k, path=f"step{k}") for k in (0, 30, STEPS))
    declaration = Declaration(
        "made",
        STEPS,
        schedule=Schedule("constant", peak=1e-3),
        batch=(BatchPhase(1, 4, 128), BatchPhase(31, 8, 128)),
        log=(LogEntry("run.jsonl"),),
        checkpoint=entries,
    )
    found = Record(Path("nowhere"), declaration, {}, "0" * 64)
    found.__dict__.update(parts)
    return found


def rows(values: list[np.ndarray], roles: list[CheckpointRole] | None = None) -> CheckpointRows:
    entries = tuple(
        CheckpointEntry(f"step{30 * k}", 30 * k, path="x", role=(roles or [CheckpointRole.TRAINING] * 9)[k])
        for k in range(len(values))
    )
    stacked = np.stack(values).astype(np.float32)
    tensor = TensorRows(
        "w", "ffn_up", 0, (stacked.shape[1], stacked.shape[2]), False, np.arange(stacked.shape[1]),
        np.arange(len(values)), stacked, np.full(len(values), 2.0**-24),
    )  # fmt: skip
    return CheckpointRows(entries, {"w": tensor}, stacked.nbytes)


def test_a_rollback_shows_the_branch_that_was_given_up() -> None:
    steps = np.array([*range(1, 41), *range(31, STEPS + 1)])
    losses = 5 / np.sqrt(steps)
    losses[30:40] += 0.1
    losses[35] = np.nan
    losses[38] = 9.0
    found = history(record(log=log(losses, steps), rows=rows([np.ones((2, 3))] * 2)))["loss"]
    assert found["curve"]["steps"] == list(range(1, STEPS + 1))
    assert found["replaced"]["steps"] == [31, 32, 33, 34, 35, 37, 38, 39, 40]
    assert max(found["replaced"]["values"]) == 9.0
    assert max(found["curve"]["values"]) == 5.0


def test_one_run_in_several_formats_is_no_branch() -> None:
    steps = np.arange(1, STEPS + 1)
    exact = 5 / np.sqrt(steps)
    printed = np.round(exact, 2)
    whole = log(np.concatenate([printed, exact]), np.concatenate([steps, steps]))
    parts = (Segment("a", "console", 0, STEPS), Segment("b", "jsonl", STEPS, 2 * STEPS))
    found = history(record(log=replace(whole, segments=parts), rows=rows([np.ones((2, 3))] * 2)))["loss"]
    assert found["replaced"] is None
    printed[40] += 0.03
    whole = log(np.concatenate([printed, exact]), np.concatenate([steps, steps]))
    found = history(record(log=replace(whole, segments=parts), rows=rows([np.ones((2, 3))] * 2)))["loss"]
    assert found["replaced"]["steps"] == [41]


def test_logged_and_declared_stand_beside_each_other() -> None:
    steps = np.arange(1, STEPS + 1)
    found = history(record(log=log(5 / np.sqrt(steps), steps), rows=rows([np.ones((2, 3))] * 2)))
    assert found["learning_rate"]["declared"]["values"] == [1e-3] * STEPS
    assert found["learning_rate"]["logged"]["values"][-1] == 1e-4
    assert found["tokens"]["logged"] is None
    assert found["tokens"]["declared"]["values"][-1] == 30 * 512 + 30 * 1024
    assert found["log"] == [{"file": "run.jsonl", "first_step": 1, "last_step": STEPS}]


def test_distances_are_those_of_a_second_computation() -> None:
    rng = np.random.default_rng(1)
    states = [rng.standard_normal((5, 7)).astype(np.float32) for _ in range(3)]
    found = history(record(log=None, rows=rows(states)))
    first, *_, last = states
    flat = [state.astype(np.float64).ravel() for state in states]
    point = found["distance"]["points"][2]
    assert point["from_first"] == pytest.approx(
        np.linalg.norm(last - first) / np.linalg.norm(first), rel=1e-4
    )
    cosine = flat[0] @ flat[2] / (np.linalg.norm(flat[0]) * np.linalg.norm(flat[2]))
    assert point["cosine"] == pytest.approx(cosine, abs=1e-4)
    update = found["updates"][1]
    assert (update["from"], update["to"]) == (30, 60)
    assert update["largest"] == pytest.approx(float(np.max(np.abs(states[2] - states[1]))), rel=1e-4)
    assert update["mean"] == pytest.approx(float(np.sqrt(np.mean((flat[2] - flat[1]) ** 2))), rel=1e-4)


def test_averages_are_no_states_of_the_run() -> None:
    states = [np.ones((2, 3)), np.full((2, 3), 9.0), np.full((2, 3), 2.0)]
    roles = [CheckpointRole.TRAINING, CheckpointRole.AVERAGE, CheckpointRole.TRAINING]
    found = history(record(log=None, rows=rows(states, roles)))
    assert [row["largest"] for row in found["updates"]] == [1.0]


def test_weights_that_are_no_numbers_give_no_number() -> None:
    states = [np.ones((2, 3)), np.full((2, 3), np.nan), np.full((2, 3), np.inf)]
    found = history(record(log=None, rows=rows(states)))
    assert found["updates"] is None
    assert [point["from_first"] for point in found["distance"]["points"]] == [0.0, None, None]
    json.dumps(found, allow_nan=False)


def test_what_is_not_disclosed_is_null() -> None:
    bare = Record(Path("nowhere"), Declaration("bare", STEPS), {}, "0" * 64)
    expected = dict.fromkeys(("loss", "learning_rate", "tokens", "updates", "distance")) | {"log": []}
    assert history(bare) == expected
