"""The league's statistics against SciPy's, statsmodels' and closed forms."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from benchmarks.league_scenarios import event, items
from scipy import stats

from jokbo.league.statistics.bootstrap import draw_event
from jokbo.league.statistics.ranks import rank_sets
from jokbo.league.statistics.resampling import event_generator


def drawn(scores: np.ndarray, clusters: np.ndarray, draws: int = 20_000):
    return draw_event(event(), items(scores, clusters), rng=event_generator(1, "items"), draws=draws)


def test_without_clusters_errors_are_those_of_scipys_bootstrap() -> None:
    """SciPy draws n of n, so its variance is smaller by (n - 1)/n."""
    rng = np.random.default_rng(0)
    scores = (rng.random((1, 60)) < 0.3).astype(float)
    theirs = stats.bootstrap((scores[0],), np.mean, n_resamples=20_000, rng=rng, method="percentile")
    ours = drawn(scores, np.arange(60))
    assert ours.draws.std(ddof=1) == pytest.approx(theirs.standard_error * np.sqrt(60 / 59), rel=0.02)
    low, high = np.quantile(ours.draws, [0.025, 0.975])
    assert (low, high) == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)


def test_paired_differences_are_those_of_scipys_paired_bootstrap() -> None:
    rng = np.random.default_rng(1)
    scores = rng.standard_normal((1, 80)) + 0.5 * rng.standard_normal((2, 80))
    theirs = stats.bootstrap(
        tuple(scores),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        n_resamples=20_000,
        rng=rng,
        method="basic",
    )
    copies = drawn(scores, np.arange(80))
    sets = rank_sets(copies.value, copies.draws, level=0.95, degrees=copies.degrees)
    assert sets.error[0, 1] == pytest.approx(theirs.standard_error * np.sqrt(80 / 79), rel=0.02)


@pytest.mark.parametrize("equal", [True, False])
def test_clustered_errors_are_those_of_statsmodels(equal: bool) -> None:
    """Of equal clusters they are its cluster-robust errors; of unequal ones its delete-one jackknife, written out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import statsmodels.api as sm
    rng = np.random.default_rng(2)
    sizes = np.full(12, 7) if equal else np.array([1, 2, 3, 5, 8, 13, 2, 2, 9, 4, 6, 20])
    clusters = np.repeat(np.arange(12), sizes)
    scores = (rng.standard_normal(12)[clusters] + rng.standard_normal(len(clusters)))[None]
    ones = np.ones(len(clusters))
    fit = sm.OLS(scores[0], ones).fit(
        cov_type="cluster", cov_kwds={"groups": clusters, "use_correction": False}
    )
    ours = drawn(scores, clusters, draws=40_000).draws.std(ddof=1)
    if equal:
        assert ours == pytest.approx(float(fit.bse[0]) * np.sqrt(12 / 11), rel=0.02)
        return
    without = [sm.OLS(scores[0][clusters != c], ones[clusters != c]).fit().params[0] for c in range(12)]
    assert ours == pytest.approx(np.sqrt(11 / 12 * ((without - np.mean(without)) ** 2).sum()), rel=0.02)
    assert ours > float(fit.bse[0])


def test_two_raters_worth_of_pairs_are_a_paired_t_interval() -> None:
    rng = np.random.default_rng(3)
    scores = rng.standard_normal((2, 15))
    copies = drawn(scores, np.arange(15), draws=100_000)
    sets = rank_sets(copies.value, copies.draws, level=0.95, degrees=copies.degrees)
    # A tenth of the allowance is kept back: level 1 - 0.9 (1 - 0.95).
    theirs = stats.ttest_rel(*scores).confidence_interval(1 - 0.9 * 0.05)
    assert (sets.low[0, 1], sets.high[0, 1]) == pytest.approx((theirs.low, theirs.high), rel=0.02, abs=0.01)
