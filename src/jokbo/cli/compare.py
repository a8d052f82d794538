"""``jokbo compare REFERENCE CANDIDATE``."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from jokbo.cli.options import (
    language,
    language_option,
    open_options,
    progress_line,
    source_options,
    write_file,
)


@click.command()
@click.argument("reference")
@click.argument("candidate")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the evidence here.")
@click.option(
    "--html", "html_file", type=click.Path(path_type=Path), help="Write a self-contained page here."
)
@click.option("--seed", type=click.IntRange(min=0), help="Decides which rows are read; else drawn at random.")
@click.option(
    "--budget", help="How much to read of each model: screen, full, a share (2%) or a size (500MB)."
)
@click.option("--declare", "declared", multiple=True, help="A declared dependence: a component, or 'all'.")
@click.option(
    "--reference-first", is_flag=True, help="You vouch that the reference was public before the candidate."
)
@click.option("--no-bounds", is_flag=True, help="Do not measure what a clean result would have missed.")
@click.option("--no-scores", is_flag=True, help="Leave out the scores that do not decide.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
@source_options
def command(
    reference: str,
    candidate: str,
    json_file: Path | None,
    html_file: Path | None,
    seed: int | None,
    budget: str | None,
    declared: tuple[str, ...],
    reference_first: bool,
    no_bounds: bool,
    no_scores: bool,
    quiet: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
) -> int:
    """Decide from weights whether two models are independent.

    REFERENCE and CANDIDATE are each a folder, a .safetensors file, a Hugging Face id
    (org/name or org/name@revision), or an address. Rows are read, never whole models.

    Exit status: 0 no evidence, or exactly as declared; 10 dependence; 11 untestable or inconclusive.
    """
    from jokbo.evidence.compare import compare

    with progress_line(quiet) as line:
        options = open_options(offline=offline, cache_dir=cache_dir, cache_size=cache_size, progress=line)
        found = compare(
            reference,
            candidate,
            # A seed that nobody can foresee: a model cannot be made to match in just the rows that are read.
            seed=secrets.randbits(32) if seed is None else seed,
            budget=budget,
            declared=declared,
            reference_first=reference_first,
            bounds=not no_bounds,
            descriptive=not no_scores,
            options=options,
            progress=line.tell if line else None,
        )
    if json_file is not None:
        write_file(json_file, found.evidence.to_json())
    if html_file is not None:
        from jokbo.report.html import render_html

        write_file(html_file, render_html(found.evidence.document, lang=language(lang)).encode())
    if not quiet:
        from rich.console import Console

        from jokbo.report.terminal import render_terminal

        render_terminal(found.evidence.document, lang=language(lang), console=Console())
    return found.verdict.exit_status
