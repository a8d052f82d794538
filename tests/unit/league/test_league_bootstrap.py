"""Resampling: the same weights for all, the variance it should have, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.league_scenarios import event, items, names

from jokbo.errors import FormatError, UsageError
from jokbo.league.measured import ItemScores, Measured, PanelScores, PublishedFigures, RaceRuns
from jokbo.league.round import Anchor, EventKind, PublishedRule
from jokbo.league.statistics.bootstrap import draw_event
from jokbo.league.statistics.clusters import bell_mccaffrey, by_cluster
from jokbo.league.statistics.resampling import child_generator, event_generator, resample_counts

DRAWS = 4000


def passages(sizes: list[int], k: int = 3, seed: int = 0) -> ItemScores:
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    return items(
        rng.standard_normal((k, len(clusters))) + rng.standard_normal(len(sizes))[clusters], clusters
    )


def draw(measured: Measured, draws: int = DRAWS, **rules: object):
    rule = event(**rules)
    return draw_event(rule, measured, rng=event_generator(3, rule.id), draws=draws)


def test_counts_are_those_of_n_less_one_draws_and_chunks_do_not_show() -> None:
    sizes = [3, 8, 2]
    whole = np.concatenate([c for _, c in resample_counts(np.random.default_rng(1), sizes, 50)])
    parts = [c for _, c in resample_counts(np.random.default_rng(1), sizes, 50, at_once=40)]
    assert len(parts) > 10
    assert (np.concatenate(parts) == whole).all()
    assert (whole[:, :3].sum(1) == 2).all()
    assert (whole[:, 3:11].sum(1) == 7).all()
    assert (whole[:, 11:].sum(1) == 1).all()


def test_counts_are_the_same_on_every_machine() -> None:
    ((_, counts),) = resample_counts(event_generator(20260818, "kmmlu"), [7], 3)
    assert counts.tolist() == [[0, 1, 2, 0, 0, 1, 2], [1, 1, 2, 0, 1, 0, 1], [1, 2, 0, 0, 0, 1, 2]]


def test_counts_are_uniform() -> None:
    total = sum(c.sum(0) for _, c in resample_counts(np.random.default_rng(2), [10], 20_000))
    assert np.abs(total / total.sum() - 0.1).max() < 0.002


def test_a_stratum_of_one_cluster_is_never_resampled() -> None:
    with pytest.raises(ValueError, match="fewer than two"):
        next(resample_counts(np.random.default_rng(0), [4, 1], 5))


def test_each_event_has_its_own_generator_whatever_others_there_are() -> None:
    first = draw(passages([1] * 20), id="a").draws
    assert (first == draw(passages([1] * 20), id="a").draws).all()
    assert (first != draw(passages([1] * 20), id="b").draws).any()


def test_a_child_leaves_its_parent_alone_and_depends_on_the_name() -> None:
    rng = event_generator(1, "race")
    a, b = child_generator(rng, "a"), child_generator(rng, "b")
    assert rng.integers(2**40) == event_generator(1, "race").integers(2**40)
    assert a.integers(2**40) != b.integers(2**40)


def test_single_items_are_resampled_to_the_error_of_a_mean() -> None:
    measured = passages([1] * 400)
    drawn = draw(measured)
    plain = measured.scores.std(1, ddof=1) / 20
    assert drawn.value == pytest.approx(measured.scores.mean(1))
    assert drawn.draws.std(0) == pytest.approx(plain, rel=0.04)
    assert drawn.naive_error == pytest.approx(plain)
    assert drawn.degrees == pytest.approx(399)


def test_five_clusters_have_the_unbiased_variance_and_not_four_fifths_of_it() -> None:
    measured = passages([4] * 5)
    means = measured.scores.reshape(3, 5, 4).mean(2)
    drawn = draw(measured, draws=40_000)
    assert drawn.draws.std(0) == pytest.approx(means.std(1, ddof=1) / np.sqrt(5), rel=0.02)
    assert drawn.degrees == pytest.approx(4)


def test_the_value_is_the_mean_of_items_and_not_of_clusters() -> None:
    measured = passages([1, 2, 30])
    assert draw(measured, draws=10).value == pytest.approx(measured.scores.mean(1))


def test_the_influence_of_a_cluster_is_what_leaving_it_out_changes() -> None:
    measured = passages([1, 2, 30, 4])
    reduced = by_cluster(measured, average="items")
    for cluster in range(4):
        rest = measured.scores[:, measured.clusters != cluster].mean(1)
        assert reduced.influence[cluster] == pytest.approx(reduced.value - rest)


def test_groups_count_the_same_whatever_their_size() -> None:
    measured = passages([5, 5, 1, 1])
    groups = np.repeat([0, 0, 1, 1], [5, 5, 1, 1])
    grouped = replace(measured, groups=groups, group_names=("large", "small"))
    drawn = draw(grouped, draws=40_000, average="groups")
    parts = [measured.scores[:, groups == g].mean(1) for g in (0, 1)]
    assert drawn.value == pytest.approx((parts[0] + parts[1]) / 2)
    halves = [measured.scores[:, groups == 0].reshape(3, 2, 5).mean(2), measured.scores[:, groups == 1]]
    variance = sum(half.var(1, ddof=1) / 2 for half in halves) / 4
    assert drawn.draws.var(0) == pytest.approx(variance, rel=0.03)


def test_groups_do_not_matter_where_items_count_the_same() -> None:
    measured = passages([5, 5, 1, 1])
    grouped = replace(measured, groups=np.repeat([0, 0, 1, 2], [5, 5, 1, 1]))
    assert (draw(grouped, average="items").draws == draw(measured).draws).all()


def test_copies_lie_around_the_value() -> None:
    drawn = draw(passages([1, 2, 30, 4]), draws=40_000)
    assert drawn.draws.mean(0) == pytest.approx(drawn.value, abs=0.03 * drawn.draws.std())


def test_equal_columns_are_resampled_alike() -> None:
    measured = passages([1] * 50)
    twice = replace(measured, scores=np.repeat(measured.scores[:1], 3, axis=0))
    drawn = draw(twice)
    assert np.abs(drawn.draws - drawn.draws[:, :1]).max() < 1e-12


def test_unequal_clusters_leave_fewer_degrees_of_freedom() -> None:
    even, uneven = draw(passages([10] * 12), draws=10), draw(passages([1] * 11 + [100]), draws=10)
    assert even.degrees == pytest.approx(11)
    assert 1 <= uneven.degrees < 4


def test_degrees_are_those_of_the_whole_quadratic_form() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 20, 9).astype(float)
    variance = rng.random(9) * sizes**2
    influence = np.diag(1 / (sizes.sum() - sizes)) @ (np.eye(9) - np.outer(sizes / sizes.sum(), np.ones(9)))
    centre = np.eye(9) - 1 / 9
    form = centre @ influence @ np.diag(variance) @ influence.T @ centre
    assert bell_mccaffrey(sizes, variance) == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))


def test_one_cluster_is_refused_and_never_an_error_of_zero() -> None:
    with pytest.raises(FormatError, match="all items form one cluster"):
        draw(passages([30]))


def test_a_group_of_one_cluster_is_refused_by_name() -> None:
    measured = replace(passages([3, 3, 3]), groups=np.repeat([0, 0, 1], 3), group_names=("history", "law"))
    with pytest.raises(FormatError, match="group law has one cluster"):
        draw(measured, average="groups")


def test_a_cluster_in_two_groups_is_refused_by_name() -> None:
    measured = replace(
        passages([4, 4]), groups=np.tile([0, 1], 4), group_names=("a", "b"), cluster_names=("p0", "p1")
    )
    with pytest.raises(FormatError, match="cluster p0 lies in more than one group"):
        draw(measured, average="groups")


def test_on_the_log_scale_no_copy_falls_below_zero() -> None:
    figures = PublishedFigures("p", names(2), values=np.array([1.0, 50.0]))
    rule = PublishedRule(0.8, {})
    drawn = draw(figures, kind=EventKind.PUBLISHED, published=rule, scale="log", anchor=Anchor(1.0))
    assert drawn.draws.min() > 0
    assert np.log(drawn.draws).std(0) == pytest.approx([0.8, 0.8 / 50], rel=0.05)


def test_a_value_below_zero_on_the_log_scale_is_refused() -> None:
    measured = replace(passages([1] * 8), scores=-np.abs(passages([1] * 8).scores))
    with pytest.raises(FormatError, match="on the log scale"):
        draw(measured, scale="log")


def race(*runs: list[float], started: list[int] | None = None) -> RaceRuns:
    counts = [len(r) for r in runs] if started is None else started
    arrays = tuple(np.array(r, float) for r in runs)
    return RaceRuns("race", names(len(runs)), runs=arrays, started=np.array(counts))


def draw_race(measured: RaceRuns, **rules: object):
    return draw(measured, kind=EventKind.RACE, direction="lower", floor=100.0, anchor=Anchor(1.0), **rules)


def test_runs_are_resampled_entrant_by_entrant() -> None:
    drawn = draw_race(race([10, 12, 14], [20, 20, 26]))
    assert drawn.value.tolist() == [12, 22]
    assert drawn.draws.std(0) == pytest.approx([2 / np.sqrt(3), np.sqrt(12) / np.sqrt(3)], rel=0.05)
    assert abs(np.corrcoef(drawn.draws.T)[0, 1]) < 0.06
    assert drawn.degrees.own().degrees.min(0).tolist() == [2, 2]
    # A difference has two spreads, each of its own runs: 4 and 12 in 16 parts of its variance.
    assert drawn.degrees.share[:, 0, 1] == pytest.approx([1 / 4, 3 / 4])


def test_another_team_does_not_change_a_teams_copies() -> None:
    alone, both = draw_race(race([10, 12, 14])), draw_race(race([10, 12, 14], [20, 30]))
    assert (alone.draws[:, 0] == both.draws[:, 0]).all()


def test_one_run_has_no_known_spread() -> None:
    assert draw_race(race([10], [20])).draws is None
    drawn = draw_race(race([10], [20, 22]))
    assert np.isnan(drawn.draws[:, 0]).all()
    assert np.isfinite(drawn.draws[:, 1]).all()


def test_runs_of_which_some_did_not_finish_have_no_known_spread() -> None:
    drawn = draw_race(race([10, 11], [20, 22], started=[3, 2]))
    assert drawn.value.tolist() == [10.5, 21]
    assert np.isnan(drawn.draws[:, 0]).all()


def test_two_unfinished_runs_say_more_than_one() -> None:
    drawn = draw_race(race([], [], [10, 11], started=[1, 2, 2]))
    assert np.isnan(drawn.value[:2]).all()
    assert np.isnan(drawn.draws[:, 0]).all()
    assert np.isinf(drawn.draws[:, 1]).all()


def test_ratios_have_the_geometric_mean() -> None:
    drawn = draw_race(race([10, 1000 / 10], [20, 20]), scale="log")
    assert drawn.value == pytest.approx([np.sqrt(1000), 20])
    assert drawn.draws.min() > 0


def test_published_figures_get_the_assumed_spread_or_none() -> None:
    figures = PublishedFigures("p", names(2), values=np.array([40.0, 50.0]))
    drawn = draw(figures, kind=EventKind.PUBLISHED, published=PublishedRule(0.8, {}))
    assert drawn.assumed
    assert np.isinf(drawn.degrees)
    assert drawn.draws.std(0) == pytest.approx([0.8, 0.8], rel=0.05)
    assert abs(np.corrcoef(drawn.draws.T)[0, 1]) < 0.06
    nothing = draw(figures, kind=EventKind.PUBLISHED, published=PublishedRule(None, {}))
    assert nothing.draws is None


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (PublishedFigures("p", names(1), values=np.ones(1)), "no `published` rule"),
        (PanelScores("p", names(1)), "no panel rule"),
        (Measured("p", names(1)), "cannot be resampled"),
    ],
)
def test_results_without_a_rule_are_refused(measured: Measured, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        draw(measured)
