"""Curves over training steps: panels one below the other, declared events as numbered uprights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from jokbo.report.figures.charts import Moment, TimeChart, TimeCurve, TimePanel
from jokbo.report.figures.svg import (
    SMALL,
    compact,
    element,
    line,
    log_ticks,
    mark,
    number,
    rect,
    svg,
    text,
    text_width,
    ticks,
)

WIDTH, LEFT, RIGHT, TOP, GAP, BOTTOM = 720.0, 76.0, 16.0, 24.0, 30.0, 48.0
LEGEND_ROW = 22.0
BADGE = 8.0
"""Radius of the numbered badge of an event."""

MARKS = ("circle", "diamond", "square")
MAX_MARKED = 60
"""Curves of more points are drawn without marks: a curve of marks alone says nothing more."""

Scale = Callable[[float], float]


def draw_series(chart: TimeChart) -> str:
    """Draw the panels of a time chart."""
    across = along(chart.first, chart.last, LEFT, WIDTH - RIGHT)
    drawn: list[str] = []
    y = 4.0
    tops: list[tuple[float, float]] = []
    for panel in chart.panels:
        legend, rows = _legend(panel, y)
        y += rows * LEGEND_ROW + (TOP if chart.moments and not tops else 6)
        drawn += [*legend, *_panel(panel, y, across)]
        tops.append((y, y + panel.height))
        y += panel.height + GAP
    bottom = y - GAP
    drawn += moments(chart.moments, across, tops, tops[0][0] - BADGE - 3)
    drawn += step_axis(chart.first, chart.last, chart.axis, across, bottom)
    return svg(WIDTH, bottom + BOTTOM, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def along(first: float, last: float, left: float, right: float) -> Scale:
    """Places of a time axis in the drawing; what lies outside is drawn at the edge."""
    span = max(last - first, 1.0)
    return lambda place: left + min(max((place - first) / span, 0.0), 1.0) * (right - left)


def step_axis(first: float, last: float, words: str, across: Scale, bottom: float) -> list[str]:
    """Ticks below the last panel, and what they count."""
    drawn = []
    for tick in ticks(first, max(last, first + 1), count=9):
        if tick != round(tick):
            continue
        drawn.append(line(across(tick), bottom, across(tick), bottom + 4, "tick"))
        drawn.append(text(compact(tick), across(tick), bottom + 18, anchor="middle", class_="dim"))
    middle = (across(first) + across(last)) / 2
    return [*drawn, text(words, middle, bottom + 38, anchor="middle", class_="dim")]


def moments(
    found: Sequence[Moment], across: Scale, tops: Sequence[tuple[float, float]], y: float
) -> list[str]:
    """Uprights through the panels, each with a numbered badge above where there is room for one."""
    drawn: list[str] = []
    free = -math.inf
    for moment in sorted(found, key=lambda each: each.first):
        left, right = sorted((across(moment.first), across(moment.last)))
        for top, bottom in tops:
            if right - left > 1:
                drawn.append(rect(left, top, right - left, bottom - top, "span"))
            drawn.append(line(across(moment.first), top, across(moment.first), bottom, "moment"))
        if across(moment.first) >= free:
            drawn += badge(moment.label, across(moment.first), y)
            free = across(moment.first) + 2 * BADGE + 2
    return drawn


def badge(words: str, x: float, y: float) -> list[str]:
    """A number in a ring."""
    return [
        mark("circle", x, y, BADGE, "badge"),
        text(words, x, y + 3.8, anchor="middle", class_="dim strong"),
    ]


def _panel(panel: TimePanel, top: float, across: Scale) -> list[str]:
    bottom = top + panel.height
    low, high = _range(panel)
    scale: Scale = math.log10 if panel.log else float
    span = scale(high) - scale(low)

    def up(value: float) -> float:
        return bottom - min(max((scale(value) - scale(low)) / span, 0.0), 1.0) * panel.height

    left, right = LEFT, WIDTH - RIGHT
    drawn = []
    if panel.band is not None:
        height = up(panel.band.low) - up(panel.band.high)
        drawn.append(rect(left, up(panel.band.high), right - left, max(height, 2.0), "band"))
    steps = log_ticks(low, high) if panel.log else ticks(low, high, count=6)
    for tick in steps:
        drawn.append(line(left, up(tick), right, up(tick), "zero" if tick == 0 else "grid"))
        drawn.append(text(compact(tick), left - 8, up(tick) + 4, anchor="end", class_="dim"))
    turn = f"rotate(-90 12 {number((top + bottom) / 2)})"
    drawn.append(text(panel.axis, 12, (top + bottom) / 2, anchor="middle", class_="dim", transform=turn))
    if panel.rule is not None:
        drawn.append(line(left, up(panel.rule[1]), right, up(panel.rule[1]), "threshold"))
    for k, curve in enumerate(panel.curves):
        drawn += _curve(curve, k, across, up, panel.log)
    return drawn


def _range(panel: TimePanel) -> tuple[float, float]:
    values = [v for curve in panel.curves for v in curve.values]
    values += [] if panel.band is None else [panel.band.low, panel.band.high]
    values += [] if panel.rule is None else [panel.rule[1]]
    if panel.log:
        values = [v for v in values if v > 0] or [1.0]
        low, high = min(values) / 1.25, max(values) * 1.25
        return low, max(high, low * 1.5)
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    # A curve that stays above zero gets a floor of zero where that costs little room.
    floor = 0.0 if 0 <= low < 0.35 * high else low - room
    return floor, high + room


def _curve(curve: TimeCurve, k: int, across: Scale, up: Scale, log: bool) -> Iterator[str]:
    placed = [
        (across(place), up(value))
        for place, value in zip(curve.places, curve.values, strict=True)
        if value > 0 or not log
    ]
    for run in _runs(placed):
        points = " ".join(f"{number(x)},{number(y)}" for x, y in run)
        yield element("polyline", points=points, class_=f"curve {curve.style}")
    if (curve.marked and len(placed) <= MAX_MARKED) or len(placed) == 1:
        for x, y in placed:
            yield mark(MARKS[k % len(MARKS)], x, y, 3.4, f"point {curve.style}")


def _runs(placed: Sequence[tuple[float, float]]) -> list[Sequence[tuple[float, float]]]:
    """Stretches of a curve that run forward, of two points and more: a step back begins another."""
    cuts = [k for k in range(1, len(placed)) if placed[k][0] < placed[k - 1][0]]
    ends = [0, *cuts, len(placed)]
    return [placed[a:b] for a, b in itertools.pairwise(ends) if b - a > 1]


def _legend(panel: TimePanel, top: float) -> tuple[list[str], int]:
    """What each stroke is, wrapped to the width; and the rows that takes."""
    entries: list[tuple[str, str, TimeCurve | None, int]] = [
        (curve.label, f"curve {curve.style}", curve, k) for k, curve in enumerate(panel.curves)
    ]
    if panel.rule is not None:
        entries.append((panel.rule[0], "threshold", None, 0))
    if panel.band is not None:
        entries.append((panel.band.label, "band", None, 0))
    drawn, x, row = [], LEFT, 0
    for words, class_, curve, k in entries:
        width = 34 + text_width(words, SMALL) + 18
        if x + width > WIDTH and x > LEFT:
            x, row = LEFT, row + 1
        y = top + row * LEGEND_ROW + 12
        if class_ == "band":
            drawn.append(rect(x, y - 6, 26, 12, class_))
        else:
            drawn.append(line(x, y, x + 26, y, class_))
        if curve is not None and curve.marked:
            drawn.append(mark(MARKS[k % len(MARKS)], x + 13, y, 3.4, f"point {curve.style}"))
        drawn.append(text(words, x + 32, y + 4, class_="dim"))
        x += width
    return drawn, row + 1
