"""How sure the order is: rank sets, pairs, and why the probability of being last does not decide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.figures.ranks import RankChart, RankRow
from jokbo.report.league.blocks import Block, Bullets, Cell, Facts, Grid, Head, Page, Part, Picture, Prose
from jokbo.report.league.naming import Naming
from jokbo.report.league.standings import MOST_DRAWN, table_keys
from jokbo.report.tables import Table

MAX_PAIRS = 300
"""Pairs on the page; all stand in the CSV file."""


def uncertainty_page(n: Naming) -> Page:
    """Build the page."""
    t, round_ = n.t, n.board["round"]
    level = t.percent(round_["level"])
    head = Head(t("league.sure.title"), lead=(t("league.sure.lead", level=level),))
    parts = [part for key in table_keys(n) for part in _table(key, n)]
    parts += [_last(n), _method(n)]
    return Page("uncertainty.html", "uncertainty", t("league.sure.title"), head, tuple(parts))


def _table(key: str, n: Naming) -> list[Part]:
    t = n.t
    table = n.board["tables"][key]
    title = t(f"league.table.{key}")
    if table is None or not table["rows"]:
        return [Part(f"ranks-{key}", title, (Prose(t("league.table.none")),))]
    blocks: list[Block] = []
    rows = [row for row in table["rows"] if row["best_rank"] is not None and row["worst_rank"] is not None]
    if rows and len(rows) <= MOST_DRAWN:
        blocks.append(Picture(_chart(rows, key, n)))
    blocks += _pairs(table, key, n)
    return [Part(f"ranks-{key}", title, tuple(blocks))]


def _chart(rows: list[Mapping[str, Any]], key: str, n: Naming) -> RankChart:
    t = n.t
    data = Table(
        t(f"league.sure.caption_{key}"),
        (t("league.head_team"), t("league.head_place"), t("league.head_ranks")),
        tuple(
            (n.team(row["team"]), t.number(row["place"]), n.ranks(row["best_rank"], row["worst_rank"]))
            for row in rows
        ),
        numeric=(1, 2),
    )
    return RankChart(
        key=f"ranks-{key}-chart",
        title=t(f"league.sure.chart_{key}"),
        lead=t("league.sure.chart_lead", level=t.percent(n.board["round"]["level"])),
        alt=t("league.sure.alt", count=t.number(len(rows))),
        data=(data,),
        rows=tuple(
            RankRow(
                n.label("team", row["team"], 178.0),
                n.ranks(row["best_rank"], row["worst_rank"]),
                row["place"],
                row["best_rank"],
                row["worst_rank"],
            )
            for row in rows
        ),
        axis=t("league.head_place"),
    )


def _pairs(table: Mapping[str, Any], key: str, n: Naming) -> list[Block]:
    t = n.t
    pairs = table["pairs"]
    if not pairs:
        return [Prose(t("league.sure.no_pairs"))]
    rows = tuple(
        (
            Cell(t("league.sure.pair", above=n.team(pair["above"]), below=n.team(pair["below"]))),
            Cell(n.fine(pair["difference"])),
            Cell(n.interval(pair["low"], pair["high"], digits=2)),
            Cell(
                t("league.pair.resolved") if pair["resolved"] else t("league.pair.unresolved"),
                sign="●" if pair["resolved"] else "◑",
                tone="clear" if pair["resolved"] else "open",
            ),
        )
        for pair in pairs[:MAX_PAIRS]
    )
    head = tuple(t(f"league.sure.head_{name}") for name in ("pair", "difference", "interval", "resolved"))
    lead = (
        t("league.sure.pairs_lead")
        if table["critical"] is None
        else t("league.sure.pairs_critical", critical=n.fine(table["critical"]))
    )
    blocks: list[Block] = [Prose(lead), Grid(t(f"league.sure.pairs_{key}"), head, rows, numeric=(1, 2))]
    left = len(pairs) - MAX_PAIRS
    if left > 0:
        more = t("league.csv_more", count=t.number(left))
        blocks.append(Bullets((Cell(more, href="../csv/pairs.csv"),)))
    return blocks


def _last(n: Naming) -> Part:
    """Probabilities of the first and last place, and why nothing is decided by them."""
    t = n.t
    table = n.board["tables"]["eligible"] or n.board["tables"]["all"]
    blocks: list[Block] = [Prose(t("league.sure.last_lead"))]
    rows = [] if table is None else [row for row in table["rows"] if row["last_probability"] is not None]
    if rows:
        head = (t("league.head_team"), t("league.sure.head_first"), t("league.sure.head_last"))
        found = tuple(
            (
                Cell(n.team(row["team"])),
                Cell(n.share(row["first_probability"])),
                Cell(n.share(row["last_probability"])),
            )
            for row in rows
        )
        blocks.append(Grid(t("league.sure.last_caption"), head, found, numeric=(1, 2), narrow=True))
    return Part("last-probability", t("league.sure.last"), tuple(blocks))


def _method(n: Naming) -> Part:
    t, round_ = n.t, n.board["round"]
    assumed = [n.event(event["id"]) for event in n.board["events"] if event["assumed"]]
    facts = (
        (t("league.sure.level"), t.percent(round_["level"])),
        (t("league.sure.draws"), t.number(round_["draws"])),
        (t("league.sure.seed"), str(round_["seed"])),
        (t("league.sure.assumed"), ", ".join(assumed[:12]) or t("league.sure.assumed_none")),
    )
    return Part("method", t("league.sure.method"), (Prose(t("league.sure.method_lead")), Facts(facts)))
