"""What is reached against what it costs, and the front: those whom nobody beats at both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jokbo.report.figures.charts import Chart
from jokbo.report.figures.svg import (
    compact,
    element,
    even_ticks,
    line,
    mark,
    number,
    svg,
    text,
    text_width,
    ticks,
)

WIDTH, PLOT, LEFT, RIGHT, TOP, BOTTOM = 720.0, 320.0, 64.0, 20.0, 26.0, 58.0

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One team; `cost` and `ability` in their own units."""

    label: str
    cost: float
    ability: float
    on_front: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontChart(Chart):
    """A Pareto front.

    Attributes
    ----------
    points : tuple of FrontPoint
    log : bool
        Whether the cost is drawn by its logarithm.
    more_is_better : bool
        Whether a greater cost figure is the better one, as with tokens a second.
    x_axis, y_axis : str
    front_label, other_label : str
        Words of the legend.
    """

    points: tuple[FrontPoint, ...]
    log: bool
    more_is_better: bool
    x_axis: str
    y_axis: str
    front_label: str
    other_label: str


def draw_front(chart: FrontChart) -> str:
    """Draw the points, the front as steps, and names beside the points."""
    costs = [point.cost for point in chart.points]
    low, high = cost_range(costs, chart.log)
    scale: Scale = math.log10 if chart.log else float
    bottom_value, top_value = _padded([point.ability for point in chart.points])
    bottom = TOP + PLOT

    def across(value: float) -> float:
        return LEFT + (scale(value) - scale(low)) / (scale(high) - scale(low)) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return bottom - (value - bottom_value) / (top_value - bottom_value) * PLOT

    drawn = _axes(chart, (low, high), (bottom_value, top_value), across, up)
    drawn += _steps(chart, across, up)
    taken: list[tuple[float, float, float, float]] = []
    for point in sorted(chart.points, key=lambda each: (not each.on_front, each.cost, each.label)):
        x, y = across(point.cost), up(point.ability)
        shape, class_ = ("diamond", "point") if point.on_front else ("circle", "point hollow")
        drawn.append(mark(shape, x, y, 5.5, class_))
        drawn += _name(point.label, x, y, taken, _free_side(chart, point))
    drawn += _legend(chart)
    return svg(WIDTH, bottom + BOTTOM, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def cost_range(costs: Sequence[float], log: bool) -> tuple[float, float]:
    """Ends of the axis of cost."""
    if not log:
        return _padded(costs)
    low, high = min(costs, default=1.0) / 1.3, max(costs, default=10.0) * 1.3
    return low, max(high, low * 2)


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = (high - low) * 0.1 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _axes(
    chart: FrontChart,
    costs: tuple[float, float],
    abilities: tuple[float, float],
    across: Scale,
    up: Scale,
) -> list[str]:
    bottom, right = TOP + PLOT, WIDTH - RIGHT
    drawn = []
    for tick in even_ticks(*costs) if chart.log else ticks(*costs, count=7):
        drawn.append(line(across(tick), TOP, across(tick), bottom, "grid"))
        drawn.append(text(compact(tick), across(tick), bottom + 17, anchor="middle", class_="dim"))
    for tick in ticks(*abilities, count=6):
        drawn.append(line(LEFT, up(tick), right, up(tick), "grid"))
        drawn.append(text(compact(tick), LEFT - 8, up(tick) + 4, anchor="end", class_="dim"))
    middle = TOP + PLOT / 2
    turn = f"rotate(-90 13 {number(middle)})"
    drawn.append(text(chart.y_axis, 13, middle, anchor="middle", class_="dim", transform=turn))
    drawn.append(text(chart.x_axis, (LEFT + right) / 2, bottom + 44, anchor="middle", class_="dim"))
    return drawn


def _steps(chart: FrontChart, across: Scale, up: Scale) -> list[str]:
    """The front as a staircase: what is reached at no more than a cost."""
    front = sorted(
        (point for point in chart.points if point.on_front),
        key=lambda point: (-point.cost if chart.more_is_better else point.cost, point.ability),
    )
    if len(front) < 2:
        return []
    path = [(across(front[0].cost), up(front[0].ability))]
    for point in front[1:]:
        path += [(across(point.cost), path[-1][1]), (across(point.cost), up(point.ability))]
    points = " ".join(f"{number(x)},{number(y)}" for x, y in path)
    return [element("polyline", points=points, class_="front")]


def _free_side(chart: FrontChart, point: FrontPoint) -> tuple[float, float, str]:
    """Where to try first: beyond the front, where neither its line nor another point can be."""
    if not point.on_front:
        return 9.0, 4.5, "start"
    return (9.0, -9.0, "start") if chart.more_is_better else (-9.0, -9.0, "end")


def _name(
    words: str,
    x: float,
    y: float,
    taken: list[tuple[float, float, float, float]],
    first: tuple[float, float, str],
) -> list[str]:
    """A name beside its point, on the first side where it meets no other name and stays inside."""
    width = text_width(words) + 2
    sides = (first, (9.0, 4.5, "start"), (-9.0, 4.5, "end"), (0.0, -11.0, "middle"), (0.0, 20.0, "middle"),
             (9.0, -9.0, "start"), (9.0, 18.0, "start"), (-9.0, -9.0, "end"), (-9.0, 18.0, "end"))  # fmt: skip
    for dx, dy, anchor in sides:
        left = x + dx - (width if anchor == "end" else width / 2 if anchor == "middle" else 0)
        box = (left, y + dy - 12, left + width, y + dy + 4)
        inside = box[0] >= LEFT - 4 and box[2] <= WIDTH - 2 and box[1] >= TOP and box[3] <= TOP + PLOT
        if inside and not any(_meet(box, other) for other in taken):
            taken.append(box)
            return [text(words, x + dx, y + dy, anchor=anchor, class_="ink halo")]
    # No room: the table below the figure names every point.
    return []


def _meet(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def _legend(chart: FrontChart) -> list[str]:
    far = LEFT + 22 + text_width(chart.front_label, 11.5) + 26
    return [
        mark("diamond", LEFT + 6, 10, 5.0, "point"),
        text(chart.front_label, LEFT + 18, 14, class_="dim"),
        mark("circle", far, 10, 5.0, "point hollow"),
        text(chart.other_label, far + 12, 14, class_="dim"),
    ]
