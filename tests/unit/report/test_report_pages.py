from __future__ import annotations

import io
import itertools
import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest

from jokbo.report.html import render_html
from jokbo.report.terminal import render_terminal

NAMES = ["common_lineage", "component_reuse", "identical", "no_evidence", "shared_initialisation"]
Frozen = Callable[[str], dict[str, Any]]
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements with their attributes, in order; nesting is checked on the way."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lang", ["en", "ko"])
def test_page_is_self_contained_and_without_script(frozen: Frozen, name: str, lang: str) -> None:
    html = render_html(frozen(name), lang=lang)
    page = Page(html)
    assert not page.all("script")
    assert not page.all("iframe")
    assert all(not key.startswith("on") for _, attributes in page.elements for key in attributes)
    policy = next(meta["content"] for meta in page.all("meta") if meta.get("http-equiv"))
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
    for _, attributes in page.elements:
        for key in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    assert "url(" not in html
    assert "@import" not in html
    assert not page.all("form")


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_page_is_accessible(frozen: Frozen, lang: str) -> None:
    page = Page(render_html(frozen("no_evidence"), lang=lang))
    assert page.all("html")[0]["lang"] == lang
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(headings))
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for svg in page.all("svg"):
        assert svg["role"] == "img"
        assert set(svg["aria-labelledby"].split()) <= set(ids)
    for _, attributes in page.elements:
        for target in attributes.get("aria-labelledby", "").split():
            assert target in ids
    assert len(page.all("figure")) == len(page.all("svg")) >= 4
    assert len(page.all("details")) >= len(page.all("figure"))


def test_figures_are_well_formed_and_described(frozen: Frozen) -> None:
    html = render_html(frozen("no_evidence"), lang="ko")
    figures = re.findall(r"<svg.*?</svg>", html, flags=re.S)
    for figure in figures:
        tree = ElementTree.fromstring(figure)
        title, description = tree[0], tree[1]
        assert title.tag.endswith("title")
        assert description.tag.endswith("desc")
        assert len(description.text or "") > 20


def test_verdict_comes_first_then_what_it_does_not_mean(frozen: Frozen) -> None:
    html = render_html(frozen("common_lineage"), lang="en")
    places = [html.index(f'id="{key}"') for key in ("verdict", "caveats", "components", "evidence", "repeat")]
    assert places == sorted(places)


HOSTILE = "</title><script>alert(1)</script>\u202e\"'><img src=x onerror=alert(1)>{{ 7*7 }}"


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_hostile_names_stay_text(frozen: Frozen, lang: str) -> None:
    document = frozen("component_reuse")
    for role in ("reference", "candidate"):
        model = document[role]
        model["name"] = HOSTILE
        model["notes"] = [HOSTILE]
        model["family"] = HOSTILE
        model["files"][0]["file"] = HOSTILE
        for row in model["read"]["tensors"]:
            row["tensor"] = HOSTILE
            row["file"] = HOSTILE
    document["components"][1]["tower"] = HOSTILE
    document["descriptive"]["norms"][0]["tower"] = HOSTILE
    document["descriptive"]["heatmaps"][0]["role"] = HOSTILE
    html = render_html(document, lang=lang)
    page = Page(html)
    assert not page.all("script")
    assert not page.all("img")
    assert "\u202e" not in html
    assert "[U+202E]" in html
    assert "49" not in re.findall(r"onerror=alert\(1\)&gt;(.{0,12})", html)[0]
    assert html.count("<bdi>") == html.count("</bdi>") > 0
    # Where elements cannot stand, in attributes and figures, names keep the characters that isolate.
    assert html.count("\u2068") == html.count("\u2069")
    assert "\u2068" not in re.sub(r"<[^>]*>", "", re.sub(r"<svg.*?</svg>", "", html, flags=re.S))


def test_equal_documents_give_equal_pages(frozen: Frozen) -> None:
    assert render_html(frozen("no_evidence"), lang="ko") == render_html(frozen("no_evidence"), lang="ko")


def on_terminal(document: dict[str, Any], lang: str, width: int) -> str:
    from rich.console import Console

    out = io.StringIO()
    render_terminal(document, lang=lang, console=Console(file=out, width=width))
    return out.getvalue()


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal_keeps_to_its_width_and_writes_plain_text(
    frozen: Frozen, name: str, lang: str, width: int
) -> None:
    text = on_terminal(frozen(name), lang, width)
    assert "\x1b" not in text
    assert "\u2068" not in text
    assert max(columns(line) for line in text.splitlines()) <= min(width, 100)
    assert "jokbo verify" in text


def test_terminal_frame_lines_up_in_korean(frozen: Frozen) -> None:
    lines = [
        line for line in on_terminal(frozen("component_reuse"), "ko", 80).splitlines() if line[:1] in "╭│╰"
    ]
    assert {columns(line) for line in lines if line} == {80}


def test_terminal_does_not_obey_names(frozen: Frozen) -> None:
    document = frozen("common_lineage")
    document["candidate"]["name"] = "[red]x[/red]\x1b[2J[/]"
    text = on_terminal(document, "en", 100)
    assert "[red]x[/red]" in text
    assert "\x1b" not in text
