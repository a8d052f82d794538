"""The page on fingerprints is what its numbers make it, and a missed bar is said."""

from __future__ import annotations

import json
from typing import Any

import pytest
from benchmarks.fingerprint_page import JSON_FILE, PAGES, markdown, words_of
from benchmarks.fingerprint_power import missed_bars

from jokbo.lineage.pairs import RELATIONS


@pytest.fixture
def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(JSON_FILE.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("lang", PAGES)
def test_the_pages_are_in_step_with_their_numbers(document: dict[str, Any], lang: str) -> None:
    page = JSON_FILE.with_name(PAGES[lang]).read_text(encoding="utf-8")
    assert page == markdown(document, lang)
    assert f"{document['null']['pairs']:,}" in page


def test_the_run_was_a_full_one_and_met_its_bars(document: dict[str, Any]) -> None:
    assert document["null"]["pairs"] >= 10_000
    assert {row["shape"] for row in document["sizes"]} >= {"8B dense", "70B dense", "100B MoE"}
    assert document["missed"] == missed_bars(document) == []


def test_a_missed_bar_is_said(document: dict[str, Any]) -> None:
    document["sizes"][0]["file_bytes"] = 40_000_000
    document["power"].append(
        document["power"][0]
        | {"truth": "independent", "dated_relation": "lineage", "least_relation": "no_evidence"}
    )
    missed = missed_bars(document)
    assert len(missed) == 2
    assert "file_bytes is 40000000; at most 32000000" in missed[0]
    document["missed"] = missed
    assert missed[1] in markdown(document, "en")


@pytest.mark.parametrize("lang", PAGES)
def test_every_relation_has_a_word(lang: str) -> None:
    words = words_of(lang)
    assert set(words["relation"]) == {"", *RELATIONS}
    assert words.keys() == words_of("en").keys()
