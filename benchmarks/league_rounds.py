"""Which simulated rounds the league's statistics are calibrated on."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.league_scenarios import (
    Make,
    equal_groups,
    equal_items,
    equal_panel,
    equal_published,
    equal_race,
    equal_unequal_sizes,
    equal_uneven_races,
    ladder_items,
    mixture,
    one_below_items,
    one_below_panel,
    one_below_total,
    one_large_cluster,
    published_and_raters,
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of round.

    Attributes
    ----------
    id : str
        Key of its words in ``league_calibration_texts.toml``.
    equal : bool
        All teams are equal: then nothing may be resolved.
    rounds : int
        Simulated in a whole run.
    """

    id: str
    make: Make
    equal: bool
    rounds: int = 3000


SCENARIOS = (
    Scenario("many_items_5", equal_items(5, 500, 1), equal=True),
    Scenario("few_items_5", equal_items(5, 30, 1), equal=True),
    Scenario("many_clusters_5", equal_items(5, 60, 40, within=2.0, shared=1.0), equal=True),
    Scenario("few_clusters_5", equal_items(5, 6, 20), equal=True),
    Scenario("unequal_40_5", equal_unequal_sizes(5, 40, spread=1.0), equal=True),
    Scenario("unequal_10_5", equal_unequal_sizes(5, 10, spread=1.2), equal=True),
    Scenario("one_large_5", one_large_cluster(5, 15, 0.4), equal=True),
    Scenario("near_one_5", equal_items(5, 200, 1, skill=5.5), equal=True),
    Scenario("nearer_one_5", equal_items(5, 100, 1, skill=7.5), equal=True),
    Scenario("near_zero_5", equal_items(5, 200, 1, skill=-5.5), equal=True),
    Scenario("near_one_50", equal_items(50, 200, 1, skill=5.5), equal=True, rounds=1000),
    Scenario("groups_5", equal_groups(5, 10, 4, 5), equal=True),
    Scenario("many_items_50", equal_items(50, 300, 1), equal=True, rounds=1000),
    Scenario("few_clusters_50", equal_items(50, 8, 20), equal=True, rounds=1000),
    Scenario("ladder_5", ladder_items(5, 300, 0.1), equal=False),
    Scenario("ladder_50", ladder_items(50, 300, 0.03), equal=False, rounds=1000),
    Scenario("panel_10_5", equal_panel(5, 10), equal=True),
    Scenario("panel_10_trimmed_5", equal_panel(5, 10, drop=1), equal=True),
    Scenario("panel_10_gaps_5", equal_panel(5, 10, missing=0.25), equal=True),
    Scenario("panel_5_5", equal_panel(5, 5), equal=True),
    Scenario("panel_10_50", equal_panel(50, 10), equal=True, rounds=1000),
    Scenario("race_3_5", equal_race(5, 3), equal=True),
    Scenario("race_8_5", equal_race(5, 8), equal=True),
    Scenario("race_uneven_5", equal_uneven_races(5, 2), equal=True),
    Scenario("published_raters_2_5", published_and_raters(5, 2), equal=True),
    Scenario("published_raters_4_5", published_and_raters(5, 4), equal=True),
    Scenario("published_5", equal_published(5), equal=True),
    Scenario("mixture_5", mixture(5, 0.0), equal=True),
    Scenario("mixture_apart_5", mixture(5, 0.6), equal=False),
)

POWER = tuple(
    (kind, gap, make(gap))
    for kind, gaps, make in (
        ("items_1000", (2.0, 4.0, 6.0, 8.0), one_below_items),
        ("panel_10", (2.0, 4.0, 8.0, 12.0), one_below_panel),
        ("total", (2.0, 4.0, 6.0, 8.0), one_below_total),
    )
    for gap in gaps
)
"""One of five teams lies below four equal ones by so many points: how often is it resolved as last?"""
