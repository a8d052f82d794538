"""The check that no passage was seen in training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoo.league.unseen import RUN, Seen, run_hashes

LEAGUE = Path(__file__).resolve().parents[2] / "zoo" / "league"
TEXT = st.text(st.characters(codec="ascii"), min_size=RUN, max_size=200)


@given(TEXT, TEXT, st.text(max_size=70), st.text(max_size=70), st.data())
def test_a_run_of_the_training_text_is_found_wherever_it_lies(
    seen: str, other: str, before: str, after: str, data: st.DataObject
) -> None:
    start = data.draw(st.integers(0, len(seen) - RUN))
    assert Seen([other, seen]).shares(before + seen[start : start + RUN] + after)


@given(TEXT, TEXT)
def test_shared_means_that_a_run_is_equal(seen: str, passage: str) -> None:
    runs = {passage[k : k + RUN] for k in range(len(passage) - RUN + 1)}
    assert Seen([seen]).shares(passage) == any(run in seen for run in runs)


def test_a_run_across_two_documents_is_none() -> None:
    first, second = "a" * 40 + "b" * 40, "c" * 80
    assert not Seen([first, second]).shares("b" * 32 + "c" * 32)


@given(st.integers(0, RUN - 1))
def test_a_run_with_one_other_byte_is_another(at: int) -> None:
    seen = "".join(chr(48 + k) for k in range(RUN))
    assert not Seen([seen]).shares(seen[:at] + "~" + seen[at + 1 :])


def test_a_run_has_one_hash_wherever_it_begins() -> None:
    run = bytes(range(RUN))
    assert run_hashes(b"xyz" + run)[3] == run_hashes(run)[0]
    assert run_hashes(run[:-1]).size == 0


def test_a_passage_too_short_to_compare_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 64"):
        Seen(["x" * 100]).shares("x" * 63)


def test_every_passage_is_long_enough_and_comes_from_a_listed_document() -> None:
    sources = json.loads((LEAGUE / "texts" / "sources.json").read_bytes())["documents"]
    for task, documents in sources.items():
        rows = (LEAGUE / "texts" / f"{task}.jsonl").read_text(encoding="utf-8").splitlines()
        for item in map(json.loads, rows):
            assert item["document"] in documents
            assert len(item["text"].encode()) >= RUN
            assert "choices" not in item or len(set(item["choices"])) == 4


def test_no_document_is_one_that_a_model_was_trained_on() -> None:
    """The list is of the library that the models were trained with; every second file of another one is another set."""
    trained = set(json.loads((LEAGUE / "texts" / "trained.json").read_bytes())["documents"])
    sources = json.loads((LEAGUE / "texts" / "sources.json").read_bytes())["documents"]
    assert len(trained) > 300
    assert not trained & {name for documents in sources.values() for name in documents}
