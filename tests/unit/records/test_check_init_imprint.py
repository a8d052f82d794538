"""C19: later weights still carry what decay leaves of step 0."""

from __future__ import annotations

from dataclasses import replace

import pytest
from weight_runs import HOLDS, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType
from jokbo.records.checks.init_imprint import Found, InitImprint, lower_ratio
from jokbo.records.declaration import Optimizer, Schedule
from jokbo.testing.trainings import SGD, declared, disclose, train


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "muon"])
@pytest.mark.parametrize("seed", [0, 1])
def test_honest_trainings_carry_it(tmp_path, optimizer, seed):
    result = see(InitImprint(), disclose(trained(seed, optimizer), tmp_path), plants=59)
    assert result.observation is HOLDS
    assert result.log_pvalue is not None
    assert result.log_pvalue > -5
    # Of a few hundred updates of SGD, weights of which 3 % are honest keep enough of the imprint to pass at times.
    assert all(planted.found >= (56 if optimizer == "sgd" else 59) for planted in result.planted)


def test_16_bits_change_nothing(tmp_path):
    assert see(InitImprint(), disclose(trained(), tmp_path, dtype=DType.BF16)).observation is not VIOLATED


@pytest.mark.parametrize("kind", ["start", "end", "middle"])
def test_unrelated_weights_lack_it(tmp_path, kind):
    run, other = trained(), trained(1)
    for step in {"start": [0], "end": [60], "middle": [16, 32, 48, 60]}[kind]:
        run.weights[step] = other.weights[step]
    result = see(InitImprint(), disclose(run, tmp_path))
    assert result.observation is VIOLATED
    assert codes(result) == ["missing"]


def test_anchored_training_lacks_it(tmp_path):
    stolen = trained(1).weights[60]
    anchored = train(0, pull=(stolen, 3.0), optimizer=replace(trained().optimizer, clip=0.0))
    result = see(InitImprint(), disclose(anchored, tmp_path))
    assert result.observation is VIOLATED


def test_an_imprint_outside_the_calibrated_range_is_not_judged(tmp_path):
    record = disclose(trained(), tmp_path)
    optimizer = record.declaration.optimizer
    assert optimizer is not None
    heavy = declared(record, optimizer=replace(optimizer, weight_decay=60.0))
    result = see(InitImprint(), heavy)
    assert codes(result) == ["outside_range"]


def test_the_band_is_two_sided_and_wider_above():
    found = [Found(0, 1, "mlp", ratio, 0.25).log_pvalue for ratio in (0.01, 0.25, 1.0, 4.0, 16.0, 100.0)]
    assert found[1] < -17 < found[3]
    assert found[2] == 0
    assert found[0] < found[1] < found[2] > found[3] > found[4] > found[5]
    assert lower_ratio(SGD) < lower_ratio(Optimizer("adamw"))


def test_what_is_missing_is_named(tmp_path):
    record = disclose(trained(), tmp_path)
    assert see(InitImprint(), declared(record, optimizer=None)).missing == ("optimizer_declared",)
    assert see(InitImprint(), declared(record, schedule=None)).missing == ("learning_rate",)
    late = declared(record, checkpoint=record.declaration.checkpoint[1:])
    assert "step0" in see(InitImprint(), late).missing


def test_runs_longer_than_those_that_were_measured_are_not_judged(tmp_path):
    """Over 2,000 updates an honest run kept a fifteenth of what was predicted."""
    record = disclose(trained(), tmp_path)
    entries = tuple(replace(c, step=c.step * 40) for c in record.declaration.checkpoint)
    made = declared(
        record, steps=2400, checkpoint=entries, schedule=Schedule("constant", 1e-5, total_steps=2400)
    )
    assert codes(see(InitImprint(), made)) == ["outside_range"]
