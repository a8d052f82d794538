"""A season: states on a day, and every way in which entries contradict each other."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import date
from pathlib import Path

import pytest

from jokbo.errors import EvidenceError, FormatError, NotFoundError
from jokbo.league.season import Season, state_at
from jokbo.league.season_file import AFTER, NEEDED, parse_season, read_season, season_schema

D1, D2 = "1" * 64, "2" * 64
BOARD, AGAIN = "a" * 64, "b" * 64

SEASON = f"""\
jokbo_season: 1
id: national
title: {{en: National teams, ko: 국가대표}}
objection_days: 10
teams:
  - {{id: a, name: A}}
  - {{id: b, name: B}}
  - {{id: c, name: C}}
  - {{id: d, name: D, starts: no}}
rounds:
  - id: r1
    number: 1
    entries:
      - {{date: 2026-01-02, kind: frozen, digest: "{D1}"}}
      - {{date: 2026-01-14, kind: scored, board: "{BOARD}", out: [b]}}
      - {{date: 2026-01-15, kind: published}}
      - {{date: 2026-01-20, kind: objection, id: o1, by: b, text: The third event.}}
      - {{date: 2026-01-28, kind: objection_decided, of: o1, accepted: yes, text: It is right.}}
      - {{date: 2026-01-29, kind: scored, board: "{AGAIN}", out: [c]}}
      - {{date: 2026-01-30, kind: published}}
      - {{date: 2026-02-01, kind: repechage_opened, places: 1, text: One place.}}
      - {{date: 2026-02-20, kind: reinstated, team: d, text: Chosen of four.}}
      - {{date: 2026-02-21, kind: final}}
  - id: r2
    number: 2
    objection_days: 0
    entries:
      - {{date: 2026-07-01, kind: frozen, digest: "{D2}"}}
"""


def parse(*changes: tuple[str, str]) -> Season:
    text = SEASON
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return parse_season(text.encode(), "season.yaml")


def on(day: str, season: Season | None = None, round: int = 0):
    state = state_at(parse() if season is None else season, date.fromisoformat(day))
    return state.rounds[round], {team.id: team.standing for team in state.teams}


START = {"a": "in", "b": "in", "c": "in", "d": "waiting"}


@pytest.mark.parametrize(
    ("day", "stage", "until", "open_", "teams"),
    [
        ("2026-01-01", "planned", None, (), START),
        ("2026-01-02", "frozen", None, (), START),
        ("2026-01-14", "scored", None, (), START | {"b": "provisionally_out"}),
        ("2026-01-15", "objections_open", "2026-01-25", (), START | {"b": "provisionally_out"}),
        ("2026-01-25", "objections_open", "2026-01-25", ("o1",), START | {"b": "provisionally_out"}),
        ("2026-01-26", "objections_pending", "2026-01-25", ("o1",), START | {"b": "provisionally_out"}),
        ("2026-01-28", "undisputed", "2026-01-25", (), START | {"b": "provisionally_out"}),
        ("2026-01-29", "scored", None, (), START | {"c": "provisionally_out"}),
        ("2026-02-09", "objections_open", "2026-02-09", (), START | {"c": "provisionally_out"}),
        ("2026-02-20", "undisputed", "2026-02-09", (), START | {"c": "provisionally_out", "d": "in"}),
        ("2026-02-21", "final", "2026-02-09", (), START | {"c": "out", "d": "in"}),
    ],
)
def test_the_state_on_a_day(day, stage, until, open_, teams):
    round, standings = on(day)
    assert (round.stage, round.objections, standings) == (stage, open_, teams)
    assert (round.window_until.isoformat() if round.window_until else None) == until


def test_boards_places_and_the_second_round():
    assert on("2026-01-20")[0].board == BOARD
    assert on("2026-02-01")[0].board == AGAIN
    assert [on(day)[0].repechage_places for day in ("2026-01-31", "2026-02-19", "2026-02-20")] == [0, 1, 0]
    assert on("2026-06-30", round=1)[0].stage == "planned"
    assert on("2026-07-01", round=1)[0].digest == D2


def test_as_plain_values():
    plain = json.loads(json.dumps(state_at(parse(), date(2026, 2, 21)).to_document()))
    assert plain["schema"] == "jokbo.season-state/1"
    assert plain["rounds"][0]["since"] == "2026-02-21"
    assert plain["teams"][2] == {"id": "c", "standing": "out", "round": "r1", "since": "2026-02-21"}


FAULTS: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "after final": (
        (("kind: final}\n", "kind: final}\n      - {date: 2026-03-01, kind: published}\n"),),
        r":24 \(rounds/0/entries/10\): expected nothing after 'final', found 'published'",
    ),
    "dates go back": (
        (("2026-01-15, kind: published", "2026-01-13, kind: published"),),
        r"\(rounds/0/entries/2/date\): expected a day not before 2026-01-14, found 2026-01-13",
    ),
    "no such day": ((("date: 2026-01-02", "date: 2026-02-30"),), r"entries/0/date\): expected a day of the calendar"),
    "scored before frozen": (
        (("kind: frozen, digest: \"" + D1 + '"', "kind: published"),),
        r"\(rounds/0/entries/0/kind\): expected 'published' only while the round is scored, found it planned",
    ),
    "frozen twice": (
        (("2026-01-15, kind: published", f'2026-01-15, kind: frozen, digest: "{D2}"'),),
        "expected 'frozen' only while the round is planned, found it scored",
    ),
    "objection before publication": (
        (("      - {date: 2026-01-15, kind: published}\n", ""),),
        "expected 'objection' only while the round is objections_open, found it scored",
    ),
    "objection too late": (
        (("2026-01-20, kind: objection", "2026-01-26, kind: objection"),),
        r"entries/3/date\): expected a day in the window, until 2026-01-25, found 2026-01-26",
    ),
    "decided what nobody entered": (
        (("of: o1", "of: o2"),), r"entries/4/of\): expected an undecided objection, found 'o2'",
    ),
    "scored again without reason": (
        (("accepted: yes", "accepted: no"),),
        r"entries/5\): expected an accepted objection before a round is scored again, found none",
    ),
    "final in the window": (
        (("2026-02-20, kind: rein", "2026-02-08, kind: rein"), ("2026-02-21, kind: final", "2026-02-09, kind: final")),
        r"entries/9/date\): expected a day after the window, 2026-02-09, found 2026-02-09",
    ),
    "final with something open": (
        (("      - {date: 2026-01-28, kind: objection_decided, of: o1, accepted: yes, text: It is right.}\n", ""),
         (f'2026-01-29, kind: scored, board: "{AGAIN}", out: [c]}}', "2026-01-29, kind: final}")),
        "expected every objection decided, found o1 undecided",
    ),
    "nobody of this name": ((("out: [b]", "out: [x]"),), r"out/0\): expected a team \(a, b, c, d\), found 'x'"),
    "out who does not compete": (
        (("out: [b]", "out: [d]"),),
        "expected a team that competes, found 'd', which is waiting",
    ),
    "out twice": ((("out: [b]", "out: [b, b]"),), "expected each team once, found 'b' a second time"),
    "back without a place": (
        (("      - {date: 2026-02-01, kind: repechage_opened, places: 1, text: One place.}\n", ""),),
        r"expected an open place of a repechage, or an accepted objection, before this, found neither",
    ),
    "back who never left": ((("team: d, text", "team: a, text"),), "expected a team that does not compete, found 'a'"),
    "missing key": (((", out: [b]}", "}"),), r"expected the key 'out' for kind 'scored', found none"),
    "key of another kind": (
        (("kind: published}", "kind: published, team: a}"),),
        r"entries/2/team\): expected no such key for kind 'published'",
    ),
    "number": ((("number: 2", "number: 3"),), r"\(rounds/1/number\): expected 2, found 3"),
    "round twice": ((("id: r2", "id: r1"),), r"\(rounds/1/id\): expected an id of its own"),
    "team twice": ((("{id: c,", "{id: b,"),), r"\(teams/2/id\): expected an id of its own"),
    "next before final": (
        (("      - {date: 2026-02-21, kind: final}\n", ""),),
        r"\(rounds/1/entries\): expected none before the round 'r1' is final, found some",
    ),
    "next round too early": (
        (("2026-07-01, kind: frozen", "2026-02-20, kind: frozen"),),
        r"\(rounds/1/entries/0/date\): expected a day not before 2026-02-21",
    ),
    "another kind": ((("kind: final", "kind: finished"),), r"entries/9/kind\): expected one of 'frozen'"),
    "unknown key": ((("objection_days: 10", "objection_day: 10"),), "Did you mean 'objection_days'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_contradiction_is_an_error_with_its_place(fault: str):
    changes, said = FAULTS[fault]
    with pytest.raises(FormatError) as raised:
        parse(*changes)
    assert re.search(said, str(raised.value)), str(raised.value)
    assert re.match(r"season\.yaml:\d+", str(raised.value))


def test_a_reinstatement_may_follow_an_accepted_objection():
    season = parse(
        (f'      - {{date: 2026-01-29, kind: scored, board: "{AGAIN}", out: [c]}}\n', ""),
        ("2026-01-30, kind: published", "2026-01-30, kind: reinstated, team: b, text: After o1."),
    )
    assert on("2026-01-30", season)[1]["b"] == "in"


def test_kinds_of_entries_are_the_same_everywhere():
    kinds = set(season_schema()["$defs"]["entry"]["properties"]["kind"]["enum"])
    assert set(NEEDED) == set(AFTER) == kinds


def board(folder: Path, out: list[str], *, round: str = "r1", digest: str = D1) -> str:
    document = {
        "round": {"id": round, "digest": digest},
        "decision": {"eliminated": [{"team": team, "cause": "score"} for team in out]},
    }
    data = json.dumps(document).encode()
    (folder / "board.json").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def with_board(folder: Path, sha256: str, name: str = "board.json") -> Season:
    text = SEASON.replace(f'board: "{BOARD}"', f'board: "{sha256}", file: {name}')
    (folder / "season.yaml").write_text(text, encoding="utf-8")
    return read_season(folder / "season.yaml")


def test_a_board_at_hand_is_the_one_that_is_bound(tmp_path: Path):
    assert with_board(tmp_path, board(tmp_path, ["b"])).rounds[0].entries[1].file == "board.json"
    sha256 = board(tmp_path, ["b"])
    (tmp_path / "board.json").write_bytes(b"{}")
    with pytest.raises(
        EvidenceError, match=rf"board\.json: expected the board {sha256} that the round 'r1' binds"
    ):
        with_board(tmp_path, sha256)
    with pytest.raises(EvidenceError, match="expected the teams b to leave, found a, b"):
        with_board(tmp_path, board(tmp_path, ["b", "a"]))
    with pytest.raises(EvidenceError, match=f"expected the round 'r1' as frozen .{D1}., found 'r1' .{D2}."):
        with_board(tmp_path, board(tmp_path, ["b"], digest=D2))
    (tmp_path / "board.json").write_bytes(b"[]")
    with pytest.raises(EvidenceError, match="is no board: expected round and decision"):
        with_board(tmp_path, hashlib.sha256(b"[]").hexdigest())
    with pytest.raises(NotFoundError, match=r"other\.json is not there"):
        with_board(tmp_path, BOARD, "other.json")


@pytest.mark.parametrize("name", ["../board.json", "x/../../board.json", "away/board.json"])
def test_a_board_elsewhere_is_not_read(tmp_path: Path, name: str):
    folder = tmp_path / "season"
    folder.mkdir()
    (folder / "away").symlink_to(tmp_path)
    sha256 = board(tmp_path, ["b"])
    with pytest.raises(FormatError, match="expected a board in the season's folder"):
        with_board(folder, sha256, name)
