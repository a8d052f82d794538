"""What a disclosure gives away, on a terminal, in the reader's language."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from jokbo.report.context import plain
from jokbo.report.terminal import MAX_WIDTH, bullets, heading
from jokbo.report.texts import Texts, name

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

Document = Mapping[str, Any]

SHOWN = 2
"""Decimals of an interval on the screen; its ends are rounded outwards once more."""


def render_leak_terminal(document: Document, *, lang: str, console: Console) -> None:
    """Print what published figures give away.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.league.leak.check.LeakResult.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.
    console : rich.console.Console

    Raises
    ------
    EvidenceError
        The document holds a code that this version does not explain.
    UsageError
        The language is not available.
    """
    t = Texts(lang)
    width = min(console.width, MAX_WIDTH)
    for piece in _pieces(document, t):
        console.print(piece, width=width)


def _pieces(document: Document, t: Texts) -> Iterator[RenderableType]:
    yield _panel(document, t)
    yield heading(t("league.leak.intervals"))
    yield _intervals(document, t)
    yield bullets((t("league.leak.key", tolerance=t.significant(document["tolerance"])),), dim=True)
    yield heading(t("league.leak.published"))
    if document["gives_away"]:
        yield _facts(document, t)
        if document["determined"] and not any(row["closed_again"] for row in document["gives_away"]):
            yield bullets((t("league.leak.none_decides"),), dim=True)
    else:
        yield bullets(tuple(fact_text(document, fact, t) for fact in document["facts"]))
        yield bullets((t("league.leak.one_by_one_off"),), dim=True)


def _panel(document: Document, t: Texts) -> RenderableType:
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    kind = "given" if document["determined"] else "closed"
    style = "bold yellow" if document["determined"] else "blue"
    said = t(
        f"league.leak.{kind}",
        count=t.number(document["determined"]),
        closed=t.number(document["closed"]),
        tolerance=t.significant(document["tolerance"]),
    )
    lines = [Text(_shown(document["title"][t.lang]), style="bold"), Text(""), Text(said, style="bold")]
    lines += [Text(""), Text(t("league.leak.limits"))]
    if document["outer"]:
        lines.append(Text(t("league.leak.outer")))
    return Panel(
        Group(*lines),
        title=Text(t(f"league.leak.{kind}_label"), style=style),
        title_align="left",
        border_style=style,
        padding=(1, 2),
    )


def _intervals(document: Document, t: Texts) -> RenderableType:
    from rich.text import Text

    cells = {(cell["team"], cell["figure"]): cell for cell in document["cells"]}
    figures = [each for each in document["figures"] if any(f == each["id"] for _, f in cells)]
    table = _table()
    table.add_column(t("league.leak.head_team"), overflow="fold")
    for figure in figures:
        table.add_column(Text(_shown(figure["title"][t.lang])), justify="right", overflow="fold")
    for team in document["teams"]:
        row = [_interval(cells.get((team["id"], figure["id"])), t) for figure in figures]
        table.add_row(Text(_shown(team["name"][t.lang])), *row)
    return table


def _interval(cell: Mapping[str, Any] | None, t: Texts) -> RenderableType:
    from rich.text import Text

    if cell is None:
        return Text(t("league.leak.open"), style="dim")
    unit = 10**SHOWN
    ends = {
        "low": t.fixed(math.floor(round(cell["low"] * unit, 6)) / unit, SHOWN),
        "high": t.fixed(math.ceil(round(cell["high"] * unit, 6)) / unit, SHOWN),
    }
    words = t("league.leak.interval", **ends)
    if cell["determined"]:
        return Text(t("league.leak.given_mark", interval=words), style="bold yellow")
    return Text(words)


def _facts(document: Document, t: Texts) -> RenderableType:
    from rich.text import Text

    table = _table()
    table.add_column(t("league.leak.head_fact"), overflow="fold")
    table.add_column(t("league.leak.head_closed"), justify="right")
    table.add_column(t("league.leak.head_wider"), justify="right")
    for row in document["gives_away"]:
        fact = document["facts"][row["fact"]]
        closed = t.number(row["closed_again"])
        table.add_row(
            Text(plain(fact_text(document, fact, t))), closed, t.fixed(row["wider_by"], 3), end_section=False
        )
    return table


def fact_text(document: Document, fact: Mapping[str, Any], t: Texts) -> str:
    """A published fact in words.

    Raises
    ------
    EvidenceError
        The fact is of a kind that this version does not explain.
    """
    titles = {each["id"]: each["title"][t.lang] for each in document["figures"]}
    names = {each["id"]: each["name"][t.lang] for each in document["teams"]}
    kind = f"{fact['kind']}_of" if fact["kind"] in ("top", "bottom") and fact["teams"] else fact["kind"]
    return t.code(
        "league.leak.fact",
        kind,
        of=name(titles[fact["of"]]),
        teams=", ".join(name(names[team]) for team in fact["teams"]),
        values=", ".join(fact["values"]),
    )


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)


def _shown(text: str) -> str:
    return plain(name(text))
