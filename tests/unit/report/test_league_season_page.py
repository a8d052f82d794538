"""Pages of a season: where it stands on a day, and nothing of what came later."""

from __future__ import annotations

import re
from datetime import date

import pytest
from league_events import HOSTILE

from jokbo.league.season import Entry, Season, SeasonRound, SeasonTeam, state_at
from jokbo.report.league.season import STAGE_SIGNS, season_files
from jokbo.report.texts import LANGUAGES, catalogue

DIGEST = "ab" * 32


def words(text: str) -> dict[str, str]:
    return {"en": text, "ko": text}


def season(title: str = "National season") -> Season:
    first = (
        Entry(date(2026, 1, 2), "frozen", digest=DIGEST),
        Entry(date(2026, 1, 14), "scored", board=DIGEST, out=("eunha",)),
        Entry(date(2026, 1, 15), "published"),
        Entry(
            date(2026, 1, 20), "objection", id="o1", by="Eunha Group", text=words("The panel saw our name.")
        ),
        Entry(date(2026, 1, 28), "objection_decided", of="o1", accepted=False, text=words("It was covered.")),
        Entry(date(2026, 2, 1), "repechage_opened", places=1, text=words("One more team.")),
        Entry(date(2026, 2, 10), "reinstated", team="eunha", text=words("Won the repechage.")),
        Entry(date(2026, 2, 11), "final"),
    )
    teams = (SeasonTeam("aurora", words("Aurora Lab")), SeasonTeam("eunha", words("Eunha Group")),
             SeasonTeam("late", words("Late Comer"), starts=False))  # fmt: skip
    return Season("s", words(title), teams, (SeasonRound("r1", 1, 10, first), SeasonRound("r2", 2, 10, ())))


def text_at(day: date, lang: str = "en", title: str = "National season") -> str:
    found = season(title)
    page = season_files(found, state_at(found, day))[f"{lang}/season.html"].decode()
    bare = re.sub(r"<style>.*?</style>|<bdi>|</bdi>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


@pytest.mark.parametrize(
    ("day", "said"),
    [
        (date(2026, 1, 1), "planned"),
        (date(2026, 1, 3), "rules frozen"),
        (date(2026, 1, 16), "published, objections open"),
        (date(2026, 1, 26), "window over, objections undecided"),
        (date(2026, 1, 29), "window over, nothing open, not yet final"),
        (date(2026, 3, 1), "● final"),
    ],
)
def test_the_stage_of_the_day_is_shown(day: date, said: str):
    assert said in text_at(day)


def test_nothing_of_a_later_day_is_shown():
    early = text_at(date(2026, 1, 16))
    assert "The panel saw our name." not in early
    assert "objection by" not in early
    late = text_at(date(2026, 1, 29))
    assert "The panel saw our name." in late
    assert "o1: not accepted. It was covered." in late
    assert "Won the repechage." not in late
    assert "Comes back or in: Eunha Group." in text_at(date(2026, 2, 10))


def test_teams_stand_where_they_stand():
    assert re.search(r"Eunha Group ◑ ?leaves, not yet final", text_at(date(2026, 1, 16)))
    assert re.search(r"Late Comer · ?may come in by a repechage", text_at(date(2026, 1, 16)))
    assert re.search(r"Eunha Group ○ ?competes", text_at(date(2026, 3, 1)))


def test_dates_are_written_as_each_language_does():
    assert "January 16, 2026" in text_at(date(2026, 1, 16))
    assert "2026년 1월 16일" in text_at(date(2026, 1, 16), "ko")


def test_an_empty_season_says_so():
    assert "Nothing was entered up to that day." in text_at(date(2025, 1, 1))


def test_foreign_texts_stay_texts():
    page = season_files(season(HOSTILE), state_at(season(HOSTILE), date(2026, 3, 1)))[
        "en/season.html"
    ].decode()
    assert "<script" not in page
    assert "\u202e" not in page


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_stage_has_a_sign_and_a_word(lang: str):
    stages = {key.rpartition(".")[2] for key in catalogue(lang) if key.startswith("league.season.stage.")}
    assert stages == set(STAGE_SIGNS)


def test_both_languages_and_a_choice_of_them():
    found = season()
    files = season_files(found, state_at(found, date(2026, 3, 1)))
    assert set(files) == {"index.html", "en/season.html", "ko/season.html"}
    assert 'href="ko/season.html"' in files["index.html"].decode()
    assert "<h1" in files["ko/season.html"].decode()
