"""``jokbo league new``, ``freeze`` and ``season``: what they print, write, and how they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Run

from jokbo.league.freeze import read_frozen
from jokbo.league.template import round_template
from jokbo.records.commit.keys import make_key

SEASON = """\
jokbo_season: 1
id: s
title: {{en: "National [bold]teams", ko: 국가대표}}
objection_days: 10
teams: [{{id: a, name: "A\\u202eb"}}, {{id: b, name: {{en: B, ko: 나}}}}]
rounds:
  - id: r1
    number: 1
    entries:
      - {{date: 2026-01-02, kind: frozen, digest: "{}"}}
      - {{date: 2026-01-14, kind: scored, board: "{}", out: [b]}}
      - {{date: 2026-01-15, kind: published}}
""".format("1" * 64, "2" * 64)


@pytest.fixture
def round_file(tmp_path: Path) -> Path:
    path = tmp_path / "round.yaml"
    path.write_bytes(round_template("en"))
    return path


@pytest.mark.parametrize(("lang", "said"), [("en", "Fill it in"), ("ko", "다 채운 뒤")])
def test_new_writes_a_template_and_overwrites_nothing(run: Run, tmp_path: Path, lang: str, said: str):
    path = tmp_path / "round.yaml"
    found = run("league", "new", path, "--lang", lang)
    assert (found.status, said in found.out) == (0, True)
    assert path.read_bytes() == round_template(lang)
    again = run("league", "new", path)
    assert (again.status, "is there already" in again.err) == (2, True)
    assert "expected a name that ends in .yaml" in run("league", "new", tmp_path / "round.txt").err


def test_freeze_writes_once_and_then_holds_against(run: Run, round_file: Path):
    found = run("league", "freeze", round_file)
    target = round_file.with_name("round.frozen.json")
    digest = read_frozen(target).digest
    assert found.status == 0
    assert f"Digest of the rules: {digest}" in found.out
    assert "It is not signed." in found.out
    written = target.read_bytes()
    again = run("league", "freeze", round_file, "--lang", "ko")
    assert (again.status, "바뀌지 않았습니다" in again.out) == (0, True)
    assert target.read_bytes() == written
    text = round_file.read_text(encoding="utf-8").replace("teams_out: 1", "teams_out: 2")
    round_file.write_text(text, encoding="utf-8")
    changed = run("league", "freeze", round_file)
    assert changed.status == 2
    assert "elimination/teams_out: was 1, is 2" in changed.err
    assert target.read_bytes() == written


def test_freeze_signs_and_checks(run: Run, round_file: Path, tmp_path: Path):
    signer = make_key(tmp_path / "key")
    make_key(tmp_path / "other")
    target = tmp_path / "signed.json"
    found = run("league", "freeze", round_file, "--key", tmp_path / "key", "-o", target)
    assert (found.status, f"Signed with the key {signer.public.keyid}" in found.out) == (0, True)
    holds = run("league", "freeze", round_file, "-o", target, "--public-key", tmp_path / "key.pub")
    assert (holds.status, "holds." in holds.out) == (0, True)
    unchecked = run("league", "freeze", round_file, "-o", target)
    assert "check it with --public-key" in unchecked.out
    other = run("league", "freeze", round_file, "-o", target, "--public-key", tmp_path / "other.pub")
    assert (other.status, "of another key" in other.err) == (2, True)
    twice = run("league", "freeze", round_file, "--key", tmp_path / "key", "-o", target)
    assert (twice.status, "not signed again" in twice.err) == (2, True)


def test_freeze_writes_nothing_where_it_cannot_go_on(run: Run, round_file: Path, tmp_path: Path):
    target = round_file.with_name("round.frozen.json")
    assert run("league", "freeze", round_file, "--public-key", tmp_path / "key.pub").status == 2
    assert run("league", "freeze", round_file, "--key", tmp_path / "none").status == 2
    assert run("league", "freeze", round_file, "-o", tmp_path / "none" / "x.json").status == 2
    round_file.write_text("jokbo_round: 1\n", encoding="utf-8")
    found = run("league", "freeze", round_file)
    assert (found.status, "round.yaml:1: expected the key" in found.err) == (2, True)
    assert not target.exists()


def test_freeze_warns_of_a_lot_that_can_be_foreseen(run: Run, round_file: Path):
    assert "foreseen" not in run("league", "freeze", round_file).out
    text = round_file.read_text(encoding="utf-8")
    round_file.write_text(text[: text.index("  # Public randomness named")], encoding="utf-8")
    found = run("league", "freeze", round_file, "-o", round_file.with_name("other.json"))
    assert "can be foreseen" in found.out
    assert run("league", "freeze", round_file, "-o", round_file.with_name("other.json"), "-q").out == ""


def test_season_shows_a_day_in_both_languages_and_as_json(run: Run, tmp_path: Path):
    path = tmp_path / "season.yaml"
    path.write_text(SEASON, encoding="utf-8")
    found = run("league", "season", path, "--at", "2026-01-20")
    assert found.status == 0
    assert "National [bold]teams, at the end of 2026-01-20" in found.out
    assert "A[U+202E]b" in found.out
    assert "published," in found.out  # the cell is folded
    assert "leaves, not yet final" in found.out
    korean = run("league", "season", path, "--at", "2026-02-20", "--lang", "ko")
    assert "국가대표, 2026-02-20 기준" in korean.out
    assert "탈락 예정" in korean.out
    plain = json.loads(run("league", "season", path, "--at", "2026-01-14", "--json").out)
    assert (plain["at"], plain["rounds"][0]["stage"]) == ("2026-01-14", "scored")
    today = json.loads(run("league", "season", path, "--json").out)
    assert today["rounds"][0]["stage"] == "undisputed"


def test_season_refuses_contradictions_and_days_that_are_none(run: Run, tmp_path: Path):
    path = tmp_path / "season.yaml"
    path.write_text(SEASON.replace("2026-01-15", "2026-01-01"), encoding="utf-8")
    found = run("league", "season", path, "--at", "2026-01-01")
    assert found.status == 2
    assert "season.yaml:12 (rounds/0/entries/2/date): expected a day not before 2026-01-14" in found.err
    path.write_text(SEASON, encoding="utf-8")
    assert "--at '20260101': expected a day such as" in run("league", "season", path, "--at", "20260101").err
