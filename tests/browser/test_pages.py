"""Pages in Chromium: nothing is fetched, nothing complains, no words overlap, and they fit a phone.

Chromium's own command line is enough: ``--dump-dom`` for what the page became, the log for
the console, the network log for what was asked for. A second page, which may run scripts,
holds the report in a frame and measures it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from jokbo.report.html import render_html
from jokbo.report.record import render_record_html

pytestmark = pytest.mark.browser

EVIDENCE = Path(__file__).resolve().parents[1] / "golden" / "evidence"
NAMES = ["common_lineage", "component_reuse", "identical", "no_evidence", "shared_initialisation"]
AUDITS = Path(__file__).resolve().parents[1] / "golden" / "audits"
RECORDS = ["consistent", "inconsistent", "logs_only"]
BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or ""

MEASURE = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe src="report.html" style="width:{width}px;height:900px;border:0"></iframe><pre id="out"></pre>
<script>
const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
  && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
document.querySelector("iframe").onload = event => {{
  const page = event.target.contentDocument, found = {{figures: 0, overlaps: [], outside: []}};
  for (const svg of page.querySelectorAll("svg")) {{
    found.figures += 1;
    const frame = svg.getBoundingClientRect();
    const words = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    for (const [i, [text, box]] of words.entries()) {{
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 1
        || box.bottom > frame.bottom + 1) found.outside.push(text);
      for (const [other, box2] of words.slice(i + 1))
        if (overlap(box, box2)) found.overlaps.push([text, other]);
    }}
  }}
  const root = page.documentElement;
  found.width = root.scrollWidth; found.room = root.clientWidth; found.title = page.title;
  document.getElementById("out").textContent = JSON.stringify(found);
}};
</script>"""

BAD = """<script>console.log(1)</script><img src="http://x.test/a.png"></body>"""

Chromium = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def chromium(tmp_path: Path) -> Chromium:
    """Run Chromium on a file, with a profile of its own."""
    assert BROWSER, "Chromium is not installed; install it, or name it in CHROMIUM"

    def run(page: Path, *flags: str) -> subprocess.CompletedProcess[str]:
        command = [
            BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr", "--virtual-time-budget=5000", "--dump-dom", *flags, page.as_uri(),
        ]  # fmt: skip
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return run


def write(tmp_path: Path, name: str, lang: str) -> Path:
    page = tmp_path / "report.html"
    folder, render = (AUDITS, render_record_html) if name in RECORDS else (EVIDENCE, render_html)
    document = json.loads((folder / f"{name}.json").read_bytes())
    page.write_text(render(document, lang=lang), encoding="utf-8")
    return page


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", [*NAMES, *RECORDS])
def test_page_loads_in_silence_and_asks_for_nothing(
    tmp_path: Path, chromium: Chromium, name: str, lang: str
) -> None:
    page = write(tmp_path, name, lang)
    log = tmp_path / "net.json"
    done = chromium(page, f"--log-net-log={log}")
    assert f'<html lang="{lang}">' in done.stdout
    assert 'id="verdict-head"' in done.stdout
    assert "CONSOLE" not in done.stderr
    assert requests_of_the_page(log) == []


def requests_of_the_page(log: Path) -> list[str]:
    """Addresses that a page asked for; what the browser asks for itself has no origin. One event a line."""
    events = log.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r'"initiator":"([^"]+)"[^\n]*?"url":"([^"]+)"', events)
    return [url for initiator, url in found if initiator != "not an origin"]


@pytest.mark.parametrize("width", [390, 1100])
@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", ["component_reuse", "no_evidence", "shared_initialisation", *RECORDS])
def test_figures_are_legible_and_the_page_fits(
    tmp_path: Path, chromium: Chromium, name: str, lang: str, width: int
) -> None:
    write(tmp_path, name, lang)
    page = tmp_path / "measure.html"
    page.write_text(MEASURE.format(width=width), encoding="utf-8")
    done = chromium(page, "--allow-file-access-from-files", "--window-size=1400,1000")
    measured = re.search(r'<pre id="out">(.+?)</pre>', done.stdout, flags=re.S)
    assert measured, done.stderr[-2000:]
    found = json.loads(measured[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert found["figures"] >= 3
    assert found["overlaps"] == []
    assert found["outside"] == []
    assert found["width"] <= found["room"] <= width


def test_these_checks_can_fail(tmp_path: Path, chromium: Chromium) -> None:
    page, log = write(tmp_path, "identical", "en"), tmp_path / "net.json"
    html = page.read_text(encoding="utf-8")
    page.write_text(html.replace("</body>", BAD), encoding="utf-8")
    done = chromium(page)
    assert "CONSOLE" in done.stderr
    assert done.stderr.count("Content Security Policy") >= 2
    page.write_text(
        html.replace("Content-Security-Policy", "X-None").replace("</body>", BAD), encoding="utf-8"
    )
    chromium(page, f"--log-net-log={log}")
    assert "http://x.test/a.png" in requests_of_the_page(log)
