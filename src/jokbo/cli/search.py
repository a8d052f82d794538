"""``jokbo search CANDIDATE``."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from jokbo.lineage.register import Register


@click.command()
@click.argument("candidate")
@click.option(
    "--registry", type=click.Path(path_type=Path), help="The register's folder, if not the default."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result here.")
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Write a self-contained page here."
)
@click.option(
    "--declare",
    multiple=True,
    metavar="NAME",
    help="A registered model that the candidate may come from; may be repeated.",
)
@click.option(
    "--candidate-since", metavar="DATE", help="You vouch that the candidate was first public on this date."
)
@click.option("--confirm", is_flag=True, help="Compare what is found on the models themselves.")
@click.option(
    "--top", type=click.IntRange(min=0), default=2, show_default=True, help="Models tested in full at least."
)
@click.option(
    "--bounds/--no-bounds", default=True, help="Measure what would have been seen on the most common shape."
)
@click.option("--seed", type=click.IntRange(min=0), help="The order of betting; else drawn at random.")
@click.option(
    "--executor",
    type=click.Choice(["serial", "processes", "ray"]),
    default="serial",
    show_default=True,
    help="What runs the full tests.",
)
@click.option("--workers", type=click.IntRange(min=1), help="Tests at once.")
@click.option("--ray-address", help="Of a Ray cluster.")
@click.option(
    "--results", type=click.Path(path_type=Path), help="Keep results here; a rerun goes on from them."
)
@click.option("--keep-going", is_flag=True, help="Name damaged fingerprints and leave them out.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
@source_options
def command(
    candidate: str,
    registry: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    bounds: bool,
    seed: int | None,
    quiet: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
    **choices: Any,
) -> int:
    """Hold one model against every registered one.

    CANDIDATE is a folder, a file of weights, a Hugging Face id (org/name or org/name@revision), an address,
    a fingerprint of the register's salt, or a name or key of the register. The register holds fingerprints:
    no registered model is fetched, except to confirm (--confirm).

    Exit status: 0 no evidence, or dependence exactly as declared; 10 dependence; 11 leads, inconclusive, or
    nothing comparable.
    """
    check_places(json_file, html_file)
    from jokbo.cli.task_progress import task_progress
    from jokbo.lineage.register import open_register
    from jokbo.lineage.search import search

    register = open_register(registry)
    with progress_line(quiet) as line:
        options = open_options(
            offline=offline,
            cache_dir=cache_dir,
            cache_size=cache_size,
            adapter_base=adapter_base,
            progress=line,
        )
        with task_progress(quiet=quiet or line is not None, lang=language(lang)) as tasks:
            found = search(
                _registered(candidate, register),
                register,
                # A seed that nobody can foresee, as in a comparison of two.
                seed=secrets.randbits(32) if seed is None else seed,
                measured=int(bounds),
                options=options,
                progress=line.tell if line else None,
                task_progress=tasks,
                **choices,
            )
    if json_file is not None:
        write_file(json_file, found.to_json())
    if html_file is not None:
        from jokbo.report.search import render_search_html

        write_file(html_file, render_search_html(found.document, lang=language(lang)).encode())
    if not quiet:
        from rich.console import Console

        from jokbo.report.search import render_search_terminal

        render_search_terminal(found.document, lang=language(lang), console=Console())
    return found.exit_status


def _registered(candidate: str, register: Register) -> str:
    """The fingerprint of a model that is named as the register names it; anything else as it is."""
    from jokbo.errors import UsageError

    if "/" in candidate or Path(candidate).exists():
        return candidate
    try:
        entry = register.get(candidate)
    except UsageError:
        if any(candidate == entry.name for entry in register.entries()):
            raise  # more than one is called so
        return candidate
    return str(register.verified_path(entry))
