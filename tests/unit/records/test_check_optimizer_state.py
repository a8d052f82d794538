"""C22: optimizer states belong to their weights and to each other."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from weight_runs import HOLDS, UNKNOWN, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType
from jokbo.formats.writer import build_file, to_raw
from jokbo.records.checks.optimizer_state import OptimizerState
from jokbo.records.declaration import Hardware, Optimizer
from jokbo.records.motion import moment_bound
from jokbo.testing.trainings import EMBED, HEAD, UNSEEN, UP, declared, disclose

BETAS = (0.9, 0.95)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30), st.integers(0, 28))
def test_no_gradients_break_the_bound_of_two_states(gradients, split):
    split = min(split, len(gradients) - 1)
    m = v = 0.0
    states = [(m, v)]
    for g in gradients:
        m, v = BETAS[0] * m + (1 - BETAS[0]) * g, BETAS[1] * v + (1 - BETAS[1]) * g * g
        states.append((m, v))
    (m_a, v_a), (m_b, v_b), k = states[split], states[-1], len(gradients) - split
    assert v_b >= BETAS[1] ** k * v_a * (1 - 1e-12)
    moved = abs(m_b - BETAS[0] ** k * m_a)
    gained = max(v_b - BETAS[1] ** k * v_a, 0.0)
    assert moved <= moment_bound(BETAS, k) * math.sqrt(gained) * (1 + 1e-6) + 1e-6


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "lion", "muon"])
@pytest.mark.parametrize("seed", [0, 1])
def test_honest_states_agree(tmp_path, optimizer, seed):
    result = see(OptimizerState(), disclose(trained(seed, optimizer), tmp_path, states=True))
    assert result.observation is not VIOLATED
    assert result.statistic is not None
    assert result.statistic < 1


def test_power_is_measured(tmp_path):
    result = see(OptimizerState(), disclose(trained(), tmp_path, states=True), plants=59)
    assert result.observation is HOLDS
    assert result.planted[0].powered


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("foreign", "broken_first"),
        ("momentless", "broken_moments"),
        ("unseen", "broken_unseen"),
        ("backwards", "broken_weights"),
        ("shrunk", "broken_second"),
    ],
)
def test_broken_states_are_found(tmp_path, kind, code):
    run = trained()
    state = run.states[32]
    if kind == "foreign":
        run.states[32] = trained(1).states[32]
    elif kind == "momentless":
        state[f"exp_avg/{UP}"][3, 3] = 1e3 * math.sqrt(state[f"exp_avg_sq/{UP}"].max())
        run.states = {32: state}
    elif kind == "unseen":
        state[f"exp_avg/{EMBED}"][UNSEEN[0], 0] = 1e-9
        state[f"exp_avg_sq/{EMBED}"][UNSEEN[0], 0] = 1.0
        run.states = {32: state}
    elif kind == "backwards":
        # Alone, at a step whose neighbours are near: nothing but the weights contradicts it.
        state = run.states[8]
        run.states = {8: {n: -v if n.startswith("exp_avg/") else v for n, v in state.items()}}
    else:
        state[f"exp_avg_sq/{HEAD}"] *= np.float32(1e-6)
        state[f"exp_avg/{HEAD}"] *= np.float32(1e-3)
    result = see(OptimizerState(), disclose(run, tmp_path, states=True))
    assert result.observation is VIOLATED
    assert codes(result) == [code]


def test_another_count_is_found(tmp_path):
    run = trained()
    record = disclose(run, tmp_path, states=True)
    path = tmp_path / "optimizer/step-32.safetensors"
    raw = {name: to_raw(values, DType.F32) for name, values in run.states[32].items()}
    path.write_bytes(build_file(raw, {"step": "31"}))
    result = see(OptimizerState(), record)
    assert result.observation is VIOLATED
    assert codes(result) == ["wrong_count"]
    # A dynamic loss scale skips updates, and PyTorch does not count those.
    half = declared(record, hardware=Hardware("V100", 1, precision="FP16"))
    assert see(OptimizerState(), half).observation is not VIOLATED


def test_without_states_or_a_known_rule_nothing_is_told(tmp_path):
    record = disclose(trained(), tmp_path / "a")
    assert see(OptimizerState(), record).missing == ("optimizer_state",)
    full = disclose(trained(), tmp_path / "b", states=True)
    run = trained()
    run.states = {48: {n: v for n, v in run.states[48].items() if EMBED not in n}}
    lone = declared(disclose(run, tmp_path / "c", states=True), optimizer=Optimizer("sophia"))
    assert codes(see(OptimizerState(), lone)) == ["unknown_optimizer"]
    assert see(OptimizerState(), declared(full, optimizer=None)).observation is UNKNOWN


def test_a_state_that_names_no_parameter_is_left_out_and_said_to_be(tmp_path):
    """As most trainers save it, beside weights that are sorted by name: no error, and no guess."""
    record = disclose(trained(), tmp_path, states=True)
    numbered = Path(__file__).parent / "data" / "adamw-numbered.pt"
    shutil.copy(numbered, tmp_path / "optimizer.pt")
    entries = record.declaration.checkpoint
    all_numbered = tuple(replace(c, optimizer="optimizer.pt" if c.optimizer else "") for c in entries)
    result = see(OptimizerState(), declared(record, checkpoint=all_numbered))
    assert (result.observation, codes(result), result.missing) == (UNKNOWN, ["unnamed"], ("optimizer_state",))
    first = next(k for k, c in enumerate(entries) if c.optimizer)
    some = tuple(all_numbered[k] if k == first else c for k, c in enumerate(entries))
    assert codes(see(OptimizerState(), declared(record, checkpoint=some), plants=59))[:2] == [
        "consistent",
        "unnamed",
    ]
