"""Evidence by layer: one strip a kind of evidence, one dot a layer, the threshold as a line."""

from __future__ import annotations

from collections.abc import Callable

from jokbo.report.figures.charts import StripChart
from jokbo.report.figures.svg import line, mark, number, svg, text, text_width, ticks

WIDTH, ROW, TOP, BOTTOM, EDGE = 720.0, 50.0, 34.0, 54.0, 10.0
LABEL, MIDDLE = 16.0, 34.0
"""Within a row: the baseline of its label and the middle of its strip."""

SPREAD = 17.0
"""Height over which the dots of a strip are spread, first layer on top, so that equal values stay apart."""

Scale = Callable[[float], float]


def draw_strip(chart: StripChart) -> str:
    """Draw a strip chart."""
    values = [value for row in chart.rows for value in (*row.dots, row.total)]
    low, high = min(-1.0, *values), max(chart.threshold * 1.25, *values)
    bottom = TOP + ROW * len(chart.rows)

    def across(value: float) -> float:
        return EDGE + (value - low) / (high - low) * (WIDTH - 2 * EDGE)

    drawn = []
    for tick in ticks(low, high, count=8):
        drawn += _uprights(chart, across(tick), "zero" if tick == 0 else "grid")
        label = number(tick).replace("-", "\u2212")
        drawn.append(text(label, across(tick), bottom + 17, anchor="middle", class_="dim"))
    drawn.append(text(chart.axis, WIDTH / 2, bottom + 41, anchor="middle", class_="dim"))
    drawn += _threshold(chart, across(chart.threshold))
    for k, row in enumerate(chart.rows):
        y = TOP + ROW * k
        drawn.append(line(0, y, WIDTH, y, "hair"))
        drawn.append(text(row.label, 0, y + LABEL, class_="ink"))
        drawn.append(text(row.value, WIDTH, y + LABEL, anchor="end", class_="ink strong"))
        drawn += _strip(row.dots, row.total, y + MIDDLE, across)
    return svg(WIDTH, bottom + BOTTOM, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def _strip(dots: tuple[float, ...], total: float, middle: float, across: Scale) -> list[str]:
    shift = SPREAD / max(len(dots) - 1, 1) if len(dots) > 1 else 0.0
    size = 4.0 if len(dots) <= 24 else 2.6
    placed = [
        mark("circle", across(value), middle + shift * (i - (len(dots) - 1) / 2), size, "dot")
        for i, value in enumerate(dots)
    ]
    return [*placed, line(across(total), middle - 12, across(total), middle + 12, "total")]


def _threshold(chart: StripChart, x: float) -> list[str]:
    fits = x + 8 + text_width(chart.threshold_label) < WIDTH
    words = text(chart.threshold_label, x + 6 if fits else x - 6, TOP - 12, anchor="start" if fits else "end")
    return [line(x, TOP - 24, x, TOP - 4, "threshold"), words, *_uprights(chart, x, "threshold")]


def _uprights(chart: StripChart, x: float, class_: str) -> list[str]:
    """A line at one value, through the strips and not through the words above them."""
    tops = [TOP + ROW * k for k in range(len(chart.rows))]
    return [line(x, top + LABEL + 5, x, top + ROW - 1, class_) for top in tops]
