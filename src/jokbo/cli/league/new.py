"""``jokbo league new FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option, write_file


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@language_option
def command(file: Path, lang: str | None) -> int:
    """Write a template of a round to FILE (such as round.yaml).

    The template explains each part in the chosen language, and is a whole round: `jokbo league freeze` reads it
    as it is. A file that exists is not overwritten.
    """
    from jokbo.errors import UsageError
    from jokbo.league.template import round_template
    from jokbo.report.texts import Texts, clean

    if file.suffix not in (".yaml", ".yml"):
        raise UsageError(f"{file}: expected a name that ends in .yaml, such as round.yaml.")
    if file.exists() or file.is_symlink():
        raise UsageError(f"{file} is there already. Name another file, or remove this one.")
    chosen = language(lang)
    write_file(file, round_template(chosen))
    click.echo(Texts(chosen)("league.cli.new.written", file=clean(file, limit=1000)))
    return 0
