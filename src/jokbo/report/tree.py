"""A family tree, on a terminal and as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jokbo.report.context import plain
from jokbo.report.figures.tree import TreeChart, TreeRow
from jokbo.report.html import render_page
from jokbo.report.terminal import MAX_WIDTH, bullets, heading, verdict_panel
from jokbo.report.texts import Texts
from jokbo.report.tree_page import TreePage, build_tree_page
from jokbo.report.tree_wording import Document

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MAX_LISTED = 20
"""Disagreements on a terminal; the page lists all."""

_STYLE = {"parent_child": "blue", "ancestor": "blue", "merge": "yellow", "undetermined": "dim"}


def render_tree_html(document: Document, *, lang: str) -> str:
    """Render a family tree as a page.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.lineage.graph.document.TreeResult.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.

    Returns
    -------
    str
        A whole HTML document, without script and with nothing fetched. Equal documents give equal pages.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, or contradicts itself.
    UsageError
        The language is not available.
    """
    return render_page("tree.html", build_tree_page(document, lang), lang=lang)


def render_tree_terminal(document: Document, *, lang: str, console: Console) -> None:
    """Print a family tree for people.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.lineage.graph.document.TreeResult.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console
        Where to; without a terminal behind it nothing but text is written.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, or contradicts itself.
    UsageError
        The language is not available.
    """
    report = build_tree_page(document, lang)
    width = min(console.width, MAX_WIDTH)
    for piece in _pieces(report, Texts(lang)):
        console.print(piece, width=width)


def _pieces(report: TreePage, t: Texts) -> Iterator[RenderableType]:
    yield verdict_panel(report.headline)
    yield heading(report.caveats.title)
    yield bullets(report.caveats.items)
    yield heading(report.families.title)
    for chart in report.families.charts:
        if isinstance(chart, TreeChart):
            yield _family(chart)
    yield bullets(report.families.paragraphs[1:] or report.families.paragraphs)
    for part in report.sections:
        if part.key == "disagreements":
            yield heading(part.title)
            rows = tuple(f"{row[1]} ({row[2]}, E {row[3]})" for table in part.tables for row in table.rows)
            yield bullets(rows[:MAX_LISTED] or part.paragraphs)
        elif part.key == "open":
            yield heading(part.title)
            yield bullets(part.items[:MAX_LISTED])
    yield bullets((t("tree.full_report"),))


def _family(chart: TreeChart) -> RenderableType:
    """A tree in text: the lines that lead to a model, its name, how it hangs there."""
    from rich.text import Text

    body = Text(f"{plain(chart.title)}\n", style="bold")
    for prefix, row in text_tree(chart.rows):
        body.append(prefix, style="dim")
        body.append("◆ " if row.shape == "diamond" else "● ", style=_STYLE.get(row.kind, ""))
        body.append(row.label, style="not bold")
        body.append(f"  {row.note}\n" if row.note else "\n", style="dim not bold")
    return body


def text_tree(rows: tuple[TreeRow, ...]) -> list[tuple[str, TreeRow]]:
    """Each row with what stands before it.

    Examples
    --------
    >>> rows = (TreeRow("a", "", 0, 0, None, "adjacent", False, "circle"),
    ...     TreeRow("b", "", 1, 1, 0, "adjacent", False, "circle"),
    ...     TreeRow("c", "", 2, 1, 0, "parent_child", True, "circle"))
    >>> [prefix for prefix, _ in text_tree(rows)]
    ['', '├── ', '└─▶ ']
    """
    last = {}
    for row in rows:
        if row.parent is not None:
            last[row.parent] = row.row
    before: dict[int, str] = {}
    found = []
    for row in rows:
        if row.parent is None:
            before[row.row] = ""
            found.append(("", row))
            continue
        end = last[row.parent] == row.row
        lead = before[row.parent]
        line = "╌╌" if row.kind == "undetermined" else "─▶" if row.directed else "──"
        found.append((f"{lead}{'└' if end else '├'}{line} ", row))
        before[row.row] = lead + ("    " if end else "│   ")
    return found
