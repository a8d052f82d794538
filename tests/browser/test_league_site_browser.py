"""The league's site in Chromium: silent, nothing fetched, no words overlap, it fits a phone, and axe finds nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")
pytest.importorskip("axe_playwright_python")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright
from test_pages import BROWSER

from jokbo.report.league.site import write_site

pytestmark = pytest.mark.browser

BOARDS = Path(__file__).resolve().parents[1] / "golden" / "boards"
NAMES = ["gated", "unresolved"]

MEASURE = """() => {
  const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
  const found = {figures: 0, overlaps: [], outside: [], width: document.documentElement.scrollWidth};
  for (const svg of document.querySelectorAll("svg")) {
    found.figures += 1;
    const frame = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    for (const [i, [text, box]] of words.entries()) {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
        || box.bottom > frame.bottom + 1) found.outside.push(text);
      for (const [other, box2] of words.slice(i + 1)) if (overlap(box, box2)) found.overlaps.push([text, other]);
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    assert BROWSER, "Chromium is not installed; install it, or name it in CHROMIUM"
    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for name in NAMES:
        found[name] = tmp_path_factory.mktemp(name)
        write_site(json.loads((BOARDS / f"{name}.json").read_bytes()), found[name])
    return found


def visit(page: Page, file: Path) -> tuple[list[str], list[str]]:
    """What a page said on the console and asked for beside itself."""
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(file.as_uri())
    return said, [url for url in asked if url != file.as_uri() and not url.startswith("data:")]


@pytest.mark.parametrize("name", NAMES)
def test_every_page_is_silent_legible_and_fits(browser: Browser, sites: dict[str, Path], name: str):
    figures = 0
    for file in sorted(sites[name].rglob("*.html")):
        page = browser.new_page(viewport={"width": 1100, "height": 900})
        said, asked = visit(page, file)
        where = file.relative_to(sites[name])
        for width in (1100, 360):
            page.set_viewport_size({"width": width, "height": 900})
            found: dict[str, Any] = page.evaluate(MEASURE)
            assert found["overlaps"] == [], (where, width)
            assert found["outside"] == [], (where, width)
            assert found["width"] <= width, (where, width)
        assert said == [], where
        assert asked == [], where
        figures += found["figures"]
        page.close()
    assert figures >= 20


@pytest.mark.parametrize(
    ("name", "scheme", "pages"),
    [
        (
            "gated",
            "light",
            ["index", "gate", "axes", "multiverse", "inputs", "event-knowledge", "event-experts"],
        ),
        ("unresolved", "dark", ["index", "uncertainty", "multiverse"]),
    ],
)
def test_axe_finds_nothing(
    browser: Browser, sites: dict[str, Path], name: str, scheme: Any, pages: list[str]
):
    # axe is a script, which the pages do not allow: for the test the policy is passed over.
    context = browser.new_context(
        bypass_csp=True, color_scheme=scheme, viewport={"width": 1000, "height": 900}
    )
    page = context.new_page()
    for file in [sites[name] / "en" / f"{each}.html" for each in pages]:
        page.goto(file.as_uri())
        page.evaluate("() => document.querySelectorAll('details').forEach(each => { each.open = true })")
        found = [
            (each["id"], each["nodes"][0]["html"][:200]) for each in Axe().run(page).response["violations"]
        ]
        assert found == [], file.name
    context.close()


def test_axe_can_find_something(browser: Browser, sites: dict[str, Path]):
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto((sites["gated"] / "en" / "index.html").as_uri())
    page.evaluate("() => { document.documentElement.removeAttribute('lang') }")
    assert [each["id"] for each in Axe().run(page).response["violations"]] == ["html-has-lang"]
    context.close()


def test_every_link_works_and_the_languages_lead_to_each_other(browser: Browser, sites: dict[str, Path]):
    page = browser.new_page()
    page.goto((sites["gated"] / "index.html").as_uri())
    page.get_by_role("link", name="한국어").click()
    page.get_by_role("link", name="자격 심사", exact=True).click()
    assert page.title().startswith("자격 심사")
    page.get_by_role("link", name="English").click()
    assert page.url.endswith("/en/gate.html")
    assert page.locator("h1").inner_text() == "The gate"
    page.close()
