"""Rank sets: what is resolved, what never may be, and what few clusters cost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from jokbo.errors import UsageError
from jokbo.league.statistics.degrees import Spreads, joined
from jokbo.league.statistics.ranks import pair_variances, rank_sets, upper_quantile, widen

B = 4000


def noise(k: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((B, k))


def sets_of(value, draws, degrees=np.inf, level: float = 0.95):
    return rank_sets(np.asarray(value, float), draws, level=level, degrees=degrees)


def test_teams_far_apart_have_one_rank_each() -> None:
    value = np.array([0.0, 30, 10, 20])
    found = sets_of(value, value + noise(4))
    assert found.best_rank.tolist() == found.worst_rank.tolist() == [4, 1, 3, 2]
    assert found.last_probability.tolist() == [1, 0, 0, 0]
    assert found.first_probability.tolist() == [0, 1, 0, 0]


def test_near_teams_share_ranks() -> None:
    value = np.array([0.0, 0.5, 30])
    found = sets_of(value, value + noise(3))
    assert found.best_rank.tolist() == [2, 2, 1]
    assert found.worst_rank.tolist() == [3, 3, 1]


def test_the_critical_value_is_that_of_tukeys_range() -> None:
    draws = np.random.default_rng(0).standard_normal((40_000, 5))
    # A tenth of the allowed error is kept back, and what another seed could have moved.
    level = 0.955 + 2 * np.sqrt(0.955 * 0.045 / 40_000)
    tukey = stats.studentized_range.ppf(level, 5, 1e6) / np.sqrt(2) * (1 + 2 / np.sqrt(80_000))
    assert sets_of(np.zeros(5), draws).critical == pytest.approx(tukey, rel=0.01)


def test_intervals_are_the_difference_and_the_critical_value() -> None:
    value = np.array([1.0, 5.0, 2.0])
    found = sets_of(value, value + noise(3))
    assert found.low == pytest.approx(found.difference - found.critical * found.error, nan_ok=True)
    assert found.low == pytest.approx(-found.high.T, nan_ok=True)
    assert found.error[0, 1] == pytest.approx(np.sqrt(2), rel=0.05)


def test_pairing_makes_small_differences_count() -> None:
    common = 10 * np.random.default_rng(1).standard_normal((B, 1))
    value = np.array([0.0, 1.0])
    assert sets_of(value, value + common + noise(2, 0.1)).resolved[1, 0]
    assert not sets_of(value, value + noise(2, 10)).resolved.any()


def test_few_clusters_need_students_t() -> None:
    value = np.array([0.0, 4.0])
    draws = value + noise(2)
    assert sets_of(value, draws).resolved[1, 0]
    assert not sets_of(value, draws, degrees=4.0).resolved.any()


@pytest.mark.parametrize("degrees", [2.0, 9.0, 500.0])
def test_with_finite_degrees_the_tail_is_at_most_bonferronis_less_a_tenth(degrees: float) -> None:
    reach = float(widen(2.0, degrees, tests=10, level=0.95))
    assert reach == pytest.approx(stats.t.isf(0.9 * 0.05 / 20, degrees))
    # A maximum beyond that share keeps its own tail.
    assert float(widen(5.0, degrees, tests=10, level=0.95)) == pytest.approx(
        stats.t.isf(stats.norm.sf(5.0), degrees)
    )


def test_known_errors_need_no_widening() -> None:
    assert float(widen(2.0, np.inf, tests=10, level=0.95)) == 2.0


def test_teams_equal_item_by_item_are_not_resolved_by_rounding() -> None:
    shared = noise(1)
    value = np.array([50.0, 50.0, 90.0])
    draws = value + np.concatenate([shared, shared + 1e-13 * noise(1, seed=3), noise(1, seed=2)], axis=1)
    found = sets_of(value + np.array([0, 1e-12, 0]), draws)
    assert np.isnan(found.low[0, 1])
    assert not found.resolved[0, 1]
    assert not found.resolved[1, 0]
    assert np.isfinite(found.critical)
    assert found.critical < 5
    assert found.best_rank.tolist() == [2, 2, 1]
    assert found.last_probability[:2].tolist() == [0.5, 0.5]


def test_a_constant_difference_has_no_known_error() -> None:
    shared = noise(1)
    value = np.array([0.0, 1.0])
    found = sets_of(value, value + np.repeat(shared, 2, axis=1))
    assert not found.resolved.any()
    assert np.isnan(found.critical)


def test_nothing_is_resolved_where_no_spread_is_known() -> None:
    found = sets_of([0.0, 100.0], None)
    assert not found.resolved.any()
    assert found.best_rank.tolist() == [1, 1]
    assert found.worst_rank.tolist() == [2, 2]
    assert np.isnan(found.last_probability).all()


def test_one_unknown_column_leaves_its_own_pairs_open_only() -> None:
    value = np.array([0.0, 30.0, 60.0])
    draws = value + noise(3)
    draws[:, 0] = np.nan
    found = sets_of(value, draws)
    assert found.resolved[2, 1]
    assert found.worst_rank.tolist() == [3, 3, 2]
    assert found.best_rank.tolist() == [1, 2, 1]
    assert np.isnan(found.first_probability).all()


def test_values_to_be_ranked_are_finite() -> None:
    with pytest.raises(UsageError, match="not finite"):
        sets_of([np.nan, 1.0], None)


def test_more_level_is_wider() -> None:
    value = np.array([0.0, 3.0, 4.0])
    narrow, wide = (sets_of(value, value + noise(3), level=level) for level in (0.8, 0.99))
    off = ~np.eye(3, dtype=bool)
    assert (wide.high[off] > narrow.high[off]).all()


def test_the_quantile_counts_one_more_than_the_sample() -> None:
    assert upper_quantile(np.arange(1.0, 20.0), 0.95) == 19
    assert upper_quantile(np.arange(1.0, 100.0), 0.95) == 95
    assert upper_quantile(np.arange(1.0, 100.0), 0.951) == 96


def test_a_sum_pays_students_t_for_each_of_its_spreads() -> None:
    """Banerjee (1960): the half-width is the root of the sum of (t_i s_i)^2."""
    a, b = noise(2, 1.0), noise(2, 3.0, seed=5)
    found = joined([(pair_variances(a), Spreads.of(4.0, 2)), (pair_variances(b), Spreads.of(20.0, 2))])
    va, vb = (a[:, 0] - a[:, 1]).var(ddof=1), (b[:, 0] - b[:, 1]).var(ddof=1)
    half = np.sqrt(va * stats.t.isf(0.01, 4) ** 2 + vb * stats.t.isf(0.01, 20) ** 2)
    assert found.student(0.01)[0, 1] * np.sqrt(va + vb) == pytest.approx(half)
    va, vb = a[:, 0].var(ddof=1), b[:, 0].var(ddof=1)
    half = np.sqrt(va * stats.t.isf(0.01, 4) ** 2 + vb * stats.t.isf(0.01, 20) ** 2)
    assert found.own().student(0.01)[0] * np.sqrt(va + vb) == pytest.approx(half)


def test_a_small_spread_of_two_raters_does_not_pass_for_certainty() -> None:
    """Beside a declared error: Welch and Satterthwaite's one number would be large, and wrong."""
    raters, declared = noise(2, 0.1), noise(2, 1.0, seed=5)
    found = joined(
        [(pair_variances(raters), Spreads.of(1.0, 2)), (pair_variances(declared), Spreads.of(np.inf, 2))]
    )
    assert not found.certain.any()
    assert found.student(0.001)[0, 1] > 10 * stats.norm.isf(0.001) / 2
    assert joined([(pair_variances(declared), Spreads.of(np.inf, 2))]).certain.all()


def test_a_team_alone_is_first_and_last() -> None:
    found = sets_of([5.0], np.full((10, 1), 5.0))
    assert (found.best_rank.tolist(), found.worst_rank.tolist()) == ([1], [1])
    assert found.last_probability.tolist() == [1]
    assert np.isnan(found.critical)
