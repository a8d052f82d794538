"""Who is last under every weighting of three categories: a triangle of areas, one hatching a team.

An area says whose it is by its hatching and by its letter as well as by its colour.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from jokbo.report.figures.charts import Chart
from jokbo.report.figures.svg import element, line, mark, number, rect, svg, text

WIDTH, SIDE, TOP, BOTTOM = 720.0, 420.0, 40.0, 46.0
LEFT = 60.0
HEIGHT = SIDE * 0.8660254
KEY_LEFT = LEFT + SIDE + 34
KEY_ROW = 26.0
HATCHES = 8


@dataclass(frozen=True, slots=True)
class SimplexPoint:
    """One weighting, as shares of three categories that add to one, and the number of the team that is last."""

    weights: tuple[float, float, float]
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SimplexChart(Chart):
    """A triangle of weightings.

    Attributes
    ----------
    corners : tuple of str
        Names of the three categories; a corner is the weighting that counts nothing else.
    points : tuple of SimplexPoint
        A regular grid: the shares are multiples of one over `steps`.
    steps : int
    teams : tuple of (letter, name, share in words)
        In the order that `SimplexPoint.last` counts.
    declared : tuple of float, optional
        The round's own weighting, marked by a diamond.
    declared_label : str
    """

    corners: tuple[str, str, str]
    points: tuple[SimplexPoint, ...]
    steps: int
    teams: tuple[tuple[str, str, str], ...]
    declared: tuple[float, float, float] | None
    declared_label: str


def place(weights: Sequence[float]) -> tuple[float, float]:
    """Where a weighting lies: the first category's corner on top, the second's left, the third's right.

    Examples
    --------
    >>> place((1.0, 0.0, 0.0)) == (LEFT + SIDE / 2, TOP)
    True
    """
    first, _, third = weights
    return LEFT + SIDE * (third + first / 2), TOP + HEIGHT * (1 - first)


def draw_simplex(chart: SimplexChart) -> str:
    """Draw areas as runs of cells, then the frame, the letters, the corners and the key."""
    areas = _areas(chart)
    drawn = [element("defs", *(_hatch(k, chart.key) for k in sorted({team % HATCHES for team in areas})))]
    for team, path in areas.items():
        drawn.append(element("path", d=path, class_=f"area a{team % HATCHES}"))
        drawn.append(element("path", d=path, fill=f"url(#{chart.key}-h{team % HATCHES})"))
    corners = [place(weights) for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))]
    points = " ".join(f"{number(x)},{number(y)}" for x, y in corners)
    drawn.append(element("polygon", points=points, class_="frame"))
    drawn += _letters(chart)
    drawn += _corners(chart, corners)
    if chart.declared is not None:
        drawn.append(mark("diamond", *place(chart.declared), 7.0, "declared"))
    key, bottom = _key(chart)
    height = max(TOP + HEIGHT + BOTTOM, bottom)
    return svg(WIDTH, height, *drawn, *key, key=chart.key, title=chart.title, alt=chart.alt)


def _areas(chart: SimplexChart) -> dict[int, str]:
    """One path a team: its cells, neighbours in a row joined to one quadrilateral, cut off at the frame."""
    rows: dict[int, list[tuple[int, int]]] = {}
    for point in chart.points:
        first, _, third = (round(share * chart.steps) for share in point.weights)
        rows.setdefault(first, []).append((third, point.last))
    paths: dict[int, list[str]] = {}
    for first, cells in sorted(rows.items(), reverse=True):
        cells.sort()
        for team, run in itertools.groupby(cells, key=lambda cell: cell[1]):
            thirds = [third for third, _ in run]
            paths.setdefault(team, []).append(_band(first, thirds[0], thirds[-1], chart.steps))
    return {team: "".join(pieces) for team, pieces in sorted(paths.items())}


def _band(first: int, start: int, end: int, steps: int) -> str:
    """Cells of one row between two columns, as far as half a cell around them, within the triangle."""
    low, high = max(first - 0.5, 0.0) / steps, min(first + 0.5, steps) / steps
    pieces = []
    for share, ends in ((low, (start - 0.5, end + 0.5)), (high, (end + 0.5, start - 0.5))):
        for third in ends:
            # Half a step up the triangle, a column moves a quarter step: the third share is what keeps it upright.
            column = (third + (first - share * steps) / 2) / steps
            inside = min(max(column, 0.0), 1 - share)
            pieces.append(place((share, 1 - share - inside, inside)))
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in pieces) + "Z"


def _hatch(k: int, key: str) -> str:
    strokes = (
        "", "M0 8L8 0", "M0 0L8 8", "M0 4H8", "M4 0V8", "M0 4H8M4 0V8", "M0 8L8 0M0 0L8 8", "M3.5 4H4.5",
    )  # fmt: skip
    path = element("path", d=strokes[k] or "M0 0", class_="hatch")
    return element("pattern", path, id=f"{key}-h{k}", width=8, height=8, patternUnits="userSpaceOnUse")


def _letters(chart: SimplexChart) -> list[str]:
    """The letter of each area at the cell that lies deepest in it."""
    drawn = []
    for team, (letter, _, _) in enumerate(chart.teams):
        own = [point.weights for point in chart.points if point.last == team]
        if not own:
            continue
        middle = tuple(sum(weights[axis] for weights in own) / len(own) for axis in range(3))
        # The mean of an area may lie outside it; the cell nearest to the mean does not.
        nearest = min(
            own, key=lambda weights: sum((a - b) ** 2 for a, b in zip(weights, middle, strict=True))
        )
        x, y = place(nearest)
        drawn.append(text(letter, x, y + 6, anchor="middle", class_="ink strong halo letter"))
    return drawn


def _corners(chart: SimplexChart, corners: Sequence[tuple[float, float]]) -> list[str]:
    (x1, y1), (x2, y2), (x3, y3) = corners
    return [
        text(chart.corners[0], x1, y1 - 12, anchor="middle", class_="ink strong"),
        text(chart.corners[1], max(x2 - LEFT, 0.0), y2 + 22, class_="ink strong"),
        text(chart.corners[2], x3, y3 + 22, anchor="middle", class_="ink strong"),
        *(
            line(*place(a), *place(b), "grid")
            for share in (0.25, 0.5, 0.75)
            for a, b in (
                ((share, 1 - share, 0.0), (share, 0.0, 1 - share)),
                ((1 - share, share, 0.0), (0.0, share, 1 - share)),
                ((1 - share, 0.0, share), (0.0, 1 - share, share)),
            )
        ),
    ]


def _key(chart: SimplexChart) -> tuple[list[str], float]:
    """Swatches with letters and names; and where they end."""
    drawn: list[str] = []
    present = sorted({point.last for point in chart.points})
    y = TOP
    for team in present:
        letter, label, share = chart.teams[team]
        for class_ in (f"area a{team % HATCHES}", None):
            fill = None if class_ else f"url(#{chart.key}-h{team % HATCHES})"
            drawn.append(
                element(
                    "rect",
                    x=KEY_LEFT,
                    y=y,
                    width=22.0,
                    height=16.0,
                    class_=class_,
                    fill=fill and escape(fill),
                )
            )
        drawn.append(rect(KEY_LEFT, y, 22, 16, "frame"))
        drawn.append(text(letter, KEY_LEFT + 30, y + 13, class_="ink strong"))
        drawn.append(text(label, KEY_LEFT + 50, y + 13))
        drawn.append(text(share, KEY_LEFT + 50, y + 28, class_="dim"))
        y += KEY_ROW + 14
    if chart.declared is not None:
        drawn.append(mark("diamond", KEY_LEFT + 11, y + 8, 7.0, "declared"))
        drawn.append(text(chart.declared_label, KEY_LEFT + 30, y + 13))
        y += KEY_ROW
    return drawn, y + 10


def label_room() -> float:
    """Width that a team's name has in the key, in pixels."""
    return WIDTH - KEY_LEFT - 70
