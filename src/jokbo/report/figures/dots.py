"""Dot and whisker: one row a team, its value and interval, with the lines that give the scale its meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jokbo.report.figures.charts import Chart
from jokbo.report.figures.svg import compact, even_ticks, line, mark, svg, text, text_width, ticks

WIDTH, ROW, HEAD, BARE, FOOT, EDGE = 720.0, 46.0, 46.0, 4.0, 54.0, 16.0
"""`BARE` stands for `HEAD` where no line needs its words above."""

LABEL, MIDDLE = 15.0, 30.0
"""Within a row: the baseline of its words and the middle of its whisker."""

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Dot:
    """One row.

    Attributes
    ----------
    label : str
        Whose.
    text : str
        Value and interval in words.
    value : float or None
        None where there is none; then only the words stand there.
    low, high : float or None
        Ends of the interval; None where it is not known.
    hollow : bool
        The spread was assumed, or the team does not take part in the ranking: an empty mark.
    """

    label: str
    text: str
    value: float | None
    low: float | None = None
    high: float | None = None
    hollow: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """An upright line at a value, with its word."""

    label: str
    value: float
    class_: str = "threshold"


@dataclass(frozen=True, slots=True, kw_only=True)
class DotChart(Chart):
    """Values with intervals."""

    rows: tuple[Dot, ...]
    rules: tuple[Rule, ...]
    axis: str
    log: bool = False


def draw_dots(chart: DotChart) -> str:
    """Draw rows below each other on one scale."""
    low, high = extent(chart)
    scale: Scale = math.log10 if chart.log else float
    span = scale(high) - scale(low)

    def across(value: float) -> float:
        return EDGE + (scale(value) - scale(low)) / span * (WIDTH - 2 * EDGE)

    head = HEAD if chart.rules else BARE
    tops = [head + ROW * k for k in range(len(chart.rows))]
    bottom = head + ROW * len(chart.rows)
    drawn: list[str] = []
    for tick in even_ticks(low, high) if chart.log else ticks(low, high, count=8):
        drawn += _uprights(across(tick), tops, "grid")
        drawn.append(text(compact(tick), across(tick), bottom + 17, anchor="middle", class_="dim"))
    drawn.append(text(chart.axis, WIDTH / 2, bottom + 41, anchor="middle", class_="dim"))
    drawn += _rules(chart, across, tops)
    for row, top in zip(chart.rows, tops, strict=True):
        drawn += _row(row, top, across, (low, high))
    return svg(WIDTH, bottom + FOOT, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def extent(chart: DotChart) -> tuple[float, float]:
    """The range of the axis: everything that is drawn, and a little room."""
    found = [rule.value for rule in chart.rules]
    for row in chart.rows:
        found += [value for value in (row.value, row.low, row.high) if value is not None]
    if chart.log:
        found = [value for value in found if value > 0] or [1.0, 10.0]
        low, high = min(found) / 1.15, max(found) * 1.15
        return low, max(high, low * 1.5)
    low, high = min(found, default=0.0), max(found, default=1.0)
    room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
    return low - room, high + room


def _rules(chart: DotChart, across: Scale, tops: Sequence[float]) -> list[str]:
    """Lines with their words above, which step aside where they would meet."""
    drawn: list[str] = []
    free = [-1e9, -1e9]
    for rule in sorted(chart.rules, key=lambda each: each.value):
        if chart.log and rule.value <= 0:
            continue
        x = across(rule.value)
        drawn += _uprights(x, tops, rule.class_)
        width = text_width(rule.label, 11.5)
        left = min(max(x - width / 2, 0.0), WIDTH - width)
        level = 0 if left > free[0] else 1
        free[level] = left + width + 8
        y = HEAD - 10 - 17 * level
        drawn.append(line(x, y + 5, x, HEAD - 1, rule.class_))
        drawn.append(text(rule.label, left, y, class_="dim"))
    return drawn


def _row(row: Dot, top: float, across: Scale, ends: tuple[float, float]) -> list[str]:
    middle = top + MIDDLE
    drawn = [
        line(0, top, WIDTH, top, "hair"),
        text(row.label, 0, top + LABEL, class_="ink"),
        text(row.text, WIDTH, top + LABEL, anchor="end", class_="ink strong"),
    ]
    if row.value is None or not ends[0] <= row.value <= ends[1]:
        return drawn
    if row.low is not None and row.high is not None:
        left, right = (across(min(max(value, ends[0]), ends[1])) for value in (row.low, row.high))
        drawn.append(line(left, middle, right, middle, "whisker"))
        drawn += [line(x, middle - 6, x, middle + 6, "whisker") for x in (left, right)]
    size = "point hollow" if row.hollow else "point"
    return [*drawn, mark("circle", across(row.value), middle, 5.0, size)]


def _uprights(x: float, tops: Sequence[float], class_: str) -> list[str]:
    """A line at one value, through the whiskers and not through the words above them."""
    return [line(x, top + LABEL + 5, x, top + ROW - 2, class_) for top in tops]
