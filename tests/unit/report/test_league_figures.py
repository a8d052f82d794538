"""The league's figures: everything inside, values where they belong, nothing said by colour alone."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.report.figures import draw
from jokbo.report.figures.charts import Chart
from jokbo.report.figures.dots import Dot, DotChart, Rule, extent
from jokbo.report.figures.pareto import FrontChart, FrontPoint
from jokbo.report.figures.profiles import Profile, ProfileChart
from jokbo.report.figures.ranks import RankChart, RankRow
from jokbo.report.figures.simplex import HEIGHT, SIDE, SimplexChart, SimplexPoint, place
from jokbo.report.figures.universes import UniverseChart, UniverseRow

BASE = {"key": "k", "title": "T", "lead": "L", "alt": "A <b> & more", "data": ()}


def dots(*rows: Dot, log: bool = False, rules: tuple[Rule, ...] = ()) -> DotChart:
    return DotChart(rows=rows, rules=rules, axis="axis", log=log, **BASE)


def ranks(count: int) -> RankChart:
    rows = tuple(RankRow(f"team {k}", "x", k + 1, max(k, 1), min(k + 2, count)) for k in range(count))
    return RankChart(rows=rows, axis="place", **BASE)


def front(*points: FrontPoint, log: bool = True, more: bool = False) -> FrontChart:
    return FrontChart(
        points=points,
        log=log,
        more_is_better=more,
        x_axis="x",
        y_axis="y",
        front_label="on",
        other_label="off",
        **BASE,
    )


def simplex(steps: int, teams: int = 3) -> SimplexChart:
    points = tuple(
        SimplexPoint((a / steps, b / steps, (steps - a - b) / steps), (a * 7 + b) % teams)
        for a in range(steps + 1)
        for b in range(steps + 1 - a)
    )
    labels = tuple((chr(65 + k), f"team {k}", "10%") for k in range(teams))
    return SimplexChart(
        corners=("one", "two", "three"), points=points, steps=steps, teams=labels, declared=(0.4, 0.35, 0.25),
        declared_label="declared", **BASE,
    )  # fmt: skip


def universes(teams: int) -> UniverseChart:
    names = tuple(f"team number {k}" for k in range(teams))
    shares = tuple(1 / teams for _ in range(teams))
    row = UniverseRow("weights", "12", shares, tuple("8%" for _ in names))
    return UniverseChart(teams=names, rows=(row, row), **BASE)


def profiles(teams: int, boxes: int) -> ProfileChart:
    states = ("yes", "no", "unresolved", "none")
    found = tuple(
        Profile(f"team {k}", "", tuple(states[j % 4] for j in range(boxes)), "2 of 4", 50.0 + k, 40.0, 60.0, "50.0",
                ((1, 5), None, (5, 5)), "1 of 5")
        for k in range(teams)
    )  # fmt: skip
    return ProfileChart(
        teams=found, axes=("a", "b", "c"), shown=(True, True, True), anchor_label="x", anchor=100.0, **BASE
    )


CHARTS: list[Chart] = [
    dots(Dot("one", "1", 1.0)),
    dots(
        Dot("a", "-3", -3.0, -40.0, 20.0),
        Dot("b", "none", None),
        rules=(Rule("floor", 0.0), Rule("anchor", 100.0)),
    ),
    dots(Dot("a", "1", 1.0), rules=(Rule("floor 12345", 0.0), Rule("anchor 12346", 0.1), Rule("third", 0.2))),
    dots(
        *(Dot(str(k), "x", 10.0**k, 10.0**k / 2, 10.0**k * 2) for k in range(-6, 6)),
        log=True,
        rules=(Rule("z", 0.0),),
    ),
    dots(*(Dot(str(k), "x", 3.0, 3.0, 3.0) for k in range(60))),
    ranks(1),
    ranks(5),
    ranks(60),
    front(FrontPoint("a", 1.0, 1.0, True)),
    front(*(FrontPoint(f"team {k}", 10.0 ** (k % 7), float(k % 5), k < 3) for k in range(60))),
    front(FrontPoint("a", 5.0, 5.0, True), FrontPoint("b", 5.0, 5.0, True), log=False, more=True),
    simplex(1),
    simplex(20),
    simplex(10, teams=12),
    universes(1),
    universes(2),
    universes(5),
    universes(12),
    profiles(1, 0),
    profiles(5, 4),
    profiles(6, 40),
]


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: type(chart).__name__)
def test_nothing_is_drawn_outside_the_figure(chart: Chart):
    svg = draw(chart)
    width, height = (float(x) for x in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())  # type: ignore[union-attr]
    drawing = re.sub(r"<defs>.*?</defs>", "", svg)
    places = [(float(x), width) for x in re.findall(r' (?:x|cx|x1|x2)="([-\d.]+)"', drawing)]
    places += [(float(y), height) for y in re.findall(r' (?:y|cy|y1|y2)="([-\d.]+)"', drawing)]
    for x, y in re.findall(
        r"[ML]?([-\d.]+)[ ,]([-\d.]+)", " ".join(re.findall(r'(?:points| d)="([^"]+)"', drawing))
    ):
        places += [(float(x), width), (float(y), height)]
    assert places
    assert all(-0.01 <= value <= most + 0.01 for value, most in places)
    assert "A &lt;b&gt; &amp; more" in svg
    assert "nan" not in svg
    assert draw(replace(chart)) == svg


def test_dots_and_whiskers_stand_where_their_values_are():
    svg = draw(dots(Dot("a", "x", 50.0, 40.0, 70.0), rules=(Rule("floor", 0.0), Rule("anchor", 100.0))))
    dot = float(re.search(r'<circle cx="([\d.]+)"', svg)[1])  # type: ignore[index]
    left, right = (
        float(x)
        for x in re.search(r'<line x1="([\d.]+)"[^>]*x2="([\d.]+)"[^>]*class="whisker"', svg).groups()
    )  # type: ignore[union-attr]
    low, high = extent(
        dots(Dot("a", "x", 50.0, 40.0, 70.0), rules=(Rule("floor", 0.0), Rule("anchor", 100.0)))
    )
    scale = (720 - 32) / (high - low)
    assert (dot - left) / scale == pytest.approx(10, abs=0.05)
    assert (right - dot) / scale == pytest.approx(20, abs=0.05)


def test_a_logarithmic_axis_gives_equal_ratios_equal_room():
    svg = draw(dots(*(Dot(str(v), "x", v) for v in (1.0, 10.0, 100.0)), log=True))
    xs = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', svg)]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.03)


def test_a_rank_bar_covers_its_places_and_no_other():
    svg = draw(ranks(5))
    grid = [float(x) for x in re.findall(r'<line x1="([\d.]+)"[^>]*class="grid"', svg)]
    bars = [
        (float(x), float(w))
        for x, w in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"[^>]*class="bar"', svg)
    ]
    for k, (x, w) in enumerate(bars):
        covered = [n + 1 for n, at in enumerate(grid) if x < at < x + w]
        assert covered == list(range(max(k, 1), min(k + 2, 5) + 1))


@pytest.mark.parametrize("more", [False, True])
def test_the_front_is_a_staircase_that_never_falls(more: bool):
    points = [FrontPoint("a", 1.0, 9.0 if more else 1.0, True), FrontPoint("b", 10.0, 5.0, True),
              FrontPoint("c", 100.0, 1.0 if more else 9.0, True), FrontPoint("d", 50.0, 0.5, False)]  # fmt: skip
    svg = draw(front(*points, more=more))
    path = re.search(r'<polyline points="([^"]+)" class="front"', svg)
    assert path is not None
    steps = [tuple(map(float, pair.split(","))) for pair in path[1].split()]
    assert len(steps) == 5
    for (x1, y1), (x2, y2) in itertools.pairwise(steps):
        assert (x1 == x2) != (y1 == y2)
        assert y2 <= y1  # up the page is better
        assert x2 <= x1 if more else x2 >= x1
    assert svg.count("<polygon") == 3 + 1  # diamonds of the front, and the one of the legend


def corners(path: str) -> list[list[tuple[float, float]]]:
    pieces = [piece for piece in path.split("Z") if piece]
    return [[tuple(map(float, pair.split())) for pair in piece[1:].split("L")] for piece in pieces]  # type: ignore[misc]


def area(shape: list[tuple[float, float]]) -> float:
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(shape, shape[1:] + shape[:1], strict=True))) / 2


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.integers(1, 4))
def test_areas_fill_the_triangle_once(steps: int, teams: int):
    svg = draw(simplex(steps, teams))
    paths = re.findall(r'<path d="([^"]+)" class="area', svg)
    total = sum(area(shape) for path in paths for shape in corners(path))
    assert total == pytest.approx(SIDE * HEIGHT / 2, rel=2e-3)


def test_a_corner_of_the_triangle_belongs_to_who_is_last_there():
    points = tuple(
        SimplexPoint((a / 10, b / 10, (10 - a - b) / 10), 1 if a >= 8 else 0)
        for a in range(11)
        for b in range(11 - a)
    )
    svg = draw(replace(simplex(10, 2), points=points))
    paths = dict(re.findall(r'<path d="([^"]+)" class="area a(\d)"', svg))
    top = place((1.0, 0.0, 0.0))
    owner = {team: path for path, team in paths.items()}
    assert any(math.dist(top, spot) < 0.02 for shape in corners(owner["1"]) for spot in shape)
    assert area_share(owner["1"]) == pytest.approx(0.25**2, abs=0.001)  # down to half a row below .8


def area_share(path: str) -> float:
    return sum(area(shape) for shape in corners(path)) / (SIDE * HEIGHT / 2)


def test_every_area_has_a_letter_and_a_hatching_of_its_own():
    svg = draw(simplex(20))
    assert set(re.findall(r">([A-Z])</text>", svg)) == {"A", "B", "C"}
    hatches = re.findall(r'<pattern[^>]*id="k-h(\d)"[^>]*>|<pattern.*?</pattern>', svg)
    assert len(set(re.findall(r'class="hatch"', svg))) == 1
    strokes = re.findall(r'<pattern[^>]*><path d="([^"]+)"', svg)
    assert len(set(strokes)) == len(strokes) == 3
    assert len(hatches) == 3


def test_discs_have_the_area_of_their_share():
    chart = UniverseChart(
        teams=("a", "b"), rows=(UniverseRow("w", "4", (0.25, 0.75), ("25%", "75%")),), **BASE
    )
    sizes = [float(r) for r in re.findall(r'r="([\d.]+)" class="mark', draw(chart))]
    assert (sizes[0] / sizes[1]) ** 2 == pytest.approx(1 / 3, abs=0.01)


def test_boxes_of_a_profile_differ_by_shape():
    svg = draw(profiles(1, 4))
    assert svg.count('class="box"') == 4
    fills = [float(h) for h in re.findall(r'height="([\d.]+)" class="fill"', svg)]
    assert fills == [13.0, 6.5]  # full, and half where it is not resolved
