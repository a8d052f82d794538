"""The page of a search: every outcome in both languages, and names that try to be more than names."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from jokbo.errors import EvidenceError
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.register import open_register
from jokbo.lineage.search import search
from jokbo.report.search import render_search_html, render_search_terminal
from jokbo.testing.builders import llama
from jokbo.testing.transforms import derive

SIZES = {"hidden_size": 64, "num_layers": 2, "intermediate_size": 172, "vocab_size": 128}
OUTCOMES = ("found", "as_declared", "leads", "unclear", "clean", "nothing_comparable")


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("page")
    register = open_register(place / "register", create=True)
    base = llama(np.random.default_rng(0), **SIZES)
    names = ["org/base", "org/other", "<b>bold</b>\u202e", "org/far"]
    models = [
        base,
        llama(np.random.default_rng(1), **SIZES),
        derive(base, np.random.default_rng(2), cosine=0.9),
    ]
    models.append(llama(np.random.default_rng(3), hidden_size=48, intermediate_size=96, vocab_size=64))
    for name, model in zip(names, models, strict=True):
        register.add(make_fingerprint(model.to_source(name="m")), name=name.replace("\u202e", ""))
    made = make_fingerprint(derive(base, np.random.default_rng(4), cosine=0.9).to_source(name="<i>me</i>"))
    return json.loads(search(made, register, top=3, measured=1).to_json())


def with_outcome(document: Any, outcome: str) -> Any:
    """The same document, as if it had ended so."""
    changed = json.loads(json.dumps(document))
    relation = {"found": "lineage", "as_declared": "lineage", "leads": "lead", "unclear": "inconclusive"}
    for row in changed["rows"]:
        row["declared"] = "parent" if outcome == "as_declared" else None
        row["pair"]["relation"] = relation.get(outcome, "no_evidence")
    changed["answer"]["outcome"] = outcome
    changed["answer"]["leads"] = 2 if outcome == "leads" else 0
    return changed


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_words(document: Any, outcome: str, lang: str):
    page = render_search_html(with_outcome(document, outcome), lang=lang)
    assert page == render_search_html(with_outcome(document, outcome), lang=lang)
    assert f'<html lang="{lang}">' in page
    assert not re.search(r"\{[a-z_]+\}", re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL))
    assert "<script" not in page


def test_the_clean_sentence_says_of_how_many_it_speaks(document: Any):
    page = render_search_html(with_outcome(document, "clean"), lang="en")
    assert "None of the 3 registered models that could be compared, of 4, shows dependence" in page
    assert "what would have been seen is" in page


def test_foreign_names_stay_text(document: Any):
    page = render_search_html(document, lang="en")
    assert "<b>bold</b>" not in page
    assert "<i>me</i>" not in page
    assert "&lt;i&gt;me&lt;/i&gt;" in page


def test_the_terminal_shows_the_same_models(document: Any):
    out = io.StringIO()
    render_search_terminal(document, lang="en", console=Console(file=out, width=100))
    assert "org/base" in out.getvalue()
    assert "Repeat this" in out.getvalue()


def test_a_document_of_another_version_is_refused(document: Any):
    changed = json.loads(json.dumps(document))
    changed["rows"][0]["pair"]["relation"] = "cousin"
    with pytest.raises(EvidenceError):
        render_search_html(changed, lang="en")


def test_both_languages_have_the_same_page_structure(document: Any):
    tags = [
        re.findall(r"<(h1|h2|table|section|details)\b", render_search_html(document, lang=x))
        for x in ("en", "ko")
    ]
    assert tags[0] == tags[1]


def test_it_is_written_nowhere_but_where_it_is_told(document: Any, tmp_path: Path):
    render_search_html(document, lang="ko")
    assert list(tmp_path.iterdir()) == []
