"""``jokbo league leak FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option, write_file


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result here.")
@click.option("--quick", is_flag=True, help="Do not leave out each published fact in turn.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
def command(file: Path, json_file: Path | None, quick: bool, quiet: bool, lang: str | None) -> int:
    """Tell what figures to be published give away of those that are to stay closed.

    FILE is a plan (leak.yaml): teams, figures with their scales, and what is to be published. For each closed
    figure the interval that the published ones leave is computed, and which of them gives away most.

    Exit status: 0 nothing is given away; 10 at least one closed figure can be told to within the plan's tolerance; 2
    the plan cannot be read, or its figures contradict each other.
    """
    from jokbo.errors import UsageError
    from jokbo.league.leak.check import check_leak
    from jokbo.league.leak.plan_file import read_plan

    if json_file is not None and (json_file.is_dir() or not json_file.parent.is_dir()):
        raise UsageError(f"cannot write {json_file}: it is a folder, or lies in none. Choose another place.")
    found = check_leak(read_plan(file), one_by_one=not quick)
    if json_file is not None:
        write_file(json_file, found.to_json())
    if not quiet:
        from rich.console import Console

        from jokbo.report.league.leak_terminal import render_leak_terminal

        render_leak_terminal(found.document, lang=language(lang), console=Console())
    return found.exit_status
