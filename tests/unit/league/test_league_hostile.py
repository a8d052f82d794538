"""Rounds made to tell equal teams apart: what a team about to leave unfairly, or one that wants to stay, would try."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from benchmarks.league_coverage import run_round
from benchmarks.league_scenarios import (
    SimulatedRound,
    event,
    items,
    names,
    panel_scores,
)
from gate_files import OWN, a_round, evidence, team
from scipy.stats import binom

from jokbo.league.gate import judge_gate
from jokbo.league.measured import EventDraws, PanelScores, PublishedFigures, RaceRuns
from jokbo.league.round import Ancestor, Anchor, Axis, EventKind, GateRule, PanelRule, PublishedRule
from jokbo.league.score import score_files
from jokbo.league.scores.axes import range_axis
from jokbo.league.scores.events import score_event, weighted_sum
from jokbo.league.standings import absent_above, beyond_scale
from jokbo.league.statistics.bootstrap import draw_event
from jokbo.league.statistics.panels import draw_panel
from jokbo.league.statistics.ranks import rank_sets
from jokbo.league.statistics.resampling import event_generator
from jokbo.league.statistics.shared import sharing
from league_rounds import write_round

RARE = 1e-3
K = 5
PANEL = PanelRule(0, 60)


def assert_unresolved(make: Callable[[np.random.Generator], SimulatedRound], rounds: int) -> None:
    """Equal teams are left alone in 95 % of rounds, as far as so many rounds can tell."""
    found = [
        run_round(make(np.random.default_rng([11, n])), seed=n, draws=1000).none_resolved
        for n in range(rounds)
    ]
    assert binom.cdf(sum(found), rounds, 0.95) > RARE


def figure_and_raters(raters: int) -> Callable[[np.random.Generator], SimulatedRound]:
    """A published figure of a small declared error, and few raters who differ much."""

    def make(rng: np.random.Generator) -> SimulatedRound:
        figures = PublishedFigures("published", names(K), values=22 + rng.normal(0, 0.8, K))
        panel = panel_scores(rng, np.full(K, 30.0), raters, spread=3.0, highest=60.0)
        rules = (
            event(EventKind.PUBLISHED, published=PublishedRule(0.8, {})),
            event(EventKind.PANEL, panel=PANEL),
        )
        return SimulatedRound(tuple(zip(rules, (figures, panel), (1.0, 1.0), strict=True)), np.zeros(K))

    return make


@pytest.mark.parametrize("raters", [2, 3, 4])
def test_few_raters_beside_a_declared_error_tell_no_equal_teams_apart(raters: int) -> None:
    assert_unresolved(figure_and_raters(raters), 120)


def test_a_race_of_few_wild_runs_against_many_steady_ones() -> None:
    def make(rng: np.random.Generator) -> SimulatedRound:
        plan = zip((2, 2, 8, 8, 8), (0.2, 0.2, 0.02, 0.02, 0.02), strict=True)
        runs = tuple(np.exp(rng.normal(4, spread, count)) for count, spread in plan)
        measured = RaceRuns("race", names(K), runs=runs, started=np.array([len(each) for each in runs]))
        rule = event(EventKind.RACE, direction="lower", scale="log", floor=100.0, anchor=Anchor(10.0))
        return SimulatedRound(((rule, measured, 1.0),), np.zeros(K))

    assert_unresolved(make, 120)


def one_panel(rng: np.random.Generator, id: str, taste: np.ndarray, raters: tuple[str, ...]) -> PanelScores:
    scores = np.clip(np.round(30 + taste + rng.normal(0, 1, taste.shape)), 0, 60)[:, :, None]
    return PanelScores(id, names(K), raters=raters, scores=scores, rated=np.ones(taste.shape, bool))


@pytest.mark.parametrize("apart", [0, 1, 5])
def test_one_panel_sold_as_two_events(apart: int) -> None:
    def make(rng: np.random.Generator) -> SimulatedRound:
        taste, raters = rng.normal(0, 3, (10 + apart, K)), names(10 + apart)
        parts = [
            (event(EventKind.PANEL, id=id, panel=PANEL), one_panel(rng, id, taste[at], raters[at]), 1.0)
            for id, at in (("a", slice(10)), ("b", slice(apart, None)))
        ]
        return SimulatedRound(tuple(parts), np.zeros(K))

    assert_unresolved(make, 120)


def test_the_same_questions_in_two_events() -> None:
    def make(rng: np.random.Generator) -> SimulatedRound:
        scores = 100.0 * (rng.random((K, 100)) < 0.6)
        return SimulatedRound(
            tuple(
                (event(id=id, task="exam"), items(scores, np.arange(100), id=id), 1.0) for id in ("a", "b")
            ),
            np.zeros(K),
        )

    assert_unresolved(make, 80)


def test_what_stands_behind_two_events_is_resampled_together_and_named() -> None:
    rng = np.random.default_rng(0)
    taste = rng.normal(0, 3, (6, K))
    scores = rng.random((K, 8))
    rules = [
        *(event(EventKind.PANEL, id=id, panel=PANEL) for id in ("one", "two", "three")),
        *(event(id=id, task="exam") for id in ("exam", "style", "half")),
        event(id="else", task="other"),
    ]
    measured = [
        one_panel(rng, "one", taste[:4], names(6)[:4]),
        one_panel(rng, "two", taste[3:], names(6)[3:]),
        one_panel(rng, "three", taste, ("x", "y", "z", "u", "v", "w")),
        *(items(scores, np.arange(8), id=id) for id in ("exam", "style")),
        items(scores[:, :4], np.arange(4), id="half"),
        items(scores, np.arange(8), id="else"),
    ]
    found = dict(zip([rule.id for rule in rules], sharing(rules, measured), strict=True))
    assert [each.generator for each in found.values()] == [
        "one", "one", "three", "exam", "exam", "half", "else",
    ]  # fmt: skip
    assert found["one"].raters == found["two"].raters == names(6)
    notes = {id: [(note.code, note.values["events"]) for note in each.notes] for id, each in found.items()}
    assert notes["two"] == [("resampled_together", "one, two")]
    assert notes["three"] == notes["else"] == []
    assert notes["style"] == [("resampled_together", "exam, style"), ("shared_items", "half")]
    assert notes["half"] == [("shared_items", "exam, style")]


def test_together_does_not_move_a_panel_that_stands_alone() -> None:
    measured = one_panel(np.random.default_rng(0), "one", np.zeros((6, K)), names(6))
    alone, named = (
        draw_panel(measured, PANEL, rng=event_generator(1, "one"), draws=100, among=among)
        for among in ((), measured.raters)
    )
    assert (alone.deviations == named.deviations).all()


@pytest.mark.parametrize(("floor", "questions"), [(0.02, 100), (0.98, 100), (0.95, 100), (0.9, 30)])
def test_teams_at_a_floor_near_0_or_1_are_neither_above_nor_below_it(floor: float, questions: int) -> None:
    rounds, quiet = 150, 0
    rule = event(axes=(Axis.RANGE,), floor=floor, anchor=Anchor(floor + (1 - floor) / 2))
    for n in range(rounds):
        rng = np.random.default_rng([13, n])
        measured = items((rng.random((K, questions)) < floor).astype(float), np.arange(questions))
        drawn = draw_event(rule, measured, rng=event_generator(n, "items"), draws=500)
        rows = range_axis([score_event(rule, drawn, names(K))], level=0.95)
        quiet += {answer for row in rows for _, answer in row.finished} == {"unresolved"}
    assert binom.cdf(quiet, rounds, 0.95) > RARE


def test_all_right_far_above_the_floor_is_finished_and_all_wrong_is_not() -> None:
    rule = event(axes=(Axis.RANGE,), floor=0.25, anchor=Anchor(0.75))
    scores = np.stack([np.ones(100), np.zeros(100)])
    drawn = draw_event(rule, items(scores, np.arange(100)), rng=event_generator(1, "items"), draws=500)
    rows = range_axis([score_event(rule, drawn, names(2))], level=0.95)
    assert [row.finished for row in rows] == [(("items", "yes"),), (("items", "no"),)]


def test_no_seed_resolves_what_only_its_own_luck_would() -> None:
    """Two declared errors whose difference is exactly as wide as its interval: a coin would decide."""
    from scipy.special import ndtri

    value = np.array([0.0, float(-ndtri(0.05 * 0.9 / 2)) * np.sqrt(2)])
    found = [
        rank_sets(
            value,
            value + np.random.default_rng(seed).standard_normal((1000, 2)),
            level=0.95,
            degrees=np.inf,
        ).resolved.any()
        for seed in range(300)
    ]
    assert np.mean(found) < 0.05


def between(*roles: tuple[str, str]) -> list[tuple[str, str]]:
    gate = GateRule((Ancestor("model-a", OWN["a"], team="a"), Ancestor("model-b", OWN["b"], team="b")))
    files = [evidence("derived", OWN[first], OWN[second]) for first, second in roles]
    table = judge_gate(a_round([team("a"), team("b")], gate=gate), {"a": files})
    return [(str(row.standing), row.reasons[0].code) for row in table.rows]


def test_two_documents_that_put_each_team_first_exclude_neither() -> None:
    assert between(("a", "b"))[1] == ("not_eligible", "derived_from_team")
    assert between(("a", "b"), ("b", "a")) == [("untestable", "order_unknown")] * 2


def test_who_enters_anothers_weights_does_not_take_him_out() -> None:
    gate = GateRule((Ancestor("Reference", "1" * 64),), required=True)
    table = judge_gate(a_round([team("a"), team("b", digest=OWN["a"])], gate=gate), {})
    assert table.removed == ()
    assert table.open == ("a", "b")


def test_that_it_paid_to_stay_away_is_said() -> None:
    rule = event(EventKind.RACE, direction="lower", scale="log", floor=100.0, anchor=Anchor(10.0))

    def notes(value: list[float]) -> list[dict[str, object]]:
        drawn = EventDraws("race", names(3), np.array(value), None, np.inf)
        return [dict(note.values) for note in absent_above(score_event(rule, drawn, names(3)))]

    assert notes([120.0, np.nan, 50.0]) == [{"teams": "team1", "below": "team0"}]
    assert notes([90.0, np.nan, 50.0]) == notes([120.0, 90.0, 50.0]) == []


def test_an_anchor_beside_the_floor_is_pointed_out() -> None:
    def notes(anchor: float) -> list[str]:
        drawn = EventDraws("items", names(2), np.array([0.5, 0.8]), None, np.inf)
        scored = score_event(event(floor=0.4, anchor=Anchor(anchor)), drawn, names(2))
        return [str(note.values["teams"]) for note in beyond_scale(scored)]

    assert notes(0.41) == ["team0, team1"]
    assert notes(0.5) == ["team1"]
    assert notes(0.6) == []


def test_three_passages_alike_do_not_pass_for_certainty_beside_other_parts() -> None:
    """Two teams one answer apart in each of three passages, and a published figure that leaves no doubt."""
    scores = np.zeros((2, 30))
    scores[0, [0, 10, 20]] = scores[0, [1, 11, 21]] = scores[1, [1, 11, 21]] = 100
    parts = [
        (event(), items(scores, np.repeat([0, 1, 2], 10))),
        (
            event(EventKind.PUBLISHED, published=PublishedRule(0.1, {})),
            PublishedFigures("published", names(2), values=np.array([22.1, 22.0])),
        ),
    ]
    points = [
        score_event(
            rule, draw_event(rule, rows, rng=event_generator(1, rule.id), draws=1000), names(2)
        ).points
        for rule, rows in parts
    ]
    whole = weighted_sum("total", points, [1.0, 1.0])
    assert whole.value[0] - whole.value[1] == pytest.approx(10.1)
    assert not rank_sets(whole.value, whole.draws, level=0.95, degrees=whole.degrees).resolved.any()
    twice = weighted_sum("sum of sums", [whole, points[1]], [1.0, 1.0]).among(["team1", "team0"])
    assert not rank_sets(twice.value, twice.draws, level=0.95, degrees=twice.degrees).resolved.any()
    assert np.isfinite(twice.interval(0.95)[0]).all()


def test_notes_of_shared_raters_reach_the_board(tmp_path) -> None:
    board = score_files(*write_round(tmp_path)).board
    assert not any(
        note["code"] in ("resampled_together", "shared_items")
        for each in board["events"]
        for note in each["notes"]
    )
