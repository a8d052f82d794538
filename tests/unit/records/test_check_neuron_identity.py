"""C20: units keep their numbers."""

from __future__ import annotations

import numpy as np
import pytest
from weight_runs import HOLDS, VIOLATED, codes, see, trained

from jokbo.records.checks.neuron_identity import NeuronIdentity
from jokbo.records.forgeries import Forgery
from jokbo.testing.trainings import DOWN, UP, declared, disclose


@pytest.mark.parametrize("seed", [0, 1])
def test_units_of_an_honest_training_keep_their_numbers(big_run, seed):
    result = see(NeuronIdentity(), big_run(seed), plants=59)
    assert result.observation is HOLDS
    assert result.statistic == 1.0
    assert all(p.powered for p in result.planted if p.forgery is Forgery.SWAPPED_MIDDLE)


@pytest.mark.parametrize("kind", ["relabelled", "other"])
def test_a_swapped_middle_matches_at_chance(big_run, kind):
    result = see(NeuronIdentity(), big_run(0, kind))
    assert result.observation is VIOLATED
    assert codes(result) == ["lost"]
    assert result.statistic is not None
    assert result.statistic < 0.1


def test_narrow_units_are_not_judged(tmp_path):
    # With 32 columns a chance cosine is as large as half of an honest one.
    assert codes(see(NeuronIdentity(), disclose(trained(), tmp_path))) == ["not_predicted"]


def test_a_model_without_known_units_is_not_judged(tmp_path):
    run = trained()
    for weights in run.weights.values():
        weights["a.weight"], weights["b.weight"] = weights.pop(UP), weights.pop(DOWN)
    assert codes(see(NeuronIdentity(), disclose(run, tmp_path))) == ["no_units"]


def test_what_is_missing_is_named(big_run):
    record = big_run(0)
    assert see(NeuronIdentity(), declared(record, optimizer=None)).missing == ("optimizer_declared",)
    assert see(NeuronIdentity(), declared(record, schedule=None)).missing == ("learning_rate",)


@pytest.fixture
def big_run(tmp_path):
    """A walk of AdamW's own kind in a wider layer: signs of random gradients with the run's rates."""

    def make(seed: int, kind: str = ""):
        run, rng = trained(), np.random.default_rng(seed)
        hidden, units = 160, 256
        shapes = {"model.embed_tokens.weight": (300, hidden), UP: (units, hidden), DOWN: (hidden, units)}
        state = {n: (0.02 * rng.standard_normal(s)).astype(np.float32) for n, s in shapes.items()}
        state["model.layers.0.input_layernorm.weight"] = np.ones(hidden, np.float32)
        weights = {}
        for step in range(61):
            if step in run.weights:
                weights[step] = {n: v.copy() for n, v in state.items()}
            if step < 60:
                rate = np.float32(run.rates[step])
                for values in state.values():
                    values *= np.float32(1 - 0.1 * rate) if values.ndim == 2 else np.float32(1)
                    values -= rate * rng.choice(np.array([-0.5, 0.5], np.float32), values.shape)
        run.weights = weights
        if kind == "relabelled":
            order = rng.permutation(units)
            for step in (32, 48, 60):
                weights[step][UP] = weights[step][UP][order]
                weights[step][DOWN] = weights[step][DOWN][:, order]
        if kind == "other":
            for step in (32, 48, 60):
                weights[step][UP] = rng.permuted(weights[step][UP], axis=1)
        return disclose(run, tmp_path / f"{seed}{kind}")

    return make
