"""Wherever votes are counted in words there are three tallies, and no number across groups."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from jokbo.hearing.archive.export import export
from jokbo.hearing.terminal import render_state
from jokbo.report.texts import LANGUAGES
from jokbo.testing.hearings import Stage, open_stage, words

SAID = {
    "en": ("Panel 1 for, 0 against", "Parties 1 for, 1 against", "Public 12 for, 7 against"),
    "ko": ("패널 찬성 1, 반대 0", "당사자 찬성 1, 반대 1", "일반 찬성 12, 반대 7"),
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    made = open_stage(tmp_path_factory.mktemp("tallies") / "case")
    for _ in range(2):
        question = made.say("v", "question", words("why")).sequence
        made.say("mod", "question_state", {"state": "published"}, about=question)
    votes = {f"u{k}": 1 for k in range(12)} | {f"d{k}": -1 for k in range(7)}
    votes |= {"ahn": 1, "lab": 1, "maker": -1}
    for account, value in votes.items():
        made.say(account, "vote", {"value": value}, about=question)
    made.case.close()
    return made


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_terminal_prints_three(stage: Stage, lang: str):
    said = render_state(stage.case.state, lang=lang)
    for tally in SAID[lang]:
        assert tally in said
    line = next(line for line in said.splitlines() if SAID[lang][0] in line)
    assert {"22", "14", "8"}.isdisjoint(line.replace(",", " ").replace(";", " ").replace(".", " ").split())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_of_all_entries_shows_three(stage: Stage, lang: str, tmp_path: Path):
    export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    page = (tmp_path / "archive" / lang / "entries.html").read_text(encoding="utf-8")
    for tally in SAID[lang]:
        assert f"<li>{tally}</li>" in page
    assert 'id="e0"' in page  # the entry that opened the case is one of all entries
