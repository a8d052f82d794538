"""``jokbo parents CANDIDATE PARENT...``."""

from __future__ import annotations

import secrets
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
@click.argument("candidate")
@click.argument("parents", nargs=-1, required=True)
@click.option(
    "--base", help="The model from which the parents were trained on, so that they can be told apart."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result here.")
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Write a self-contained page here."
)
@click.option("--seed", type=click.IntRange(min=0), help="Decides which rows are read; else drawn at random.")
@click.option(
    "--budget", help="How much to read of each model: screen, full, a share (2%) or a size (500MB)."
)
@click.option(
    "--parents-first", is_flag=True, help="You vouch that every parent was public before the candidate."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
@source_options
def command(
    candidate: str,
    parents: tuple[str, ...],
    base: str | None,
    json_file: Path | None,
    html_file: Path | None,
    seed: int | None,
    budget: str | None,
    parents_first: bool,
    quiet: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Find which models a merge draws on, and describe how they seem mixed.

    CANDIDATE and each of PARENTS is a folder, a file of weights, a Hugging Face id (org/name or
    org/name@revision), or an address. Each parent is compared with the candidate on its own; the
    evidence decides, and the weights of the mixture only describe.

    Exit status: 0 no parent takes part; 10 at least one does; 11 untestable or inconclusive.
    """
    check_places(json_file, html_file)
    from jokbo.lineage.parents import find_parents

    with progress_line(quiet) as line:
        found = find_parents(
            candidate,
            parents,
            base=base,
            # A seed that nobody can foresee, as in a comparison of two.
            seed=secrets.randbits(32) if seed is None else seed,
            budget=budget,
            parents_first=parents_first,
            options=open_options(
                offline=offline,
                cache_dir=cache_dir,
                cache_size=cache_size,
                adapter_base=adapter_base,
                progress=line,
            ),
            progress=line.tell if line else None,
        )
    if json_file is not None:
        write_file(json_file, found.to_json())
    if html_file is not None:
        from jokbo.report.parents import render_parents_html

        write_file(html_file, render_parents_html(found.document, lang=language(lang)).encode())
    if not quiet:
        from rich.console import Console

        from jokbo.report.parents import render_parents_terminal

        render_parents_terminal(found.document, lang=language(lang), console=Console())
    return found.exit_status
