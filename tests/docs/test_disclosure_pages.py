"""The page on disclosures says what the command prints, and names all that a plan may hold."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from jokbo.league.leak.check import check_leak
from jokbo.league.leak.plan import KINDS, ROUNDED
from jokbo.league.leak.plan_file import parse_plan, plan_schema
from jokbo.report.league.leak_terminal import render_leak_terminal
from jokbo.report.texts import LANGUAGES

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
PAGES = {"en": HOW_TO / "check-a-disclosure.md", "ko": HOW_TO / "check-a-disclosure.ko.md"}


def plan(lang: str) -> str:
    found = re.search(r"```yaml\n(.*?)```", PAGES[lang].read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found is not None
    return found[1]


def test_the_plan_is_the_same_in_both_languages():
    assert plan("en") == plan("ko")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_output_in_the_page_is_what_the_command_prints(lang: str):
    from rich.console import Console

    block = re.search(
        r"```console\n\$ jokbo league leak leak\.yaml[^\n]*\n(.*?)```",
        PAGES[lang].read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert block is not None
    result = check_leak(parse_plan(plan(lang).encode(), "leak.yaml"))
    out = io.StringIO()
    render_leak_terminal(result.document, lang=lang, console=Console(file=out, width=100))
    assert block[1].splitlines() == [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
    assert result.exit_status == 10


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_names_every_kind_and_key(lang: str):
    text = PAGES[lang].read_text(encoding="utf-8")
    keys = {*plan_schema()["properties"], *plan_schema()["$defs"]["figure"]["properties"]}
    keys |= {*plan_schema()["$defs"]["fact"]["properties"], *KINDS, *ROUNDED} - {"nearest"}
    known = {"source"}  # where a number is from: read, shown in the document, no part of the reasoning
    assert {key for key in keys - known if not re.search(rf"\b{key}\b", text)} == set()


def test_the_schema_knows_the_kinds_of_the_code():
    fact = plan_schema()["$defs"]["fact"]["properties"]
    assert set(fact["fact"]["enum"]) == set(KINDS)
    assert tuple(fact["rounded"]["enum"]) == ROUNDED
