"""Laws of betting: means of one, and the invariances that make a disguise useless."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from jokbo.independence.betting import (
    BET_POWERS,
    average,
    calibrate_log_pvalue,
    coin_bets,
    combine_clusters,
    count_anchored_ranks,
    count_ranks,
    log_fixed_points_pvalue,
    rank_bets,
)

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(3, 12)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_a_bet_has_mean_one_for_any_ties(groups: list[int]) -> None:
    """Candidates fall into groups of equal score; the true one is any of them with equal chance."""
    n = sum(groups)
    better = np.cumsum([0, *groups[:-1]])
    wealth = [
        math.exp(float(rank_bets(np.array([g]), np.array([t]), np.array([n]))))
        for g, t in zip(better, groups, strict=True)
    ]
    assert math.isclose(sum(t * w for t, w in zip(groups, wealth, strict=True)) / n, 1, rel_tol=1e-12)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 5), st.booleans(), st.booleans())
def test_wealth_has_mean_one_over_all_labellings(seed: int, m: int, ties: bool, local: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 2, (m, m)).astype(float) if ties else rng.normal(size=(m, m))
    order = rng.permutation(m)
    labels = rng.integers(0, 2, m) if local else None
    total, count = 0.0, 0
    for labelling in itertools.permutations(range(m)):
        if labels is not None and (labels[list(labelling)] != labels).any():
            continue
        counts = count_ranks(scores[None][:, :, list(labelling)], order, labels=labels)
        total += math.exp(float(rank_bets(*counts, blocks=None if labels is None else labels[order])[0]))
        count += 1
    assert math.isclose(total / count, 1, rel_tol=1e-9)


@settings(deadline=None, max_examples=30)
@given(seeds, st.integers(2, 5))
def test_anchored_wealth_has_mean_one_over_all_labellings(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (x @ x.T for x in rng.normal(size=(2, m, 3)))
    order = rng.permutation(m)
    wealth = []
    for labelling in itertools.permutations(range(m)):
        p = list(labelling)
        wealth.append(math.exp(float(rank_bets(*count_anchored_ranks(a[p][:, p][None], b[None], order))[0])))
    assert math.isclose(float(np.mean(wealth)), 1, rel_tol=1e-9)


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=1, max_size=8))
def test_coins_have_mean_one_over_all_signs(sizes: list[float]) -> None:
    coins = np.array(list(itertools.product((-1, 1), repeat=len(sizes)))) * np.abs(sizes)
    assert math.isclose(float(np.exp(coin_bets(coins)).mean()), 1, rel_tol=1e-9)


@given(seeds, st.integers(1, 12), st.floats(1e-3, 1e3))
def test_coins_do_not_see_a_common_scale_or_sign(seed: int, n: int, scale: float) -> None:
    coins = np.random.default_rng(seed).normal(size=n)
    assert np.allclose(coin_bets(coins), coin_bets(-scale * coins), atol=1e-9)


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=6))
def test_clusters_have_mean_one(chances: list[float]) -> None:
    """``1 / (2 p)`` with chance p, else ``1 / (2 (1 - p))``: mean one, and so for the combination."""
    total = 0.0
    for outcome in itertools.product((0, 1), repeat=len(chances)):
        p = [c if hit else 1 - c for c, hit in zip(chances, outcome, strict=True)]
        total += math.prod(p) * math.exp(combine_clusters([-math.log(2 * x) for x in p]))
    assert math.isclose(total, 1, rel_tol=1e-9)


@given(st.lists(st.floats(-20, 300), min_size=1, max_size=6))
def test_combination_lies_between_one_share_and_the_best(logs: list[float]) -> None:
    assert combine_clusters(logs) <= sum(max(x, 0) for x in logs) + 1e-9
    assert min(logs) - 1e-9 <= average(logs) <= max(logs) + 1e-9


def test_calibrator_spends_no_more_than_one() -> None:
    spent, _ = quad(lambda x: math.exp(calibrate_log_pvalue(-x) - x), 0, 600, limit=2000)
    assert 0.99 < spent <= 1 + 1e-6


@given(st.floats(-690, 0), st.floats(-690, 0))
def test_calibrator_falls(first: float, second: float) -> None:
    low, high = sorted((first, second))
    assert calibrate_log_pvalue(low) >= calibrate_log_pvalue(high) - 1e-4


@pytest.mark.parametrize("n", range(1, 7))
def test_fixed_points_bound_covers_every_permutation(n: int) -> None:
    """Against the count over all permutations, for every number of visited indices."""
    hits = [[p[i] == i for i in range(n)] for p in itertools.permutations(range(n))]
    for m in range(1, n + 1):
        for k in range(m + 1):
            exact = np.mean([sum(row[:m]) >= k for row in hits])
            assert exact <= math.exp(log_fixed_points_pvalue(k, m, n)) + 1e-12
    assert math.isclose(math.exp(log_fixed_points_pvalue(n, n, n)), 1 / math.factorial(n))


@given(seeds, sizes)
def test_anchored_ranks_do_not_see_the_other_axis(seed: int, m: int) -> None:
    """Rotation, permutation and signs of the columns of either model alone."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, m, 8))
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    disguised = (b @ turn)[:, rng.permutation(8)] * rng.choice([-1, 1], 8)
    order = rng.permutation(m)
    plain = count_anchored_ranks((a @ a.T)[None], (b @ b.T)[None], order)
    hidden = count_anchored_ranks((a @ a.T)[None], (disguised @ disguised.T)[None], order)
    assert all(np.array_equal(x, y) for x, y in zip(plain, hidden, strict=True))


@given(seeds, sizes)
def test_direct_ranks_do_not_see_a_common_rotation(seed: int, m: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, m, 8))
    turn, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    order = rng.permutation(m)
    plain = count_ranks((b @ a.T)[None], order)
    turned = count_ranks(((b @ turn) @ (a @ turn).T)[None], order)
    assert all(np.array_equal(x, y) for x, y in zip(plain, turned, strict=True))


@given(seeds, sizes)
def test_ranks_do_not_see_a_joint_relabelling(seed: int, m: int) -> None:
    """Both models relabelled alike and the visits with them."""
    rng = np.random.default_rng(seed)
    scores, order, labels, p = (
        rng.normal(size=(m, m)),
        rng.permutation(m),
        rng.integers(0, 2, m),
        rng.permutation(m),
    )
    plain = count_ranks(scores[None], order, labels=labels)
    moved = count_ranks(scores[np.ix_(p, p)][None], np.argsort(p)[order], labels=labels[p])
    assert all(np.array_equal(x, y) for x, y in zip(plain, moved, strict=True))
    assert all(power <= 1 for power in BET_POWERS)
