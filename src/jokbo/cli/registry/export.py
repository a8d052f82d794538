"""``jokbo registry export [MODEL...] -o FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import check_places, language, language_option
from jokbo.cli.registry.shared import Skips, print_json, register_options

SCHEMA = "jokbo.registry_export/1"


@click.command()
@click.argument("models", nargs=-1)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The archive to write.")
@click.option(
    "--keep-going", is_flag=True, help="Leave damaged fingerprints out instead of stopping at the first."
)
@register_options
@language_option
def command(
    models: tuple[str, ...],
    output: Path,
    keep_going: bool,
    directory: Path | None,
    as_json: bool,
    lang: str | None,
) -> int:
    """Write models, or all of the register, into one archive.

    The archive is an uncompressed tar with a manifest of digests; equal content gives equal bytes. It names no
    path of this machine. Dates that you vouched for travel as claims.
    """
    from jokbo.lineage.register import open_register
    from jokbo.lineage.register.transfer import export_register

    check_places(output)
    register, skips = open_register(directory), Skips()
    entries = list(dict.fromkeys(register.get(model) for model in models)) if models else None
    made = export_register(register, output, entries=entries, keep_going=skips if keep_going else None)
    if as_json:
        print_json(
            {
                "schema": SCHEMA,
                "path": str(output),
                "models": made.models,
                "size": made.size,
                "sha256": made.sha256,
                "skipped": skips.told,
            }
        )
        return 0
    from rich.console import Console

    from jokbo.report.register import say
    from jokbo.report.texts import Texts

    t, console = Texts(language(lang)), Console()
    counts = {"count": t.number(made.models), "bytes": t.bytes(made.size)}
    say(console, "register.export.done", lang=t.lang, path=output, sha256=made.sha256, **counts)
    if skips.told:
        say(console, "register.export.skipped", lang=t.lang, count=t.number(len(skips.told)))
        for skip in skips.told:
            click.echo(f"jokbo: {skip['reason']}", err=True)
    return 0
