"""Universes: each is recomputed by hand somewhere here, and their list is bounded and in one order."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.league.measured import ItemScores, PanelScores
from jokbo.league.round import Anchor, Event, EventKind, PanelRule
from jokbo.league.statistics.alternatives import item_alternatives, panel_alternatives
from jokbo.league.statistics.multiverse import KINDS, MOST_ALTERNATIVES, Affiliations, Alternative, multiverse
from jokbo.league.statistics.score_table import ScoreTable
from jokbo.league.statistics.weightings import near_declared, whole_simplex, winners
from jokbo.report.texts import LANGUAGES, Texts

# Four teams, three events in two categories; the first category's events weigh 1 and 3.
SCORES = np.array([[80.0, 60.0, 40.0], [60.0, 70.0, 45.0], [50.0, 50.0, 90.0], [40.0, 60.0, 50.0]])
TEAMS, EVENTS = ("a", "b", "c", "d"), ("maths", "korean", "panel")


def table(scores: np.ndarray = SCORES) -> ScoreTable:
    return ScoreTable(
        TEAMS,
        EVENTS,
        scores,
        scores / 10,
        np.array([1.0, 3.0, 1.0]),
        ("bench", "expert"),
        np.array([0, 0, 1]),
        np.array([60.0, 40.0]),
    )


def one(found: dict, kind: str, name: str, **values: object) -> dict:
    (universe,) = [
        u
        for u in found["universes"]
        if (u["kind"], u["name"]) == (kind, name) and values.items() <= u["values"].items()
    ]
    return universe


def test_totals_are_the_declared_sum():
    # 60 points of (1 * 80 + 3 * 60) / 4 and 40 points of 40.
    assert table().declared()[0] == pytest.approx(0.6 * 65 + 0.4 * 40)
    assert table().shares() == pytest.approx([0.15, 0.45, 0.4])


def test_an_event_left_out_leaves_its_weight_to_its_category():
    found = multiverse(table())
    # Without maths: 0.6 korean + 0.4 panel.
    assert one(found, "leave_out_event", "event", event="maths")["order"] == ["c", "b", "d", "a"]
    alone = one(found, "leave_out_event", "event_and_category", event="panel")
    assert alone["values"]["categories"] == ["expert"]
    assert alone["last"] == ["c"]


def test_own_events_are_left_out_for_each_team_and_for_all():
    affiliations = Affiliations(
        {"a": ("Alpha Lab",), "b": (), "c": ("Gamma",), "d": ("Delta",)},
        {"maths": (" alpha lab",), "korean": ("Nobody",), "panel": ("gamma", "delta")},
    )
    found = multiverse(table(), affiliations=affiliations)
    assert one(found, "leave_out_affiliated", "team", team="a")["order"] == ["c", "b", "d", "a"]
    assert one(found, "leave_out_affiliated", "team_and_category", team="d")["values"]["events"] == ["panel"]
    assert one(found, "leave_out_affiliated", "all_and_category")["order"] == ["b", "a", "d", "c"]
    assert one(found, "leave_out_affiliated", "all_and_category")["last"] == ["c"]


def test_where_every_event_is_affiliated_nothing_is_left_and_it_says_so():
    affiliations = Affiliations({"a": ("X",)}, dict.fromkeys(EVENTS, ("x",)))
    found = multiverse(table(), affiliations=affiliations)
    assert [(row["kind"], row["name"]) for row in found["skipped"]] == [
        ("leave_out_affiliated", "team_and_category"),
        ("leave_out_affiliated", "all_and_category"),
    ]


def test_scales_of_the_field_are_what_they_say():
    found = multiverse(table())
    expected = {
        "min_max": (SCORES - SCORES.min(0)) / (SCORES.max(0) - SCORES.min(0)),
        "z_score": (SCORES - SCORES.mean(0)) / SCORES.std(0),
        "top": SCORES / SCORES.max(0),
        "raw": SCORES,
    }
    for name, scores in expected.items():
        totals = scores @ table().shares()
        assert one(found, "normalisation", name)["order"] == [
            TEAMS[i] for i in np.argsort(-totals, kind="stable")
        ]
    ranks = one(found, "normalisation", "ranks")
    # b: 2, 3, 1 teams behind; c: 1, 0, 3; a: 3, 1.5, 0; d: 0, 1.5, 2.
    assert ranks["order"] == ["b", "d", "c", "a"]
    assert ranks["last"] == ["a"]


def test_a_share_of_the_best_needs_values_from_zero_up():
    found = multiverse(table(SCORES - 45))
    assert {"kind": "normalisation", "name": "top", "values": {}} in found["skipped"]


def test_an_event_where_all_are_equal_parts_nobody():
    scores = SCORES.copy()
    scores[:, 2] = 7.0
    for universe in multiverse(table(scores))["universes"]:
        if universe["kind"] == "normalisation":
            assert universe["first"] != universe["last"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=2, max_size=9).filter(lambda p: sum(p) > 0))
def test_grids_are_bounded_near_and_whole(points):
    points = np.array(points, float)
    near = near_declared(points)
    assert 1 <= len(near) <= 10_000
    assert (near >= 0).all()
    assert near.sum(axis=1) == pytest.approx(100)
    declared = points / points.sum() * 100
    assert (np.abs(near - declared).sum(axis=1) < 1e-6).any()
    simplex = whole_simplex(len(points))
    assert len(simplex) <= 1_500
    assert len(np.unique(simplex, axis=0)) == len(simplex)
    assert simplex.sum(axis=1) == pytest.approx(100)
    assert (simplex >= 0).all()
    assert {tuple(row) for row in np.eye(len(points)) * 100} <= {tuple(row) for row in simplex}


def test_the_share_of_a_triangle_is_its_area():
    # a has everything in the first category, b in the second; a is last where w1 < w2: half the square.
    shares = winners(np.array([[100.0, 0.0], [0.0, 100.0]]), whole_simplex(2), ("a", "b"))
    assert shares == {"last": {"a": 0.5, "b": 0.5}, "first": {"a": 0.5, "b": 0.5}}


def test_the_document_is_json_and_repeats():
    affiliations = Affiliations({"a": ("x",)}, {"maths": ("x",), "korean": (), "panel": ()})
    found = [json.dumps(multiverse(table(), affiliations=affiliations), sort_keys=True) for _ in range(2)]
    assert found[0] == found[1]
    document = json.loads(found[0])
    for row in document["summary"]:
        assert sum(row["last"].values()) == pytest.approx(1, abs=3e-4)
        assert sum(row["first"].values()) == pytest.approx(1, abs=3e-4)
    kinds = [u["kind"] for u in document["universes"]]
    assert kinds == sorted(kinds, key=KINDS.index)
    assert document["summary"][0]["count"] == 441


def test_one_category_counts_for_more_and_the_others_for_less_in_proportion():
    found = multiverse(table())
    # bench 70, expert 30: a 0.7 * 65 + 0.3 * 40 = 57.5, b 60.75, c 62, d 53.5.
    assert one(found, "weights", "more", category="bench")["order"] == ["c", "b", "a", "d"]
    assert one(found, "weights", "more", category="bench")["values"]["points"] == 70
    assert one(found, "weights", "less", category="expert")["order"] == ["c", "b", "a", "d"]
    three = table_of(np.array([[10.0, 0.0, 50.0], [0.0, 10.0, 50.0]]), np.array([50.0, 40.0, 10.0]))
    # The third takes ten points: the first keeps 44.4, the second 35.6.
    assert one(multiverse(three), "weights", "more", category="c2")["order"] == ["t0", "t1"]


def table_of(means: np.ndarray, points: np.ndarray) -> ScoreTable:
    teams, categories = (
        tuple(f"{name}{k}" for k in range(n)) for name, n in zip("tc", means.shape, strict=True)
    )
    return ScoreTable(
        teams, categories, means, means, np.ones(len(points)), categories, np.arange(len(points)), points
    )


def test_weights_are_points_of_100_whatever_the_points_add_up_to():
    small, plain = replace(table(), points=np.array([0.6, 0.4])), table()
    one, other = multiverse(small), multiverse(plain)
    for part in ("flips", "smallest_change", "simplex", "summary", "universes"):
        assert one[part] == other[part], part


def test_one_category_has_no_weights_to_change():
    single = ScoreTable(
        TEAMS, EVENTS, SCORES, SCORES, np.ones(3), ("absolute",), np.zeros(3, int), np.array([100.0])
    )
    found = multiverse(single)
    assert found["simplex"] is None
    assert found["flips"] == []
    assert found["smallest_change"] is None
    assert [u["name"] for u in found["universes"] if u["kind"] == "weights"] == ["declared"]


def test_alternatives_beyond_those_listed_count_all_the_same():
    turned = SCORES[::-1]
    many = [
        Alternative("drop_raters", "one", {"event": "panel", "rater": f"r{k}"}, turned) for k in range(2_001)
    ]
    many.append(Alternative("drop_raters", "one", {"event": "panel", "rater": "last"}, SCORES))
    found = multiverse(table(), alternatives=many)
    row = next(row for row in found["summary"] if row["kind"] == "drop_raters")
    assert row["count"] == 2_002
    assert sum(u["kind"] == "drop_raters" for u in found["universes"]) == MOST_ALTERNATIVES


def rescored(event: str, values: np.ndarray) -> np.ndarray:
    scores = SCORES.copy()
    scores[:, EVENTS.index(event)] = values
    return scores


PANEL = Event(
    "panel",
    {},
    EventKind.PANEL,
    (),
    None,
    1,
    "",
    (),
    "higher",
    "linear",
    0.0,
    Anchor(100.0),
    panel=PanelRule(0, 9, 1),
)


def test_both_averages_of_an_event_with_groups():
    items = ItemScores(
        event="maths",
        entrants=TEAMS,
        items=("1", "2", "3"),
        scores=np.array([[1.0, 1.0, 0.0]] * 4),
        groups=np.array([0, 0, 1]),
        group_names=("x", "y"),
    )
    found = {
        a.name: a.scores[0, 0]
        for a in item_alternatives(replace(PANEL, id="maths", kind=EventKind.ITEMS), items, rescored)
    }
    assert found == pytest.approx({"items": 2 / 3, "groups": 0.5})


def test_a_panel_loses_one_rater_at_a_time():
    rows = np.arange(5.0)[:, None, None] + np.arange(4.0)[None, :, None]
    panel = PanelScores(
        event="panel", entrants=TEAMS, raters=tuple("vwxyz"), scores=rows, rated=np.ones((5, 4), bool)
    )

    found = list(panel_alternatives(PANEL, panel, rescored))
    assert [a.name for a in found] == ["untrimmed", "trimmed"] + ["one"] * 5
    assert found[2].scores[0, 2] == 2.5  # without the lowest, of 2 and 3
    assert [a.values["rater"] for a in found[2:]] == list("vwxyz")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_universe_has_a_name_in_both_languages(lang):
    t = Texts(lang)
    affiliations = Affiliations({"a": ("x",), "b": ("y",)}, {"maths": ("x",), "korean": (), "panel": ("y",)})
    others = [
        Alternative("average", name, {"event": "maths", "drop": 1}, SCORES)
        for name in ("items", "groups", "trimmed", "untrimmed")
    ]
    others.append(Alternative("drop_raters", "one", {"event": "panel", "rater": "r1"}, SCORES))
    for universe in multiverse(table(), affiliations=affiliations, alternatives=others)["universes"]:
        values = {key: t.value(value) for key, value in universe["values"].items()}
        assert t.code(f"league.universe.{universe['kind']}", universe["name"], **values)
    for kind in KINDS:
        assert t(f"league.universe_kind.{kind}")
