"""A season as pages: where each round and each team stands on a day, and everything that was entered until then."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from jokbo.report.html import render_page
from jokbo.report.league.blocks import Cell, Grid, Head, Page, Part, Prose
from jokbo.report.league.naming import in_language
from jokbo.report.texts import LANGUAGES, Texts, clean, name
from jokbo.report.wording import joined

if TYPE_CHECKING:
    from jokbo.league.season import Entry, RoundState, Season, SeasonState

MAX_TEXT = 2000
NO_BREAK = "\N{NO-BREAK SPACE}"
STAGE_SIGNS = {
    "planned": "·",
    "frozen": "◇",
    "scored": "◔",
    "objections_open": "◑",
    "objections_pending": "?",
    "undisputed": "◕",
    "final": "●",
}
TEAM_SIGNS = {"in": "○", "provisionally_out": "◑", "out": "■", "waiting": "·"}


def season_files(
    season: Season, state: SeasonState, *, rounds: Mapping[str, str] | None = None
) -> dict[str, bytes]:
    """Pages of a season on one day, by path: ``index.html``, ``en/season.html``, ``ko/season.html``.

    Parameters
    ----------
    season : Season
        What :func:`jokbo.league.season_file.read_season` gives.
    state : SeasonState
        Of the same season, by :func:`jokbo.league.season.state_at`.
    rounds : mapping of str to str, optional
        Round -> the folder of its site, relative to the season's.
    """
    titles = [
        (lang, Texts(lang)("league.language"), clean(in_language(season.title, lang))) for lang in LANGUAGES
    ]
    choice = render_page("league/choice.html", {"languages": titles, "page": "season.html"}, lang="en")
    files = {"index.html": choice.encode("utf-8")}
    for lang in LANGUAGES:
        files[f"{lang}/season.html"] = _render(season, state, Texts(lang), rounds or {}).encode("utf-8")
    return files


def round_sites(season: Season, folder: Path, output: Path) -> dict[str, str]:
    """Where the sites of rounds are, relative to a season's pages: beside the boards that the season names.

    Parameters
    ----------
    folder : Path
        Of the season's file.
    output : Path
        Where its pages go.
    """
    found = {}
    for round in season.rounds:
        named = [entry.file for entry in round.entries if entry.kind == "scored" and entry.file]
        site = folder / PurePosixPath(named[-1]).parent if named else None
        if site is not None and (site / "index.html").is_file():
            found[round.id] = Path(os.path.relpath(site, output)).as_posix()
    return found


def _render(season: Season, state: SeasonState, t: Texts, rounds: Mapping[str, str]) -> str:
    title = name(in_language(season.title, t.lang))
    head = Head(title, lead=(t("league.season_page.lead", date=_day(state.at, t)),))
    parts = (
        _rounds(season, state, t, rounds),
        _teams(season, state, t),
        _entries(season, state, t),
        _rules(t),
    )
    page = Page("season.html", "", clean(in_language(season.title, t.lang)), head, parts)
    other = next(lang for lang in LANGUAGES if lang != t.lang)
    report = {
        "lang": t.lang,
        "title": page.title,
        "round": t("league.season_page.kicker"),
        "page": page,
        "nav": [],
        "nav_label": t("league.season_page.nav"),
        "other": (other, Texts(other)("league.language"), f"../{other}/season.html"),
        "footer": t("league.season_page.footer"),
    }
    return render_page("league/page.html", report, lang=t.lang)


def _day(value: date | None, t: Texts) -> str:
    """A date as the language writes it."""
    if value is None:
        return t("ui.none")
    from babel.dates import format_date

    return str(format_date(value, format="long", locale=t.lang)).replace(" ", NO_BREAK)


def _team(season: Season, id: str, t: Texts) -> str:
    team = next((each for each in season.teams if each.id == id), None)
    return name(in_language(team.name, t.lang)) if team is not None else name(id)


def _named(season: Season, ids: tuple[str, ...], t: Texts) -> str:
    return joined([_team(season, id, t) for id in ids], t) or t("ui.none")


def _rounds(season: Season, state: SeasonState, t: Texts, sites: Mapping[str, str]) -> Part:
    rows = tuple(_round_row(season, row, t, sites.get(row.id)) for row in state.rounds)
    heads = ("round", "stage", "since", "window", "open", "out", "board")
    head = tuple(t(f"league.season.head.{key}") for key in heads)
    grid = Grid(t("league.season_page.rounds_caption"), head, rows, code=(6,))
    return Part("rounds", t("league.season_page.rounds"), (grid,))


def _round_row(season: Season, row: RoundState, t: Texts, site: str | None) -> tuple[Cell, ...]:
    notes = []
    if row.repechage_places:
        notes.append(t("league.season_page.repechage", count=t.number(row.repechage_places)))
    if row.accepted:
        notes.append(t("league.season_page.accepted"))
    return (
        Cell(
            t("league.season_page.round", number=t.number(row.number)),
            note=name(row.id),
            href="" if site is None else f"../{site}/{t.lang}/index.html",
        ),
        Cell(
            t(f"league.season.stage.{row.stage}"), sign=STAGE_SIGNS.get(row.stage, ""), note=" · ".join(notes)
        ),
        Cell(_day(row.since, t)),
        Cell(_day(row.window_until, t)),
        Cell(", ".join(map(name, row.objections)) or t("ui.none")),
        Cell(_named(season, row.out, t)),
        Cell(clean(row.board) if row.board else t("ui.none")),
    )


def _teams(season: Season, state: SeasonState, t: Texts) -> Part:
    rows = tuple(
        (
            Cell(_team(season, row.id, t)),
            Cell(t(f"league.season.standing.{row.standing}"), sign=TEAM_SIGNS.get(row.standing, "")),
            Cell(name(row.round) if row.round else t("ui.none")),
            Cell(_day(row.since, t)),
        )
        for row in state.teams
    )
    head = tuple(t(f"league.season.head.{key}") for key in ("team", "standing", "by_round", "since"))
    return Part("teams", t("league.season.teams"), (Grid(t("league.season_page.teams_caption"), head, rows),))


def _entries(season: Season, state: SeasonState, t: Texts) -> Part:
    """Everything entered up to the day, oldest first."""
    found = [
        (entry, each.number) for each in season.rounds for entry in each.entries if entry.date <= state.at
    ]
    if not found:
        return Part("entries", t("league.season_page.entries"), (Prose(t("league.season_page.no_entries")),))
    found.sort(key=lambda pair: (pair[0].date, pair[1]))
    rows = tuple(
        (
            Cell(_day(entry.date, t)),
            Cell(t("league.season_page.round", number=t.number(number))),
            Cell(t(f"league.season_page.entry.{entry.kind}")),
            Cell(_details(season, entry, t)),
        )
        for entry, number in found
    )
    heads = ("date", "round", "entry", "details")
    head = tuple(t(f"league.season_page.head_{key}") for key in heads)
    grid = Grid(t("league.season_page.entries_caption"), head, rows)
    return Part("entries", t("league.season_page.entries"), (grid,))


def _details(season: Season, entry: Entry, t: Texts) -> str:
    found = []
    if entry.digest is not None:
        found.append(t("league.season_page.digest", digest=clean(entry.digest)))
    if entry.board is not None:
        found.append(t("league.season_page.board", digest=clean(entry.board)))
    if entry.out:
        found.append(t("league.season_page.out", teams=_named(season, entry.out, t)))
    if entry.id is not None:
        found.append(t("league.season_page.objection", id=name(entry.id), by=name(entry.by or "")))
    if entry.of is not None:
        key = "accepted" if entry.accepted else "rejected"
        found.append(t(f"league.season_page.objection_{key}", id=name(entry.of)))
    if entry.places is not None:
        found.append(t("league.season_page.repechage", count=t.number(entry.places)))
    if entry.team is not None:
        found.append(t("league.season_page.reinstated", team=_team(season, entry.team, t)))
    if entry.text is not None:
        found.append(name(clean(in_language(entry.text, t.lang), limit=MAX_TEXT)))
    return " ".join(found) or t("ui.none")


def _rules(t: Texts) -> Part:
    words = tuple(
        Prose(t(f"league.season_page.rule_{key}")) for key in ("provisional", "objection", "repechage")
    )
    return Part("rules", t("league.season_page.rules"), words, boxed=True)
