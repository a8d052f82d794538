"""An audit of a training record, on a terminal and as one self-contained page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from jokbo.report.context import plain
from jokbo.report.html import render_page
from jokbo.report.record_page import RecordPage, build_record_page
from jokbo.report.record_words import Document
from jokbo.report.terminal import MAX_WIDTH, STATUS, bullets, heading, verdict_panel
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from jokbo.report.record_checks import Findings


def render_record_html(document: Document, *, lang: str) -> str:
    """Render an audit as a page.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.records.audit.Audit.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.

    Returns
    -------
    str
        A whole HTML document, without script and with nothing fetched. Equal documents give equal pages.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, contradicts itself, or holds a code that this version does
        not explain.
    UsageError
        The language is not available.
    """
    return render_page("record.html", build_record_page(document, lang), lang=lang)


def render_record_terminal(document: Document, *, lang: str, console: Console) -> None:
    """Print an audit for people.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.records.audit.Audit.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console
        Where to; without a terminal behind it nothing but text is written.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, contradicts itself, or holds a code that this version does
        not explain.
    UsageError
        The language is not available.
    """
    report = build_record_page(document, lang)
    width = min(console.width, MAX_WIDTH)
    for piece in _pieces(report, Texts(lang)):
        console.print(piece, width=width)


def _pieces(report: RecordPage, t: Texts) -> Iterator[RenderableType]:
    yield verdict_panel(report.headline)
    yield heading(report.caveats.title)
    yield bullets(report.caveats.items)
    yield heading(t("record.section.coverage"))
    yield bullets(tuple(_forgeries(report, t)))
    violated = [row for group in report.checks for row in group.rows if row.status == "inherited"]
    if violated:
        yield heading(t("record.terminal.contradicted"))
        yield bullets(tuple(f"{row.name}: {' '.join(row.remarks[:-2])}" for row in violated))
    for group in report.checks:
        yield heading(group.title)
        yield _checks(group, t)
    repeat = next(section for section in report.sections if section.key == "repeat")
    yield heading(repeat.title)
    yield bullets((repeat.code, t("record.full_report")))


def _forgeries(report: RecordPage, t: Texts) -> Iterator[str]:
    """One line a forgery: what excludes it, or what it would take."""
    for row in report.coverage.rows:
        if row.status != "no_evidence":
            yield f"{row.mark} {row.name} ({row.status_text}): {row.cells[1][0]}"
    excluded = [row for row in report.coverage.rows if row.status == "no_evidence"]
    if excluded:
        names = ", ".join(row.name for row in excluded)
        yield f"{excluded[0].mark} {excluded[0].status_text}: {names}"


def _checks(group: Findings, t: Texts) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(t("record.head.check"), overflow="fold")
    table.add_column(t("record.head.outcome"), no_wrap=True)
    table.add_column(t("record.head.number"), overflow="fold")
    table.add_column(t("record.head.reasons"), overflow="fold")
    for row in group.rows:
        # The last two remarks say what the check is; they, and what a pass remarks, are for the page.
        why = "" if row.status == "no_evidence" else " ".join(row.remarks[:-2])
        found = Text(f"{row.mark} {row.status_text}", style=STATUS[row.status])
        table.add_row(
            Text(plain(row.name)),
            found,
            Text(plain("".join(row.cells[0][:1]))),
            Text(plain(why), style="dim"),
        )
    return table
