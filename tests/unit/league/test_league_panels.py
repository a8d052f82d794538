"""Panels: severity taken out, raters dropped and resampled, and designs that cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.league_scenarios import names

from jokbo.errors import FormatError
from jokbo.league.measured import PanelScores
from jokbo.league.round import PanelRule
from jokbo.league.statistics.agreement import krippendorff_alpha
from jokbo.league.statistics.panels import combined_scores, draw_panel, fit_additive, parts
from jokbo.league.statistics.resampling import event_generator, resample_counts

PLAIN = PanelRule(0, 100)


def panel(scores: np.ndarray, criteria: tuple[str, ...] = ("score",)) -> PanelScores:
    cube = scores if scores.ndim == 3 else scores[:, :, None]
    raters, k = cube.shape[:2]
    rated = ~np.isnan(cube).any(2)
    return PanelScores(
        "expert",
        names(k),
        raters=tuple(f"r{n}" for n in range(raters)),
        criteria=criteria,
        scores=cube,
        rated=rated,
    )


def drawn(scores: np.ndarray, rule: PanelRule = PLAIN, draws: int = 20_000):
    return draw_panel(panel(scores), rule, rng=event_generator(1, "expert"), draws=draws)


def rough(raters: int = 10, k: int = 4, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 30 + rng.normal(0, 3, (raters, 1)) + rng.normal(0, 2, (raters, k)) + np.arange(k)


def test_criteria_are_weighed() -> None:
    cube = np.stack([np.full((2, 3), 10.0), np.full((2, 3), 40.0)], axis=2)
    found = combined_scores(
        panel(cube, ("quality", "safety")), PanelRule(0, 50, criteria={"quality": 2, "safety": 1})
    )
    assert found == pytest.approx(np.full((2, 3), 20.0))


def test_complete_panels_are_means_with_the_unbiased_error() -> None:
    scores = rough()
    found = drawn(scores)
    assert found.value == pytest.approx(scores.mean(0))
    assert found.deviations.std(0) == pytest.approx(scores.std(0, ddof=1) / np.sqrt(10), rel=0.03)
    assert found.degrees == 9
    assert found.severity == pytest.approx(scores.mean(1) - scores.mean())


def test_severity_cancels_in_differences() -> None:
    scores = rough()
    apart = drawn(scores).deviations
    harsh = drawn(scores + 20 * np.arange(10)[:, None]).deviations
    # But for the grain of the scale, which is a thousandth of a point here.
    assert apart[:, 0] - apart[:, 1] == pytest.approx(harsh[:, 0] - harsh[:, 1], abs=0.05)
    assert harsh[:, 0].std() > 5 * apart[:, 0].std()


def test_gaps_do_not_favour_whom_the_kind_rated() -> None:
    truth = np.array([0.0, 1, 2, 3]) + 10
    scores = truth + np.array([0.0, 5, -5, 2, 8, -1])[:, None]
    gaps = scores.copy()
    for rater, team in [(0, 3), (1, 0), (2, 1), (3, 2), (4, 0), (4, 1)]:
        gaps[rater, team] = np.nan
    value, severity = fit_additive(gaps, panel(gaps))
    assert value == pytest.approx(scores.mean(0))
    assert severity == pytest.approx(np.array([0.0, 5, -5, 2, 8, -1]) - 1.5)
    assert np.nanmean(gaps, axis=0) != pytest.approx(scores.mean(0))


def test_with_gaps_degrees_are_of_raters_in_common() -> None:
    scores = rough()
    scores[:4, 0] = np.nan
    found = drawn(scores, draws=10)
    assert found.degrees[0, 1] == 5
    assert found.degrees[1, 2] == 9


def test_highest_and_lowest_are_dropped_team_by_team() -> None:
    scores = rough()
    found = drawn(scores, PanelRule(0, 100, drop_each_side=1))
    ordered = np.sort(scores, axis=0)
    assert found.value == pytest.approx(ordered[1:-1].mean(0))
    assert found.degrees == 7


def test_they_are_dropped_in_every_resampled_panel_too() -> None:
    """A tenth on each side of every resampled panel: each rater written ten times over, nine of ninety are dropped."""
    scores = rough()
    found = drawn(scores, PanelRule(0, 100, drop_each_side=1), draws=50)
    ((_, counts),) = resample_counts(event_generator(1, "expert"), [10], 50)
    for row, times in zip(found.deviations, counts, strict=True):
        written = np.sort(np.repeat(scores, 10 * times, axis=0), axis=0)
        assert found.value + row == pytest.approx(written[9:-9].mean(0), abs=0.01)


def test_an_absurd_rater_moves_no_score_and_still_widens_it() -> None:
    """Another panel might hold two of them."""
    scores = rough()
    scores[0] = 0
    rule = PanelRule(0, 100, drop_each_side=1)
    calm, absurd = drawn(rough(), rule), drawn(scores, rule)
    assert np.abs(absurd.value - calm.value).max() < 1
    assert absurd.deviations.std(0).min() > 1.5 * calm.deviations.std(0).max()


@pytest.mark.parametrize(
    ("change", "rule", "said"),
    [
        (lambda s: s[:1], PLAIN, "1 rater, so nothing is known"),
        (lambda s: s[:3], PanelRule(0, 100, drop_each_side=1), "two or more to remain"),
        (
            lambda s: np.where(np.eye(10, 4) > 0, np.nan, s),
            PanelRule(0, 100, drop_each_side=1),
            "rater r0 did not rate team0",
        ),
        (lambda s: np.where(np.arange(10)[:, None] == 3, np.nan, s), PLAIN, "rater r3 rated no team"),
        (
            lambda s: np.where((np.arange(10)[:, None] < 5) == (np.arange(4) < 2), np.nan, s),
            PLAIN,
            "no rater joins these teams: team0, team1; team2, team3",
        ),
        (
            lambda s: np.where(
                ((np.arange(10)[:, None] < 5) == (np.arange(4) < 2)) & (np.arange(10)[:, None] != 9),
                np.nan,
                s,
            ),
            PLAIN,
            "without rater r9 teams fall apart",
        ),
    ],
)
def test_panels_that_cannot_be_compared_are_refused(change, rule: PanelRule, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        drawn(change(rough()), rule, draws=10)


def test_parts_are_joined_through_third_teams() -> None:
    assert parts(np.array([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]], bool)) == [[0, 1, 2], [3]]


NAN = np.nan
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)


@pytest.mark.parametrize(("metric", "published"), [("interval", 0.849), ("ordinal", 0.815)])
def test_alpha_is_that_of_the_published_worked_example(metric: str, published: float) -> None:
    """Krippendorff (2011), Computing Krippendorff's Alpha-Reliability, example C."""
    assert round(krippendorff_alpha(KRIPPENDORFF, metric=metric).alpha, 3) == published


def test_alpha_of_chance_is_about_zero_and_its_interval_holds_zero() -> None:
    found = krippendorff_alpha(np.random.default_rng(0).integers(0, 10, (10, 60)).astype(float))
    assert abs(found.alpha) < 0.05
    assert found.low < 0 < found.high


def test_alpha_needs_three_raters_for_an_interval_and_two_ratings_of_a_unit() -> None:
    assert krippendorff_alpha(np.array([[1.0, 2, 3], [1, 2, 4]])).low is None
    with pytest.raises(FormatError, match="no unit has two ratings"):
        krippendorff_alpha(np.array([[1.0, NAN], [NAN, 2.0]]))
    with pytest.raises(FormatError, match="all ratings are equal"):
        krippendorff_alpha(np.ones((3, 3)))
    with pytest.raises(ValueError, match="nominal"):
        krippendorff_alpha(np.array([[1.0, 2], [1, 2]]), metric="nominal")
