"""``jokbo claim lint FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import (
    check_places,
    language,
    language_option,
    open_options,
    progress_line,
    source_options,
    write_file,
)


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--rerun", is_flag=True, help="Also open the two models that the claim names, wherever it says they are."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result here.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
@source_options
def command(
    file: Path,
    rerun: bool,
    json_file: Path | None,
    quiet: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Check how a claim argues, and compute its numbers again.

    FILE is a claim's YAML file, as `jokbo claim new` writes it; its table, vectors and evidence lie beside
    it. The rules say whether the claim shows what it concludes, not whether that is true.

    Exit status: 0 no fault, and nothing missing; 10 at least one fault; 11 no fault, but something is
    missing without which nobody can tell; 2 the claim cannot be read.
    """
    from jokbo.hearing.claims.lint import lint_claim

    check_places(json_file)
    with progress_line(quiet or not rerun) as line:
        options = open_options(
            offline=offline,
            cache_dir=cache_dir,
            cache_size=cache_size,
            adapter_base=adapter_base,
            progress=line,
        )
        found = lint_claim(file, open_models=rerun, options=options, progress=line.tell if line else None)
    if json_file is not None:
        write_file(json_file, found.to_json())
    if not quiet:
        from rich.console import Console

        from jokbo.hearing.claims.terminal import render_lint_terminal

        render_lint_terminal(found.document, lang=language(lang), console=Console())
    return found.exit_status
