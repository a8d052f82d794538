"""An audit's page and its terminal form: self-contained, accessible, in one language, deaf to hostile names."""

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
from record_documents import cannot_tell, consistent, inconsistent, logs_only

from jokbo.report.record import render_record_html, render_record_terminal
from jokbo.report.texts import LANGUAGES

ALL = (consistent, cannot_tell, inconsistent, logs_only)
Build = Callable[[], dict[str, Any]]
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


def terminal(made: dict[str, Any], lang: str, width: int = 100) -> str:
    from rich.console import Console

    out = io.StringIO()
    render_record_terminal(made, lang=lang, console=Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("build", ALL)
def test_page_is_self_contained_accessible_and_without_script(build: Build, lang: str) -> None:
    html = render_record_html(build(), lang=lang)
    page = Page(html)
    assert page.all("html")[0]["lang"] == lang
    assert not page.all("script")
    assert not page.all("img")
    for _, attributes in page.elements:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "action", "data", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:"))
    assert "url(" not in html
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(headings))
    assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))
    assert len(page.all("caption")) == len(page.all("table"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.elements:
        assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)
    assert len(page.all("figure")) == len(page.all("svg")) >= 3
    assert len(page.all("details")) >= len(page.all("figure"))
    for figure in re.findall(r"<svg.*?</svg>", html, flags=re.S):
        assert len(ElementTree.fromstring(figure)[1].text or "") > 20


def test_verdict_comes_first_then_what_it_does_not_mean() -> None:
    html = render_record_html(consistent(), lang="en")
    wanted = ("verdict", "caveats", "coverage", "history", "checks", "events", "checkpoints", "log", "repeat",
              "digests", "glossary")  # fmt: skip
    places = [html.index(f'id="{key}"') for key in wanted]
    assert places == sorted(places)


def test_equal_documents_give_equal_pages() -> None:
    assert render_record_html(consistent(), lang="ko") == render_record_html(consistent(), lang="ko")


HOSTILE = "</title><script>alert(1)</script>\u202e\"'><img src=x onerror=alert(1)>{{ 7*7 }}"


@pytest.mark.parametrize("lang", LANGUAGES)
def test_hostile_names_stay_text(lang: str) -> None:
    made = inconsistent()
    made["record"]["name"] = HOSTILE
    made["events"][0]["note"] = HOSTILE
    made["checkpoints"][0]["name"] = HOSTILE
    made["checkpoints"][0]["sha256"] = HOSTILE
    made["log"]["metrics"] = [HOSTILE]
    made["log"]["segments"][0] |= {"file": HOSTILE, "format": HOSTILE}
    made["parameters"]["against"] = [HOSTILE]
    made["software"] = {HOSTILE: HOSTILE}
    made["jokbo"] = HOSTILE
    html = render_record_html(made, lang=lang)
    page = Page(html)
    assert not page.all("script")
    assert not page.all("img")
    assert "\u202e" not in html
    assert html.count("[U+202E]") >= 8
    assert html.count("<bdi>") == html.count("</bdi>") > 0
    text = terminal(made, lang)
    assert "\u202e" not in text
    assert "\u2068" not in text


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("build", ALL)
@pytest.mark.parametrize("width", [60, 80, 200])
def test_terminal_keeps_to_its_width_and_writes_plain_text(build: Build, lang: str, width: int) -> None:
    text = terminal(build(), lang, width)
    assert "\x1b" not in text
    assert "\u2068" not in text
    assert max(columns(line) for line in text.splitlines()) <= min(width, 100)
    assert "jokbo record audit PACK --seed 7" in text


def test_terminal_names_what_contradicts_before_the_tables() -> None:
    text = terminal(inconsistent(), "en")
    assert text.index("What contradicts the declaration") < text.index("Exact checks")
    assert "What contradicts" not in terminal(consistent(), "en")


def test_every_text_of_the_page_is_in_the_reader_s_language() -> None:
    html = render_record_html(consistent(), lang="ko")
    words = re.sub(r"<style.*?</style>", "", html, flags=re.S)
    shown = [part.strip() for part in re.sub(r"<[^>]*>", "\n", words).splitlines()]
    latin = {part for part in shown if re.search(r"[A-Za-z]{4}", part) and not re.search(r"[가-힣]", part)}
    names = {"tiny-han-1", "wandb", "final", "loss spike after a bad shard", "jokbo-record 1"}
    assert {
        part
        for part in latin - names
        if not re.match(r"step\d|logs/|jokbo |machine |\d+ · |[0-9a-f]{8}", part)
    } == set()
