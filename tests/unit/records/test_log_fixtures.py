"""Small files that the real libraries wrote (``scripts/make_log_fixtures.py``), read as they were meant."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from jokbo.testing.log_reading import read_folder

LOGS = Path(__file__).parent / "logs"
SCRIPT = Path(__file__).resolve().parents[3] / "scripts" / "make_log_fixtures.py"
NAMES = {"train/loss": "loss", "lr": "learning_rate", "grad_norm": "gradient_norm"}


@pytest.fixture(scope="module")
def made() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_log_fixtures", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def assert_logged(log, made, steps, *, single=False):
    assert log.steps.tolist() == list(steps)
    for name, standard in NAMES.items():
        logged = np.array([made.values(step)[name] for step in steps])
        expected = logged.astype(np.float32).astype(np.float64) if single else logged
        assert log.series(standard).values.tolist() == expected.tolist()


def codes(log):
    return [(reason.code, reason.values.get("metric")) for reason in log.faults]


def test_a_run_file_of_wandb(made):
    log = read_folder(LOGS, "run.wandb")
    assert_logged(log, made, range(made.RESUMED_AT))
    (segment,) = log.segments
    assert (segment.format, segment.resumed, segment.forked_from, segment.sampled) == (
        "wandb_offline",
        False,
        None,
        "",
    )
    assert segment.facts["run"] == "abc"
    assert segment.facts["exit_code"] == "0"
    assert segment.facts["writer"].startswith("0.31.0")
    assert log.series("nested.part").steps.tolist() == [3]
    assert np.isnan(log.series("odd").values).tolist() == [True]
    assert np.isinf(log.series("wide").values).tolist() == [True]
    assert sorted(codes(log)) == [("not_finite", "odd"), ("not_finite", "wide")]
    assert "note" not in log.columns
    assert np.all(np.diff(log.times) >= 0)
    # One process began at one moment; wandb 0.31 takes time and runtime in two processes, some 0.1 s apart.
    assert np.ptp(log.times - log.runtimes) < 1.0


def test_a_resumed_run_goes_on_in_a_segment_of_its_own(made):
    log = read_folder(LOGS, "run.wandb", "resumed.wandb")
    again = range(made.RESUMED_AT - 2, made.STEPS)
    assert_logged(log, made, [*range(made.RESUMED_AT), *again])
    assert [segment.resumed for segment in log.segments] == [False, True]
    assert [(s.first_row, s.last_row) for s in log.segments] == [(0, 8), (8, 14)]
    assert log.effective("loss").steps.tolist() == list(range(made.STEPS))


def test_event_files_of_torch_in_one_folder(made):
    log = read_folder(LOGS, "tensorboard")
    assert_logged(log, made, [*range(made.RESUMED_AT), *range(made.RESUMED_AT - 2, made.STEPS)], single=True)
    assert [segment.resumed for segment in log.segments] == [False, True]
    assert log.times.tolist() == (1.7e9 + log.steps).tolist()
    assert set(log.columns) == set(NAMES.values())
    assert log.n_faults == 0


def test_trainer_state_of_the_trainer(made):
    log = read_folder(LOGS, "trainer_state.json")
    assert log.series("loss").steps.tolist() == list(range(1, made.STEPS + 1))
    assert log.series("validation_loss").steps.tolist() == [4, 8, 12]
    rates = 1e-3 * (1 - np.arange(made.STEPS) / made.STEPS)
    np.testing.assert_allclose(log.series("learning_rate").values, rates, rtol=1e-12)
    assert len(log.series("gradient_norm")) == made.STEPS
    assert log.series("train_loss").steps.tolist() == [made.STEPS]
    assert log.segments[0].facts["max_steps"] == str(made.STEPS)
    assert log.n_faults == 0


@pytest.mark.parametrize("path", ["mlflow.db", "mlruns"])
def test_both_stores_of_mlflow(made, path):
    log = read_folder(LOGS, path)
    assert_logged(log, made, range(made.STEPS))
    assert codes(log) == [("not_finite", "odd")]
    assert log.segments[0].format == "mlflow"
    assert np.all(np.isfinite(log.times))


def test_nothing_is_written_beside_a_store():
    before = {path: path.read_bytes() for path in LOGS.rglob("*") if path.is_file()}
    read_folder(LOGS, "mlflow.db")
    assert {path: path.read_bytes() for path in LOGS.rglob("*") if path.is_file()} == before
