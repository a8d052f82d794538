"""From a round and its rows to the board's three parts."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from jokbo.league.measured import EventDraws, ItemScores, Measured, PanelScores, PublishedFigures
from jokbo.league.robustness import robustness, score_table
from jokbo.league.round import (
    Anchor,
    Axis,
    Category,
    Elimination,
    Event,
    EventKind,
    GateRule,
    ModelIdentity,
    PanelRule,
    Round,
    Team,
)
from jokbo.league.scores.events import score_event

NAMES = ("a", "b", "c")


def event(id: str, kind: EventKind, category: str | None, **fields: object) -> Event:
    plain = Event(
        id, {}, kind, (Axis.ABSOLUTE,), category, 1.0, "somebody", (), "higher", "linear", 0.0, Anchor(1.0)
    )
    return replace(plain, **fields)


EVENTS = (
    event("quiz", EventKind.ITEMS, "bench", average="groups", affiliations=("House A",)),
    event("loss", EventKind.ITEMS, "bench", direction="lower", scale="log", floor=8.0, anchor=Anchor(1.0)),
    event("jury", EventKind.PANEL, "expert", anchor=Anchor(10.0), panel=PanelRule(0, 10, 1)),
    event("crowd", EventKind.PANEL, "expert", anchor=Anchor(10.0), panel=PanelRule(0, 10)),
    event("index", EventKind.PUBLISHED, None, axes=(Axis.RANGE,), anchor=Anchor(100.0)),
)
ROUND = Round(
    "r",
    {},
    (
        Team("a", {}, ModelIdentity("a"), ("house a",)),
        Team("b", {}, ModelIdentity("b")),
        Team("c", {}, ModelIdentity("c")),
    ),
    EVENTS,
    (Category("bench", {}, 60.0), Category("expert", {}, 40.0)),
    GateRule((), False),
    Elimination(1, "total", ()),
    seed=1,
)


def rows() -> dict[str, Measured]:
    rng = np.random.default_rng(4)
    quiz = (rng.random((3, 40)) < np.array([[0.7], [0.6], [0.5]])).astype(float)
    loss = rng.uniform(1.5, 4.0, size=(3, 30)) + np.array([[0.0], [0.2], [0.4]])
    jury, crowd = rng.integers(3, 9, size=(2, 10, 3)).astype(float) + np.array([1.0, 0.5, 0.0])
    rated = np.ones((10, 3), bool)
    raters = tuple(f"r{k}" for k in range(10))
    groups = np.arange(40) // 30
    return {
        "quiz": ItemScores("quiz", NAMES, scores=quiz, groups=groups, group_names=("x", "y")),
        "loss": ItemScores("loss", NAMES, scores=loss, groups=np.zeros(30, int), group_names=("all",)),
        "jury": PanelScores("jury", NAMES, raters=raters, scores=jury[:, :, None], rated=rated),
        "crowd": PanelScores("crowd", NAMES, raters=raters, scores=crowd[:, :, None], rated=rated),
        "index": PublishedFigures("index", NAMES, values=np.array([50.0, 60.0, 40.0])),
    }


def scored(measured: dict[str, Measured], teams: tuple[str, ...] = NAMES):
    groups = measured["quiz"].groups
    values = {
        "quiz": np.mean([measured["quiz"].scores[:, groups == g].mean(1) for g in (0, 1)], axis=0),
        "loss": measured["loss"].scores.mean(1),
        "jury": np.sort(measured["jury"].scores[:, :, 0], axis=0)[1:-1].mean(0),
        "crowd": measured["crowd"].scores[:, :, 0].mean(0),
        "index": measured["index"].values,
    }
    return [score_event(e, EventDraws(e.id, NAMES, values[e.id], None, np.inf), teams) for e in EVENTS]


def test_the_parts_of_a_board():
    measured = rows()
    found = robustness(ROUND, tuple(measured.values()), scored(measured), teams=NAMES)
    assert json.loads(json.dumps(found)) == found
    assert [row["method"] for row in found["aggregations"]] == ["mean", "borda", "copeland", "kemeny"]
    kinds = {u["kind"] for u in found["multiverse"]["universes"]}
    assert kinds == {
        "weights", "normalisation", "leave_out_event", "leave_out_affiliated", "average", "drop_raters", "aggregation"
    }  # fmt: skip
    names = [
        (u["name"], u["values"].get("event"))
        for u in found["multiverse"]["universes"]
        if u["kind"] == "average"
    ]
    assert names == [
        ("items", "quiz"),
        ("groups", "quiz"),
        ("untrimmed", "jury"),
        ("trimmed", "jury"),
        ("untrimmed", "crowd"),
        ("trimmed", "crowd"),
    ]
    assert sum(u["kind"] == "drop_raters" for u in found["multiverse"]["universes"]) == 20
    assert [row["event"] for row in found["influence"]["items"]] == ["quiz", "loss"]
    assert [row["event"] for row in found["influence"]["raters"]] == ["jury", "crowd"]
    assert all(
        row["last_before"] == found["multiverse"]["universes"][0]["last"]
        for row in found["influence"]["items"]
    )


def test_the_declared_average_is_among_the_universes():
    measured = rows()
    found = robustness(ROUND, tuple(measured.values()), scored(measured), teams=NAMES)
    groups = next(u for u in found["multiverse"]["universes"] if u["name"] == "groups")
    trimmed = next(u for u in found["multiverse"]["universes"] if u["name"] == "trimmed")
    declared = found["multiverse"]["universes"][0]
    assert groups["order"] == trimmed["order"] == declared["order"]


def test_the_table_is_the_declared_total():
    measured = rows()
    scores = scored(measured)
    table = score_table(ROUND, scores, NAMES)
    by = {each.event.id: each.points.value for each in scores}
    expected = 0.3 * by["quiz"] + 0.3 * by["loss"] + 0.2 * by["jury"] + 0.2 * by["crowd"]
    assert table.declared() == pytest.approx(expected)
    assert (np.argsort(table.values[:, 1]) == np.argsort(-measured["loss"].scores.mean(1))).all()


def test_an_event_that_weighs_nothing_is_no_part_of_it():
    measured = rows()
    events = tuple(replace(e, weight=0.0) if e.id == "loss" else e for e in EVENTS)
    table = score_table(replace(ROUND, events=events), scored(measured), NAMES)
    assert table.events == ("quiz", "jury", "crowd")


@pytest.mark.parametrize("by", ["bench", "expert"])
def test_a_category_decides_alone(by):
    measured = rows()
    table = score_table(replace(ROUND, elimination=Elimination(1, by, ())), scored(measured), NAMES)
    assert table.categories == (by,)
    assert set(table.events) == {e.id for e in EVENTS if e.category == by}


def test_by_an_axis_its_events_count_by_their_weights():
    measured = rows()
    absolute = replace(ROUND, elimination=Elimination(1, "absolute", ()))
    assert score_table(absolute, scored(measured), NAMES).events == ("quiz", "loss", "jury", "crowd")
    ranged = replace(ROUND, elimination=Elimination(1, "range", ()))
    found = robustness(ranged, tuple(measured.values()), scored(measured), teams=NAMES)
    assert found == {"aggregations": [], "multiverse": None, "influence": None}


def test_who_did_not_run_has_the_floor_and_no_rows_to_drop():
    measured = rows()
    events = tuple(replace(e, missing="floor") for e in EVENTS)
    three = scored(measured)
    drawn = EventDraws("jury", ("a", "b"), np.array([6.0, 5.0]), None, np.inf)
    three[2] = score_event(events[2], drawn, NAMES)
    measured["jury"] = PanelScores(
        "jury",
        ("a", "b"),
        raters=("r0", "r1", "r2"),
        scores=np.full((3, 2, 1), 5.0),
        rated=np.ones((3, 2), bool),
    )
    found = robustness(replace(ROUND, events=events), tuple(measured.values()), three, teams=NAMES)
    assert [row["event"] for row in found["influence"]["raters"]] == ["crowd"]
    assert score_table(ROUND, three, NAMES).scores[2, 2] == 0


def test_influence_agrees_with_what_it_says():
    """Drop the raters named fewest, and the last place is another's."""
    measured = rows()
    found = robustness(ROUND, tuple(measured.values()), scored(measured), teams=NAMES)
    crowd = found["influence"]["raters"][1]
    assert crowd["exact"]
    assert crowd["of"] == 10
    jury = found["influence"]["raters"][0]
    assert jury["dropped"] is None or jury["last_after"] != jury["last_before"]
