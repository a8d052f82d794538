"""``jokbo league season FILE``."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jokbo.cli.options import language, language_option, write_file

if TYPE_CHECKING:
    from rich.table import Table

    from jokbo.league.season import Season, SeasonState
    from jokbo.report.texts import Texts


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--at", metavar="DATE", help="The day in question, YYYY-MM-DD; else today (UTC).")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the season's pages into this folder."
)
@click.option("--json", "as_json", is_flag=True, help="Print the state as JSON.")
@language_option
def command(file: Path, at: str | None, output: Path | None, as_json: bool, lang: str | None) -> int:
    """Show where the season in FILE stands: its rounds, objection windows, and teams.

    FILE is a season's YAML file. All of it is checked, whatever the day: entries that contradict each other are an
    error, and so is a board that is not the one that an entry binds.

    Exit status: 0, or 2 where FILE cannot be read or contradicts itself.
    """
    from jokbo.league.season import state_at
    from jokbo.league.season_file import read_season

    season = read_season(file)
    state = state_at(season, _day(at))
    if output is not None:
        _write(season, state, file.parent, output)
    if as_json:
        from jokbo.evidence.canonical import canonical_bytes

        click.echo(canonical_bytes(state.to_document()).decode())
        return 0
    from rich.console import Console

    from jokbo.report.terminal import MAX_WIDTH, heading
    from jokbo.report.texts import Texts, clean

    t, console = Texts(language(lang)), Console()
    width = min(console.width, MAX_WIDTH)
    title = season.title[t.lang]
    for piece in (
        heading(t("league.season.title", title=clean(title), date=state.at.isoformat())),
        _rounds(state, t),
        heading(t("league.season.teams")),
        _teams(season, state, t),
    ):
        console.print(piece, width=width)
    return 0


def _write(season: Season, state: SeasonState, folder: Path, output: Path) -> None:
    from jokbo.errors import UsageError
    from jokbo.report.league.season import round_sites, season_files

    pages = season_files(season, state, rounds=round_sites(season, folder, output))
    for path, data in pages.items():
        try:
            (output / path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"cannot write into {output}: {error.strerror}. Choose another folder."
            ) from None
        write_file(output / path, data)


def _day(text: str | None) -> date:
    from jokbo.errors import UsageError

    if text is None:
        return datetime.now(UTC).date()
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise UsageError(f"--at {text[:40]!r}: expected a day such as 2026-08-18.") from None


def _rounds(state: SeasonState, t: Texts) -> Table:
    from jokbo.report.texts import clean

    table = _table(t, "round", "stage", "since", "window", "open", "out", "board")
    for row in state.rounds:
        _add(
            table,
            clean(row.id),
            t(f"league.season.stage.{row.stage}"),
            _date(row.since, t),
            _date(row.window_until, t),
            ", ".join(map(clean, row.objections)) or t("ui.none"),
            ", ".join(map(clean, row.out)) or t("ui.none"),
            row.board[:8] if row.board else t("ui.none"),
        )
    return table


def _teams(season: Season, state: SeasonState, t: Texts) -> Table:
    from jokbo.report.texts import clean

    names = {team.id: team.name[t.lang] for team in season.teams}
    table = _table(t, "team", "standing", "by_round", "since")
    for row in state.teams:
        _add(
            table,
            clean(names[row.id]),
            t(f"league.season.standing.{row.standing}"),
            clean(row.round) if row.round else t("ui.none"),
            _date(row.since, t),
        )
    return table


def _table(t: Texts, *heads: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for head in heads:
        table.add_column(t(f"league.season.head.{head}"), overflow="fold")
    return table


def _date(value: date | None, t: Texts) -> str:
    return t("ui.none") if value is None else value.isoformat()


def _add(table: Table, *cells: str) -> None:
    """A row of plain text: brackets in a name are no markup."""
    from rich.text import Text

    table.add_row(*map(Text, cells))
