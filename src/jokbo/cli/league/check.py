"""``jokbo league check FOLDER``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    from jokbo.league.check import Checked
    from jokbo.league.evidence_again import Models


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--inputs",
    type=click.Path(path_type=Path),
    help="The folder of the results list and all its files, where the bundle withholds some.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A public key that you trust: the bundle has to be signed with it; may be repeated.",
)
@click.option(
    "--verify-evidence", is_flag=True, help="Run the gate's evidence again, with the models given by --model."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=PATH",
    help="Where a model of the evidence is, by its team or its name; may be repeated. Those of a hub need none.",
)
@click.option(
    "--population",
    type=click.Path(path_type=Path),
    help="The known-independent models that evidence ranks a pair among, if not the zoo's.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write what was found here.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
@source_options
def command(
    folder: Path,
    inputs: Path | None,
    keys: tuple[Path, ...],
    verify_evidence: bool,
    models: tuple[str, ...],
    population: Path | None,
    json_file: Path | None,
    quiet: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Compute a scored round again from its own inputs, and compare every byte.

    FOLDER is what `jokbo league score --output` wrote. The evidence of the gate is read, and run
    again only with --verify-evidence and the models.

    Exit status: 0 everything came out again; 10 something did not, such as evidence that does not hold; 11 what is
    there is as listed, and inputs that are withheld, or models of the evidence, were not given; 2 the folder is no
    bundle, or a model is not the one that the evidence names.
    """
    from jokbo.errors import UsageError
    from jokbo.evidence.canonical import canonical_bytes

    check_places(json_file)
    if (models or population is not None) and not verify_evidence:
        raise UsageError(
            "--model and --population say where evidence is run again with. Add --verify-evidence."
        )
    with progress_line(quiet) as line:
        options = open_options(
            offline=offline,
            cache_dir=cache_dir,
            cache_size=cache_size,
            adapter_base=adapter_base,
            progress=line,
        )
        places = None
        if verify_evidence:
            from jokbo.league.evidence_again import Models, parse_models

            tell = line.tell if line else None
            places = Models(parse_models(models), population, options, tell)
        found = _check(folder, inputs, keys, places)
    if json_file is not None:
        write_file(json_file, canonical_bytes(found.to_document()) + b"\n")
    if not quiet:
        from rich.console import Console

        from jokbo.report.league.check_terminal import render_check_terminal

        render_check_terminal(found, lang=language(lang), console=Console())
    return found.exit_status


def _check(folder: Path, inputs: Path | None, keys: tuple[Path, ...], models: Models | None) -> Checked:
    from jokbo.league.check import check_bundle
    from jokbo.records.commit.keys import load_public_keys
    from jokbo.report.league.site import site_files

    return check_bundle(folder, draw=site_files, inputs=inputs, keys=load_public_keys(keys), models=models)
