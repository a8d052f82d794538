"""Layer x layer heatmaps on one diverging scale: blue below zero, pale at zero, brown above."""

from __future__ import annotations

import itertools

from jokbo.report.figures.charts import HeatmapChart, Panel
from jokbo.report.figures.png import data_address, palette_png
from jokbo.report.figures.svg import element, every, line, rect, svg, text, text_width

SIDE, LEFT, GAP, TOP, BOTTOM = 296.0, 56.0, 54.0, 30.0, 108.0
LEVELS = 250
MAX_CELL = 44.0
MISSING = LEVELS + 1
_STOPS = (
    (-1.0, (23, 64, 122)),
    (-0.5, (103, 150, 199)),
    (0.0, (244, 243, 238)),
    (0.5, (218, 152, 94)),
    (1.0, (133, 59, 14)),
)
"""Told apart by people who do not see red and green alike, and by their lightness in print."""


def colour(value: float) -> tuple[int, int, int]:
    """Colour of a value between -1 and 1."""
    value = min(max(value, -1.0), 1.0)
    for (low, a), (high, b) in itertools.pairwise(_STOPS):
        if value <= high:
            part = (value - low) / (high - low)
            red, green, blue = (round(x + (y - x) * part) for x, y in zip(a, b, strict=True))
            return red, green, blue
    raise AssertionError("the last stop is 1")


PALETTE = [*(colour(2 * k / LEVELS - 1) for k in range(LEVELS + 1)), (128, 128, 128)]


def draw_heatmap(chart: HeatmapChart) -> str:
    """Draw heatmaps side by side."""
    rows, columns = len(chart.row_labels), len(chart.column_labels)
    cell = min(SIDE / max(rows, columns), MAX_CELL)
    width, height = cell * columns, cell * rows
    total = LEFT + len(chart.panels) * width + (len(chart.panels) - 1) * GAP + 14
    drawn = []
    for k, panel in enumerate(chart.panels):
        x = LEFT + k * (width + GAP)
        drawn += _panel(chart, panel, x, cell, width, height)
    middle = TOP + height / 2
    turn = f"rotate(-90 14 {middle:.2f})"
    drawn.append(text(chart.y_axis, 14, middle, anchor="middle", class_="dim", transform=turn))
    drawn += _scale(chart, LEFT, TOP + height + 66)
    legend = LEFT + 240 + 60 + text_width(chart.missing)
    return svg(
        max(total, legend), TOP + height + BOTTOM, *drawn, key=chart.key, title=chart.title, alt=chart.alt
    )


def _panel(
    chart: HeatmapChart, panel: Panel, x: float, cell: float, width: float, height: float
) -> list[str]:
    picture = [bytes(_index(value) for value in row) for row in panel.values]
    drawn = [
        text(panel.label, x, TOP - 10, class_="ink strong"),
        element(
            "image", href=data_address(palette_png(picture, PALETTE)), x=x, y=TOP, width=width, height=height,
            preserveAspectRatio="none", class_="pixels",
        ),
        rect(x, TOP, width, height, "frame"),
    ]  # fmt: skip
    need = max(text_width(label, 11.5) for label in (*chart.row_labels, *chart.column_labels)) + 6
    for k in range(0, len(chart.column_labels), every(len(chart.column_labels), width, need=need)):
        at = x + cell * (k + 0.5)
        drawn.append(text(chart.column_labels[k], at, TOP + height + 17, anchor="middle", class_="dim"))
    for k in range(0, len(chart.row_labels), every(len(chart.row_labels), height, need=17)):
        drawn.append(text(chart.row_labels[k], x - 7, TOP + cell * (k + 0.5) + 4, anchor="end", class_="dim"))
    drawn.append(text(chart.x_axis, x + width / 2, TOP + height + 38, anchor="middle", class_="dim"))
    return drawn


def _scale(chart: HeatmapChart, x: float, y: float) -> list[str]:
    strip = palette_png([bytes(range(LEVELS + 1))], PALETTE)
    drawn = [
        element(
            "image", href=data_address(strip), x=x, y=y, width=200.0, height=12.0, preserveAspectRatio="none"
        ),
        rect(x, y, 200, 12, "frame"),
    ]
    for value, words in ((-1, "\u22121"), (0, "0"), (1, "1")):
        at = x + 100 * (value + 1)
        drawn += [
            line(at, y + 12, at, y + 16, "tick"),
            text(words, at, y + 29, anchor="middle", class_="dim"),
        ]
    drawn += [rect(x + 240, y, 12, 12, "missing"), text(chart.missing, x + 260, y + 10.5, class_="dim")]
    return drawn


def _index(value: float | None) -> int:
    return MISSING if value is None else round((min(max(value, -1.0), 1.0) + 1) / 2 * LEVELS)
