"""The league's site: every kind of board in both languages, what each page says, and texts that try to be more."""

from __future__ import annotations

import copy
import json
import posixpath
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from league_boards import BOARDS, HOSTILE, TEAMS, Board, gated, hostile, plain, race, unresolved

import jokbo.league
from jokbo.errors import EvidenceError, UsageError
from jokbo.report.league.decision import decided_by, decision_sentence
from jokbo.report.league.naming import Naming
from jokbo.report.league.places import medal_count, places
from jokbo.report.league.site import NAV, site_files, write_site
from jokbo.report.texts import LANGUAGES, Texts

VOID = {"meta", "link", "br", "img", "input", "hr"}
SITES = {name: site_files(make()) for name, make in {**BOARDS, "hostile": hostile}.items()}


class Reader(HTMLParser):
    """A page as a reader's program sees it: elements nested, ids, links, headings, tables."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[int] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        assert len(found) == len(attrs), f"an attribute twice in {tag}"
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()


def pages(files: dict[str, bytes]) -> dict[str, str]:
    return {path: data.decode() for path, data in files.items() if path.endswith(".html")}


def text_of(page: str) -> str:
    """What stands on the page, without style and markup."""
    bare = re.sub(r"<style>.*?</style>|<title>.*?</title>|<bdi>|</bdi>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", bare))


@pytest.mark.parametrize("name", [*BOARDS, "hostile"])
def test_every_page_is_sound(name: str):
    files = SITES[name]
    for path, page in pages(files).items():
        found = Reader(page)
        assert len(set(found.ids)) == len(found.ids), path
        assert found.headings[0] == 1, path
        assert found.headings.count(1) == 1, path
        assert all(b - a <= 1 for a, b in zip(found.headings, found.headings[1:], strict=False)), path
        assert "script" not in {tag for tag, _ in found.tags}, path
        assert not [a for _, attrs in found.tags for a in attrs if a.startswith("on")], path
        for tag, attrs in found.tags:
            if tag == "th":
                assert attrs.get("scope") in ("col", "row"), path
            if tag == "svg":
                assert attrs.get("role") == "img", path
            assert "style" not in attrs, path
        regions = [attrs["aria-label"] for _, attrs in found.tags if attrs.get("role") == "region"]
        regions += re.findall(r'<h2 id="[^"]+">(.*?)</h2>', page)  # sections are landmarks too
        assert all(regions), path
        if name != "hostile":  # names that are all the same make captions the same
            assert len(set(regions)) == len(regions), path
        tables = [tag for tag, _ in found.tags if tag in ("table", "caption")]
        assert tables.count("table") == tables.count("caption"), path


@pytest.mark.parametrize("name", [*BOARDS, "hostile"])
def test_links_lead_to_files_of_the_site(name: str):
    files = SITES[name]
    known = set(files) | {"board.json"}
    for path, page in pages(files).items():
        for link in Reader(page).links:
            if not link.startswith("#"):
                assert posixpath.normpath(posixpath.join(posixpath.dirname(path), link)) in known, (
                    path,
                    link,
                )


@pytest.mark.parametrize("name", BOARDS)
def test_nothing_is_left_unfilled_and_both_languages_have_the_same_pages(name: str):
    files = SITES[name]
    assert {p.removeprefix("en/") for p in files if p.startswith("en/")} == {
        p.removeprefix("ko/") for p in files if p.startswith("ko/")
    }
    for path, page in pages(files).items():
        assert not re.search(r"\{[a-z_]+\}|None\b|\bnan\b", text_of(page)), path
        if path.startswith("en/"):
            other = files[path.replace("en/", "ko/")].decode()
            assert '<html lang="en">' in page
            assert '<html lang="ko">' in other
            shape = [
                re.findall(r"<(h1|h2|h3|table|section|details|figure)\b", each) for each in (page, other)
            ]
            assert shape[0] == shape[1], path
            assert len(re.findall("[가-힣]", text_of(other))) > 100, path
            assert re.findall("[가-힣]+", text_of(page)) == ["족보", "한국어"], path


def test_equal_boards_give_equal_bytes_and_the_board_is_left_alone():
    board = plain()
    before = copy.deepcopy(board)
    assert site_files(board) == SITES["plain"]
    assert board == before


def test_the_site_is_written_with_its_board(tmp_path: Path):
    write_site(plain(), tmp_path / "site")
    written = {str(p.relative_to(tmp_path / "site")) for p in (tmp_path / "site").rglob("*") if p.is_file()}
    assert written == set(SITES["plain"]) | {"board.json"}
    assert json.loads((tmp_path / "site" / "board.json").read_bytes()) == plain()
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match=r"cannot write into .*taken: .*another folder"):
        write_site(plain(), tmp_path / "taken")


@pytest.mark.parametrize(
    ("name", "kind", "english", "korean"),
    [
        ("plain", "score", "Donghae Systems is eliminated: last by the declared total, and the results resolve",
         "동해시스템 팀이 탈락했습니다. 총점 기준 최하위이며"),
        ("no_total", "score", "last by absolute score", "절대 성능 점수 기준 최하위"),
        ("unresolved", "tie_rule", "by the tie rule of the round", "동점 규칙에 따라 탈락했습니다"),
        ("gated", "gate", "Donghae Systems leaves by the gate, before any rank", "자격 심사에서 제외"),
        ("all_gone", "gate", "leave by the gate", "은하그룹 팀은 순위를 매기기 전"),
        ("single", "nobody", "Nobody is eliminated in Second round.", "2차 라운드에서는 탈락한 팀이 없습니다."),
    ],
)  # fmt: skip
def test_the_first_sentence_says_who_goes_and_by_what(name: str, kind: str, english: str, korean: str):
    assert decided_by(BOARDS[name]()["decision"]) == kind
    for lang, words in (("en", english), ("ko", korean)):
        page = SITES[name][f"{lang}/index.html"].decode()
        heading = re.search(r"<h1[^>]*>(.*?)</h1>", page, flags=re.DOTALL)
        assert heading is not None
        assert words in heading[1].replace("<bdi>", "").replace("</bdi>", "")


def test_a_lot_that_waits_decides_nobody():
    board = unresolved()
    board["decision"] |= {"pending": True, "eliminated": []}
    board["decision"]["steps"][-1] |= {"parted": False, "note": "waits", "out": []}
    assert decided_by(board["decision"]) == "pending"
    assert decision_sentence(Naming(board, Texts("en"))).startswith("Not decided yet")
    assert "waits for its public value" in text_of(site_files(board)["en/index.html"].decode())


def test_causes_stand_side_by_side():
    board = gated()
    board["decision"]["eliminated"].append({"team": "eunha", "cause": "score"})
    said = Naming(board, Texts("en")).plain(decision_sentence(Naming(board, Texts("en"))))
    assert said == (
        "Eunha Group is eliminated: last by the declared total, and the results resolve the last place. "
        "Donghae Systems leaves by the gate, before any rank."
    )


def test_medals_go_by_score_and_equal_scores_share_one():
    event = plain()["events"][0]
    for row in event["results"]:
        row["score"] = {"aurora": 5.0, "baekdu": 7.0, "cheonji": 7.0}.get(row["team"], 1.0)
    assert [(p.team, p.place) for p in places(event)][:4] == [
        ("baekdu", 1), ("cheonji", 1), ("aurora", 3), ("donghae", 4)]  # fmt: skip
    assert medal_count([event]) == {
        "baekdu": {"gold": 1, "silver": 0, "bronze": 0},
        "cheonji": {"gold": 1, "silver": 0, "bronze": 0},
        "aurora": {"gold": 0, "silver": 0, "bronze": 1},
    }
    assert [p.team for p in places(event, among=frozenset({"aurora", "eunha"}))] == ["aurora", "eunha"]


def test_who_did_not_finish_gets_no_place():
    assert [p.team for p in places(race())] == ["baekdu", "aurora", "eunha", "cheonji"]
    raw = race()
    for row in raw["results"]:
        row["score"] = None
    assert [p.team for p in places(raw)] == ["baekdu", "aurora", "eunha", "cheonji"]  # lower is better


def test_overlap_is_marked_where_intervals_reach_into_each_other_and_nowhere_else():
    event = plain()["events"][0]
    found = {place.team: place.overlaps for place in places(event)}
    assert found == {"aurora": True, "baekdu": True, "eunha": True, "cheonji": False, "donghae": False}


def test_a_spread_that_nobody_knows_is_no_overlap():
    event = plain()["events"][0]
    for row in event["results"]:
        row["low"] = row["high"] = None
    assert [place.overlaps for place in places(event)] == [None] * 4 + [False]
    assert "Aurora Lab spread not known" in text_of(SITES["single"]["en/index.html"].decode())


def test_absent_figures_are_a_dash_and_never_zero():
    page = text_of(SITES["single"]["en/event-race-only.html"].decode())
    assert re.search(r"Aurora Lab 0\.5245 – 61\.0 – ", page)
    assert "Without a known spread no pair can be compared" in text_of(
        SITES["single"]["en/uncertainty.html"].decode()
    )


def test_an_event_that_hides_its_questions_says_so_and_shows_none():
    board = plain()
    board["events"][0]["items"] = None
    page = site_files(board)["en/event-knowledge.html"].decode()
    assert "The rows of this event are not shown" in page
    assert "q11" not in page
    assert ">q11<" in SITES["plain"]["en/event-knowledge.html"].decode().replace("<bdi>", "").replace(
        "</bdi>", ""
    )


def test_naive_errors_are_named_where_they_would_mislead():
    assert "3.0 times too small" in text_of(SITES["plain"]["en/event-knowledge.html"].decode())
    assert "too small" not in text_of(SITES["plain"]["en/event-experts.html"].decode())


def test_assumed_spread_is_said_on_the_event_and_on_the_first_page():
    assert "assumed, not measured. Why: rater rows are closed" in text_of(
        SITES["plain"]["en/event-users.html"].decode()
    )
    assert "assumed, not measured: User scores" in text_of(SITES["plain"]["en/index.html"].decode())


@pytest.mark.parametrize(("alpha", "words"), [(0.81, "From 0.8 on"), (0.7, "Between 0.667"), (0.2, "Below 0.667"),
                                              (None, "cannot be computed")])  # fmt: skip
def test_agreement_of_raters_is_put_into_words(alpha: float | None, words: str):
    board = plain()
    board["events"][1]["panel"]["alpha"] = alpha
    assert words in text_of(site_files(board)["en/event-experts.html"].decode())


def test_hostile_texts_stay_texts():
    for path, page in pages(SITES["hostile"]).items():
        assert "<script" not in page, path
        assert "\u202e" not in page, path
        assert not re.search(r"&amp;(amp;)?\s*49", page), path
        assert "x" * 1100 not in page, path  # cut, wherever it stands
        assert HOSTILE not in page, path


def test_a_foreign_id_becomes_no_file():
    board = plain()
    board["events"][0]["id"] = "../../x"
    with pytest.raises(EvidenceError, match=r"names an event '\.\./\.\./x'; an id is"):
        site_files(board)


def test_a_code_of_another_version_is_refused():
    board = plain()
    board["gate"]["rows"][0]["standing"] = "welcome"
    with pytest.raises(EvidenceError, match=r"'welcome', which this version does not explain"):
        site_files(board)


def test_the_navigation_marks_one_page():
    for path, page in pages(SITES["plain"]).items():
        here = [
            attrs for tag, attrs in Reader(page).tags if tag == "a" and attrs.get("aria-current") == "page"
        ]
        expected = 1 if path.partition("/")[2] in {file for _, file in NAV} else 0
        assert len(here) == expected, path


def test_fifty_teams_and_twenty_events_are_drawn():
    files = site_files(crowd())
    for lang in LANGUAGES:
        assert "Team 49" in text_of(files[f"{lang}/index.html"].decode())
        assert f"{lang}/event-e19.html" in files


def crowd() -> Board:
    """A board of the size that the scoring is measured at."""
    board = plain()
    ids = [f"t{k:02d}" for k in range(50)]
    board["teams"] = [board["teams"][0] | {"id": id, "name": f"Team {k}"} for k, id in enumerate(ids)]
    rows: list[dict[str, Any]] = board["events"][0]["results"]
    events = []
    for k in range(20):
        results = [rows[j % 5] | {"team": id, "score": float(j)} for j, id in enumerate(ids)]
        events.append(
            board["events"][0] | {"id": f"e{k}", "title": f"Event {k}", "results": results, "items": None}
        )
    ranked = [board["tables"]["all"]["rows"][0] | {"team": id, "place": k + 1, "best_rank": 1, "worst_rank": 50}
              for k, id in enumerate(ids)]  # fmt: skip
    table = board["tables"]["all"] | {"rows": ranked, "pairs": []}
    gate_row = board["gate"]["rows"][0]
    board["gate"]["rows"] = [gate_row | {"team": id} for id in ids]
    board["axes"]["efficiency"] = {"races": [], "fronts": []}
    board["decision"] |= {"last": "t49", "candidates": ["t49"], "kept": ids[:49],
                          "eliminated": [{"team": "t49", "cause": "score"}]}  # fmt: skip
    left_out = {"multiverse": None, "influence": None, "aggregations": [], "categories": []}
    return board | left_out | {"events": events, "tables": {"all": table, "eligible": table}}


def test_boards_of_this_file_name_only_their_teams():
    for make in BOARDS.values():
        board = make()
        known = {team["id"] for team in board["teams"]}
        assert known <= set(TEAMS)
        assert {row["team"] for row in board["gate"]["rows"]} == known


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"who": "aurora, eunha"}, {"who": "Aurora Lab, Eunha Group"}),
        ({"teams": ["aurora"]}, {"teams": "Aurora Lab"}),
        ({"team": "a stranger"}, {"team": "a stranger"}),
        ({"event": "knowledge"}, {"event": "Knowledge of Korea"}),
        ({"categories": ["user", "expert"]}, {"categories": "Users, Experts"}),
        ({"category": "absolute"}, {"category": "absolute score"}),
        ({"components": "text.mlp, made.up"}, {"components": "MLP layers, made.up"}),
        ({"verdict": "derived"}, {"verdict": "derived"}),
        ({"level": 0.95}, {"level": "95%"}),
        ({"by": "category", "of": "user"}, {"by": "category", "of": "Users"}),
        ({"count": 1234}, {"count": "1,234"}),
    ],
)
def test_values_of_reasons_are_put_into_words(
    values: dict[str, object], said: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    given: dict[str, str] = {}
    code = Texts.code

    def catch(self: Texts, group: str, name: str, /, **texts: str) -> str:
        if group != "league.note":
            return code(self, group, name, **texts)
        given.update(texts)
        return ""

    monkeypatch.setattr(Texts, "code", catch)
    n = Naming(plain(), Texts("en"))
    n.reason({"code": "x", "values": values}, "league.note")
    assert {key: n.plain(text) for key, text in given.items()} == said


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reason_that_the_league_gives_has_a_text(lang: str):
    """Codes as the source writes them; those that come through a variable are tested where they are made."""
    groups = ("league.note", "league.gate.reason", "league.compute.reason", "league.decision.reason")
    source = Path(jokbo.league.__file__).parent.rglob("*.py")
    codes = {
        code
        for file in source
        for code in re.findall(r'\b[Rr]eason\(\s*"(\w+)"', file.read_text(encoding="utf-8"))
    }
    assert len(codes) > 50
    texts = Texts(lang)
    assert {code for code in codes if not any(texts.has(f"{group}.{code}") for group in groups)} == set()


def test_a_tie_rule_beside_a_score_is_what_a_reader_sees_first():
    board = unresolved()
    board["decision"]["eliminated"].append({"team": "baekdu", "cause": "score"})
    assert decided_by(board["decision"]) == "tie_rule"


def test_both_tables_stand_there_where_the_gate_takes_somebody_out():
    page = SITES["gated"]["en/index.html"].decode()
    competing, everybody = page.index("Competing teams by"), page.index("All teams by")
    rows = [page[competing:everybody], page[everybody : page.index('id="categories"')]]
    assert ["Donghae Systems" in each for each in rows] == [False, True]
    assert "one table" in text_of(SITES["plain"]["en/index.html"].decode())
