"""``jokbo report DOCUMENT``: whatever a command wrote with --json, shown again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jokbo.cli.options import language, language_option, write_file

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class Shown:
    """A checked document: its bytes, and how it is shown in one language."""

    canonical: bytes
    html: Callable[[str], str]
    terminal: Callable[[str, Console], None]


@click.command()
@click.argument("evidence", type=click.Path(path_type=Path))
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Write a self-contained page here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the document itself, checked.")
@language_option
def command(evidence: Path, html_file: Path | None, as_json: bool, lang: str | None) -> int:
    """Show a comparison, a search, a family tree or the audit of a training record again.

    In the terminal, or as a page with --html.
    """
    document = _read(evidence)
    spoken = language(lang)
    if html_file is not None:
        write_file(html_file, document.html(spoken).encode())
    if as_json:
        click.echo(document.canonical.decode(), nl=False)
    elif html_file is None:
        from rich.console import Console

        document.terminal(spoken, Console())
    return 0


def _read(place: Path) -> Shown:
    """Read a document of any kind; which one it is, its schema says."""
    from jokbo.cli.lineage_document import refuse_board, schema_of, shown_search, shown_tree
    from jokbo.league.board import SCHEMA as BOARD
    from jokbo.lineage.graph.document import SCHEMA as TREE
    from jokbo.lineage.search_document import SCHEMA as SEARCH

    kinds = {SEARCH: shown_search, TREE: shown_tree}
    schema = schema_of(place)
    if schema == BOARD:
        refuse_board(place)
    kind = kinds.get(schema or "")
    if kind is not None:
        return Shown(*kind(place))
    audit = _read_audit(place)
    if audit is not None:
        return audit
    from jokbo.evidence.verify import read_evidence
    from jokbo.report.html import render_html
    from jokbo.report.terminal import render_terminal

    found = read_evidence(place)
    return Shown(
        found.to_json(),
        lambda lang: render_html(found.document, lang=lang),
        lambda lang, console: render_terminal(found.document, lang=lang, console=console),
    )


def _read_audit(place: Path) -> Shown | None:
    """An audit of a training record; None where the file is none."""
    from jokbo.evidence.canonical import canonical_bytes
    from jokbo.records.document import read_audit
    from jokbo.report.record import render_record_html, render_record_terminal

    document = read_audit(place)
    if document is None:
        return None
    return Shown(
        canonical_bytes(document) + b"\n",
        lambda lang: render_record_html(document, lang=lang),
        lambda lang, console: render_record_terminal(document, lang=lang, console=console),
    )
