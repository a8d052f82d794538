"""The committed training record is believed, and no forgery of it that arithmetic alone can make."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from zoo.record.committed import RECORD, other_run, own_run
from zoo.record.instances import CHEAP, against, forge

from jokbo.records.audit import Audit, audit
from jokbo.records.forgeries import Forgery
from jokbo.records.pack import open_pack

FOUND_BY = {
    "start-random": "step_bound",
    "start-random-rows": "init_imprint",
    "start-trained-noise": "init_law",
    "start-trained-scaled": "init_spectrum",
    "start-planted-44": "init_spectrum",
    "start-planted-10": "init_imprint",
    "start-planted-03": "neuron_identity",
    "interpolated-linear": "step_bound",
    "interpolated-curved": "unused_rows",
    "interpolated-noisy": "init_imprint",
    "swap-early": "neuron_identity",
    "swap-equal": "step_bound",
    "swap-other": "unused_rows",
    "swap-matched": "init_imprint",
    "swap-permuted": "neuron_identity",
    "swap-whole": "step_bound",
    "padding": "duplicates",
    "padding-shaken": "unused_rows",
    "published-earlier": "bytes",
    "published-further": "bytes",
    "published-other": "bytes",
    "published-touched": "bytes",
    "known-model": "foreign_lineage",
    "log-cut": "continuity",
    "log-recycled": "borrowed_noise",
    "log-recycled-rescaled": "borrowed_noise",
    "log-recycled-rounded": "borrowed_noise",
    "rates-edited": "arithmetic",
    "rates-halved": "step_bound",
    "totals-inflated": "arithmetic",
    "totals-inflated-throughout": "compute",
    "state-foreign": "optimizer_state",
    "state-shuffled": "optimizer_state",
    "chain-weights-after": "precedence",
    "chain-reordered": "precedence",
    "chain-link-dropped": "precedence",
}
NEEDS_THE_MODEL = {
    "log-invented-white",
    "log-invented-correlated",
    "log-invented-smooth",
    "log-invented-grid",
    "log-clock-computed",
    "log-spliced",
    "order-shuffled",
    "order-shuffled-within",
    "data-false",
    "state-misplaced",
    "state-of-neighbour",
    "chain-signed-afterwards",
}
"""Weights and log do not contradict each other: only running the model, or a time stamp, could tell."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(RECORD, folder / "record")  # links are made from it, which another disk would not allow
    own = own_run(folder / "own", folder / "record")
    return [own, other_run(own, folder / "theirs")]


@pytest.fixture(scope="module")
def honest() -> Audit:
    return audit(RECORD, replay=False, n_plants=1)


def test_every_forgery_has_its_check() -> None:
    assert set(FOUND_BY) | NEEDS_THE_MODEL == set(CHEAP)
    assert not set(FOUND_BY) & NEEDS_THE_MODEL


def test_record_is_whole() -> None:
    record = open_pack(RECORD)
    assert len(record.training_checkpoints()) == 12
    assert record.training_checkpoints()[0].step == 0
    assert {entry.path for entry in record.declaration.log} == {
        "console.log",
        "trainer_state.json",
        "run.wandb",
    }
    assert sum(file.size for file in record.files.values()) < 12 << 20


def test_honest_record_is_not_inconsistent(honest: Audit) -> None:
    assert honest.verdict.violated == ()
    asked = {r["check"] for r in honest.document["checks"] if r["observation"] == "violated"}
    assert asked == set(), "a soft check asks a question of the zoo's own record"


def test_three_logs_tell_one_history(honest: Audit) -> None:
    segments = honest.document["log"]["segments"]
    assert [s["format"] for s in segments] == ["console", "trainer_state", "wandb_offline"]
    record = open_pack(RECORD)
    assert record.log is not None
    losses = record.log.effective("loss")
    assert losses is not None
    assert losses.steps.tolist() == list(range(1, 301))


@pytest.mark.parametrize("name", FOUND_BY)
def test_forgery_is_found(name: str, pool: list[Path], tmp_path: Path) -> None:
    pack = forge(name, 0, pool=pool, out=tmp_path / "pack")
    found = audit(
        pack, against=against(name, 0, pool=pool), replay=False, checks=[FOUND_BY[name]], n_plants=1
    )
    assert found.verdict.violated == (FOUND_BY[name],)


@pytest.mark.parametrize("name", sorted(NEEDS_THE_MODEL - {"chain-signed-afterwards"}))
def test_forgery_that_needs_the_model_is_not_called_consistent(
    name: str, pool: list[Path], tmp_path: Path
) -> None:
    pack = forge(name, 0, pool=pool, out=tmp_path / "pack")
    checks = ["continuity", "clock", "number_grid", "residual_noise", "first_loss"]
    found = audit(pack, replay=False, checks=checks, n_plants=1)
    assert found.verdict.kind != "consistent"
    forgery = CHEAP[name].forgery
    assert found.verdict.violated or str(forgery) in found.document["verdict"]["not_excluded"]


def test_forgeries_cover_the_list() -> None:
    # Anchored runs and untraining are trained: benchmarks/record_experiments.py.
    made = {recipe.forgery for recipe in CHEAP.values()}
    assert set(Forgery) - made == {Forgery.ANCHORED, Forgery.UNTRAINING}
