"""Reading a season from its file: the schema, then everything in which its entries contradict each other.

A ``scored`` entry binds the board by SHA-256. Where it also names the board's file, that is read, and has to be the
board of this round, of the frozen content, with the same teams leaving.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from jokbo.errors import EvidenceError, FormatError
from jokbo.evidence.documents import load_schema, parse_document
from jokbo.league import yaml_document
from jokbo.league.round import Words
from jokbo.league.season import Entry, Ledger, RoundState, Season, SeasonRound, SeasonTeam, follow
from jokbo.league.yaml_document import Problem, read_small

MAX_BOARD_BYTES = 256 << 20

NEEDED: Mapping[str, tuple[str, ...]] = {
    "frozen": ("digest",),
    "scored": ("board", "out"),
    "published": (),
    "objection": ("id", "by", "text"),
    "objection_decided": ("of", "accepted", "text"),
    "repechage_opened": ("places", "text"),
    "reinstated": ("team", "text"),
    "final": (),
}
"""Keys that each kind of entry has, beside date and kind."""

OPTIONAL: Mapping[str, tuple[str, ...]] = {"scored": ("file",)}

AFTER: Mapping[str, tuple[str, ...]] = {
    "frozen": ("planned",),
    "scored": ("frozen", "scored", "objections_open"),
    "published": ("scored",),
    "objection": ("objections_open",),
    "objection_decided": ("scored", "objections_open"),
    "repechage_opened": ("scored", "objections_open"),
    "reinstated": ("scored", "objections_open"),
    "final": ("objections_open",),
}
"""Stages in which each kind of entry may come; nothing may come after ``final``."""


def season_schema() -> Mapping[str, Any]:
    """The JSON Schema of ``season.yaml``."""
    return load_schema("jokbo.league", "schemas/season-1.json")


def read_season(path: Path) -> Season:
    """Read a season's file, and the boards that it names.

    Raises
    ------
    NotFoundError, SourceError
        A file is not there, or cannot be read.
    FormatError
        It is no season, or contradicts itself; one line a problem.
    EvidenceError
        A board is not the one that an entry binds.
    """
    season = parse_season(read_small(path), path.name)
    for each in season.rounds:
        digest = next((entry.digest for entry in each.entries if entry.kind == "frozen"), None)
        for entry in each.entries:
            if entry.file is not None:
                _check_board(path.parent, each, entry, digest)
    return season


def parse_season(data: bytes, where: str) -> Season:
    """Read a season from the bytes of its file; boards are not opened.

    Raises
    ------
    FormatError
        It is no season, or contradicts itself; one line a problem.
    """
    document = yaml_document.parse_document(data, season_schema(), where=where)
    document.refuse(_plain_problems(document.value))
    season = _build(document.value)
    document.refuse(_problems(season))
    return season


def _build(document: Mapping[str, Any]) -> Season:
    return Season(
        document["id"],
        _words(document["title"]),
        tuple(SeasonTeam(t["id"], _words(t["name"]), t.get("starts", True)) for t in document["teams"]),
        tuple(
            SeasonRound(
                row["id"],
                row["number"],
                row.get("objection_days", document["objection_days"]),
                tuple(map(_entry, row["entries"])),
            )
            for row in document["rounds"]
        ),
    )


def _words(value: str | Mapping[str, Any]) -> Words:
    return {"en": value, "ko": value} if isinstance(value, str) else dict(value)


def _entry(row: Mapping[str, Any]) -> Entry:
    rest = {key: value for key, value in row.items() if key not in ("date", "out", "text")}
    text = None if "text" not in row else _words(row["text"])
    return Entry(date.fromisoformat(row["date"]), out=tuple(row.get("out", ())), text=text, **rest)


def _plain_problems(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Keys that belong to another kind of entry, and days that are none."""
    for r, row in enumerate(document["rounds"]):
        for k, entry in enumerate(row["entries"]):
            path, kind = f"rounds/{r}/entries/{k}", entry["kind"]
            allowed = ("date", "kind", "text", *NEEDED[kind], *OPTIONAL.get(kind, ()))
            for key in NEEDED[kind]:
                if key not in entry:
                    yield path, f"expected the key {key!r} for kind {kind!r}, found none"
            for key in entry:
                if key not in allowed:
                    yield f"{path}/{key}", f"expected no such key for kind {kind!r}, found it"
            try:
                date.fromisoformat(entry["date"])
            except ValueError:
                yield f"{path}/date", f"expected a day of the calendar, found {entry['date']!r}"


def _problems(season: Season) -> Iterator[Problem]:
    yield from _twice([team.id for team in season.teams], "teams")
    yield from _twice([each.id for each in season.rounds], "rounds")
    ledger = Ledger.begin(season)
    ends: date | None = None
    for r, each in enumerate(season.rounds):
        if each.number != season.rounds[0].number + r:
            yield f"rounds/{r}/number", f"expected {season.rounds[0].number + r}, found {each.number}"
        state = RoundState(each.id, each.number)
        last: date | None = ends
        objections: set[str] = set()
        for k, entry in enumerate(each.entries):
            path = f"rounds/{r}/entries/{k}"
            if last is not None and entry.date < last:
                yield f"{path}/date", f"expected a day not before {last}, found {entry.date}"
            last = entry.date if last is None else max(last, entry.date)
            found = list(_entry_problems(entry, state, ledger, objections, path))
            yield from found
            if found:
                return  # what follows a contradiction has no state to be held against
            state = follow(state, entry, each)
            ledger = ledger.follow(entry, state)
        # A round is frozen for those who are in: not before the one before it is final.
        if each.entries and state.stage == "final":
            ends = last
        elif any(later.entries for later in season.rounds[r + 1 :]):
            yield (
                f"rounds/{r + 1}/entries",
                f"expected none before the round {each.id!r} is final, found some",
            )
            return


def _twice(ids: list[str], kind: str) -> Iterator[Problem]:
    for k, each in enumerate(ids):
        if each in ids[:k]:
            yield f"{kind}/{k}/id", f"expected an id of its own, found {each!r} a second time"


def _entry_problems(
    entry: Entry, state: RoundState, ledger: Ledger, objections: set[str], path: str
) -> Iterator[Problem]:
    """What is wrong with one entry in the state before it; `objections` gathers the ids of the round."""
    if state.stage == "final":
        yield path, f"expected nothing after 'final', found {entry.kind!r}"
        return
    if state.stage not in AFTER[entry.kind]:
        allowed = " or ".join(AFTER[entry.kind])
        yield (
            f"{path}/kind",
            f"expected {entry.kind!r} only while the round is {allowed}, found it {state.stage}",
        )
        return
    if entry.kind == "scored":
        yield from _scored_problems(entry, state, ledger, path)
    elif entry.kind == "objection":
        if state.window_until is not None and entry.date > state.window_until:
            yield (
                f"{path}/date",
                f"expected a day in the window, until {state.window_until}, found {entry.date}",
            )
        if entry.id in objections:
            yield f"{path}/id", f"expected an id of its own, found {entry.id!r} a second time"
        objections.add(entry.id or "")
    elif entry.kind == "objection_decided" and entry.of not in state.objections:
        yield f"{path}/of", f"expected an undecided objection, found {entry.of!r}"
    elif entry.kind == "reinstated":
        yield from _reinstated_problems(entry, state, ledger, path)
    elif entry.kind == "final":
        if state.objections:
            yield path, f"expected every objection decided, found {', '.join(state.objections)} undecided"
        if state.window_until is not None and entry.date <= state.window_until:
            yield f"{path}/date", f"expected a day after the window, {state.window_until}, found {entry.date}"


def _scored_problems(entry: Entry, state: RoundState, ledger: Ledger, path: str) -> Iterator[Problem]:
    if state.stage == "objections_open" and not state.accepted:
        yield path, "expected an accepted objection before a round is scored again, found none"
    for k, team in enumerate(entry.out):
        row = ledger.teams.get(team)
        if row is None:
            yield f"{path}/out/{k}", f"expected a team ({', '.join(ledger.teams)}), found {team!r}"
        elif row.standing != "in" and not (row.standing == "provisionally_out" and row.round == state.id):
            yield f"{path}/out/{k}", f"expected a team that competes, found {team!r}, which is {row.standing}"
        if team in entry.out[:k]:
            yield f"{path}/out/{k}", f"expected each team once, found {team!r} a second time"


def _reinstated_problems(entry: Entry, state: RoundState, ledger: Ledger, path: str) -> Iterator[Problem]:
    row = ledger.teams.get(entry.team or "")
    if row is None:
        yield f"{path}/team", f"expected a team ({', '.join(ledger.teams)}), found {entry.team!r}"
    elif row.standing == "in":
        yield f"{path}/team", f"expected a team that does not compete, found {entry.team!r}, which does"
    if not state.repechage_places and not state.accepted:
        yield (
            path,
            "expected an open place of a repechage, or an accepted objection, before this, found neither",
        )


def _check_board(folder: Path, each: SeasonRound, entry: Entry, digest: str | None) -> None:
    """The board that an entry names is the one that it binds."""
    name = entry.file or ""
    path = folder / name
    if ".." in Path(name).parts or not path.resolve().is_relative_to(folder.resolve()):
        raise FormatError(
            f"the round {each.id!r}: expected a board in the season's folder, found {name!r}. Put it there."
        )
    data = read_small(path, most_bytes=MAX_BOARD_BYTES)
    found = hashlib.sha256(data).hexdigest()
    if found != entry.board:
        raise EvidenceError(
            f"{name}: expected the board {entry.board} that the round {each.id!r} binds, found {found}. "
            "It was scored again, or edited."
        )
    board = parse_document(data, where=name, limit=MAX_BOARD_BYTES, command="jokbo league score")
    try:
        said = board["round"]["id"], board["round"]["digest"]
        out = sorted(row["team"] for row in board["decision"]["eliminated"])
    except (KeyError, TypeError):
        raise EvidenceError(
            f"{name} is no board: expected round and decision. Write it with `jokbo league score`."
        ) from None
    if said != (each.id, digest):
        raise EvidenceError(
            f"{name}: expected the round {each.id!r} as frozen ({digest}), found {said[0]!r} ({said[1]})."
        )
    if out != sorted(entry.out):
        raise EvidenceError(
            f"{name}: expected the teams {', '.join(sorted(entry.out)) or 'none'} to leave, "
            f"found {', '.join(map(str, out)) or 'none'}. Correct `out`."
        )
