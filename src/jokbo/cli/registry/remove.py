"""``jokbo registry remove MODEL...``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option
from jokbo.cli.registry.shared import print_json, register_options

SCHEMA = "jokbo.registry_remove/1"


@click.command()
@click.argument("models", nargs=-1, required=True)
@register_options
@language_option
def command(models: tuple[str, ...], directory: Path | None, as_json: bool, lang: str | None) -> int:
    """Remove models and their fingerprints.

    Each of MODELS is a name, name@commit, a key or the beginning of one. All of them must be there; otherwise
    none is removed.
    """
    from jokbo.lineage.register import open_register

    register = open_register(directory)
    found = list(dict.fromkeys(register.get(model) for model in models))
    for entry in found:
        register.remove(entry)
    if as_json:
        print_json({"schema": SCHEMA, "removed": [entry.to_document() for entry in found]})
        return 0
    from rich.console import Console

    from jokbo.report.register import say
    from jokbo.report.texts import clean

    for entry in found:
        say(
            Console(), "register.remove.done", lang=language(lang), name=clean(entry.name), key=entry.key[:12]
        )
    return 0
