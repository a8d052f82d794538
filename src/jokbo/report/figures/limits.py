"""Detection limits: a bar from the least that would have been found to a full copy."""

from __future__ import annotations

import math
from collections.abc import Callable

from jokbo.report.figures.charts import LimitChart, LimitPanel
from jokbo.report.figures.svg import line, rect, svg, text, text_width

WIDTH, ROW, HEAD, FOOT, RIGHT = 860.0, 26.0, 34.0, 38.0, 26.0
LEAST_SHARE = 0.001


def draw_limits(chart: LimitChart) -> str:
    """Draw the limits, one panel below the other."""
    left = max(text_width(row.label) for panel in chart.panels for row in panel.rows) + 18
    drawn: list[str] = []
    y = 0.0
    for panel in chart.panels:
        drawn += _panel(panel, left, y)
        y += HEAD + ROW * len(panel.rows) + FOOT
    return svg(WIDTH, y, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def _panel(panel: LimitPanel, left: float, y: float) -> list[str]:
    def across(value: float) -> float:
        part = 1 + math.log10(max(value, LEAST_SHARE)) / -math.log10(LEAST_SHARE) if panel.log else value
        return left + part * (WIDTH - left - RIGHT)

    top, bottom = y + HEAD, y + HEAD + ROW * len(panel.rows)
    drawn = [text(panel.axis, left, y + 18, class_="ink strong")]
    for tick in (0.001, 0.01, 0.1, 1.0) if panel.log else (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        label = f"{tick * 100:g}%" if panel.log else f"{tick:g}"
        drawn.append(line(across(tick), top, across(tick), bottom, "grid"))
        drawn.append(text(label, across(tick), bottom + 18, anchor="middle", class_="dim"))
    for k, row in enumerate(panel.rows):
        middle = top + ROW * (k + 0.5)
        drawn.append(text(row.label, left - 14, middle + 4.5, anchor="end"))
        if row.value is None:
            drawn.append(text(row.text, left + 6, middle + 4.5, class_="dim"))
        else:
            drawn += _bar(row.value, row.text, middle, across)
    return drawn


def _bar(value: float, words: str, middle: float, across: Callable[[float], float]) -> list[str]:
    start, end = across(value), across(1.0)
    room = start - across(LEAST_SHARE)
    drawn = [rect(start, middle - 7, max(end - start, 2), 14, "bar"), line(start, middle - 10, start, middle + 10, "total")]
    if room > text_width(words) + 10:
        return [*drawn, text(words, start - 7, middle + 4.5, anchor="end", class_="ink strong halo")]
    return [*drawn, text(words, start + 8, middle + 4.5, class_="on-bar strong")]
