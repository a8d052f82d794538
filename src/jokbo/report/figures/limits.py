"""Detection limits: a bar from the least that would have been found to a full copy."""

from __future__ import annotations

import math
from collections.abc import Callable

from jokbo.report.figures.charts import LimitChart, LimitPanel
from jokbo.report.figures.svg import line, rect, svg, text, text_width

WIDTH, ROW, HEAD, FOOT, EDGE = 720.0, 42.0, 38.0, 44.0, 22.0
LABEL, MIDDLE = 15.0, 29.0
"""Within a row: the baseline of its label and the middle of its bar."""

LEAST_SHARE = 0.001


def draw_limits(chart: LimitChart) -> str:
    """Draw the limits, one panel below the other."""
    drawn: list[str] = []
    y = 0.0
    for panel in chart.panels:
        drawn += _panel(panel, y)
        y += HEAD + ROW * len(panel.rows) + FOOT
    return svg(WIDTH, y, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def _panel(panel: LimitPanel, y: float) -> list[str]:
    def across(value: float) -> float:
        part = 1 + math.log10(max(value, LEAST_SHARE)) / -math.log10(LEAST_SHARE) if panel.log else value
        return EDGE + part * (WIDTH - 2 * EDGE)

    top, bottom = y + HEAD, y + HEAD + ROW * len(panel.rows)
    drawn = [text(panel.axis, 0, y + 20, class_="ink strong")]
    for tick in (0.001, 0.01, 0.1, 1.0) if panel.log else (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        label = f"{tick * 100:g}%" if panel.log else f"{tick:g}"
        heads = [top + ROW * k for k in range(len(panel.rows))]
        drawn += [
            line(across(tick), head + LABEL + 5, across(tick), head + ROW - 1, "grid") for head in heads
        ]
        drawn.append(text(label, across(tick), bottom + 17, anchor="middle", class_="dim"))
    for k, row in enumerate(panel.rows):
        head = top + ROW * k
        drawn += [line(0, head, WIDTH, head, "hair"), text(row.label, 0, head + LABEL)]
        if row.value is None:
            drawn.append(text(row.text, EDGE, head + MIDDLE + 4.5, class_="dim halo"))
        else:
            drawn += _bar(
                row.value, row.text, head + MIDDLE, across, across(LEAST_SHARE if panel.log else 0.0)
            )
    return drawn


def _bar(value: float, words: str, middle: float, across: Callable[[float], float], left: float) -> list[str]:
    start, end = across(value), across(1.0)
    drawn = [
        rect(start, middle - 6, max(end - start, 2), 12, "bar"),
        line(start, middle - 8.5, start, middle + 8.5, "total"),
    ]
    if start - left > text_width(words) + 8:
        return [*drawn, text(words, start - 7, middle + 4.5, anchor="end", class_="ink strong halo")]
    return [*drawn, text(words, start + 8, middle + 4.5, class_="on-bar strong")]
