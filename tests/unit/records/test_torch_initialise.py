"""``torch-normal/1`` against PyTorch itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from jokbo.records.checks.base import CheckContext, CheckResult, Observation
from jokbo.records.checks.init_regeneration import InitRegeneration
from jokbo.records.pack import write_pack
from jokbo.testing.builders import llama

pytestmark = pytest.mark.torch

SEED = 11


@pytest.fixture
def run(tmp_path: Path) -> Path:
    model = llama(np.random.default_rng(0), num_layers=1, hidden_size=32, intermediate_size=48)
    order = [name for name, values in model.tensors.items() if values.ndim >= 2][::-1]
    generator = torch.Generator().manual_seed(SEED)
    drawn = {n: np.ones_like(v) for n, v in model.tensors.items()}
    for name in order:
        drawn[name] = torch.empty(model[name].shape).normal_(0.0, 0.02, generator=generator).numpy()
    folder = tmp_path / "run"
    model.with_tensors(drawn).save(folder / "step-0")
    (folder / "order.txt").write_text("".join(f"{name}\n" for name in order))
    return folder


def check(
    run: Path, *, seed: int = SEED, version: str = torch.__version__, order: str = "order.txt"
) -> CheckResult:
    (run / "record.toml").write_text(
        f'name = "t"\nsteps = 1\n[initialisation]\nlaw = "normal"\nstd = 0.02\nprocedure = "torch-normal/1"\n'
        f'seed = {seed}\nparameter_order = "{order}"\n[environment]\ntorch = "{version}"\n'
        '[[checkpoint]]\nname = "s0"\nstep = 0\npath = "step-0"\n'
    )
    record = write_pack(run / "record.toml", run.parent / "pack")
    return InitRegeneration().run(record, CheckContext(seed=0))


def codes(found: CheckResult) -> list[str]:
    return [reason.code for reason in found.reasons]


def test_the_declared_order_regenerates_bf16_weights(run: Path):
    # Stored as BF16, the checkpoint's own type.
    assert codes(check(run)) == ["regenerated", "seed_chosen"]


def test_another_seed_contradicts_under_the_same_version_alone(run: Path):
    found = check(run, seed=12)
    assert (found.observation, codes(found)) == (Observation.VIOLATED, ["bits_differ"])
    import shutil

    shutil.rmtree(run.parent / "pack")
    found = check(run, seed=12, version="1.13.0")
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["torch_differs"])


def test_an_order_that_does_not_name_every_matrix(run: Path):
    names = (run / "order.txt").read_text().splitlines()
    (run / "order.txt").write_text("\n".join(names[1:]))
    found = check(run)
    assert (found.observation, codes(found)) == (Observation.UNKNOWN, ["order_unfit"])
    assert names[0] in str(found.reasons[0].values["problem"])
