"""Pages of frozen boards, byte for byte; ``--update-golden`` writes them again.

The boards stay as they were written: a site that can no longer be made of one is a fault.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from test_reports import compare

from jokbo.report.league.site import site_files
from jokbo.report.league.terminal import render_board_terminal

HERE = Path(__file__).resolve().parent
BOARDS = sorted((HERE / "boards").glob("*.json"))
PAGES = [
    ("unresolved", "index"),
    ("unresolved", "uncertainty"),
    ("gated", "gate"),
    ("gated", "axes"),
    ("gated", "multiverse"),
    ("gated", "inputs"),
    ("gated", "event-experts"),
]
"""Between them they have every kind of page, and all of each kind's parts."""


def read(name: str) -> dict[str, object]:
    found = json.loads((HERE / "boards" / f"{name}.json").read_bytes())
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize(("board", "page"), PAGES)
def test_page(board: str, page: str, lang: str, request: pytest.FixtureRequest):
    update = request.config.getoption("--update-golden")
    text = site_files(read(board))[f"{lang}/{page}.html"].decode()
    compare(HERE / "reports" / f"league_{board}_{page}.{lang}.html", text, update)


def test_sheet(request: pytest.FixtureRequest):
    update = request.config.getoption("--update-golden")
    compare(
        HERE / "reports" / "league_gated_table.csv",
        site_files(read("gated"))["csv/table.csv"].decode(),
        update,
    )


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_terminal(board: Path, lang: str, request: pytest.FixtureRequest):
    from rich.console import Console

    out = io.StringIO()
    render_board_terminal(json.loads(board.read_bytes()), lang=lang, console=Console(file=out, width=80))
    update = request.config.getoption("--update-golden")
    compare(HERE / "reports" / f"league_{board.stem}.{lang}.txt", out.getvalue(), update)
