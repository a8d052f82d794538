"""C3: states of different steps differ, and none is missing from a cadence."""

from __future__ import annotations

import numpy as np
import pytest
from weight_runs import HOLDS, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType
from jokbo.formats.writer import build_file, to_raw
from jokbo.records.checks.duplicates import Duplicates, holes
from jokbo.records.declaration import CheckpointEntry, Event, EventKind, Hardware, Schedule
from jokbo.testing.trainings import NORM, declared, disclose


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "muon"])
def test_honest_records_hold(tmp_path, optimizer):
    result = see(Duplicates(), disclose(trained(0, optimizer), tmp_path), plants=59)
    assert result.observation is HOLDS
    assert all(planted.powered for planted in result.planted)


def test_16_bits_hide_no_copy_and_invent_none(tmp_path):
    run = trained()
    assert see(Duplicates(), disclose(run, tmp_path / "a", dtype=DType.BF16)).observation is not VIOLATED
    run.weights[32] = run.weights[60]
    assert see(Duplicates(), disclose(run, tmp_path / "b", dtype=DType.BF16)).observation is VIOLATED


@pytest.mark.parametrize("kind", ["copy", "matrices", "noise"])
def test_copies_are_found(tmp_path, kind):
    run = trained()
    copy = {name: values.copy() for name, values in run.weights[60].items()}
    if kind == "matrices":
        copy[NORM] = run.weights[32][NORM]
    if kind == "noise":
        rng = np.random.default_rng(0)
        for values in copy.values():
            values *= 1 + 1e-6 * rng.standard_normal(values.shape, dtype=np.float32)
    run.weights[32] = copy
    result = see(Duplicates(), disclose(run, tmp_path))
    assert result.observation is VIOLATED
    assert (result.reasons[0].values["first"], result.reasons[0].values["last"]) == (32, 60)


def test_a_declared_copy_is_no_violation(tmp_path):
    run = trained()
    run.weights[32] = run.weights[60]
    event = Event(EventKind.DUPLICATE_CHECKPOINTS, 32, note="copied by mistake")
    assert see(Duplicates(), disclose(run, tmp_path, events=(event,))).observation is not VIOLATED


def test_states_between_which_the_rate_is_zero_may_be_equal(tmp_path):
    run = trained()
    run.weights[4] = run.weights[0]
    record = disclose(run, tmp_path)
    # A schedule whose first four rates are zero.
    late = declared(record, schedule=Schedule("constant", 0.0, total_steps=60))
    assert see(Duplicates(), late).observation is not VIOLATED
    assert see(Duplicates(), record).observation is VIOLATED


def test_a_first_update_at_rate_zero_makes_no_copy(tmp_path):
    """A schedule that counts from 0 begins its warm-up with an update that moves nothing."""
    run = trained()
    run.weights[1] = {name: values.copy() for name, values in run.weights[0].items()}
    record = disclose(run, tmp_path)
    warm = declared(record, schedule=Schedule("linear", 3e-3, warmup_steps=10, total_steps=60))
    result = see(Duplicates(), warm, plants=59)
    assert result.observation is HOLDS
    assert all(planted.powered for planted in result.planted)
    cold = declared(record, schedule=Schedule("constant", 3e-3, total_steps=60))
    assert see(Duplicates(), cold).observation is VIOLATED


@pytest.mark.parametrize(("precision", "found"), [("FP16", False), ("BF16", True)])
def test_a_loss_scale_may_skip_the_first_updates(tmp_path, precision, found):
    run = trained()
    run.weights[4] = {name: values.copy() for name, values in run.weights[0].items()}
    record = declared(disclose(run, tmp_path), hardware=Hardware("V100", 1, precision=precision))
    assert (see(Duplicates(), record).observation is VIOLATED) is found


@pytest.mark.parametrize(("peak", "found"), [(1e-6, False), (3e-3, True)])
def test_equal_digests_say_nothing_where_updates_are_too_small_to_show(tmp_path, peak, found):
    record = disclose(trained(), tmp_path)
    entries = tuple(CheckpointEntry(f"c{step}", step, digest="ab" * 32) for step in (20, 40))
    made = declared(record, checkpoint=entries, schedule=Schedule("constant", peak, total_steps=60))
    assert (see(Duplicates(), made).observation is VIOLATED) is found


def test_a_frozen_tensor_is_no_copy(tmp_path):
    run = trained()
    for step in run.weights:
        run.weights[step]["lm_head.weight"] = run.weights[0]["lm_head.weight"]
    assert see(Duplicates(), disclose(run, tmp_path)).observation is not VIOLATED


def test_a_hole_in_a_cadence_is_found_unless_it_is_declared(tmp_path):
    run = trained(steps=60 * 3)
    assert len(run.weights) == 13
    assert see(Duplicates(), disclose(run, tmp_path / "a")).observation is not VIOLATED
    del run.weights[90]
    result = see(Duplicates(), disclose(run, tmp_path / "b"))
    assert result.observation is VIOLATED
    assert codes(result) == ["hole"]
    assert result.reasons[0].values["step"] == 90
    event = Event(EventKind.MISSING_CHECKPOINTS, 90, 90)
    assert see(Duplicates(), disclose(run, tmp_path / "c", events=(event,))).observation is not VIOLATED


def test_irregular_series_have_no_holes():
    assert holes([0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512]) == []
    assert holes([10 * k for k in range(20)]) == []
    assert holes([*range(0, 100, 10), *range(100, 1000, 100)]) == []


def test_a_copy_in_another_stored_type_is_found(tmp_path):
    run = trained()
    record = disclose(run, tmp_path)
    raw = {name: to_raw(values, DType.BF16) for name, values in run.weights[60].items()}
    (tmp_path / "checkpoints/step-32.safetensors").write_bytes(build_file(raw))
    result = see(Duplicates(), record)
    assert result.observation is VIOLATED
    assert result.details["copies"] == [[32, 60]]
