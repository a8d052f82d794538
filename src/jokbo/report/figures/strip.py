"""Evidence by layer: one strip a kind of evidence, one dot a layer, the threshold as a line."""

from __future__ import annotations

from jokbo.report.figures.charts import StripChart
from jokbo.report.figures.svg import element, line, mark, number, svg, text, text_width, ticks

WIDTH, ROW, TOP, BOTTOM = 860.0, 34.0, 40.0, 56.0
SPREAD = 18.0
"""Height over which the dots of a strip are spread, first layer on top, so that equal values stay apart."""


def draw_strip(chart: StripChart) -> str:
    """Draw a strip chart."""
    left = max(text_width(row.label) for row in chart.rows) + 18
    right = max(text_width(row.value) for row in chart.rows) + 18
    values = [value for row in chart.rows for value in (*row.dots, row.total)]
    low, high = min(-1.0, *values), max(chart.threshold * 1.25, *values)
    margin = (high - low) * 0.03
    low, high = low - margin, high + margin
    bottom = TOP + ROW * len(chart.rows)
    height = bottom + BOTTOM

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - right)

    drawn = []
    for tick in ticks(low, high, count=8):
        drawn.append(line(across(tick), TOP, across(tick), bottom, "zero" if tick == 0 else "grid"))
        drawn.append(text(number(tick).replace("-", "\u2212"), across(tick), bottom + 18, anchor="middle", class_="dim"))
    drawn.append(text(chart.axis, (left + WIDTH - right) / 2, bottom + 42, anchor="middle", class_="dim"))
    for k, row in enumerate(chart.rows):
        drawn += _strip(row.dots, row.total, TOP + ROW * (k + 0.5), across)
        y = TOP + ROW * (k + 0.5) + 4.5
        drawn += [text(row.label, left - 14, y, anchor="end"), text(row.value, WIDTH, y, anchor="end", class_="ink strong")]
        if k:
            drawn.append(line(0, TOP + ROW * k, WIDTH, TOP + ROW * k, "hair"))
    drawn += _threshold(chart, across(chart.threshold), bottom)
    return svg(WIDTH, height, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def _strip(dots: tuple[float, ...], total: float, middle: float, across) -> list[str]:  # type: ignore[no-untyped-def]
    shift = SPREAD / max(len(dots) - 1, 1) if len(dots) > 1 else 0.0
    size = 4.0 if len(dots) <= 24 else 2.6
    placed = [
        mark("circle", across(value), middle + shift * (i - (len(dots) - 1) / 2), size, "dot")
        for i, value in enumerate(dots)
    ]
    return [*placed, line(across(total), middle - 13, across(total), middle + 13, "total")]


def _threshold(chart: StripChart, x: float, bottom: float) -> list[str]:
    width = text_width(chart.threshold_label)
    fits = x + 8 + width < WIDTH
    return [
        element("line", x1=x, y1=TOP - 12, x2=x, y2=bottom, class_="threshold"),
        text(chart.threshold_label, x + 6 if fits else x - 6, TOP - 18, anchor="start" if fits else "end"),
    ]
