"""Rank sets: for every team the places that the results cannot rule out, and the place of its score."""

from __future__ import annotations

from dataclasses import dataclass

from jokbo.report.figures.charts import Chart
from jokbo.report.figures.svg import every, line, mark, rect, svg, text

WIDTH, ROW, TOP, BOTTOM, LEFT, RIGHT = 720.0, 34.0, 12.0, 50.0, 190.0, 120.0


@dataclass(frozen=True, slots=True)
class RankRow:
    """One team: its place, the best and the worst that are not ruled out, and the same in words."""

    label: str
    text: str
    place: int
    best: int
    worst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RankChart(Chart):
    """Rank sets of a table, best first."""

    rows: tuple[RankRow, ...]
    axis: str


def draw_ranks(chart: RankChart) -> str:
    """Draw one bar a team over the places that remain possible."""
    count = max([len(chart.rows), *(row.worst for row in chart.rows)], default=1)
    step = (WIDTH - LEFT - RIGHT) / count
    bottom = TOP + ROW * len(chart.rows)

    def across(place: float) -> float:
        return LEFT + (place - 0.5) * step

    drawn: list[str] = []
    skip = every(count, WIDTH - LEFT - RIGHT, need=26.0)
    for place in range(1, count + 1):
        drawn.append(line(across(place), TOP, across(place), bottom, "grid"))
        if (place - 1) % skip == 0 or place == count:
            drawn.append(text(str(place), across(place), bottom + 18, anchor="middle", class_="dim"))
    drawn.append(text(chart.axis, (LEFT + WIDTH - RIGHT) / 2, bottom + 41, anchor="middle", class_="dim"))
    half = min(step * 0.36, 14.0)
    for k, row in enumerate(chart.rows):
        y = TOP + ROW * k
        left, right = across(row.best) - half, across(row.worst) + half
        drawn += [
            line(0, y, WIDTH, y, "hair"),
            text(row.label, 0, y + ROW / 2 + 4.5),
            rect(left, y + ROW / 2 - 7, right - left, 14, "bar", rx=7.0),
            mark("circle", across(row.place), y + ROW / 2, 5.0, "point"),
            text(row.text, WIDTH, y + ROW / 2 + 4.5, anchor="end", class_="ink strong"),
        ]
    drawn.append(line(0, bottom, WIDTH, bottom, "hair"))
    return svg(WIDTH, bottom + BOTTOM, *drawn, key=chart.key, title=chart.title, alt=chart.alt)
