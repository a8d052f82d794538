"""The pages of the load benchmark say what was measured, in both languages, and which bar is not reached."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from benchmarks.hearing_load_page import FIGURES, HERE, bars, keep, page, read_figures, write_pages

WORDS = tomllib.loads((HERE / "hearing_load_texts.toml").read_text(encoding="utf-8"))


@pytest.fixture
def found() -> dict[str, Any]:
    return dict(read_figures(FIGURES)["load"])


def test_the_pages_are_those_of_the_figures(tmp_path: Path):
    write_pages(tmp_path / "hearing-load.md", read_figures(FIGURES))
    for name in ("hearing-load.md", "hearing-load.ko.md"):
        assert (tmp_path / name).read_text() == (FIGURES.parent / name).read_text()


def test_both_languages_say_the_same():
    def keys(tree: dict[str, Any], path: str = "") -> set[str]:
        return {
            name
            for key, value in tree.items()
            for name in (keys(value, f"{path}{key}.") if isinstance(value, dict) else {path + key})
        }

    assert keys(WORDS["en"]) == keys(WORDS["ko"])
    numbers = [
        re.findall(r"\| ([0-9][0-9.,]*)(?: ms| MB)? \|", page(read_figures(FIGURES), WORDS[lang]))
        for lang in ("en", "ko")
    ]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) > 20


@pytest.mark.parametrize(
    ("key", "value", "bar"),
    [
        ("readers_with_a_gap", 1, "gaps"),
        ("told_out_of_order", 1, "order"),
        ("votes_lost", 1, "votes"),
        ("chain_problems", 1, "chain"),
        ("readers_dropped", 4, "dropped"),
        ("delivery_p99_ms", 1000.0, "delivery"),
        ("memory_most_mb", 200.0, "memory"),
    ],
)
def test_a_bar_that_is_not_reached_is_said_to_be(found: dict[str, Any], key: str, value: Any, bar: str):
    assert all(reached for _, reached in bars(found).values())
    found[key] = value
    assert [name for name, (_, reached) in bars(found).items() if not reached] == [bar]
    assert "**no**" in page({"load": found}, WORDS["en"])
    assert "**아니요**" in page({"load": found}, WORDS["ko"])


def test_one_of_two_runs_can_be_measured_alone(found: dict[str, Any], tmp_path: Path):
    place = tmp_path / "figures.json"
    keep(place, found)
    keep(place, found | {"killed": True, "reconnects": 4242})
    figures = keep(place, found | {"readers": 7})
    assert figures == read_figures(place)
    assert (figures["load"]["readers"], figures["killed"]["reconnects"]) == (7, 4242)
    text = page(figures, WORDS["en"])
    assert text.index("The same with a kill") > text.index("What was measured")
    assert "4,242" in text
