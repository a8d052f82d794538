"""E0: what it has to notice, and how often it may be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from jokbo.independence.index_structure import (
    MAX_PVALUE,
    _feature_sums,
    _gram_sums,
    axis_features,
    every_lag,
    fine_structure,
    index_structure,
    row_products,
    sign_balance,
    sign_checks,
    sign_structure,
)


def gram(rows: np.ndarray) -> np.ndarray:
    unit = rows / np.linalg.norm(rows, axis=2, keepdims=True)
    return unit @ unit.transpose(0, 2, 1)


def check(rows: np.ndarray, seed: int = 0) -> tuple[float, str]:
    return index_structure(axis_features(row_products([rows])), gram(rows), rng=np.random.default_rng(seed))


def plain(rng: np.random.Generator, m: int = 64) -> np.ndarray:
    return rng.normal(size=(2, m, 48))


def test_sorted_norms_fail_and_leave_neighbours_alone() -> None:
    rows = plain(np.random.default_rng(0)) * np.linspace(1, 2, 64)[:, None]
    assert check(rows)[0] <= MAX_PVALUE
    assert fine_structure(gram(rows), np.arange(64), block=16, rng=np.random.default_rng(1))[0] > MAX_PVALUE


@pytest.mark.parametrize("period", [8, 16, 24, 32, 43, 50])
def test_tiles_of_any_length_fail(period: int) -> None:
    rng = np.random.default_rng(period)
    tile = rng.normal(size=(2, period, 48))
    rows = np.tile(tile, (1, 8, 1))[:, :64] + 0.5 * plain(rng)
    pvalue, statistic = check(rows)
    assert pvalue <= MAX_PVALUE
    if period > 16:
        assert statistic == f"gram, lag {period}"
    assert sign_structure(rows) <= MAX_PVALUE


def test_tiles_within_a_neighbourhood_refuse_even_the_local_form() -> None:
    rng = np.random.default_rng(1)
    rows = np.tile(rng.normal(size=(2, 4, 48)), (1, 16, 1)) + 0.5 * plain(rng)
    assert fine_structure(gram(rows), np.arange(64), block=16, rng=rng)[0] <= MAX_PVALUE


def test_pvalues_are_valid() -> None:
    rng = np.random.default_rng(2)
    coarse, fine = [], []
    for _ in range(150):
        rows = plain(rng, 32)
        coarse.append(index_structure(axis_features(row_products([rows])), gram(rows), rng=rng)[0])
        fine.append(fine_structure(gram(rows), np.arange(32), block=16, rng=rng)[0])
    for found in (coarse, fine):
        for level in (0.01, 0.05, 0.2):
            assert binom.sf(sum(p <= level for p in found) - 1, len(found), level) > 1e-4


def test_few_neighbours_have_no_fine_structure() -> None:
    rows = plain(np.random.default_rng(3), 8)
    index = np.arange(8) * 100
    assert fine_structure(gram(rows), index, block=16, rng=np.random.default_rng(0)) == (1.0, "none")


@pytest.mark.parametrize("m", [19, 37, 64])
def test_sums_equal_their_definitions(m: int) -> None:
    rng = np.random.default_rng(m)
    matrix = rng.normal(size=(m, m))
    matrix += matrix.T
    draws = np.stack([np.arange(m), rng.permutation(m)])
    found = _gram_sums(matrix, draws)
    feature = rng.normal(size=(3, m))
    sums = _feature_sums(feature, draws)
    for d, draw in enumerate(draws):
        placed = matrix[np.ix_(draw, draw)]
        for lag in every_lag(m):
            assert np.isclose(found[f"lag {lag}"][d], sum(placed[i, i + lag] for i in range(m - lag)))
        for name in found:
            if name.startswith("blocks"):
                block = np.arange(m) // int(name.split()[-1])
                assert np.isclose(found[name][d], placed[block[:, None] == block[None, :]].sum())
                totals = [np.bincount(block, f[draw]) for f in feature]
                assert np.isclose(sums[name][d], sum((t**2).sum() for t in totals))
        position = np.arange(m) - (m - 1) / 2
        assert np.isclose(sums["trend"][d], sum((f[draw] @ position) ** 2 for f in feature))


def test_features_are_ranks_of_norms_and_of_the_cosine() -> None:
    rng = np.random.default_rng(4)
    gate, up = rng.normal(size=(2, 1, 6, 9))
    found = axis_features(row_products([gate, up]))
    assert len(found) == 3
    assert found[0][0].tolist() == (np.argsort(np.argsort(np.linalg.norm(gate[0], axis=1))) - 2.5).tolist()
    cosine = np.abs((gate * up).sum(axis=2) / np.linalg.norm(gate, axis=2) / np.linalg.norm(up, axis=2))
    assert found[2][0].tolist() == (np.argsort(np.argsort(cosine[0])) - 2.5).tolist()


def test_unbalanced_and_repeated_signs_fail() -> None:
    rng = np.random.default_rng(5)
    gate, up = plain(rng), plain(rng)
    assert sign_balance(row_products([gate, up]).cosines()) > MAX_PVALUE
    assert sign_balance(row_products([gate, up + gate]).cosines()) < 1e-20
    assert sign_balance(np.zeros((1, 3))) == 1.0
    assert sign_structure(up) > MAX_PVALUE
    assert sign_structure(np.repeat(up, 2, axis=1)) < 1e-9
    # Copies with signs of their own are as good as fresh rows: flips are all that counts.
    assert sign_structure(np.repeat(up, 2, axis=1) * rng.choice([-1, 1], (2, 128, 1))) > MAX_PVALUE


def test_long_axes_are_tried_at_the_lags_tools_use() -> None:
    rng = np.random.default_rng(6)
    tile = rng.normal(size=(1, 150, 16))
    assert sign_structure(np.tile(tile, (1, 4, 1))) < 1e-9
    assert sign_structure(rng.normal(size=(1, 600, 16))) > MAX_PVALUE


def test_channel_checks_name_both_models() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(100, 64)), np.tile(rng.normal(size=(100, 32)), (1, 2))
    first, second = sign_checks(a, b, axis="text.embedding.channel signs")
    assert (first.model, first.passed, second.model, second.passed) == ("reference", True, "candidate", False)
