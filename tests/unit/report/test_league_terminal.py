"""A board on a terminal."""

from __future__ import annotations

import io

import pytest
from league_boards import BOARDS, hostile, unresolved
from rich.console import Console

from jokbo.report.league.terminal import render_board_terminal


def printed(board: dict[str, object], lang: str, width: int = 100) -> str:
    out = io.StringIO()
    render_board_terminal(board, lang=lang, console=Console(file=out, width=width))
    return out.getvalue()


@pytest.mark.parametrize("lang", ["en", "ko"])
@pytest.mark.parametrize("name", BOARDS)
def test_every_board_is_printed(name: str, lang: str):
    text = printed(BOARDS[name](), lang)
    assert "{" not in text
    assert "None" not in text
    assert max(len(line) for line in text.splitlines()) <= 100
    assert {"en": "What this does not say", "ko": "이 결과가 말하지 않는 것"}[lang] in text


def test_it_says_who_goes_and_that_it_is_not_resolved():
    text = " ".join(printed(unresolved(), "en").replace("│", " ").split())
    assert "Last place not resolved: the tie rule decided" in text
    assert "Donghae Systems is eliminated by the tie rule" in text
    assert "2 to 5" in text  # its rank set


def test_hostile_names_neither_mark_up_nor_turn_the_line():
    text = printed(hostile(), "en")
    assert "\u202e" not in text
    assert "x" * 200 not in text.replace("\n", "")
