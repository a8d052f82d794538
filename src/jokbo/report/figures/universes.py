"""Who is last under other choices: one row a kind of choice, one column a team, a disc for the share of choices."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jokbo.report.figures.charts import Chart
from jokbo.report.figures.svg import element, line, svg, text, text_width

LEFT, ROW, FOOT, LEAST, RADIUS = 250.0, 52.0, 20.0, 720.0, 15.0
MIN_COLUMN = 76.0
NAME_LINE = 16.0


@dataclass(frozen=True, slots=True)
class UniverseRow:
    """One kind of choice: its name, how many there are in words, and each team's share of them."""

    label: str
    count: str
    shares: tuple[float, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UniverseChart(Chart):
    """Shares of last places."""

    teams: tuple[str, ...]
    rows: tuple[UniverseRow, ...]


def draw_universes(chart: UniverseChart) -> str:
    """Draw discs whose areas are the shares, with the share in figures below each."""
    count = max(len(chart.teams), 1)
    step = max((LEAST - LEFT) / count, MIN_COLUMN)
    width = LEFT + step * count
    # Names that are wider than a column stand on two lines in turn.
    wide = max((text_width(team) for team in chart.teams), default=0.0) > step - 6
    top = NAME_LINE * (2 if wide else 1) + 12
    bottom = top + ROW * len(chart.rows)
    drawn: list[str] = []
    for k, team in enumerate(chart.teams):
        x = LEFT + step * (k + 0.5)
        y = 14 + (NAME_LINE if wide and k % 2 else 0)
        inside = min(x, width - text_width(team) / 2)
        drawn.append(text(team, inside, y, anchor="middle", class_="ink strong"))
        drawn.append(line(x, top, x, bottom, "grid"))
    for k, row in enumerate(chart.rows):
        y = top + ROW * k
        drawn += [
            line(0, y, width, y, "hair"),
            text(row.label, 0, y + 22),
            text(row.count, 0, y + 39, class_="dim"),
        ]
        for j, (share, words) in enumerate(zip(row.shares, row.texts, strict=True)):
            if share > 0:
                drawn += _disc(LEFT + step * (j + 0.5), y + 18, share, words)
    drawn.append(line(0, bottom, width, bottom, "hair"))
    return svg(width, bottom + FOOT, *drawn, key=chart.key, title=chart.title, alt=chart.alt)


def column_room(count: int) -> float:
    """Width of a team's name in pixels: its column, or half as much again where names stand on two lines in turn."""
    step = max((LEAST - LEFT) / max(count, 1), MIN_COLUMN)
    return step - 8 if count < 3 else min(1.5 * step - 16, 150.0)


def _disc(x: float, y: float, share: float, words: str) -> list[str]:
    size = max(RADIUS * math.sqrt(share), 1.5)
    return [
        element("circle", cx=x, cy=y, r=RADIUS, class_="frame"),
        element("circle", cx=x, cy=y, r=size, class_="mark s2"),
        text(words, x, y + 29, anchor="middle", class_="dim halo"),
    ]
