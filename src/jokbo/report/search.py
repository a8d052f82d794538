"""The result of a search, on a terminal and as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from jokbo.report.context import plain
from jokbo.report.html import render_page
from jokbo.report.search_page import SearchPage, build_search_page
from jokbo.report.search_wording import Document
from jokbo.report.terminal import MAX_WIDTH, STATUS, bullets, heading, verdict_panel
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from jokbo.lineage.verify_search import SearchVerification

MAX_PRINTED = 40
SHOWN = 10


def render_search_html(document: Document, *, lang: str) -> str:
    """Render the result of a search as a page.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.lineage.search_document.SearchResult.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.

    Returns
    -------
    str
        A whole HTML document, without script and with nothing fetched. Equal documents give equal pages.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, or holds a code that this version does not explain.
    UsageError
        The language is not available.
    """
    return render_page("search.html", build_search_page(document, lang), lang=lang)


def render_search_terminal(document: Document, *, lang: str, console: Console) -> None:
    """Print the result of a search for people.

    Parameters
    ----------
    document, lang
        As for :func:`render_search_html`.
    console : rich.console.Console
        Where to; without a terminal behind it nothing but text is written.
    """
    report = build_search_page(document, lang)
    width = min(console.width, MAX_WIDTH)
    for piece in _pieces(report, Texts(lang)):
        console.print(piece, width=width)


def _pieces(report: SearchPage, t: Texts) -> Iterator[RenderableType]:
    yield verdict_panel(report.headline)
    yield heading(report.caveats.title)
    yield bullets(report.caveats.items)
    if report.rows:
        yield heading(t("search.table"))
        yield _rows(report, t)
        remarks = tuple(f"{row.name}: {text}" for row in report.rows[:MAX_PRINTED] for text in row.remarks)
        if remarks:
            yield bullets(remarks, dim=True)
    for section in report.sections:
        if section.key == "rest":
            yield heading(section.title)
            yield bullets(section.paragraphs)
    repeat = report.sections[-1]
    yield heading(repeat.title)
    yield bullets((repeat.code, t("search.full_report")))


def _rows(report: SearchPage, t: Texts) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(t("search.head.model"), overflow="fold")
    table.add_column(t("search.head.relation"), overflow="fold")
    for head in ("evidence", "cosine", "score"):
        table.add_column(t(f"search.head.{head}"), justify="right")
    for row in report.rows[:MAX_PRINTED]:
        found = Text(f"{row.mark} {row.status_text}", style=STATUS[row.status])
        table.add_row(Text(plain(row.name)), found, row.evidence, row.cosine, row.score)
    return table


def search_verification_document(outcome: SearchVerification) -> dict[str, Any]:
    """The outcome of repeating a search as plain JSON values."""
    return {
        "schema": "jokbo.search-verification/1",
        "holds": outcome.holds,
        "search": outcome.digest,
        "differences": [
            {"path": d.path, "claimed": d.claimed, "found": d.found} for d in outcome.differences
        ],
    }


def render_search_verification(outcome: SearchVerification, *, lang: str) -> str:
    """Say whether a search holds, and where it does not."""
    t = Texts(lang)
    if outcome.holds:
        return t("search.verify.holds", digest=outcome.digest[:16])
    lines = [t("search.verify.fails", count=t.number(len(outcome.differences)))]
    lines += [f"  {d.path}: {d.claimed} -> {d.found}" for d in outcome.differences[:SHOWN]]
    return "\n".join(lines)
