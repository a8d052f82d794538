"""``jokbo league score ROUND RESULTS``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jokbo.cli.options import check_places, language, language_option, write_file

if TYPE_CHECKING:
    from jokbo.league.score import ScoredRound
    from jokbo.records.commit.keys import Signer


@click.command()
@click.argument("round", type=click.Path(path_type=Path))
@click.argument("results", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the site and its bundle into this folder."
)
@click.option(
    "--frozen",
    type=click.Path(path_type=Path),
    help="What `jokbo league freeze` wrote: the rules as they were.",
)
@click.option(
    "--lot-value", metavar="TEXT", help="The public value that the round named beforehand for its lot."
)
@click.option("--key", type=click.Path(path_type=Path), help="Sign the bundle with this key.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the board here.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
def command(
    round: Path,
    results: Path,
    output: Path | None,
    frozen: Path | None,
    lot_value: str | None,
    key: Path | None,
    json_file: Path | None,
    quiet: bool,
    lang: str | None,
) -> int:
    """Score a round: gate, events, three axes, ranks with their uncertainty, and who leaves.

    ROUND is its file of rules, RESULTS the list of files that evaluations wrote. With --output, a site in both
    languages is written, with the board and every input that may be shown, so that anyone can run
    `jokbo league check` on it.

    Exit status: 0 the ranks alone decide, or nobody was to leave; 11 they do not, and the tie rule did or waits; 2
    rules or results cannot be read: nothing was scored.
    """
    from jokbo.errors import UsageError
    from jokbo.league.bundle import check_output
    from jokbo.league.score import score_files
    from jokbo.records.commit.keys import load_signer

    check_places(json_file)
    if key is not None and output is None:
        raise UsageError("--key signs the bundle that --output writes. Give both.")
    # What cannot be signed or written is told before the work, not after it.
    signer = None if key is None else load_signer(key)
    if output is not None:
        check_output(output)
    scored = score_files(round, results, frozen=frozen, randomness=lot_value)
    if json_file is not None:
        write_file(json_file, scored.to_json())
    if output is not None:
        _write(scored, output, signer)
    if not quiet:
        from rich.console import Console

        from jokbo.report.league.terminal import render_board_terminal

        render_board_terminal(scored.board, lang=language(lang), console=Console())
    return 0 if scored.board["decision"]["resolved"] else 11


def _write(scored: ScoredRound, output: Path, signer: Signer | None) -> None:
    from jokbo.league.bundle import write_scored
    from jokbo.report.league.site import site_files

    write_scored(scored, output, pages=site_files(scored.board), signer=signer)
