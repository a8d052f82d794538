"""``jokbo registry check``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option
from jokbo.cli.registry.shared import print_json, register_options

SCHEMA = "jokbo.registry_check/1"
BAD_INPUT = 2


@click.command()
@click.option("--repair", is_flag=True, help="Remove what killed writers left behind; never an entry.")
@register_options
@language_option
def command(repair: bool, directory: Path | None, as_json: bool, lang: str | None) -> int:
    """Read every fingerprint and hold it against its digest and the index.

    Exit status: 0 the register is sound; 2 it is not.
    """
    from jokbo.lineage.register import open_register
    from jokbo.lineage.register.check import check_register

    register = open_register(directory)
    found = check_register(register, repair=repair)
    document = {
        "schema": SCHEMA,
        "folder": str(register.folder),
        "entries": found.entries,
        "size": found.size,
        "sound": found.sound,
        "problems": [
            {
                "code": problem.code,
                "key": problem.key,
                "name": problem.name,
                "path": str(problem.path),
                "sentence": problem.sentence,
                "repaired": problem.repaired,
            }
            for problem in found.problems
        ],
    }
    if as_json:
        print_json(document)
    else:
        from rich.console import Console

        from jokbo.report.register import render_check

        render_check(document, lang=language(lang), console=Console())
    return 0 if found.sound else BAD_INPUT
