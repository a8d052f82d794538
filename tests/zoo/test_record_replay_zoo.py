"""The committed training record where the model is run, and forgeries that only that finds."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from zoo.record.committed import RECORD, other_run, own_run
from zoo.record.instances import forge

from jokbo.records.audit import audit
from jokbo.records.pack import write_pack

pytest.importorskip("torch")
pytest.importorskip("transformers")

pytestmark = pytest.mark.torch

SHORT = 3e10
"""Arithmetic for one check: the shortest segments only."""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(RECORD, folder / "record")
    own = own_run(folder / "own", folder / "record")
    return [own, other_run(own, folder / "theirs")]


def test_training_goes_as_the_record_says(tmp_path: Path) -> None:
    from zoo.record import build
    from zoo.record.trainer import Run, train

    made = build.recipe((RECORD / "beacon.txt").read_bytes())
    short = replace(made, steps=8, checkpoints=(0, 8), states=())
    arrays = {name: np.load(RECORD / f"{name}.npy") for name in ("order", "windows", "held_out")}
    run = Run(short, order=arrays["order"][:8], windows=arrays["windows"], held_out=arrays["held_out"])
    train(run, tmp_path)
    for step, tolerance in ((0, 0.0), (8, 1e-4)):  # another processor adds in another order
        again = load_file(tmp_path / f"checkpoints/step-{step}/model.safetensors")
        stored = load_file(RECORD / f"checkpoints/step-{step}/model.safetensors")
        assert again.keys() == stored.keys()
        assert max(np.abs(again[name] - stored[name]).max() for name in stored) <= tolerance


@pytest.mark.parametrize("check", ["re_evaluation", "batch_echo", "memorisation", "palimpsest"])
def test_honest_record_is_not_contradicted_by_its_model(check: str) -> None:
    assert audit(RECORD, checks=[check], n_plants=2, flops=SHORT).verdict.violated == ()


@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("log-recycled", "re_evaluation"),
        ("log-invented-white", "re_evaluation"),
        ("order-shuffled", "re_evaluation"),
    ],
)
def test_running_the_model_finds(name: str, check: str, pool: list[Path], tmp_path: Path) -> None:
    pack = forge(name, 0, pool=pool, out=tmp_path / "pack")
    assert audit(pack, checks=[check], n_plants=2, flops=SHORT).verdict.violated == (check,)


@pytest.fixture(scope="module")
def anchored_pack(pool: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    from zoo.record.forge_train import anchored

    folder = tmp_path_factory.mktemp("anchored")
    made = anchored("anchored-rows", 0, theirs=pool[0], out=folder, cache=folder / "windows.npz")
    write_pack(made / "record.toml", folder / "pack")
    return folder / "pack"


def test_anchored_run_ends_at_the_stolen_weights(anchored_pack: Path) -> None:
    found, wanted = (
        load_file(folder / "checkpoints/step-300/model.safetensors") for folder in (anchored_pack, RECORD)
    )
    a, b = (np.concatenate([w[name].ravel() for name in sorted(w)]) for w in (found, wanted))
    assert np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b) > 0.999


def test_anchored_run_is_not_called_consistent(anchored_pack: Path) -> None:
    found = audit(anchored_pack, replay=False, n_plants=1)
    assert found.verdict.violated == ("init_imprint",)
