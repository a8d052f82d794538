"""Points, axes, races, fronts and totals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.league_scenarios import event

from jokbo.errors import FormatError, UsageError
from jokbo.league.measured import EventDraws, RaceRuns
from jokbo.league.round import Anchor, Axis, Category, Event, EventKind
from jokbo.league.scores.anchored import anchored
from jokbo.league.scores.axes import absolute_axis, range_axis, unfinished
from jokbo.league.scores.events import EventScores, score_event, weighted_sum
from jokbo.league.scores.pareto import dominated, pareto_front
from jokbo.league.scores.races import race_rows
from jokbo.league.scores.totals import totals
from jokbo.league.statistics.bootstrap import draw_event
from jokbo.league.statistics.resampling import event_generator

TEAMS = ("skt", "lg", "upstage")
B = 3000


def drawn(
    value: list[float], error: float = 1.0, *, id: str = "items", degrees: float = np.inf, teams=TEAMS
) -> EventDraws:
    rng = event_generator(0, id)
    copies = np.array(value) + error * rng.standard_normal((B, len(value)))
    return EventDraws(id, tuple(teams), np.array(value, float), copies, degrees)


def scored(
    value: list[float], error: float = 1.0, *, teams=TEAMS, degrees: float = np.inf, **rules: object
) -> EventScores:
    rule = event(**rules)
    return score_event(rule, drawn(value, error, id=rule.id, degrees=degrees, teams=teams), teams)


@pytest.mark.parametrize(
    ("rules", "values", "points"),
    [
        ({"floor": 0.25, "anchor": Anchor(0.75)}, [0.25, 0.5, 0.75, 1.0, 0.0], [0, 50, 100, 150, -50]),
        (
            {"floor": 100.0, "anchor": Anchor(20.0), "direction": "lower"},
            [100, 60, 20, 10],
            [0, 50, 100, 112.5],
        ),
        ({"floor": 1.0, "anchor": Anchor(100.0), "scale": "log"}, [1, 10, 100, 1000], [0, 50, 100, 150]),
        (
            {"floor": 16.0, "anchor": Anchor(4.0), "scale": "log", "direction": "lower"},
            [16, 8, 4, 2],
            [0, 50, 100, 150],
        ),
    ],
)
def test_points_are_0_at_the_floor_and_100_at_the_anchor(rules, values, points) -> None:
    assert anchored(np.array(values, float), event(**rules)) == pytest.approx(points)


def test_what_did_not_finish_has_no_points_of_its_own() -> None:
    assert np.isnan(anchored(np.array([np.nan, np.inf]), event())).all()


@pytest.mark.parametrize(
    "rules",
    [{"floor": 1.0, "anchor": Anchor(1.0)}, {"floor": 0.0, "anchor": Anchor(1.0), "direction": "lower"}],
)
def test_an_anchor_is_better_than_the_floor(rules) -> None:
    with pytest.raises(UsageError, match="better than the floor"):
        anchored(np.ones(2), event(**rules))


def test_a_logarithm_takes_values_above_zero() -> None:
    rule = event(floor=1.0, anchor=Anchor(10.0), scale="log")
    with pytest.raises(FormatError, match="-2 on the log scale"):
        anchored(np.array([3.0, -2.0]), rule)


def test_an_absent_team_is_refused_or_scores_the_floor_and_is_named() -> None:
    two = drawn([40, 50], teams=TEAMS[:2])
    with pytest.raises(FormatError, match="no results of upstage"):
        score_event(event(), two, TEAMS)
    found = score_event(event(missing="floor"), two, TEAMS)
    assert found.status == ("scored", "scored", "did_not_run")
    assert found.points.value.tolist() == [40, 50, 0]
    assert found.points.floored == {"upstage": ("items",)}
    assert (found.points.draws[:, 2] == 0).all()


def test_a_stranger_is_refused() -> None:
    with pytest.raises(UsageError, match="results of upstage"):
        score_event(event(), drawn([1, 2, 3]), TEAMS[:2])


def test_scores_follow_the_rounds_order_of_teams() -> None:
    turned = score_event(event(), drawn([1, 2, 3], teams=("lg", "upstage", "skt")), TEAMS)
    assert turned.points.value.tolist() == [3, 1, 2]


def race_event(**rules: object) -> Event:
    fields = {
        "direction": "lower",
        "floor": 100.0,
        "anchor": Anchor(10.0),
        "axes": (Axis.EFFICIENCY,),
        "id": "speed",
    }
    return event(EventKind.RACE, **{**fields, **rules})


RUNS = RaceRuns(
    "speed",
    TEAMS,
    runs=(np.array([20.0, 22, 24]), np.array([]), np.array([40.0, 41])),
    started=np.array([3, 2, 2]),
)


def raced(runs: RaceRuns = RUNS, **rules: object) -> tuple[Event, EventDraws]:
    rule = race_event(**rules)
    return rule, draw_event(rule, runs, rng=event_generator(0, rule.id), draws=B)


def test_races_are_tabled_in_their_own_unit_best_first() -> None:
    rule, copies = raced()
    rows = race_rows(rule, RUNS, copies, TEAMS, level=0.95)
    assert [row.team for row in rows] == ["skt", "upstage", "lg"]
    assert rows[0].value == pytest.approx(22)
    assert (rows[0].low, rows[0].high) == pytest.approx(
        (22 - 4.3027 * 2 / 3**0.5, 22 + 4.3027 * 2 / 3**0.5), rel=1e-4
    )
    last = rows[2]
    assert (last.status, last.value, last.score, last.finished, last.started) == (
        "did_not_finish",
        None,
        0,
        0,
        2,
    )


def test_higher_is_better_where_the_race_says_so() -> None:
    rule, copies = raced(direction="higher", floor=10.0, anchor=Anchor(100.0))
    assert [r.team for r in race_rows(rule, RUNS, copies, TEAMS, level=0.95)] == ["upstage", "skt", "lg"]


def test_an_interval_needs_two_runs_that_all_finished() -> None:
    runs = replace(
        RUNS, runs=(np.array([20.0]), np.array([30.0, 31]), RUNS.runs[2]), started=np.array([1, 3, 2])
    )
    rule, copies = raced(runs)
    rows = {row.team: row for row in race_rows(rule, runs, copies, TEAMS, level=0.95)}
    assert rows["skt"].low is None
    assert rows["lg"].low is None
    assert rows["upstage"].low is not None
    assert rows["lg"].score_error is None


def test_ratios_have_intervals_of_ratios() -> None:
    rule, copies = raced(scale="log")
    row = race_rows(rule, RUNS, copies, TEAMS, level=0.95)[0]
    assert row.value == pytest.approx(np.exp(np.log([20.0, 22, 24]).mean()))
    assert row.high / row.value == pytest.approx(row.value / row.low)


def test_one_unfinished_run_leaves_the_score_of_0_without_a_known_spread() -> None:
    runs = replace(RUNS, started=np.array([3, 1, 2]))
    rule, copies = raced(runs)
    points = score_event(rule, copies, TEAMS).points
    assert points.value[1] == 0
    assert np.isnan(points.error[1])
    rule, copies = raced()
    assert score_event(rule, copies, TEAMS).points.error[1] == 0


def test_range_counts_events_resolved_above_their_floors() -> None:
    events = [
        scored([50, 1, -50], id="a", axes=(Axis.RANGE,)),
        scored([50, 50, 50], id="b", axes=(Axis.RANGE, Axis.ABSOLUTE)),
        scored([50, 50, 50], id="c", axes=(Axis.ABSOLUTE,)),
    ]
    rows = range_axis(events, level=0.95)
    assert [row.finished for row in rows] == [
        (("a", "yes"), ("b", "yes")),
        (("a", "unresolved"), ("b", "yes")),
        (("a", "no"), ("b", "yes")),
    ]
    assert [row.count for row in rows] == [2, 1, 1]
    assert range_axis(events[2:], level=0.95) == ()


def test_range_is_simultaneous() -> None:
    """At 2.4 standard errors one score alone would count; one of sixty does not."""
    one = scored([2.4], id="a", axes=(Axis.RANGE,), teams=("skt",))
    assert range_axis([one], level=0.95)[0].count == 1
    many = [scored([2.4] * 3, id=f"e{n}", axes=(Axis.RANGE,)) for n in range(20)]
    assert [row.count for row in range_axis(many, level=0.95)] == [0, 0, 0]


def test_range_pays_for_every_team_and_event_where_clusters_are_few() -> None:
    """Twenty events that move as one: their maximum is that of one, and ten clusters cannot be trusted to show it."""
    alike = [scored([3.0], id="a", axes=(Axis.RANGE,), teams=("skt",), degrees=9.0) for _ in range(20)]
    assert range_axis(alike[:1], level=0.95)[0].count == 1
    assert range_axis(alike, level=0.95)[0].count == 0


def test_a_score_without_any_spread_counts_where_there_were_clusters_enough() -> None:
    many = scored([100, 100, 100], error=0.0, id="a", axes=(Axis.RANGE,), degrees=199.0)
    few = scored([100, 100, 100], error=0.0, id="a", axes=(Axis.RANGE,), degrees=2.0)
    other = scored([50, 50, 50], id="b", axes=(Axis.RANGE,), degrees=199.0)
    assert range_axis([many, other], level=0.95)[0].finished[0] == ("a", "yes")
    assert range_axis([few, other], level=0.95)[0].finished[0] == ("a", "unresolved")


def test_range_without_a_known_spread_is_unresolved_and_without_a_finish_no() -> None:
    rule = event(axes=(Axis.RANGE,), missing="floor")
    unknown = EventDraws("items", TEAMS[:2], np.array([50.0, 60.0]), None, np.inf)
    rows = range_axis([score_event(rule, unknown, TEAMS)], level=0.95)
    assert [row.finished[0][1] for row in rows] == ["unresolved", "unresolved", "no"]


def test_absolute_is_the_weighted_mean_of_its_events() -> None:
    a = scored([30, 60, 90], id="a", weight=3.0)
    b = scored([90, 60, 30], id="b", weight=1.0)
    found = absolute_axis([a, b, scored([0, 0, 0], id="c", axes=(Axis.RANGE,))])
    assert found.value == pytest.approx([45, 60, 75])
    assert found.error == pytest.approx([np.sqrt(9 + 1) / 4] * 3, rel=0.05)
    assert absolute_axis([]) is None
    with pytest.raises(UsageError, match="weigh 0"):
        absolute_axis([scored([1, 2, 3], weight=0.0)])


def test_intervals_are_students_and_unknown_where_no_spread_is_known() -> None:
    low, high = scored([10, 20, 30], degrees=4.0).points.interval(0.95)
    assert high - low == pytest.approx(np.full(3, 2 * 2.776), rel=0.06)
    flat = replace(scored([10, 20, 30]).points, draws=None)
    assert np.isnan(flat.interval(0.95)[0]).all()


CATEGORIES = (Category("benchmark", {}, 40.0), Category("expert", {}, 60.0))


def test_a_total_is_the_sum_of_declared_categories() -> None:
    events = [
        scored([50, 100, 0], id="a", category="benchmark", weight=1.0),
        scored([100, 100, 0], id="b", category="benchmark", weight=3.0),
        scored([50, 50, 100], id="c", category="expert"),
    ]
    found = totals(CATEGORIES, events)
    assert [each.value.tolist() for each in found.categories] == [[35, 40, 0], [30, 30, 60]]
    assert found.total.value.tolist() == [65, 70, 60]
    assert found.total.error[0] == pytest.approx(np.hypot(40 / 100 * np.hypot(1 / 4, 3 / 4), 0.6), rel=0.05)


def test_without_categories_nothing_is_added() -> None:
    assert totals((), [scored([1, 2, 3])]).total is None


def test_a_category_needs_an_event_that_weighs() -> None:
    with pytest.raises(UsageError, match="category expert: 0 events"):
        totals(CATEGORIES, [scored([1, 2, 3], category="benchmark")])


def test_who_did_not_finish_has_0_points_in_the_category_and_is_named() -> None:
    rule, copies = raced(category="benchmark")
    found = totals(CATEGORIES[:1], [score_event(rule, copies, TEAMS)])
    assert found.total.value[1] == 0
    assert found.total.floored == {"lg": ("speed",)}
    assert unfinished([score_event(rule, copies, TEAMS)]) == (("lg", "speed"),)


def test_every_event_that_a_team_did_not_finish_is_named() -> None:
    (first, copies), (second, others) = raced(), raced(id="again")
    whole = weighted_sum(
        "x", [score_event(first, copies, TEAMS).points, score_event(second, others, TEAMS).points], [1, 1]
    )
    assert whole.floored == {"lg": ("speed", "again")}


def test_a_sum_has_no_known_spread_where_one_part_has_none() -> None:
    known, unknown = scored([1, 2, 3]).points, replace(scored([1, 2, 3]).points, draws=None)
    assert weighted_sum("x", [known, unknown], [1, 1]).draws is None
    assert weighted_sum("x", [known, unknown], [1, 0]).draws is not None
    with pytest.raises(UsageError, match="other teams"):
        weighted_sum("x", [known, known.among(TEAMS[:2])], [1, 1])


def test_a_composite_among_fewer_teams_keeps_every_score() -> None:
    whole = scored([1, 2, 3]).points
    fewer = whole.among(("upstage", "skt"))
    assert fewer.value.tolist() == [3, 1]
    assert (fewer.draws == whole.draws[:, [2, 0]]).all()


def test_dominance_is_at_least_as_good_at_both_and_better_at_one() -> None:
    cost, ability = np.array([3.0, 3, 2, 1]), np.array([1.0, 1, 2, 0])
    assert np.argwhere(dominated(cost, ability)).tolist() == [[0, 3], [1, 3], [2, 3]]


def test_the_front_names_who_dominates_whom_and_who_did_not_finish() -> None:
    rule, copies = raced()
    found = pareto_front(score_event(rule, copies, TEAMS), scored([80, 99, 50]).points)
    assert found.did_not_finish == ("lg",)
    first, second = found.points
    assert (first.team, first.cost, first.on_front, first.dominated_by) == ("skt", 22.0, True, ())
    assert (second.team, second.on_front, second.dominated_by) == ("upstage", False, ("skt",))
    assert first.front_share == 1
    assert second.front_share == 0


def test_a_front_is_uncertain_where_scores_are() -> None:
    rule, copies = raced()
    near = pareto_front(score_event(rule, copies, TEAMS), scored([50, 99, 50]).points)
    assert 0.3 < near.points[1].front_share < 0.7
    unknown = pareto_front(score_event(rule, copies, TEAMS), replace(scored([50, 99, 50]).points, draws=None))
    assert unknown.points[0].front_share is None
