"""Lines over the norms of a model, beside the band in which independent models lie."""

from __future__ import annotations

from collections.abc import Callable

from jokbo.report.figures.charts import LineChart, Series
from jokbo.report.figures.svg import element, every, line, mark, number, rect, svg, text, text_width, ticks

WIDTH, PLOT, RIGHT, BOTTOM = 720.0, 250.0, 16.0, 56.0
LEFT = 60.0
LEGEND_ROW = 24.0

Scale = Callable[[float], float]


def draw_lines(chart: LineChart) -> str:
    """Draw a line chart."""
    legend, rows = _legend(chart)
    top = rows * LEGEND_ROW + 14
    bottom = top + PLOT
    values = [v for series in chart.series for v in series.values if v is not None]
    bounds = [] if chart.band is None else [chart.band.low, chart.band.high]
    low, high = min(-0.1, *values, *bounds), max(1.0, *values, *bounds)
    low, high = low - 0.03, high + 0.03
    count = len(chart.places)

    def across(place: float) -> float:
        return LEFT + (place + 0.5) / count * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return bottom - (value - low) / (high - low) * PLOT

    drawn = []
    if chart.band is not None:
        band = chart.band
        drawn.append(
            rect(LEFT, up(band.high), WIDTH - LEFT - RIGHT, max(up(band.low) - up(band.high), 2), "band")
        )
    for tick in ticks(low, high, count=7):
        drawn.append(line(LEFT, up(tick), WIDTH - RIGHT, up(tick), "zero" if tick == 0 else "grid"))
        drawn.append(
            text(number(tick).replace("-", "\u2212"), LEFT - 10, up(tick) + 4, anchor="end", class_="dim")
        )
    skip = every(count, WIDTH - LEFT - RIGHT, need=max(text_width(p, 11.5) for p in chart.places) + 8)
    for k in range(0, count, skip):
        drawn.append(text(chart.places[k], across(k), bottom + 20, anchor="middle", class_="dim"))
    drawn.append(text(chart.x_axis, (LEFT + WIDTH - RIGHT) / 2, bottom + 44, anchor="middle", class_="dim"))
    middle = (top + bottom) / 2
    turn = f"rotate(-90 14 {number(middle)})"
    drawn.append(text(chart.y_axis, 14, middle, anchor="middle", class_="dim", transform=turn))
    for k, series in enumerate(chart.series):
        drawn += _series(series, k, across, up, 4.0 if count <= 40 else 2.4 if count <= 100 else 1.6)
    return svg(WIDTH, bottom + BOTTOM, *legend, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def _series(series: Series, k: int, across: Scale, up: Scale, size: float) -> list[str]:
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in enumerate(series.values):
        if value is None:
            runs.append([])
        else:
            runs[-1].append((across(place), up(value)))
    lines = [
        element("polyline", points=" ".join(f"{number(x)},{number(y)}" for x, y in run), class_=f"line s{k}")
        for run in runs
        if len(run) > 1
    ]
    return [*lines, *(mark(series.mark, x, y, size, f"mark s{k}") for run in runs for x, y in run)]


def _legend(chart: LineChart) -> tuple[list[str], int]:
    """Marks with their words, wrapped to the width; and the rows they take."""
    drawn, x, row = [], LEFT, 0
    entries = [(series.label, k) for k, series in enumerate(chart.series)]
    labels = [*entries, *([(chart.band.label, None)] if chart.band else [])]
    for label, k in labels:
        width = 36 + text_width(label) + 22
        if x + width > WIDTH and x > LEFT:
            x, row = LEFT, row + 1
        y = row * LEGEND_ROW + 14
        if k is None:
            drawn.append(rect(x, y - 7, 28, 14, "band"))
        else:
            drawn.append(
                element(
                    "polyline",
                    points=f"{number(x)},{number(y)} {number(x + 28)},{number(y)}",
                    class_=f"line s{k}",
                )
            )
            drawn.append(mark(chart.series[k].mark, x + 14, y, 4.0, f"mark s{k}"))
        drawn.append(text(label, x + 36, y + 4.5))
        x += width
    return drawn, row + 1
