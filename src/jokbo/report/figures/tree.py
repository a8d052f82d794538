"""A family as a drawing: one model a row, ancestors left, a line to what each hangs from."""

from __future__ import annotations

from dataclasses import dataclass

from jokbo.report.figures.charts import Chart
from jokbo.report.figures.svg import element, line, mark, number, svg, text, text_width

LEFT, TOP, ROW, STEP = 16.0, 20.0, 27.0, 30.0
GAP = 12.0
"""Between a marker and its name, and between a name and its note."""

LEAST = 520.0
RADIUS = 5.0


@dataclass(frozen=True, slots=True)
class TreeRow:
    """One model.

    Attributes
    ----------
    label : str
        Its name, cleaned.
    note : str
        How it hangs from its parent in the drawing, in words.
    row, column : int
    parent : int or None
        Row of the model it hangs from.
    kind : str
        Class of the line: a kind of relation.
    directed : bool
        Whether the line says which came first: then it has an arrow.
    shape : str
        ``circle``; ``diamond`` for a mixture.
    """

    label: str
    note: str
    row: int
    column: int
    parent: int | None
    kind: str
    directed: bool
    shape: str


@dataclass(frozen=True, slots=True)
class TreeCurve:
    """A line to a further parent of a mixture: from row to row."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeChart(Chart):
    """One family."""

    rows: tuple[TreeRow, ...]
    curves: tuple[TreeCurve, ...] = ()


def draw_tree(chart: TreeChart) -> str:
    """Draw lines first, then further parents, then markers and names above them."""
    columns = {row.row: row.column for row in chart.rows}
    strokes = [stroke for row in chart.rows for stroke in _stroke(row, columns)]
    strokes += [_curve(curve, columns, k) for k, curve in enumerate(chart.curves)]
    spots = [spot for row in chart.rows for spot in _spot(row)]
    width = max([LEAST, *(_right(row) for row in chart.rows)])
    height = TOP + ROW * max(len(chart.rows), 1)
    return svg(width, height, *strokes, *spots, key=chart.key, title=chart.title, alt=chart.alt)


def _x(column: int) -> float:
    return LEFT + STEP * column


def _y(row: int) -> float:
    return TOP + ROW * row


def _stroke(row: TreeRow, columns: dict[int, int]) -> list[str]:
    if row.parent is None:
        return []
    x, bottom, end = _x(columns[row.parent]), _y(row.row), _x(row.column) - RADIUS - 2
    corner = 6.0
    path = (
        f"M{number(x)},{number(_y(row.parent) + RADIUS)} V{number(bottom - corner)} "
        f"Q{number(x)},{number(bottom)} {number(x + corner)},{number(bottom)} H{number(end)}"
    )
    drawn = [element("path", d=path, class_=f"kin {row.kind}")]
    if row.kind == "copy":
        drawn.append(line(x + corner, bottom + 3, end, bottom + 3, f"kin {row.kind}"))
    if row.directed:
        back, point = number(end - 6), f"{number(end)},{number(bottom)}"
        tip = f"M{back},{number(bottom - 4)} L{point} L{back},{number(bottom + 4)}"
        drawn.append(element("path", d=tip, class_=f"kin {row.kind}"))
    return drawn


def _curve(curve: TreeCurve, columns: dict[int, int], number_: int) -> str:
    """An arc left of both, further out for each next one, so that two do not lie on each other."""
    start, end = (_x(columns[curve.start]), _y(curve.start)), (_x(columns[curve.end]), _y(curve.end))
    out = min(start[0], end[0]) - 12 - 3 * (number_ % 4)
    path = (
        f"M{number(start[0] - RADIUS)},{number(start[1])} C{number(out)},{number(start[1])} "
        f"{number(out)},{number(end[1])} {number(end[0] - RADIUS)},{number(end[1])}"
    )
    return element("path", d=path, class_="kin merge further")


def _spot(row: TreeRow) -> list[str]:
    x, y = _x(row.column), _y(row.row)
    after = x + GAP + text_width(row.label) + GAP
    return [
        mark(row.shape, x, y, RADIUS, f"model {row.shape}"),
        text(row.label, x + GAP, y + 4.5, class_="ink strong halo"),
        text(row.note, after, y + 4.5, class_="dim halo"),
    ]


def _right(row: TreeRow) -> float:
    return _x(row.column) + 2 * GAP + text_width(row.label) + text_width(row.note, 11.5) + GAP
