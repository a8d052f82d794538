"""Who would be first and last had the round been declared otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.figures.simplex import SimplexChart, SimplexPoint, label_room
from jokbo.report.figures.universes import UniverseChart, UniverseRow, column_room
from jokbo.report.league.blocks import Block, Bullets, Cell, Folded, Grid, Head, Page, Part, Picture, Prose
from jokbo.report.league.naming import Naming
from jokbo.report.league.overview import as_list, changes_part, universe_name
from jokbo.report.tables import Table

MAX_COLUMNS = 12
"""Teams that the figure has columns for; those who are never last need none."""

MAX_UNIVERSES = 250
"""Universes on the page; all stand in the CSV file."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def multiverse_page(n: Naming) -> Page:
    """Build the page."""
    t = n.t
    head = Head(t("league.multiverse.title"), lead=(t("league.multiverse.lead"),))
    if n.board["multiverse"] is None:
        parts: list[Part | None] = [
            Part("none", t("league.multiverse.summary"), (Prose(t("league.multiverse.none")),))
        ]
    else:
        parts = [_summary(n), _simplex(n), _orders(n), changes_part(n, more=False), _universes(n)]
    found = tuple(part for part in parts if part is not None)
    return Page("multiverse.html", "multiverse", t("league.multiverse.title"), head, found)


def _teams(rows: Sequence[Mapping[str, Any]], end: str, n: Naming) -> list[str]:
    """Teams that are first or last anywhere, in the board's order."""
    found = [
        team["id"] for team in n.board["teams"] if any((row[end].get(team["id"]) or 0) > 0 for row in rows)
    ]
    return found[:MAX_COLUMNS]


def _summary(n: Naming) -> Part:
    t = n.t
    rows = n.board["multiverse"]["summary"]
    if not rows:
        return Part("summary", t("league.multiverse.summary"), (Prose(t("league.multiverse.none")),))
    blocks: list[Block] = [Prose(t("league.multiverse.summary_lead"))]
    blocks += [Picture(_chart(rows, "last", n)), Picture(_chart(rows, "first", n))]
    return Part("summary", t("league.multiverse.summary"), tuple(blocks))


def _chart(rows: Sequence[Mapping[str, Any]], end: str, n: Naming) -> UniverseChart:
    t = n.t
    teams = _teams(rows, end, n)
    data = Table(
        t(f"league.multiverse.{end}_caption"),
        (t("league.multiverse.head_kind"), t("league.multiverse.head_count"), *map(n.team, teams)),
        tuple(
            (
                t.code("league.kind", row["kind"]),
                t.number(row["count"]),
                *(n.share(row[end].get(team, 0.0)) for team in teams),
            )
            for row in rows
        ),
        numeric=tuple(range(1, len(teams) + 2)),
    )
    return UniverseChart(
        key=f"multiverse-{end}",
        title=t(f"league.multiverse.{end}_chart"),
        lead=t(f"league.multiverse.{end}_chart_lead"),
        alt=t(f"league.multiverse.{end}_alt", count=t.number(len(rows)), teams=n.plain(n.teams(teams))),
        data=(data,),
        teams=tuple(n.label("team", team, max(column_room(len(teams)), 68.0)) for team in teams),
        rows=tuple(
            UniverseRow(
                t.code("league.kind", row["kind"]),
                t("league.multiverse.count", count=t.number(row["count"])),
                tuple(float(row[end].get(team, 0.0) or 0.0) for team in teams),
                tuple(n.share(row[end].get(team, 0.0) or 0.0) for team in teams),
            )
            for row in rows
        ),
    )


def _simplex(n: Naming) -> Part | None:
    t = n.t
    simplex = n.board["multiverse"]["simplex"]
    if simplex is None or not simplex["grid"]:
        return None
    rows = [team for team in n.board["teams"] if (simplex["share"].get(team["id"]) or 0) > 0]
    table = Grid(
        t("league.simplex.caption"),
        (t("league.head_team"), t("league.simplex.head_near"), t("league.simplex.head_all")),
        tuple(
            (
                Cell(n.team(team["id"])),
                Cell(n.share(simplex["near"].get(team["id"], 0.0))),
                Cell(n.share(simplex["share"].get(team["id"], 0.0))),
            )
            for team in rows
        ),
        numeric=(1, 2),
        narrow=True,
    )
    blocks: list[Block] = [Prose(t("league.simplex.lead"))]
    if len(simplex["categories"]) == 3:
        blocks.append(Picture(_triangle(simplex, n)))
    blocks.append(table)
    return Part("simplex", t("league.simplex.title"), tuple(blocks))


def _triangle(simplex: Mapping[str, Any], n: Naming) -> SimplexChart:
    t = n.t
    found = []
    sets: dict[tuple[str, ...], int] = {}
    for point in simplex["grid"]:
        whole = sum(point["weights"]) or 1.0
        last = tuple(as_list(point["last"]))
        number = sets.setdefault(last, len(sets))
        first, second, third = (weight / whole for weight in point["weights"])
        found.append(SimplexPoint((first, second, third), number))
    least = min((share for p in found for share in p.weights if share > 1e-9), default=1.0)
    width = label_room()
    teams = tuple(
        (
            LETTERS[k] if k < len(LETTERS) else str(k),
            " = ".join(n.label("team", team, (width + 26) / len(last) - 26) for team in last),
            n.share(sum(p.last == k for p in found) / len(found)),
        )
        for last, k in sets.items()
    )
    corners = [n.label("category", category, 200.0) for category in simplex["categories"]]
    title = t("league.simplex.chart")
    data = Table(
        t("league.simplex.data"),
        (t("league.simplex.head_letter"), t("league.head_team"), t("league.simplex.head_all")),
        tuple((letter, n.teams(last), share) for (letter, _, share), last in zip(teams, sets, strict=True)),
        numeric=(2,),
    )
    return SimplexChart(
        key="simplex-chart",
        title=title,
        lead=t("league.simplex.chart_lead"),
        alt=t("league.simplex.alt", corners=", ".join(corners), count=t.number(len(sets))),
        data=(data,),
        corners=(corners[0], corners[1], corners[2]),
        points=tuple(found),
        steps=max(round(1 / least), 1),
        teams=teams,
        declared=_declared(simplex["categories"], n),
        declared_label=t("league.simplex.declared"),
    )


def _declared(categories: Sequence[str], n: Naming) -> tuple[float, float, float] | None:
    points = {part["id"]: part["points"] for part in n.board["categories"]}
    found = [float(points.get(category, 0.0)) for category in categories]
    whole = sum(found)
    if whole <= 0:
        return None
    return found[0] / whole, found[1] / whole, found[2] / whole


def _orders(n: Naming) -> Part | None:
    """The same scores added up by other rules."""
    t = n.t
    if not n.board["aggregations"]:
        return None
    rows = []
    for row in n.board["aggregations"]:
        order = row["order"]
        shown = " > ".join(" = ".join(n.team(team) for team in as_list(group)) for group in order or ())
        rows.append((Cell(t.code("league.method", row["method"])), Cell(shown or t("league.orders.unknown"))))
    head = (t("league.orders.head_method"), t("league.orders.head_order"))
    grid = Grid(t("league.orders.caption"), head, tuple(rows))
    return Part("orders", t("league.orders.title"), (Prose(t("league.orders.lead")), grid))


def _universes(n: Naming) -> Part:
    t = n.t
    universes = n.board["multiverse"]["universes"]
    rows = tuple(
        (
            universe_name(each, n),
            t.code("league.kind", each["kind"]),
            n.teams(each["first"]),
            n.teams(each["last"]),
        )
        for each in universes[:MAX_UNIVERSES]
    )
    head = tuple(t(f"league.multiverse.head_{key}") for key in ("universe", "kind", "first", "last"))
    table = Table(t("league.multiverse.all_caption"), head, rows)
    left = len(universes) - MAX_UNIVERSES
    words = t("league.csv_more", count=t.number(left)) if left > 0 else t("league.csv_all")
    blocks = (Folded(table), Bullets((Cell(words, href="../csv/multiverse.csv"),)))
    return Part("universes", t("league.multiverse.all", count=t.number(len(universes))), blocks)
