"""The gate's standings in words, and the two tables of a board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.figures.dots import Dot, DotChart
from jokbo.report.league.blocks import Block, Cell, Grid, Part, Picture, Prose, Subhead
from jokbo.report.league.naming import Naming
from jokbo.report.tables import Table

SIGNS: Mapping[str, tuple[str, str]] = {
    "eligible": ("○", "clear"),
    "not_eligible": ("■", "found"),
    "untestable": ("?", "open"),
}
"""Sign and colour class of a standing."""

MOST_DRAWN = 60
"""Rows of a figure; a longer table stands alone."""


def standing_of(n: Naming) -> dict[str, str]:
    """Standing of every team that the gate judged."""
    return {row["team"]: row["standing"] for row in n.board["gate"]["rows"]}


def standing_cell(standing: str | None, n: Naming) -> Cell:
    """A standing as a sign and a word."""
    if standing is None:
        return Cell(n.t("ui.none"))
    sign, tone = SIGNS.get(standing, ("", ""))
    return Cell(n.t.code("league.standing", standing), sign=sign, tone=tone)


def tables_part(n: Naming) -> Part:
    """Both tables: those who are eligible, and everybody."""
    t = n.t
    keys = table_keys(n)
    level = t.percent(n.board["round"]["level"])
    gate = "league.table.same" if n.board["gate"]["references"] else "league.table.no_gate"
    blocks: list[Block] = [
        Prose(t("league.table.lead" if len(keys) > 1 else gate)),
        Prose(t("league.table.ranks", level=level)),
    ]
    for key in keys:
        if len(keys) > 1:
            blocks.append(Subhead(t(f"league.table.{key}")))
        table = n.board["tables"][key]
        if table is None or not table["rows"]:
            blocks.append(Prose(t("league.table.none")))
            continue
        blocks += _table(table, key, n)
    title = t("league.table.title" if len(keys) > 1 else "league.table.title_one")
    return Part("tables", title, tuple(blocks))


def table_keys(n: Naming) -> tuple[str, ...]:
    """The tables to show, the deciding one first; one where the gate takes nobody and both are the same."""
    tables = n.board["tables"]
    return ("all",) if tables["eligible"] == tables["all"] else ("eligible", "all")


def _table(table: Mapping[str, Any], key: str, n: Naming) -> list[Block]:
    t = n.t
    keys = ("team", "place", "score", "error", "interval", "ranks", "standing")
    head = tuple(t(f"league.head_{name}") for name in keys)
    standings = standing_of(n)
    digits = 0 if table["by"] == "range" else 1
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (
            Cell(n.team(row["team"]), note=_floored(row, n)),
            Cell(t.number(row["place"])),
            Cell(n.points(row["score"], table["by"])),
            Cell(n.fine(row["error"])),
            Cell(n.interval(row["low"], row["high"], digits=digits)),
            Cell(n.ranks(row["best_rank"], row["worst_rank"])),
            standing_cell(standings.get(row["team"]), n),
        )
        for row in table["rows"]
    )
    if not n.board["gate"]["references"]:
        head, rows = head[:-1], tuple(row[:-1] for row in rows)
    caption = t(f"league.table.caption_{key}", by=n.by(table["by"]))
    grid = Grid(caption, head, rows, numeric=(1, 2, 3, 4, 5), quiet=True)
    assumed: list[Block] = [Prose(t("league.table.assumed"))] if table.get("assumed") else []
    drawn = key == table_keys(n)[0] and len(rows) <= MOST_DRAWN
    return [grid, *assumed, *([Picture(_chart(table, n))] if drawn else [])]


def _floored(row: Mapping[str, Any], n: Naming) -> str:
    """Events that the team did not run and that count as its floor, by the rules."""
    events = row.get("floored") or ()
    return n.t("league.table.floored", events=", ".join(map(n.event, events[:12]))) if events else ""


def _chart(table: Mapping[str, Any], n: Naming) -> DotChart:
    t = n.t
    by = n.plain(n.by(table["by"]))
    return DotChart(
        key="table-chart",
        title=t("league.table.chart", by=by),
        lead=t("league.table.chart_lead", level=t.percent(n.board["round"]["level"])),
        alt=t("league.table.chart_alt", count=t.number(len(table["rows"])), by=by),
        data=(),
        rows=tuple(
            Dot(
                n.label("team", row["team"], 380.0),
                n.points_with_interval(row, table["by"]),
                row["score"],
                row["low"],
                row["high"],
            )
            for row in table["rows"]
        ),
        rules=(),
        axis=by,
    )


def categories_part(n: Naming) -> Part | None:
    """Points by category; None where the round declares no categories."""
    board, t = n.board, n.t
    if not board["categories"]:
        return None
    parts = board["categories"]
    head = (t("league.head_team"), *(
        t("league.category.head", category=n.category(part["id"]), points=n.measured(part["points"]))
        for part in parts
    ))  # fmt: skip
    by_team = [{row["team"]: row for row in part["rows"]} for part in parts]
    rows = []
    for team in board["teams"]:
        found = [rows_of.get(team["id"]) for rows_of in by_team]
        if any(found):
            cells = [
                Cell(t("ui.none"))
                if row is None
                else Cell(n.score(row["score"]), note=n.interval(row["low"], row["high"]))
                for row in found
            ]
            rows.append((Cell(n.team(team["id"])), *cells))
    numeric = tuple(range(1, len(parts) + 1))
    grid = Grid(t("league.category.caption"), head, tuple(rows), numeric=numeric, quiet=True)
    return Part("categories", t("league.category.title"), (Prose(t("league.category.lead")), grid))


def score_data(rows: list[Mapping[str, Any]], caption: str, n: Naming) -> Table:
    """Scores with intervals as the data behind a figure."""
    t = n.t
    head = (t("league.head_team"), t("league.head_score"), t("league.head_error"), t("league.head_interval"))
    return Table(
        caption,
        head,
        tuple(
            (
                n.team(row["team"]),
                n.score(row["score"]),
                n.fine(row["error"]),
                n.interval(row["low"], row["high"]),
            )
            for row in rows
        ),
        numeric=(1, 2, 3),
    )
