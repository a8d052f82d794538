"""``jokbo league inspect FILES...``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import check_places, language, language_option, write_file


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--reader", help="Read all files with this reader; else each is recognised.")
@click.option(
    "--field", "fields", multiple=True, help="A column that an event groups or clusters by. Repeatable."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write what was found here.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@language_option
def command(
    files: tuple[Path, ...],
    reader: str | None,
    fields: tuple[str, ...],
    json_file: Path | None,
    quiet: bool,
    lang: str | None,
) -> int:
    """Show what result files hold: tasks, metrics, rows, published means beside computed ones.

    FILES are results of one model, or folders of them: lm-evaluation-harness, lighteval, inspect-ai, the HAE-RAE
    toolkit, Every Eval Ever, or a table. What is odd about them is named; what cannot be believed is refused.

    Exit status: 0 read; 2 a file cannot be read.
    """
    from jokbo.league.results.choose import read_files
    from jokbo.league.results.summary import files_at, summarise

    check_places(json_file)
    found = summarise(read_files(files_at(files), reader=reader, fields=fields))
    if json_file is not None:
        from jokbo.evidence.canonical import canonical_bytes

        write_file(json_file, canonical_bytes(found) + b"\n")
    if not quiet:
        from rich.console import Console

        from jokbo.report.league.results_terminal import render_results_terminal

        render_results_terminal(found, lang=language(lang), console=Console())
    return 0
