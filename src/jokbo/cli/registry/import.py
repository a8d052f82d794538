"""``jokbo registry import FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option
from jokbo.cli.registry.shared import print_json, register_options

SCHEMA = "jokbo.registry_import/1"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--exporter", metavar="TEXT", help="Who made the archive; else its file name. Kept with its claims."
)
@register_options
@language_option
def command(file: Path, exporter: str | None, directory: Path | None, as_json: bool, lang: str | None) -> int:
    """Enter the models of an archive that `jokbo registry export` wrote: all of them, or none.

    Every digest is checked before anything is entered. What you declared and vouched for stays as it is; a
    date of the archive is kept as a claim of its exporter.
    """
    from jokbo.lineage.register import default_folder
    from jokbo.lineage.register.transfer import import_register

    made = import_register(file, directory, exporter=exporter)
    folder = directory or default_folder()
    if as_json:
        document = {"folder": str(folder), "added": made.added, "known": made.known, "salt": made.salt}
        print_json({"schema": SCHEMA, **document})
        return 0
    from rich.console import Console

    from jokbo.report.register import say
    from jokbo.report.texts import Texts, clean

    t, console = Texts(language(lang)), Console()
    counts = {"added": t.number(made.added), "known": t.number(made.known)}
    say(console, "register.import.done", lang=t.lang, folder=folder, **counts)
    say(console, "register.import.claims", lang=t.lang, exporter=clean(exporter or file.name))
    return 0
