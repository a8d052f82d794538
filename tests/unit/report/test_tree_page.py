"""A family tree as a page, a picture and a text: everything in words, nothing of a name acts."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET

import pytest
from rich.console import Console

from jokbo.errors import EvidenceError
from jokbo.report.figures import draw
from jokbo.report.figures.tree import TreeChart, TreeRow
from jokbo.report.tree import render_tree_html, render_tree_terminal, text_tree
from jokbo.report.tree_page import build_tree_page
from jokbo.testing.trees import HOSTILE, edge, tree_document

PLAIN = ("base", "tuned", "other", "blend", "lone", "stranger")


def terminal(document: dict[str, object], lang: str) -> str:
    out = io.StringIO()
    render_tree_terminal(document, lang=lang, console=Console(file=out, width=100))
    return out.getvalue()


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(name: str, lang: str):
    document = tree_document((name, *HOSTILE[:5]))
    page = render_tree_html(document, lang=lang)
    assert "<script" not in page
    assert not re.search(r"<[^>]*\bonload\b", page)
    assert "\u202e" not in page
    shown = terminal(document, lang)
    assert "\u202e" not in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_figures_are_well_formed_and_say_what_they_show(lang: str):
    report = build_tree_page(tree_document(HOSTILE[:6]), lang)
    (chart,) = report.families.charts
    root = ET.fromstring(draw(chart))
    names = {child.tag.rpartition("}")[2] for child in root}
    assert {"title", "desc", "path"} <= names
    assert root.get("role") == "img"
    assert {child.tag.rpartition("}")[2] for child in root.iter()} <= {
        *("svg", "title", "desc", "path", "circle", "polygon", "text", "line"),
    }


def test_colour_is_never_alone():
    """Every line has a shape, an arrow or a dash of its own, and each model says in words how it hangs there."""
    report = build_tree_page(tree_document(PLAIN), "en")
    (chart,) = report.families.charts
    assert isinstance(chart, TreeChart)
    notes = {row.label: row.note for row in chart.rows}
    assert notes["blend"] == "mixture of tuned (60%), other (40%)"
    assert notes["tuned"] == "edit of base" or notes["base"].startswith("tuned is an edit")
    assert {row.label: row.shape for row in chart.rows}["blend"] == "diamond"
    assert sum(row.note == "" for row in chart.rows) == 1


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_disagreement_declaration_and_failure_is_in_the_page(lang: str):
    document = tree_document(PLAIN, declared={1: ("base",), 2: ("nowhere/else",), 5: ("base",)})
    page = render_tree_html(document, lang=lang)
    assert "nowhere/else" in page
    assert {d["code"] for d in document["disagreements"]} == {"undeclared", "no_evidence", "undeclared_lead"}
    report = build_tree_page(document, lang)
    (table,) = next(part for part in report.sections if part.key == "disagreements").tables
    assert len(table.rows) == len(document["disagreements"])
    assert any(part.key == "open" and len(part.items) == 3 for part in report.sections)


def test_numbers_of_the_headline():
    report = build_tree_page(tree_document(PLAIN), "en")
    assert report.headline.tone == "found"
    assert "these 6 models" in report.headline.sentence
    assert [n.value for n in report.headline.numbers][:3] == ["1", "15", "5 of 6"]


@pytest.mark.parametrize(
    ("document", "tone", "words"),
    [
        (tree_document(PLAIN, edges=()), "clear", "No two of these 6 models show dependence."),
        (
            tree_document(PLAIN, edges=(edge(0, 1, "inconclusive"),)),
            "open",
            "not every pair could be decided",
        ),
        (tree_document(PLAIN, edges=(edge(0, 1),), declared={1: ("base",)}), "clear", "is declared"),
    ],
)
def test_tones(document: dict[str, object], tone: str, words: str):
    report = build_tree_page(document, "en")
    assert report.headline.tone == tone
    assert words in report.headline.sentence


def test_equal_names_are_told_apart_by_number():
    page = render_tree_html(tree_document(("same",) * 6), lang="en")
    assert "same (no. 1)" in page
    assert "same (no. 4)" in page


def test_equal_documents_give_equal_pages():
    assert render_tree_html(tree_document(), lang="ko") == render_tree_html(tree_document(), lang="ko")


def test_a_damaged_document_is_refused():
    document = tree_document()
    document["edges"][0]["relation"] = "cousins"
    with pytest.raises(EvidenceError, match="edges"):
        build_tree_page(document, "en")
    document = tree_document()
    document["edges"] = []
    with pytest.raises(EvidenceError, match="contradicts itself"):
        build_tree_page(document, "en")


def test_the_tree_in_text():
    shown = terminal(tree_document(PLAIN), "en")
    assert "◆ blend  mixture of tuned (60%), other (40%)" in shown
    assert "dependence was found that nobody declared" in " ".join(shown.replace("│", " ").split())


def test_text_of_a_deep_tree():
    rows = (
        TreeRow("a", "", 0, 0, None, "adjacent", False, "circle"),
        TreeRow("b", "", 1, 1, 0, "undetermined", False, "circle"),
        TreeRow("c", "", 2, 2, 1, "adjacent", False, "circle"),
        TreeRow("d", "", 3, 1, 0, "merge", True, "diamond"),
    )
    assert [prefix for prefix, _ in text_tree(rows)] == ["", "├╌╌ ", "│   └── ", "└─▶ "]
