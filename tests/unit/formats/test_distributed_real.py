"""Distributed checkpoints written on the spot by the PyTorch that is installed."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from jokbo.formats.dtypes import decode
from jokbo.records.declaration import CheckpointEntry, Declaration, Optimizer
from jokbo.records.optimizer_state import read_optimizer_state
from jokbo.records.record import Record
from jokbo.views.model import open_model

pytestmark = pytest.mark.torch


def layers():
    import torch

    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.LayerNorm(5), torch.nn.Embedding(11, 3))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_checkpoint_is_read_as_torch_wrote_it(tmp_path: Path, dtype: str, nested: bool):
    import torch
    import torch.distributed.checkpoint as dcp

    state = layers().to(getattr(torch, dtype)).state_dict()
    whole = (
        {"app": {"model": dict(state), "optimizer": {"w": torch.ones(3)}}, "step": 3}
        if nested
        else dict(state)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(whole, checkpoint_id=tmp_path / "dcp", no_dist=True)
    model = open_model(tmp_path / "dcp")
    assert set(model.catalog) == set(state)
    for name, tensor in state.items():
        entry = model.catalog[name]
        values = decode(model.source.read(entry.file, *entry.span), entry.dtype).reshape(entry.shape)
        np.testing.assert_array_equal(values, tensor.float().numpy())
    model.close()


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "SGD", "NAdam"])
@pytest.mark.parametrize("named", [False, True])
def test_an_optimizer_state_is_read_as_torch_wrote_it(tmp_path: Path, kind: str, named: bool):
    import torch

    model = layers()
    options = {"momentum": 0.9} if kind == "SGD" else {}
    parameters = model.named_parameters() if named else model.parameters()
    optimizer = getattr(torch.optim, kind)(parameters, lr=0.1, **options)
    for _ in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.randn_like(parameter)
        optimizer.step()
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    torch.save(model.state_dict(), tmp_path / "weights.bin")
    entry = CheckpointEntry("a", 2, path="weights.bin", optimizer="optimizer.pt")
    declared = Optimizer(kind.lower(), betas=())
    found = read_optimizer_state(Record(tmp_path, Declaration("made", 2, optimizer=declared), {}, ""), entry)
    ours = "momentum" if kind == "SGD" else "exp_avg"
    assert set(found.slot(ours)) == set(dict(model.named_parameters()))
    assert found.step == (None if kind == "SGD" else 2)
    for name, parameter in model.named_parameters():
        theirs = optimizer.state[parameter]["momentum_buffer" if kind == "SGD" else "exp_avg"]
        tensor = found.tensors[name, ours]
        np.testing.assert_array_equal(
            tensor.rows(np.arange(tensor.sides[0])), theirs.detach().numpy().reshape(tensor.sides)
        )
