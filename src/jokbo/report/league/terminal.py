"""A board on a terminal: what was decided, the table, the gate, what would change it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jokbo.report.context import plain
from jokbo.report.league.decision import caveats_part, decision_head, decision_reasons
from jokbo.report.league.naming import Naming
from jokbo.report.league.overview import changes
from jokbo.report.league.standings import SIGNS, table_keys
from jokbo.report.parts import Headline, KeyNumber
from jokbo.report.terminal import MAX_WIDTH, bullets, heading, verdict_panel
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MAX_ROWS = 40
"""Teams in a table on the terminal; the page has all."""


def render_board_terminal(board: Mapping[str, Any], *, lang: str, console: Console) -> None:
    """Print a board for people.

    Parameters
    ----------
    board : mapping
        A document ``jokbo.board/1``.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console
        Where to; without a terminal behind it nothing but text is written.

    Raises
    ------
    EvidenceError
        The board holds a code that this version does not explain.
    UsageError
        The language is not available.
    """
    n = Naming(board, Texts(lang))
    width = min(console.width, MAX_WIDTH)
    for piece in _pieces(n):
        console.print(piece, width=width)


def _pieces(n: Naming) -> Iterator[RenderableType]:
    t = n.t
    yield verdict_panel(_headline(n))
    table = n.board["tables"]["eligible"]
    if table is not None and table["rows"]:
        yield heading(t(f"league.table.caption_{table_keys(n)[0]}", by=plain(n.by(table["by"]))))
        yield _table(table, n)
    if n.board["gate"]["references"]:
        yield heading(t("league.terminal.gate"))
        yield bullets(tuple(_gate(n)))
    found = changes(n)
    if found:
        yield heading(t("league.terminal.change"))
        yield bullets(tuple(found))
    caveats = caveats_part(n)
    yield heading(caveats.title)
    yield bullets(
        tuple(cell.text for block in caveats.blocks if block.kind == "bullets" for cell in block.items)
    )
    yield bullets((t("league.terminal.pages"),), dim=True)


def _headline(n: Naming) -> Headline:
    head = decision_head(n)
    numbers = tuple(KeyNumber(each.label, each.value, each.note) for each in head.numbers)
    reasons = decision_reasons(n)
    strength, *rest = (*head.lead, "") if head.lead else ("",)
    lines = tuple(
        words for words in (*rest, *reasons, *(f"{k.label}: {k.value} {k.note}" for k in numbers)) if words
    )
    return Headline("league", head.tone, head.label, head.sentence, lines, strength, numbers)


def _table(table: Mapping[str, Any], n: Naming) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    t = n.t
    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    shown.add_column(t("league.head_place"), justify="right")
    shown.add_column(t("league.head_team"), overflow="fold")
    for key in ("score", "interval", "ranks"):
        shown.add_column(t(f"league.head_{key}"), justify="right")
    digits = 0 if table["by"] == "range" else 1
    for row in table["rows"][:MAX_ROWS]:
        shown.add_row(
            t.number(row["place"]),
            Text(plain(n.team(row["team"]))),
            n.points(row["score"], table["by"]),
            n.interval(row["low"], row["high"], digits=digits),
            n.ranks(row["best_rank"], row["worst_rank"]),
        )
    return shown


def _gate(n: Naming) -> Iterator[str]:
    for row in n.board["gate"]["rows"]:
        sign, _ = SIGNS.get(row["standing"], ("", ""))
        word = n.t.code("league.standing", row["standing"])
        yield n.t("league.terminal.gate_row", team=n.team(row["team"]), standing=f"{sign} {word}")
