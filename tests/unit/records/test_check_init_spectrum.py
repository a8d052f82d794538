"""C14: no direction of step 0 stands out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from weight_runs import HOLDS, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType
from jokbo.records.checks.init_spectrum import InitSpectrum, log_edge_pvalue
from jokbo.records.forgeries import Forgery
from jokbo.testing.trainings import HEAD, disclose


@pytest.mark.parametrize(("rows", "cols"), [(8, 8), (16, 64), (64, 32), (96, 96)])
def test_the_tail_is_on_the_safe_side(rows, cols):
    rng = np.random.default_rng(0)
    n = 400
    top = [np.linalg.svd(rng.standard_normal((rows, cols)), compute_uv=False)[0] ** 2 for _ in range(n)]
    pvalues = np.array([log_edge_pvalue(float(value), rows, cols) for value in top])
    for level in (0.1, 0.01):
        assert np.mean(pvalues <= math.log(level)) <= level + 3 * math.sqrt(level / n)


def test_the_tail_far_out_is_that_of_a_single_direction():
    # Far beyond the edge the largest eigenvalue is one chi-square direction: exp(-x / 2).
    step = log_edge_pvalue(4000.0, 50, 50) - log_edge_pvalue(4200.0, 50, 50)
    assert step == pytest.approx(100, rel=0.06)


@pytest.mark.parametrize("dtype", [DType.F32, DType.BF16])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_true_starts_pass(tmp_path, dtype, seed):
    result = see(InitSpectrum(), disclose(trained(seed), tmp_path, dtype=dtype))
    assert result.observation is not VIOLATED
    assert result.log_pvalue is not None
    assert result.log_pvalue > -8


def test_a_trained_start_is_found_also_rescaled(tmp_path):
    run = trained()
    for rescaled in (False, True):
        end = {name: values.copy() for name, values in run.weights[60].items()}
        if rescaled:
            end = {n: v * np.float32(0.02 / v.std()) if v.ndim == 2 else v for n, v in end.items()}
        forged = trained()
        forged.weights[0] = end
        result = see(InitSpectrum(), disclose(forged, tmp_path / str(rescaled)))
        assert result.observation is VIOLATED
        assert codes(result) == ["stands_out"]


def test_a_planted_direction_is_found_where_it_passes_the_edge(tmp_path):
    found = []
    for k, strength in enumerate((0.5, 4.0)):
        run = trained()
        matrix = run.weights[0][HEAD]
        u, v = np.ones(matrix.shape[0]), np.ones(matrix.shape[1])
        size = strength * 0.02 * math.sqrt(math.sqrt(matrix.size))
        matrix += (size * np.outer(u / np.linalg.norm(u), v / np.linalg.norm(v))).astype(np.float32)
        found.append(see(InitSpectrum(), disclose(run, tmp_path / str(k))).observation)
    assert found[0] is not VIOLATED
    assert found[1] is VIOLATED


def test_power_against_planted_starts_is_measured_at_two_cosines(tmp_path):
    result = see(InitSpectrum(), disclose(trained(), tmp_path), plants=59)
    assert result.observation is HOLDS
    planted = [p for p in result.planted if p.forgery is Forgery.PLANTED_START]
    assert len(planted) == 2
    assert planted[1].found <= planted[0].found
    assert all(p.powered for p in result.planted if p.forgery is Forgery.TRAINED_START)
