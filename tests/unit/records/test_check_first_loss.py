"""C12: first losses of guessing, and of models that had learnt."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.records.checks.base import FOUND_LOG_PVALUE, CheckContext, Observation
from jokbo.records.checks.first_loss import FirstLoss, first_noise, log_pvalue
from jokbo.records.declaration import Initialisation, Model
from jokbo.records.forgeries import Forgery
from jokbo.records.series import Column
from jokbo.testing.records import honest_losses, make_log, make_record

CONTEXT = CheckContext(0)
VOCAB = 512


def run(losses, first=1, **declared):
    steps = np.arange(first, first + len(losses))
    log = make_log(steps, columns={"loss": losses})
    record = make_record(log, steps=int(steps[-1]), **{"model": Model(vocab_size=VOCAB), **declared})
    return FirstLoss().run(record, CONTEXT)


def losses(seed=0, n=400):
    return honest_losses(n, np.random.default_rng(seed))


def codes(result):
    return [reason.code for reason in result.reasons]


def test_a_random_start_holds():
    result = run(losses())
    assert result.observation is Observation.HOLDS
    assert [(p.forgery, p.found) for p in result.planted] == [(Forgery.TRAINED_START, 59)]


def test_a_first_loss_of_step_0_is_the_same():
    assert run(losses(), first=0).observation is Observation.HOLDS


def test_a_warm_start_is_found():
    warm = losses()[200:]
    assert (run(warm).observation, codes(run(warm))) == (Observation.VIOLATED, ["warm"])


def test_a_start_above_guessing_is_none():
    assert run(losses() + 0.6).observation is Observation.HOLDS


def test_a_log_that_starts_late_cannot_tell():
    assert codes(run(losses()[100:], first=101)) == ["starts_late"]


def test_a_validation_at_step_0_stands_in_for_a_late_first_row():
    steps = np.r_[0, np.arange(10, 410)]
    values = np.r_[np.nan, losses()]
    log = make_log(steps, columns={"loss": values})
    columns = {**log.columns, "validation_loss": Column("v", np.array([np.log(VOCAB)]), np.array([0]))}
    import dataclasses

    record = make_record(dataclasses.replace(log, columns=columns), steps=409, model=Model(vocab_size=VOCAB))
    result = FirstLoss().run(record, CONTEXT)
    assert (result.observation, result.details["step"]) == (Observation.HOLDS, 0)


def test_a_run_that_learns_nothing_has_no_power():
    flat = np.log(VOCAB) + 0.05 * np.random.default_rng(0).standard_normal(400)
    assert codes(run(flat)) == ["no_power"]


def test_the_predicted_loss_is_that_of_the_declared_law(tmp_path):
    (tmp_path / "config.json").write_text('{"hidden_size": 128, "vocab_size": 50304}')
    log = make_log(np.arange(1, 401), columns={"loss": losses() + 4.7})
    record = make_record(
        log, steps=400, model=Model("config.json"), initialisation=Initialisation("normal", 0.0559)
    )
    record.folder = tmp_path
    result = FirstLoss().run(record, CONTEXT)
    # Pythia 14m logs 11.01 and 10.99 in its first rows.
    assert result.details["predicted"] == pytest.approx(11.03, abs=0.01)


def test_missing_inputs_are_named():
    assert FirstLoss().run(make_record(None, steps=3), CONTEXT).missing == ("log",)
    assert run(losses(), model=Model()).missing == ("config",)
    assert codes(run(losses(n=30))) == ["few_rows"]


def test_pvalues_of_honest_logs_are_not_too_small():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(1000):
        x = honest_losses(120, rng)
        found.append(log_pvalue(float(x[0]), np.log(VOCAB), first_noise(x)))
    found = np.array(found)
    for level in (0.3, 0.1, 0.03, 0.01):
        assert (found < np.log(level)).mean() <= level
    assert found.min() > FOUND_LOG_PVALUE / 2


def test_without_allowances_pvalues_would_be_uniform():
    rng = np.random.default_rng(1)
    noise = 0.05
    firsts = 6.0 + noise * rng.standard_normal(4000)
    found = np.exp([log_pvalue(float(f), 6.0, noise / 2, 0.0) for f in firsts])
    for level in (0.05, 0.3, 0.7):
        assert (found < level).mean() == pytest.approx(level, abs=0.025)
