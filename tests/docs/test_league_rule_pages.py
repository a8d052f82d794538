"""Pages on the rules of a league: every key has its row, examples are read, printed output is what is printed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from jokbo.cli.league.season import command as season_command
from jokbo.errors import EvidenceError
from jokbo.league.freeze import check_frozen, freeze
from jokbo.league.round_file import parse_round, round_schema
from jokbo.league.season_file import parse_season, season_schema
from jokbo.league.template import round_template

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = {"en": "league-round.md", "ko": "league-round.ko.md"}
HOW_TO = {"en": "run-a-league-round.md", "ko": "run-a-league-round.ko.md"}
OWN_NAMES = {"team": "season team", "round": "season round", "entry": "season entry"}


def objects() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Sections of the page, and the object that each is about."""
    yield "`round.yaml`", round_schema()
    for name, rule in round_schema()["$defs"].items():
        if rule["type"] == "object" and "properties" in rule:
            yield name, rule
    yield "`season.yaml`", season_schema()
    for name, title in OWN_NAMES.items():
        yield title, season_schema()["$defs"][name]


def section(page: str, title: str) -> str:
    found = re.search(rf"^##+ (?:\S+ )?{re.escape(title)}\n(.*?)(?=^## |^### |\Z)", page, re.M | re.S)
    assert found is not None, title
    return found[1]


@pytest.mark.parametrize("lang", list(REFERENCE))
def test_every_key_has_its_row_and_no_other_has(lang: str):
    page = (DOCS / "reference" / REFERENCE[lang]).read_text(encoding="utf-8")
    for title, rule in objects():
        rows = re.findall(r"^\| `([a-z_]+)` \| (.+?) \| (.+?) \|$", section(page, title), re.M)
        assert [row[0] for row in rows] == list(rule["properties"]), title
        left_out = re.search(r"^(?:May be left out|생략 가능): (.*)\.$", section(page, title), re.M)
        optional = re.findall(r"`([a-z_]+)`", left_out[1]) if left_out else []
        assert optional == [key for key in rule["properties"] if key not in rule["required"]], title
        for key, _, meaning in rows:
            described = rule["properties"][key].get("description")
            assert lang == "ko" or described in (None, meaning), f"{title}: {key}"
            assert lang == "en" or re.search(r"[가-힣]", meaning), f"{title}: {key}"
        for key, each in rule["properties"].items():
            for choice in each.get("enum", ()):
                assert f"`{choice}`" in section(page, title), f"{title}: {key}"


@pytest.mark.parametrize("lang", list(REFERENCE))
def test_every_state_of_a_round_is_explained(lang: str):
    page = (DOCS / "reference" / REFERENCE[lang]).read_text(encoding="utf-8")
    for stage in (
        "planned",
        "frozen",
        "scored",
        "objections_open",
        "objections_pending",
        "undisputed",
        "final",
    ):
        assert f"| `{stage}` |" in page


def season_of(page: str) -> bytes:
    (found,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.S) if "jokbo_season" in text)
    return found.encode()


@pytest.mark.parametrize("lang", list(HOW_TO))
def test_the_season_of_the_how_to_is_one_and_prints_what_the_page_says(
    lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    page = (DOCS / "how-to" / HOW_TO[lang]).read_text(encoding="utf-8")
    path = tmp_path / "season.yaml"
    path.write_bytes(season_of(page))
    assert parse_season(season_of(page), "season.yaml").rounds[0].entries[-1].kind == "final"
    monkeypatch.setenv("COLUMNS", "100")
    season_command.main([str(path), "--at", "2026-01-21", "--lang", lang], standalone_mode=False)
    printed = [line.rstrip() for line in capsys.readouterr().out.strip("\n").splitlines()]
    said = re.search(r"\$ jokbo league season season.yaml --at 2026-01-21\n(.*?)```", page, re.S)
    assert said is not None
    assert said[1].splitlines() == printed


@pytest.mark.parametrize("lang", list(HOW_TO))
def test_the_changed_rule_of_the_how_to_is_told_as_the_page_says(lang: str):
    page = (DOCS / "how-to" / HOW_TO[lang]).read_text(encoding="utf-8")
    template = round_template("en")
    later = template.replace(b"floor: 0.25", b"floor: 0.2").replace(
        b"drop_each_side: 1", b"drop_each_side: 2"
    )
    frozen = freeze(parse_round(template, "round.yaml"))
    with pytest.raises(EvidenceError) as raised:
        check_frozen(parse_round(later, "round.yaml"), frozen, where="round.frozen.json")
    assert f"jokbo: {raised.value}\n```" in page


@pytest.mark.parametrize("lang", list(HOW_TO))
def test_events_and_teams_of_the_how_to_are_those_of_the_template(lang: str):
    page = (DOCS / "how-to" / HOW_TO[lang]).read_text(encoding="utf-8")
    round = parse_round(round_template("en"), "round.yaml")
    (listed,) = (text for text in re.findall(r"```yaml\n(.*?)```", page, re.S) if "jokbo_results" in text)
    assert {event.id for event in round.events} <= set(re.findall(r"[a-z]+", listed))
    assert all(team.id in listed for team in round.teams)
    assert f"round: {round.id}\n" in listed
