"""Pages of the league's calibration and speed, and their words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.league_calibration import Found, PowerRow, Row
from benchmarks.league_calibration_page import END, START, TEXTS, markdown, put_short, short
from benchmarks.league_rounds import POWER, SCENARIOS
from benchmarks.league_speed import Cost, to_markdown, work

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference"


def committed() -> Found:
    found = json.loads((REFERENCE / "league-calibration.json").read_text(encoding="utf-8"))
    return Found(
        tuple(Row(**row) for row in found["rows"]),
        tuple(PowerRow(**row) for row in found["power"]),
        found["draws"],
        found["level"],
    )


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_kind_of_round_has_words(lang: str) -> None:
    assert set(TEXTS[lang]["rounds"]) == {scenario.id for scenario in SCENARIOS}
    assert set(TEXTS[lang]["powers"]) == {kind for kind, _, _ in POWER}


@pytest.mark.parametrize(("lang", "suffix"), [("en", ""), ("ko", ".ko")])
def test_the_committed_page_is_made_of_the_committed_figures(lang: str, suffix: str) -> None:
    page = REFERENCE / f"league-calibration{suffix}.md"
    assert page.read_text(encoding="utf-8") == markdown(committed(), lang)


@pytest.mark.parametrize(("lang", "suffix"), [("en", ""), ("ko", ".ko")])
def test_the_explanation_shows_the_committed_figures(lang: str, suffix: str) -> None:
    page = REFERENCE.parent / "explanation" / f"league-uncertainty{suffix}.md"
    assert short(committed(), lang) in page.read_text(encoding="utf-8")


def test_figures_are_put_between_their_marks() -> None:
    page = put_short(f"before\n{START}old\n{END}after\n", committed(), "en")
    assert page == f"before\n{short(committed(), 'en')}after\n"


def test_the_committed_run_is_whole_and_meets_its_bars() -> None:
    found = committed()
    assert {row.id: row.rounds for row in found.rows} == {s.id: s.rounds for s in SCENARIOS}
    assert {(row.id, row.gap) for row in found.power} == {(kind, gap) for kind, gap, _ in POWER}
    assert found.failures() == []


def test_a_page_says_what_is_not_met() -> None:
    row = Row("panel_5_5", 1000, 0.94, 0.94, 0.96, None, None, None)
    page = markdown(Found((row,), (), 1000, 0.95), "en")
    assert "**Not met:**\n\n- panel_5_5: rank sets hold in 94.00% of 1000 rounds" in page


def test_the_speed_page_holds_figures_against_bars_and_floor() -> None:
    page = to_markdown([Cost(12_000, 10.0, 2.0, 13.0, 240.0), Cost(24_000, 20.0, 2.0, 99.0, 240.0)])
    assert "| 12,000 | 10.0 | 2.0 | 13.0 | 240 | 0.6 | 1.00 / 1 | yes |" in page
    assert "| 24,000 | 20.0 | 2.0 | 99.0 | 240 | 1.2 | 2.00 / 2 |  |" in page
    assert "**no**" in to_markdown([Cost(12_000, 10.0, 2.0, 61.0, 240.0)])
    assert "예" in to_markdown([Cost(12_000, 10.0, 2.0, 13.0, 240.0)], "ko")


def test_the_timed_work_is_the_leagues_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.league_speed.DRAWS", 50)
    assert set(work(400)) == {"drawing", "ranking"}
