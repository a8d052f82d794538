"""Curves over steps and timelines: everything is inside the frame, described, and told apart without colour."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

import jokbo
from jokbo.report.figures import draw
from jokbo.report.figures.charts import (
    Band,
    Lane,
    LaneItem,
    Moment,
    TimeChart,
    TimeCurve,
    TimelineChart,
    TimePanel,
)
from jokbo.report.figures.svg import compact, log_ticks

SVG = "{http://www.w3.org/2000/svg}"


def curve(values: tuple[float, ...], style: str = "main", *, marked: bool = False) -> TimeCurve:
    return TimeCurve("loss <of> run", style, tuple(10.0 * k for k in range(len(values))), values, marked)


def chart(*panels: TimePanel, **more: object) -> TimeChart:
    given = {
        "key": "k", "title": "a title", "lead": "how to read it", "alt": "what it shows", "data": (),
        "panels": panels, "moments": (Moment(20.0, 20.0, "1"), Moment(30.0, 10.0, "2")), "first": 0.0,
        "last": 40.0, "axis": "step",
    }  # fmt: skip
    return TimeChart(**{**given, **more})  # type: ignore[arg-type]


def timeline(**more: object) -> TimelineChart:
    marks = tuple(
        LaneItem("mark", float(k), float(k), shape, hollow=k == 20)
        for k, shape in ((0, "circle"), (20, "square"), (40, "diamond"))
    )
    bars = tuple(LaneItem("bar", 10.0 * k, 10.0 * k + 15) for k in range(3))
    moments = (LaneItem("moment", 20.0, 10.0, label="1"), LaneItem("moment", 21.0, 21.0, label="2"))
    lanes = (Lane("checkpoints & more", marks), Lane("logs", bars), Lane("events", moments))
    given = {
        "key": "t", "title": "a title", "lead": "how", "alt": "what it shows", "data": (), "lanes": lanes,
        "first": 0.0, "last": 40.0, "axis": "step",
    }  # fmt: skip
    return TimelineChart(**{**given, **more})  # type: ignore[arg-type]


def places(drawn: str) -> list[tuple[float, float]]:
    """Every point that a figure draws at."""
    found = []
    for node in ET.fromstring(drawn).iter():
        for x, y in (("x", "y"), ("x1", "y1"), ("x2", "y2"), ("cx", "cy")):
            if node.get(x) is not None and node.tag != f"{SVG}svg":
                found.append((float(node.get(x, "0")), float(node.get(y, "0"))))
        for pair in (node.get("points") or "").split():
            a, b = pair.split(",")
            found.append((float(a), float(b)))
    return found


HARD = [
    chart(TimePanel("y", (curve((3.0, 2.0, 1.0, 0.5, 0.4)),))),
    chart(TimePanel("y", (curve((1.0,)),))),
    chart(TimePanel("y", (curve((7.0, 7.0, 7.0)),))),
    chart(TimePanel("y", (curve((0.0, 0.0)),))),
    chart(TimePanel("y", (curve((1e-9, 3e-9, 2e-9)),))),
    chart(TimePanel("y", (curve((-1e15, 1e15)),), band=Band("band", -2.0, 2.0))),
    chart(TimePanel("y", (curve((1e-6, 1e3, 1e12)),), log=True, rule=("bound", 1.0))),
    chart(TimePanel("y", (curve((0.0, -1.0, 2.0)),), log=True)),
    chart(TimePanel("y", (curve((0.0, 0.0)),), log=True)),
    chart(TimePanel("y", ()), moments=()),
    chart(TimePanel("y", (curve((1.0, 2.0)),)), moments=(Moment(-5e9, 9e15, "1"),)),
    chart(TimePanel("y", (curve((1.0, 2.0)),)), first=0.0, last=0.0),
    chart(TimePanel("y", (curve((1.0, 2.0)),)), last=1e12),
    timeline(),
    timeline(lanes=()),
    timeline(last=3.0),
]


@pytest.mark.parametrize("made", HARD, ids=range(len(HARD)))
def test_everything_lies_inside_the_frame(made: TimeChart | TimelineChart) -> None:
    drawn = draw(made)
    root = ET.fromstring(drawn)
    width, height = (float(v) for v in root.get("viewBox", "").split()[2:])
    assert width == 720
    assert 0 < height < 900
    assert not re.search(r"nan|inf", drawn)
    for x, y in places(drawn):
        assert -0.5 <= x <= width + 0.5
        assert -0.5 <= y <= height + 0.5


@pytest.mark.parametrize("made", [HARD[0], timeline()], ids=["series", "timeline"])
def test_a_figure_says_what_it_is_to_those_who_do_not_see_it(made: TimeChart | TimelineChart) -> None:
    root = ET.fromstring(draw(made))
    assert root.get("role") == "img"
    assert [child.tag for child in root][:2] == [f"{SVG}title", f"{SVG}desc"]
    assert root[1].text == "what it shows"


def test_words_are_escaped() -> None:
    drawn = draw(chart(TimePanel("<b>", (curve((1.0, 2.0)),))))
    assert "<of>" not in drawn
    assert "loss &lt;of&gt; run" in drawn
    assert "&lt;b&gt;" in drawn
    assert "checkpoints &amp; more" in draw(timeline())


def test_a_log_axis_leaves_out_what_it_cannot_show() -> None:
    panel = TimePanel("y", (curve((0.0, 1.0, -3.0, 100.0)),), log=True)
    (line,) = re.findall(r'<polyline points="([^"]*)"', draw(chart(panel)))
    assert len(line.split()) == 2


def test_curves_of_one_panel_differ_in_more_than_colour() -> None:
    curves = tuple(curve((1.0, 2.0, 3.0), style, marked=True) for style in ("main", "second"))
    drawn = draw(chart(TimePanel("y", curves), moments=()))
    assert "<circle" in drawn
    assert "<polygon" in drawn
    page = (Path(jokbo.__file__).parent / "report/templates/record.html").read_text()
    strokes = {style: re.search(rf"svg \.curve\.{style} {{([^}}]*)}}", page) for style in
               ("raw", "main", "second", "gone", "wide")}  # fmt: skip
    told = {
        style: re.sub(r"stroke: var\([^)]*\);?", "", found[1]).strip()
        for style, found in strokes.items()
        if found
    }
    assert len(told) == len(set(told.values())) == 5


def test_a_step_back_begins_another_stretch() -> None:
    back = TimeCurve("c", "gone", (10.0, 20.0, 15.0, 25.0), (1.0, 2.0, 3.0, 4.0))
    drawn = draw(chart(TimePanel("y", (back,)), moments=()))
    assert drawn.count("<polyline") == 2


def test_events_that_crowd_keep_their_uprights_and_lose_badges() -> None:
    crowd = tuple(Moment(20.0 + k / 100, 20.0 + k / 100, str(k)) for k in range(5))
    drawn = draw(chart(TimePanel("y", (curve((1.0, 2.0)),)), moments=crowd))
    assert drawn.count('class="moment"') == 5
    assert drawn.count('class="badge"') == 1


def test_a_span_is_shaded_whichever_way_it_is_given() -> None:
    there = draw(chart(TimePanel("y", (curve((1.0, 2.0)),)), moments=(Moment(10.0, 30.0, "1"),)))
    back = draw(chart(TimePanel("y", (curve((1.0, 2.0)),)), moments=(Moment(30.0, 10.0, "1"),)))
    spans = [re.search(r'<rect ([^>]*) class="span"', drawn) for drawn in (there, back)]
    assert spans[0] is not None
    assert spans[1] is not None
    assert spans[0][1] == spans[1][1]


def test_hollow_marks_are_of_another_class() -> None:
    drawn = draw(timeline())
    assert drawn.count('class="stop hollow"') == 1
    assert drawn.count('class="stop"') == 2


def test_a_figure_depends_on_its_data_alone() -> None:
    assert draw(HARD[0]) == draw(replace(HARD[0]))


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (1500, "1500"), (25_000, "25K"), (2.5e6, "2.5M"), (1.97e13, "19.7T"), (3e-4, "0.0003"),
     (2e-6, "2e−6"), (-0.5, "−0.5"), (1e20, "1e+20")],
)  # fmt: skip
def test_numbers_of_an_axis_are_short(value: float, words: str) -> None:
    assert compact(value) == words


@pytest.mark.parametrize(("low", "high"), [(1e-12, 1e12), (0.9, 1.1), (1.0, 1.5), (3e-5, 0.2)])
def test_a_log_axis_has_ticks_in_its_range(low: float, high: float) -> None:
    found = log_ticks(low, high)
    assert 1 <= len(found) <= 16
    assert all(low <= tick <= high for tick in found)
