"""``jokbo report EVIDENCE.json``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option, write_file


@click.command()
@click.argument("evidence", type=click.Path(path_type=Path))
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Write a self-contained page here."
)
@click.option("--json", "as_json", is_flag=True, help="Print the evidence itself, checked.")
@language_option
def command(evidence: Path, html_file: Path | None, as_json: bool, lang: str | None) -> int:
    """Show evidence again, without its models: in the terminal, or as a page with --html."""
    from jokbo.evidence.verify import read_evidence
    from jokbo.report.html import render_html
    from jokbo.report.terminal import render_terminal

    document = read_evidence(evidence)
    spoken = language(lang)
    if html_file is not None:
        write_file(html_file, render_html(document.document, lang=spoken).encode())
    if as_json:
        click.echo(document.to_json().decode(), nl=False)
    elif html_file is None:
        from rich.console import Console

        render_terminal(document.document, lang=spoken, console=Console())
    return 0
