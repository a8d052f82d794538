"""``jokbo population MODEL... -o FILE``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import click

from jokbo.cli.options import check_places, open_options, progress_line, source_options, write_file


@click.command()
@click.argument("models", nargs=-1, required=True)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Write the population here."
)
@click.option("--name", default="own", show_default=True, help="What reports call the population.")
@click.option(
    "--description", default="Models that its maker knows to be independent.", help="Which models these are."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@source_options
def command(
    models: tuple[str, ...],
    output: Path,
    name: str,
    description: str,
    quiet: bool,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Score known-independent models, as a population for the calibrated tests.

    Each MODEL counts as one independent lineage, so give only models that you know to be independent of
    one another, best of the same sizes and data as those you want to compare. At least 14 are needed, or
    7 beside the reference itself. Whole embeddings and MLPs of all models are read.
    """
    from jokbo.independence.calibrated import score_population
    from jokbo.views.model import open_model

    check_places(output)
    with progress_line(quiet) as line, ExitStack() as stack:
        options = open_options(
            offline=offline,
            cache_dir=cache_dir,
            cache_size=cache_size,
            adapter_base=adapter_base,
            progress=line,
        )
        opened = []
        for model in models:
            opened.append(open_model(model, options))
            stack.callback(opened[-1].close)
        found = score_population(
            opened, name=name, description=description, progress=line.tell if line else None
        )
    write_file(output, found.to_json())
    if not quiet:
        click.echo(f"{found.name}: {found.lineages} lineages, {len(found.scores)} scores, {found.digest}")
    return 0
