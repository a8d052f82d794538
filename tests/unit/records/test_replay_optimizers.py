"""Optimizer steps beside PyTorch's own: AdamW, Adam and SGD to the bit, Lion and Muon against their formulas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_run
import torch

from jokbo.records.declaration import CheckpointEntry, Optimizer
from jokbo.records.replay.gate import CannotRun
from jokbo.records.replay.model import Network
from jokbo.records.replay.optimizers import State, clip, disclosed_state, orthogonal, stepper
from jokbo.records.replay.segment import cosine, displacement, replay
from jokbo.records.replay.weights import read_state

pytestmark = pytest.mark.torch

SHAPES = {"a.weight": (6, 4), "b.weight": (3, 5), "c.bias": (7,)}


def network() -> Network:
    torch.manual_seed(0)
    parameters = {n: torch.nn.Parameter(torch.randn(s)) for n, s in SHAPES.items()}
    return Network(None, parameters, {}, (), 5, frozenset({"b.weight"}), False)


def gradients(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}


def groups(net: Network, decay: float) -> list[dict]:
    return [{"params": [p], "weight_decay": decay if p.ndim >= 2 else 0.0} for p in net.parameters.values()]


REAL = {
    "adamw": lambda g: torch.optim.AdamW(g, lr=0.01, betas=(0.9, 0.95), eps=1e-8, foreach=False),
    "adam": lambda g: torch.optim.Adam(g, lr=0.01, betas=(0.9, 0.95), eps=1e-8, foreach=False),
    "sgd": lambda g: torch.optim.SGD(g, lr=0.01, momentum=0.9, foreach=False),
}


@pytest.mark.parametrize("name", REAL)
def test_steps_are_those_of_pytorch_to_the_bit(name: str):
    mine, theirs = network(), network()
    declared = Optimizer(name, betas=(0.9, 0.95), weight_decay=0.1, decays="matrices")
    make, state, real = stepper(declared, mine), State(), REAL[name](groups(theirs, 0.1))
    for step in range(12):
        given = gradients(step)
        for n, p in theirs.parameters.items():
            p.grad = given[n].clone()
        real.step()
        make.apply(given, state, 0.01)
    for n, p in mine.parameters.items():
        assert torch.equal(p, theirs.parameters[n]), n


def test_clipping_is_that_of_pytorch():
    given = gradients(0)
    real = [torch.nn.Parameter(torch.zeros_like(g)) for g in given.values()]
    for p, g in zip(real, given.values(), strict=True):
        p.grad = g.clone()
    torch.nn.utils.clip_grad_norm_(real, 1.0, foreach=False)
    clip(given, 1.0)
    for p, g in zip(real, given.values(), strict=True):
        assert torch.allclose(p.grad, g, atol=1e-7)


def test_lion_moves_by_the_sign():
    net = network()
    before = {n: p.detach().clone() for n, p in net.parameters.items()}
    make, state = stepper(Optimizer("lion", betas=(0.9, 0.99), weight_decay=0.5), net), State()
    given = gradients(0)
    make.apply(given, state, 0.01)
    for n, p in net.parameters.items():
        assert torch.allclose(p, before[n] * (1 - 0.005) - 0.01 * given[n].sign(), atol=1e-7)
        assert torch.allclose(state.slots[n]["momentum"], 0.01 * given[n], atol=1e-7)


def test_muon_makes_hidden_matrices_orthogonal_and_leaves_the_rest_to_adamw():
    matrix = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert float(values.min()) > 0.5
    assert float(values.max()) < 1.3
    declared = Optimizer("muon", betas=(0.95,), weight_decay=0.1, decays="matrices", vectors="adamw")
    net, other = network(), network()
    state = State()
    stepper(declared, net).apply(gradients(0), state, 0.01)
    assert "momentum" in state.slots["a.weight"]
    assert "exp_avg_sq" in state.slots["b.weight"]  # a head
    assert "exp_avg_sq" in state.slots["c.bias"]
    twice = State()
    stepper(replace(declared, rate_scale=2.0), other).apply(gradients(0), twice, 0.01)
    assert not torch.equal(net.parameters["a.weight"], other.parameters["a.weight"])
    assert torch.equal(net.parameters["c.bias"], other.parameters["c.bias"])


@pytest.mark.parametrize(
    ("declared", "code"),
    [(None, "no_optimizer"), (Optimizer("adafactor"), "unknown_optimizer")],
)
def test_an_unknown_optimizer_is_said(declared: Optimizer | None, code: str):
    with pytest.raises(CannotRun, match=code):
        stepper(declared, network())


def test_a_state_must_fit_its_model():
    with pytest.raises(CannotRun, match="state_mismatch"):
        disclosed_state({"exp_avg/a.weight": np.zeros((4, 6), np.float32)}, 3, network())
    with pytest.raises(CannotRun, match="state_mismatch"):
        disclosed_state({"exp_avg/z": np.zeros(3, np.float32)}, 3, network())


def test_a_segment_ends_where_pytorch_ended(tmp_path: Path):
    from jokbo.records.replay.material import collect

    record = tiny_run.train(tmp_path, steps=20, checkpoints=(0, 10, 20), states=(10,))
    material = collect(record)
    for start, stop in ((0, 10), (10, 20)):
        before, after = material.load(start), material.load(stop)
        make = stepper(record.declaration.optimizer, before.network)
        found = read_state(record, CheckpointEntry("x", start, optimizer="state-10.safetensors"))
        state = State() if start == 0 else disclosed_state(*found, before.network)
        batches, names = material.segment(start, stop), list(before.network.parameters)
        end = replay(make, before.weights, state, batches, record.rates[start:stop])
        moved = displacement(end.weights, before.weights, names)
        claimed = displacement(after.weights, before.weights, names)
        assert np.linalg.norm(moved - claimed) < 1e-4 * np.linalg.norm(claimed)
        assert end.state.step == stop
        assert state.step == start  # the given state is not changed
        other = replay(make, before.weights, state, batches[::-1], record.rates[start:stop])
        assert cosine(displacement(other.weights, before.weights, names), claimed) < 0.999
