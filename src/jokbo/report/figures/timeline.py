"""A timeline: checkpoints, logs and declared events along the training steps."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.report.figures.charts import Lane, LaneItem, TimelineChart
from jokbo.report.figures.series import BADGE, Scale, along, badge, step_axis
from jokbo.report.figures.svg import line, mark, rect, svg, text, text_width

WIDTH, RIGHT, TOP, ROW, BOTTOM = 720.0, 20.0, 8.0, 36.0, 48.0
MIN_LEFT, MAX_LEFT = 90.0, 240.0
BARS = 3
"""Bars of one lane are drawn at as many heights in turn, so that those that overlap stay apart."""


def draw_timeline(chart: TimelineChart) -> str:
    """Draw a timeline."""
    widest = max((text_width(lane.label) for lane in chart.lanes), default=0.0) + 18
    left = min(max(widest, MIN_LEFT), MAX_LEFT)
    across = along(chart.first, chart.last, left, WIDTH - RIGHT)
    drawn: list[str] = []
    for k, lane in enumerate(chart.lanes):
        middle = TOP + ROW * (k + 0.5)
        drawn.append(text(lane.label, 0, middle + 4.5))
        drawn.append(line(left, middle, WIDTH - RIGHT, middle, "grid"))
        drawn += _lane(lane, middle, across)
    bottom = TOP + ROW * len(chart.lanes)
    drawn.append(line(left, bottom, WIDTH - RIGHT, bottom, "zero"))
    drawn += step_axis(chart.first, chart.last, chart.axis, across, bottom)
    return svg(WIDTH, bottom + BOTTOM, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def _lane(lane: Lane, middle: float, across: Scale) -> Iterator[str]:
    free = -1e9
    bars = 0
    heights = min(sum(item.kind == "bar" for item in lane.items), BARS)
    for item in lane.items:
        x = across(item.first)
        if item.kind == "bar":
            yield _bar(item, middle + (bars % heights - (heights - 1) / 2) * 9, across)
            bars += 1
        elif item.kind == "mark":
            yield mark(item.mark, x, middle, 4.6, "stop hollow" if item.hollow else "stop")
        else:
            if across(item.last) != x:
                yield line(x, middle, across(item.last), middle, "reach")
                yield line(across(item.last), middle - 5, across(item.last), middle + 5, "reach")
            if x >= free:
                yield from badge(item.label, x, middle)
                free = x + 2 * BADGE + 2
            else:
                yield line(x, middle - 6, x, middle + 6, "reach")


def _bar(item: LaneItem, y: float, across: Scale) -> str:
    return rect(across(item.first), y - 3, max(across(item.last) - across(item.first), 2.0), 6, "bar")
