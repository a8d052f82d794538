"""Pages on claims say what the command prints, and name every rule."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from jokbo.hearing.claims.lint import lint_claim
from jokbo.hearing.claims.measures import ROLES
from jokbo.hearing.claims.rules import RULES
from jokbo.hearing.claims.terminal import render_lint_terminal
from jokbo.report.texts import Texts

DOCS = Path(__file__).resolve().parents[2] / "docs"
CASE = DOCS / "cases" / "solar-open-glm"


@pytest.mark.parametrize(("page", "lang"), [("README.md", "en"), ("README.ko.md", "ko")])
def test_the_output_in_the_page_is_what_the_command_prints(page: str, lang: str):
    from rich.console import Console

    block = re.search(
        r"```console\n\$ jokbo claim lint docs/cases/solar-open-glm/(\S+)[^\n]*\n(.*?)```",
        (CASE / page).read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    assert block is not None
    out = io.StringIO()
    render_lint_terminal(
        lint_claim(CASE / block[1]).document, lang=lang, console=Console(file=out, width=100)
    )
    printed = [line.rstrip() for line in out.getvalue().rstrip().splitlines()]
    assert block[2].splitlines() == printed


def test_the_page_says_how_the_command_ends():
    assert lint_claim(CASE / "claim.yaml").exit_status == 10
    assert "The exit status is 10" in (CASE / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "lang"), [("write-a-claim.md", "en"), ("write-a-claim.ko.md", "ko")])
def test_every_rule_and_role_is_in_the_how_to(page: str, lang: str):
    text, t = (DOCS / "how-to" / page).read_text(encoding="utf-8"), Texts(lang)
    for code in RULES:
        assert f"| `{code}` | {t(f'claim.rule.{code}.title')} |" in text
    for role in ROLES:
        assert f"| `{role}` |" in text


@pytest.mark.parametrize("page", ["README.md", "README.ko.md"])
def test_figures_of_the_page_are_those_of_the_files(page: str):
    """Every row of a rebuttal's table is told, and no other value."""
    text = (CASE / page).read_text(encoding="utf-8")
    for value in (
        "0.9676",
        "0.0002",
        "0.005",
        "0.9811",
        "0.009",
        "0.9776",
        "0.9881",
        "0.9408",
        "0.9639",
        "0.9901",
    ):
        assert value in text
        files = "".join(file.read_text(encoding="utf-8") for file in CASE.glob("rebuttal-*"))
        assert value in files
