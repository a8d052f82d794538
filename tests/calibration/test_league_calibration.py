"""Rank sets and standard errors of the league on simulated rounds: some hundreds here, the whole table when slow."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.league_calibration import Found, Row, measure, run_chunk, summarise
from benchmarks.league_rounds import POWER, SCENARIOS
from scipy.stats import binom, norm

from jokbo.league.statistics.degrees import Spreads

RARE = 1e-4
"""Of a method that holds its level exactly, this share of such tests would fail."""

NUMBER = {scenario.id: number for number, scenario in enumerate(SCENARIOS)}


def outcomes(id: str, rounds: int):
    return run_chunk(("scenario", NUMBER[id], 0, rounds))[1]


@pytest.mark.parametrize(
    ("id", "rounds"),
    [
        ("few_clusters_50", 40),
        ("unequal_10_5", 100),
        ("near_one_5", 60),
        ("groups_5", 100),
        ("panel_10_trimmed_5", 60),
        ("panel_10_gaps_5", 100),
        ("race_3_5", 100),
    ],
)
def test_equal_teams_are_not_resolved_and_all_ranks_are_held(id: str, rounds: int) -> None:
    row = summarise(NUMBER[id], outcomes(id, rounds))
    assert binom.cdf(round(row.ranks * rounds), rounds, 0.95) > RARE
    assert row.unresolved == row.ranks


def test_the_resampled_maximum_alone_would_not_hold_with_few_clusters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why pairs get Bonferroni's share at most: Student's t for the tail of the maximum is not enough."""

    def alone(critical: float, degrees: Spreads, *, tests: int, level: float) -> np.ndarray:
        return degrees.student(norm.sf(critical))

    monkeypatch.setattr("jokbo.league.statistics.ranks.widen", alone)
    monkeypatch.setattr("jokbo.league.statistics.ranks.seedless", lambda level, draws: level)
    monkeypatch.setattr("jokbo.league.statistics.ranks.stretch", lambda draws: 1.0)
    assert np.mean([each.ranks_held for each in outcomes("few_clusters_50", 40)]) < 0.8


def test_teams_apart_are_held_too() -> None:
    row = summarise(NUMBER["mixture_apart_5"], outcomes("mixture_apart_5", 40))
    assert binom.cdf(round(row.intervals * 40), 40, 0.95) > RARE
    assert row.ranks >= row.intervals


def test_clustered_errors_are_right_where_naive_ones_are_three_times_too_small() -> None:
    row = summarise(NUMBER["many_clusters_5"], outcomes("many_clusters_5", 150))
    # A tenth, and two standard errors of the spread of 150 rounds.
    assert row.error == pytest.approx(1, abs=0.1 + 2 / np.sqrt(2 * 150))
    assert row.naive < 1 / 3


@pytest.mark.parametrize(("kind", "gap"), [("panel_10", 12.0)])
def test_a_large_gap_is_resolved(kind: str, gap: float) -> None:
    number = next(n for n, (name, at, _) in enumerate(POWER) if (name, at) == (kind, gap))
    found = run_chunk(("power", number, 0, 50))[1]
    assert np.mean([each.last for each in found]) > 0.9


def test_what_fails_is_named() -> None:
    row = Row("panel_5_5", 1000, 0.94, 0.94, 0.93, None, 0.8, None)
    assert Found((row,), (), 1000, 0.95).failures() == [
        "panel_5_5: rank sets hold in 94.00% of 1000 rounds",
        "panel_5_5: equal teams unresolved in 93.00% of 1000 rounds",
        "panel_5_5: standard errors are 0.800 of the truth",
    ]


@pytest.mark.slow
def test_the_whole_table_meets_its_bars() -> None:
    assert measure(1.0, jobs=2).failures() == []
