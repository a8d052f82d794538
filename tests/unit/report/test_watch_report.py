"""What a watch prints says what its document says, in both languages; names cannot bend the sentence."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest

from jokbo.errors import EvidenceError
from jokbo.lineage.pairs import RELATIONS
from jokbo.lineage.watch.report_document import EXIT_STATUS, check
from jokbo.lineage.watch.rounds import Round
from jokbo.report.texts import LANGUAGES, Texts
from jokbo.report.watch import render_watch_report, render_watch_round, watch_sentences

FINDING = {
    "key": "2" * 64,
    "name": "other/base",
    "source": None,
    "relation": "lineage",
    "direction": "undetermined",
    "log10_evalue": 170.25,
    "inherited_share": 0.98,
    "explained": None,
}
DOCUMENT: dict[str, Any] = {
    "schema": "jokbo.watch/1",
    "jokbo": "0.3.0",
    "seen": "2026-05-31T12:00:00+00:00",
    "not_before": "2026-05-30",
    "repository": "org/a",
    "commit": "a" * 40,
    "fingerprint": "1" * 64,
    "parameters": 8_030_261_248,
    "declared": {"parents": ["org/b"], "relation": "finetune", "license": "mit"},
    "previous": {
        "key": "3" * 64,
        "commit": "b" * 40,
        "weights": "changed",
        "relation": "lineage",
        "log10_evalue": 99.5,
        "inherited_share": 1.0,
        "parameters": 8_030_261_248,
        "parents_added": ["org/b"],
        "parents_dropped": [],
        "license_before": "apache-2.0",
        "components": [{"component": "text.mlp", "status": "inherited", "effect_size": 0.99}],
    },
    "register": {"digest": "4" * 64, "models": 150, "comparable": 12, "left_out": []},
    "search_sha256": "5" * 64,
    "found": [FINDING],
    "outcome": "undeclared",
    "exit_status": 10,
}


def shown(document: dict[str, Any], lang: str) -> str:
    from rich.console import Console

    out = io.StringIO()
    render_watch_report(document, lang=lang, console=Console(file=out, width=110))
    return out.getvalue()


def changed(**fields: Any) -> dict[str, Any]:
    return copy.deepcopy(DOCUMENT) | fields


def test_the_example_is_a_valid_document():
    check(DOCUMENT, where="example")


def test_the_report_in_english():
    text = " ".join(shown(DOCUMENT, "en").split())
    assert text.startswith(
        "org/a: a new revision depends on a registered model, and no declaration accounts for it."
    )
    for said in (
        "Revision aaaaaaaaaaaa, after bbbbbbbbbbbb; 8,030,261,248 parameters.",
        "On 2026-05-30 this watch still found an older revision in its place.",
        "shared: 100% of the parameters",
        "The declared licence is mit; it was apache-2.0 before.",
        "Held against 12 of 150 registered models",
        "other/base common lineage not declared E = 10¹⁷⁰",
        "run jokbo compare on the two models",
    ):
        assert said in text


def test_the_report_in_korean():
    text = shown(DOCUMENT, "ko")
    assert text.startswith("org/a: 새 리비전이 등록된 모델에 의존하며, 이를 설명하는 선언이 없습니다.")
    assert "등록된 모델 150개 중 12개와 비교했습니다." in text
    assert "공통 계보" in text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("outcome", EXIT_STATUS)
@pytest.mark.parametrize("relation", RELATIONS)
def test_every_outcome_and_relation_has_its_words(lang: str, outcome: str, relation: str):
    previous = DOCUMENT["previous"] | {"relation": relation, "inherited_share": None}
    related = relation not in ("no_evidence", "untestable")
    rows = [FINDING | {"relation": relation, "log10_evalue": None}] if related else []
    text = shown(changed(outcome=outcome, previous=previous, found=rows), lang)
    assert "{" not in text
    assert ("other/base" in text) == related


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("explained", ["same_repository", "declared", "declared_by_other", "common_ancestor"])
def test_every_declaration_has_its_words(lang: str, explained: str):
    text = shown(changed(found=[FINDING | {"explained": explained}], outcome="explained"), lang)
    assert Texts(lang)(f"watch.explained.{explained}") in text
    assert Texts(lang)("watch.undeclared_note") not in text


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_first_revision_and_an_empty_register(lang: str):
    register = DOCUMENT["register"] | {"models": 0, "comparable": 0}
    first = changed(previous=None, not_before=None, register=register, found=[], outcome="nothing")
    sentences = list(watch_sentences(first, Texts(lang)))
    assert Texts(lang)("watch.searched_none") in sentences
    assert not any("bbbb" in sentence for sentence in sentences)


def test_damaged_fingerprints_are_named():
    register = DOCUMENT["register"] | {"left_out": [{"key": "6" * 64, "name": "org/broken"}]}
    assert "org/broken" in shown(changed(register=register), "en")


def test_a_hostile_name_stays_one_name():
    rows = [FINDING | {"name": "evil\u202e\x1b[2Jname\n[bold]x"}]
    text = shown(changed(found=rows), "en")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[U+001B]" in text


def test_a_code_that_is_not_known_is_an_error():
    with pytest.raises(EvidenceError, match="does not explain"):
        shown(changed(outcome="guilty"), "en")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_end_of_a_round_names_what_failed(lang: str):
    from rich.console import Console

    out = io.StringIO()
    found = Round((DOCUMENT,), (("org/x", "org/x: the hub answered 404."),), 7)
    render_watch_round(found, lang=lang, console=Console(file=out, width=100))
    text = out.getvalue()
    assert "org/x: the hub answered 404." in text
    assert all(number in text for number in ("1", "7"))
