"""The five checks on a real tiny training and on forgeries of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_run

from jokbo.records.checks.base import CheckContext, CheckResult, Observation
from jokbo.records.checks.choose import find_check
from jokbo.records.declaration import Event, EventKind
from jokbo.records.record import Record
from jokbo.records.series import Column, Log

pytestmark = pytest.mark.torch

NAMES = ("re_evaluation", "batch_echo", "memorisation", "palimpsest", "replay")


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return tiny_run.train(
        tmp_path_factory.mktemp("honest"), steps=48, checkpoints=(0, 8, 16, 24, 32, 40, 48), states=(24,)
    )


@pytest.fixture(scope="module")
def longer(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Enough logged losses to correlate."""
    return tiny_run.train(tmp_path_factory.mktemp("longer"), steps=160, checkpoints=(0, 40, 80, 150, 160))


def forged(record: Record, **parts: object) -> Record:
    """The same record with something put in another's place."""
    made = replace(record)
    kept = {
        k: v
        for k, v in record.__dict__.items()
        if k in ("checkpoints", "log", "windows", "order", "held_out")
    }
    made.__dict__.update(kept | parts)
    return made


def run(name: str, record: Record, **options: object) -> CheckResult:
    return find_check(name).run(record, CheckContext(3, **options))


@pytest.mark.parametrize("name", ["re_evaluation", "memorisation", "replay"])
def test_an_honest_run_is_never_inconsistent(honest: Record, name: str):
    result = run(name, honest)
    assert result.observation is not Observation.VIOLATED
    assert result.log_pvalue is None or result.log_pvalue > np.log(1e-3)
    if name in ("re_evaluation", "replay"):
        assert result.observation is Observation.HOLDS


@pytest.mark.parametrize("name", ["batch_echo", "palimpsest"])
def test_an_honest_log_echoes_and_no_trace_is_misread(longer: Record, name: str):
    result = run(name, longer)
    assert result.observation is (Observation.HOLDS if name == "batch_echo" else Observation.UNKNOWN)
    assert result.log_pvalue > np.log(1e-3)


@pytest.mark.parametrize(("name", "flops"), [("re_evaluation", 1e9), ("replay", 2e9)])
def test_the_same_input_gives_the_same_result(honest: Record, name: str, flops: float):
    assert run(name, honest, flops=flops) == run(name, honest, flops=flops)


def with_losses(record: Record, losses: np.ndarray) -> Record:
    steps = record.log.steps
    zero = np.zeros(len(steps))
    return forged(record, log=Log(steps, zero, zero, {"loss": Column("loss", losses)}, ()))


def shuffled_order(record: Record) -> Record:
    return forged(
        record, order=np.random.default_rng(0).permutation(record.order.ravel()).reshape(record.order.shape)
    )


def test_an_invented_log_is_found(honest: Record):
    smooth = np.poly1d(np.polyfit(honest.log.steps, honest.log.columns["loss"].values, 6))(honest.log.steps)
    invented = with_losses(honest, smooth + np.random.default_rng(0).normal(0, 0.05, len(smooth)))
    assert run("re_evaluation", invented).observation is Observation.VIOLATED


def test_a_mean_since_the_row_before_is_over_its_batches(longer: Record):
    from jokbo.records.checks.batch_echo import _windows
    from jokbo.records.replay.material import collect

    three = _windows(collect(longer), 9, 3)
    assert np.array_equal(three, longer.windows[longer.order[6:9].ravel()])
    assert np.array_equal(_windows(collect(longer), 2, 5), longer.windows[longer.order[:2].ravel()])


def test_a_log_of_other_batches_does_not_echo(longer: Record):
    assert run("batch_echo", shuffled_order(longer)).observation is Observation.VIOLATED


def test_a_false_order_is_found(honest: Record):
    for name in ("re_evaluation", "replay"):
        assert run(name, shuffled_order(honest)).observation is Observation.VIOLATED, name


def test_losses_in_bits_are_never_called_equal(honest: Record):
    """Six checkpoints are too few to tell another convention from wrong numbers; neither is a pass."""
    record = with_losses(honest, honest.log.columns["loss"].values / np.log(2))
    result = run("re_evaluation", record)
    assert result.observation in (Observation.UNKNOWN, Observation.VIOLATED)


def test_a_hidden_pull_is_found(tmp_path: Path):
    record = tiny_run.train(tmp_path, steps=40, pull=0.05)
    assert run("replay", record).observation is Observation.VIOLATED
    # Its log is real, and so are its checkpoints.
    assert run("re_evaluation", record).observation is not Observation.VIOLATED


def test_another_models_checkpoint_is_found(honest: Record):
    members = list(honest.checkpoints.members)
    members[4] = replace(members[4], model=members[2].model)
    swapped = forged(honest, checkpoints=replace(honest.checkpoints, members=tuple(members)))
    for name in ("re_evaluation", "replay"):
        assert run(name, swapped).observation is Observation.VIOLATED, name


def test_a_declared_event_excuses_its_own_segments_only(honest: Record):
    members = list(honest.checkpoints.members)
    members[4] = replace(members[4], model=members[2].model)
    checkpoints = replace(honest.checkpoints, members=tuple(members))
    for event, excused in (
        (Event(EventKind.ROLLBACK, 36, 28), True),
        (Event(EventKind.ROLLBACK, 5, 2), False),
    ):
        said = replace(honest.declaration, event=(event,))
        result = run("replay", forged(honest, checkpoints=checkpoints, declaration=said))
        assert (result.observation is not Observation.VIOLATED) is excused


@pytest.mark.parametrize(
    ("name", "absent", "code", "missing"),
    [
        ("re_evaluation", "log", "no_log", ("log",)),
        ("re_evaluation", "windows", "no_data", ("windows",)),
        ("batch_echo", "order", "no_data", ("order",)),
        ("memorisation", "order", "no_data", ("order",)),
        ("palimpsest", "windows", "no_data", ("windows",)),
        ("replay", "order", "no_data", ("order",)),
    ],
)
def test_what_is_missing_is_said(honest: Record, name: str, absent: str, code: str, missing: tuple[str, ...]):
    result = run(name, forged(honest, **{absent: None}))
    assert result.observation is Observation.UNKNOWN
    assert result.reasons[0].code == code
    assert result.missing == missing


@pytest.mark.parametrize("name", NAMES)
def test_a_budget_too_small_is_said(honest: Record, name: str):
    result = run(name, honest, flops=10.0)
    assert result.observation is Observation.UNKNOWN
    assert result.reasons[0].code in ("too_slow", "no_power", "few_rows", "few_windows")


def test_an_order_that_names_no_window_is_said(honest: Record):
    order = honest.order.copy()
    order[:] = 10**6
    assert run("re_evaluation", forged(honest, order=order)).reasons[0].code == "bad_order"


def test_without_checkpoints_pairs_are_counted(longer: Record):
    none = forged(longer, checkpoints=replace(longer.checkpoints, members=()))
    result = run("batch_echo", none)
    assert result.observation is not Observation.VIOLATED
    assert result.details["reference"] == "bigram"


def test_a_schedule_that_counts_from_zero_is_replayed_as_it_ran(tmp_path: Path):
    """The Transformers Trainer makes update k at the rate of k - 1, the first at none; the log says k."""
    record = tiny_run.train(tmp_path, steps=24, checkpoints=(0, 3, 12, 24), late=True)
    result = run("replay", record)
    assert result.observation is not Observation.VIOLATED
    assert result.log_pvalue > np.log(1e-3)
    assert [round(row["cosine"], 2) for row in result.details["segments"]] == [1.0, 1.0, 1.0]
