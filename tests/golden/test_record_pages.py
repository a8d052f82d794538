"""Reports of frozen audits of training records, byte for byte; ``--update-golden`` writes them again.

The audits stay as they were written: a report that can no longer be made of one is a fault.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from test_reports import compare

from jokbo.records.document import parse_audit
from jokbo.report.record import render_record_html, render_record_terminal

HERE = Path(__file__).resolve().parent
AUDITS = sorted((HERE / "audits").glob("*.json"))
PAGES = [path for path in AUDITS if path.stem in ("consistent", "inconsistent")]
"""Between them they have every section; a page is a hundred and fifty kilobytes."""


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("audit", PAGES, ids=lambda path: path.stem)
def test_page(audit: Path, lang: str, request: pytest.FixtureRequest) -> None:
    document = json.loads(audit.read_bytes())
    update = request.config.getoption("--update-golden")
    compare(
        HERE / "reports" / f"record_{audit.stem}.{lang}.html", render_record_html(document, lang=lang), update
    )


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("audit", AUDITS, ids=lambda path: path.stem)
def test_terminal(audit: Path, lang: str, request: pytest.FixtureRequest) -> None:
    from rich.console import Console

    out = io.StringIO()
    render_record_terminal(json.loads(audit.read_bytes()), lang=lang, console=Console(file=out, width=80))
    update = request.config.getoption("--update-golden")
    compare(HERE / "reports" / f"record_{audit.stem}.{lang}.txt", out.getvalue(), update)


@pytest.mark.parametrize("audit", AUDITS, ids=lambda path: path.stem)
def test_frozen_audits_are_valid(audit: Path) -> None:
    assert parse_audit(audit.read_bytes(), audit.name)["schema"] == "jokbo.record-audit/1"
