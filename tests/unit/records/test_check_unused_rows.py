"""C18: input rows of unseen tokens only decay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from weight_runs import HOLDS, UNKNOWN, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType
from jokbo.records.checks.init_imprint import InitImprint
from jokbo.records.checks.neuron_identity import NeuronIdentity
from jokbo.records.checks.step_bound import StepBound
from jokbo.records.checks.unused_rows import UnusedRows
from jokbo.records.declaration import Data, Optimizer
from jokbo.records.forgeries import Forgery
from jokbo.records.motion import carried, leg
from jokbo.testing.trainings import EMBED, HEAD, UNSEEN, declared, disclose, train


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "muon"])
@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16])
def test_honest_trainings_leave_them_to_decay(tmp_path, optimizer, dtype):
    result = see(UnusedRows(), disclose(trained(0, optimizer), tmp_path, dtype=dtype), plants=59)
    assert result.observation is HOLDS
    assert result.statistic is not None
    assert result.statistic < 1


def test_power_says_that_spared_rows_escape(tmp_path):
    result = see(UnusedRows(), disclose(trained(), tmp_path), plants=59)
    powers = {(p.forgery, p.powered) for p in result.planted}
    assert (Forgery.UNRELATED_START, True) in powers
    assert {(Forgery.ANCHORED, True), (Forgery.ANCHORED, False)} <= powers


def test_another_start_is_found(tmp_path):
    run = trained()
    run.weights[0] = trained(1).weights[0]
    result = see(UnusedRows(), disclose(run, tmp_path))
    assert result.observation is VIOLATED
    assert result.reasons[0].values["rows"] == len(UNSEEN)


def test_copied_rows_escape(tmp_path):
    run = trained()
    start = trained(1).weights[0]
    start[EMBED][list(UNSEEN)] = run.weights[0][EMBED][list(UNSEEN)]
    run.weights[0] = start
    assert see(UnusedRows(), disclose(run, tmp_path)).observation is not VIOLATED


def test_a_hidden_pull_moves_them(tmp_path):
    anchored = train(0, pull=(trained(1).weights[60], 0.05))
    assert see(UnusedRows(), disclose(anchored, tmp_path)).observation is VIOLATED


def test_one_moved_element_is_found(tmp_path):
    run = trained()
    run.weights[60][EMBED][UNSEEN[0], 0] *= np.float32(1.01)
    assert see(UnusedRows(), disclose(run, tmp_path)).observation is VIOLATED


def test_embeddings_left_out_of_decay_are_honest_too(tmp_path):
    run = trained()
    for weights in run.weights.values():
        weights[EMBED][list(UNSEEN)] = run.weights[0][EMBED][list(UNSEEN)]
    assert see(UnusedRows(), disclose(run, tmp_path)).observation is not VIOLATED


def test_tokens_that_were_seen_after_all_are_left_out(tmp_path):
    record = disclose(trained(), tmp_path)
    wrong = declared(record, data=Data(unseen_tokens=(0, 1, *UNSEEN)))
    assert see(UnusedRows(), wrong).observation is VIOLATED
    windows = declared(record, data=Data(unseen_tokens=(0, 1, *UNSEEN)))
    windows.__dict__["windows"] = np.arange(80, dtype=np.uint16).reshape(8, 10)
    assert see(UnusedRows(), windows).observation is not VIOLATED


def test_a_log_whose_rates_are_one_step_off_is_honest(tmp_path):
    from jokbo.testing.records import make_log

    run = trained()
    record = disclose(run, tmp_path)
    late = [*run.rates[1:], run.rates[-1]]
    record.__dict__["log"] = make_log(range(1, 61), columns={"learning_rate": late})
    assert record.rates is not None
    assert record.rates[0] == run.rates[1]
    assert see(UnusedRows(), record).observation is not VIOLATED
    assert see(StepBound(), record).observation is not VIOLATED


def test_tied_embeddings_and_missing_declarations_are_not_judged(tmp_path):
    run = trained()
    for weights in run.weights.values():
        weights[HEAD] = weights[EMBED]
    assert codes(see(UnusedRows(), disclose(run, tmp_path / "a"))) == ["tied"]
    record = disclose(trained(), tmp_path / "b")
    assert see(UnusedRows(), declared(record, data=None)).missing == ("unseen_tokens",)
    assert see(UnusedRows(), declared(record, schedule=None)).missing == ("learning_rate",)
    late = declared(record, checkpoint=record.declaration.checkpoint[1:])
    assert see(UnusedRows(), late).missing == ("step0",)
    assert see(UnusedRows(), late).observation is UNKNOWN


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("first", [0, 40])
def test_what_sgd_carries_is_what_its_updates_leave(tmp_path, nesterov, first):
    """PyTorch's recursion with no gradient but decay, through either momentum."""
    record = disclose(trained(0, "sgd"), tmp_path)
    optimizer = Optimizer("sgd", betas=(0.9,), weight_decay=0.01)
    weight, buffer, before = 1.0, 0.0, 1.0
    stretch = leg(record, first, 60)
    whole = leg(record, 0, 60)
    assert stretch is not None
    assert whole is not None
    for step, rate in enumerate(whole.rates.tolist()):
        before = weight if step == first else before
        gradient = 0.01 * weight
        buffer = 0.9 * buffer + gradient
        weight -= rate * (gradient + 0.9 * buffer if nesterov else buffer)
    tensor = record.rows.tensors[next(iter(record.rows.tensors))]
    found = carried(optimizer, tensor, stretch, nesterov=nesterov)
    assert found == pytest.approx(weight / before, rel=1e-9 if first == 0 else 0.1)


def test_an_optimizer_that_is_not_known_is_not_judged(tmp_path):
    """Rates by group of parameters are declared as another optimizer: its decay is not that of the log's rates."""
    record = disclose(trained(), tmp_path)
    other = declared(
        record, optimizer=replace(record.declaration.optimizer, name="adamw-mup", weight_decay=3.0)
    )
    for check in (UnusedRows(), InitImprint(), NeuronIdentity()):
        result = see(check, other)
        assert (result.observation, codes(result)) == (UNKNOWN, ["unknown_optimizer"])


def test_decay_inside_the_gradient_of_adam_is_not_followed(tmp_path):
    """Normalised with the gradient, a decay of .1 wears the start away within some hundred updates."""
    record = disclose(trained(), tmp_path)
    coupled = declared(record, optimizer=Optimizer("adam", betas=(0.9, 0.95), weight_decay=0.1))
    for check in (UnusedRows(), InitImprint(), NeuronIdentity()):
        result = see(check, coupled)
        assert (result.observation, codes(result)) == (UNKNOWN, ["coupled_decay"])


def test_updates_that_were_skipped_decay_nothing(tmp_path):
    """A loss scale or a guard leaves some updates out: one number for all rows, between full decay and none."""
    run = trained()
    start = run.weights[0][EMBED][UNSEEN[0] :]
    for step in list(run.weights)[1:]:
        run.weights[step][EMBED][UNSEEN[0] :] += 0.5 * (start - run.weights[step][EMBED][UNSEEN[0] :])
    assert see(UnusedRows(), disclose(run, tmp_path / "a"), plants=59).observation is HOLDS
    run.weights[60][EMBED][UNSEEN[0] :] = 1.001 * start
    assert see(UnusedRows(), disclose(run, tmp_path / "b")).observation is VIOLATED
