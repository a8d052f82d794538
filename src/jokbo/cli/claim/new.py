"""``jokbo claim new FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option, write_file


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@language_option
def command(file: Path, lang: str | None) -> int:
    """Write a template of a claim to FILE (such as claim.yaml), and its table beside it.

    The template explains each part in the chosen language, and is a whole claim: `jokbo claim lint` reads
    it as it is. Files that exist are not overwritten.
    """
    from jokbo.errors import UsageError
    from jokbo.hearing.claims.template import claim_template, table_template

    table = file.with_suffix(".csv")
    if file.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{file}: expected a name that ends in .yaml, such as claim.yaml.")
    for path in (file, table):
        if path.exists():
            raise UsageError(f"{path} is there already. Name another file, or remove this one.")
    chosen = language(lang)
    write_file(file, claim_template(chosen, table=table.name))
    write_file(table, table_template())
    from jokbo.report.texts import Texts

    click.echo(Texts(chosen)("claim.new.written", file=file, table=table))
    return 0
