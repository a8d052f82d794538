"""``jokbo hearing show FOLDER``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--entry", type=click.IntRange(min=0), help="Show this entry, as the log holds it.")
@click.option("--head", is_flag=True, help="Print the signed head of the log as JSON, for witnesses.")
@language_option
def command(folder: Path, entry: int | None, head: bool, lang: str | None) -> int:
    """Show where the case or archive in FOLDER stands: what is settled, what is open.

    The log is verified first. Texts that are held are not shown, and say why.
    """
    from jokbo.errors import UsageError
    from jokbo.hearing.case.case import open_case
    from jokbo.hearing.terminal import render_entry, render_state

    with open_case(folder) as case:
        if head:
            from jokbo.evidence.canonical import canonical_bytes

            click.echo(canonical_bytes(case.head().to_document()).decode())
        elif entry is not None:
            public = case.public_log()
            if entry >= len(public):
                raise UsageError(f"there is no entry {entry}; the last one is {len(public) - 1}.")
            click.echo(render_entry(public[entry]))
        else:
            click.echo(render_state(case.state, lang=language(lang)))
    return 0
