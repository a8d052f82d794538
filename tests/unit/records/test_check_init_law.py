"""C13: entries of step 0 follow the declared law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from weight_runs import UNKNOWN, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType, decode
from jokbo.formats.writer import encode
from jokbo.records.checks.init_law import InitLaw, _entries, matrix_log_pvalues
from jokbo.testing.trainings import DOWN, HEAD, NORM, declared, disclose


def draw(law: str, rng: np.random.Generator, n: int) -> np.ndarray:
    if law == "normal":
        return rng.standard_normal(n)
    if law == "uniform":
        return rng.uniform(-np.sqrt(3), np.sqrt(3), n)
    values = rng.standard_normal(2 * n)
    return values[np.abs(values) < 2][:n]


@pytest.mark.parametrize("law", ["normal", "truncated_normal", "uniform"])
def test_pvalues_are_no_smaller_than_chance(law):
    rng = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for _ in range(400):
        for test, p in matrix_log_pvalues(law, draw(law, rng, 1000)).items():
            found.setdefault(test, []).append(p)
    for pvalues in found.values():
        # 20 expected at .05; 38 is three and a half deviations more.
        assert np.sum(np.array(pvalues) <= np.log(0.05)) <= 38


def test_a_law_is_told_from_the_others():
    rng = np.random.default_rng(0)
    for true in ("normal", "truncated_normal", "uniform"):
        for said in ("normal", "truncated_normal", "uniform"):
            worst = min(matrix_log_pvalues(said, draw(true, rng, 20_000)).values())
            assert (worst > -12) == (true == said)


@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16, DType.F16])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_true_starts_pass_in_every_stored_type(tmp_path, dtype, seed):
    result = see(InitLaw(), disclose(trained(seed), tmp_path, dtype=dtype))
    assert result.observation is not VIOLATED
    assert result.log_pvalue is not None
    assert result.log_pvalue > -12


def test_values_of_16_bits_are_spread_over_their_cells():
    rng = np.random.default_rng(0)
    values = 0.02 * rng.standard_normal((4096, 64)).astype(np.float32)
    stored = decode(encode(values, DType.BF16), DType.BF16).reshape(values.shape)
    spread = _entries(stored, 2.0**-8, rng)
    # Continuous again: next to no value occurs twice, and each stays within its rounding cell.
    assert len(np.unique(spread)) > 0.99 * spread.size > len(np.unique(stored))
    flat = stored.ravel()
    assert np.all(np.abs(spread - flat) <= 2.0**-8 * np.abs(flat) * (1 + 1e-9))
    assert min(matrix_log_pvalues("normal", spread / 0.02).values()) > -12
    assert np.array_equal(_entries(values, 2.0**-24, rng), values.ravel())


@pytest.mark.parametrize("kind", ["trained", "deviation", "tails", "gain"])
def test_another_start_is_found(tmp_path, kind):
    run = trained()
    start = run.weights[0]
    if kind == "trained":
        run.weights[0] = run.weights[60]
    elif kind == "deviation":
        start[HEAD] *= np.float32(1.2)
    elif kind == "tails":
        start[DOWN][0, 0] = 0.16
    else:
        start[NORM][:] = 0.9
    result = see(InitLaw(), disclose(run, tmp_path))
    assert result.observation is VIOLATED
    expected = {"deviation": "wrong_variance", "tails": "wrong_largest", "gain": "wrong_constant"}
    if kind in expected:
        assert codes(result) == [expected[kind]]


def test_a_scaled_residual_is_checked_at_its_own_deviation(tmp_path):
    run = trained()
    run.weights[0][DOWN] *= np.float32(0.5)
    record = disclose(run, tmp_path)
    law = record.declaration.initialisation
    assert law is not None
    said = declared(record, initialisation=replace(law, residual_std=0.01, residual=("*.down_proj.weight",)))
    assert see(InitLaw(), said).observation is not VIOLATED
    assert see(InitLaw(), record).observation is VIOLATED


def test_a_row_of_padding_is_no_contradiction(tmp_path):
    run = trained()
    run.weights[0]["model.embed_tokens.weight"][0] = 0
    assert see(InitLaw(), disclose(run, tmp_path)).observation is not VIOLATED


def test_what_is_not_declared_is_asked_for(tmp_path):
    run = trained()
    record = disclose(run, tmp_path)
    assert see(InitLaw(), declared(record, initialisation=None)).missing == ("initialisation",)
    law = record.declaration.initialisation
    assert law is not None
    other = see(InitLaw(), declared(record, initialisation=replace(law, law="orthogonal")))
    assert codes(other) == ["other_law"]
    late = declared(record, checkpoint=record.declaration.checkpoint[1:])
    assert see(InitLaw(), late).missing == ("step0",)
    assert see(InitLaw(), late).observation is UNKNOWN
