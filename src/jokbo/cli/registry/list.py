"""``jokbo registry list``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from jokbo.cli.options import language, language_option
from jokbo.cli.registry.shared import print_json, register_options

SCHEMA = "jokbo.registry_list/1"


@click.command()
@click.option(
    "--known", is_flag=True, help="Show the base models that come with Jokbo as a list, not a register."
)
@register_options
@language_option
def command(known: bool, directory: Path | None, as_json: bool, lang: str | None) -> int:
    """Show what is registered."""
    from rich.console import Console

    from jokbo.report.register import render_entries, render_known

    if known:
        groups = _known()
        if as_json:
            print_json({"schema": SCHEMA, "known": groups})
        else:
            render_known(groups, lang=language(lang), console=Console())
        return 0
    from jokbo.lineage.register import open_register

    register = open_register(directory)
    entries = register.entries()
    document = {
        "schema": SCHEMA,
        "folder": str(register.folder),
        "salt": register.salt,
        "digest": register.digest,
        "size": sum(entry.size for entry in entries),
        "entries": [entry.to_document() for entry in entries],
    }
    if as_json:
        print_json(document)
    else:
        render_entries(document, lang=language(lang), console=Console())
    return 0


def _known() -> dict[str, list[dict[str, Any]]]:
    from jokbo.lineage.register.lists import known_models

    groups: dict[str, list[dict[str, Any]]] = {}
    for model in known_models():
        facts = model.facts
        groups.setdefault(model.group or "", []).append(
            {
                "model": model.spec,
                "parents": list(facts.parents),
                "relation": facts.relation,
                "license": facts.license,
            }
        )
    return groups
