"""Rows behind an event's means: every rater's, and every item's where it may be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.league.blocks import Block, Bullets, Cell, Facts, Folded, Part, Prose
from jokbo.report.league.naming import Naming
from jokbo.report.tables import Table
from jokbo.report.texts import clean, name

MAX_ROWS = 400
"""Rows of one table on a page; all stand in the CSV file that the page links."""

ALPHA_TENTATIVE, ALPHA_GOOD = 0.667, 0.8
"""Krippendorff's own rule of thumb (2004, page 241): conclusions from 0.8 on, tentative ones from 0.667 on."""


def panel_part(event: Mapping[str, Any], n: Naming) -> Part | None:
    """Agreement of the raters, and every row; None where there is no panel."""
    t, panel = n.t, event["panel"]
    if panel is None:
        return None
    facts = [
        (t("league.panel.alpha"), t("ui.none") if panel["alpha"] is None else t.fixed(panel["alpha"], 3)),
        (t("league.panel.alpha_interval"), n.interval(panel["alpha_low"], panel["alpha_high"], digits=3)),
        (t("league.panel.raters"), t.number(len(panel["raters"]))),
    ]
    raters = Table(
        t("league.panel.severity"),
        (t("league.head_rater"), t("league.head_severity")),
        tuple((name(row["rater"]), n.fine(row["severity"])) for row in panel["raters"][:MAX_ROWS]),
        numeric=(1,),
    )
    rows = Table(
        t("league.panel.rows"),
        (
            t("league.head_rater"),
            t("league.head_team"),
            t("league.head_criterion"),
            t("league.head_raw_score"),
        ),
        tuple(
            (name(row["rater"]), n.team(row["team"]), name(row["criterion"]), n.measured(row["score"]))
            for row in panel["rows"][:MAX_ROWS]
        ),
        numeric=(3,),
    )
    said = Prose(_alpha_words(panel["alpha"], n))
    rest = _rest(len(panel["rows"]), "panel", n)
    blocks: tuple[Block, ...] = (
        Prose(t("league.panel.lead")),
        Facts(tuple(facts)),
        said,
        Folded(raters),
        Folded(rows),
    )
    return Part("panel", t("league.panel.title"), (*blocks, *rest))


def _alpha_words(alpha: float | None, n: Naming) -> str:
    if alpha is None:
        return n.t("league.panel.alpha_none")
    level = "good" if alpha >= ALPHA_GOOD else "tentative" if alpha >= ALPHA_TENTATIVE else "low"
    return n.t(f"league.panel.alpha_{level}")


def items_part(event: Mapping[str, Any], n: Naming) -> Part | None:
    """Items one by one where the round shows them; the word that it does not, otherwise."""
    t = n.t
    if event["kind"] != "items":
        return None
    title = t("league.items.title")
    if event["items"] is None:
        return Part("items", title, (Prose(t("league.items.closed")),))
    shown = event["items"]["shown"]
    teams = [team["id"] for team in n.board["teams"] if any(team["id"] in row["scores"] for row in shown)]
    grouped = any(row["group"] is not None for row in shown)
    head = [t("league.head_item"), *([t("league.head_group")] if grouped else []), *map(n.team, teams)]
    rows = []
    for row in shown[:MAX_ROWS]:
        first = [name(row["item"]), *([n.words(row["group"])] if grouped else [])]
        scores = [row["scores"].get(team) for team in teams]
        rows.append((*first, *(n.measured(score) for score in scores)))
    start = 2 if grouped else 1
    numeric = tuple(range(start, start + len(teams)))
    table = Table(t("league.items.caption"), tuple(head), tuple(rows), numeric=numeric)
    lead = t("league.items.lead", total=t.number(event["items"]["total"]), shown=t.number(len(shown)))
    return Part("items", title, (Prose(lead), Folded(table), *_rest(len(shown), "items", n)))


def _rest(count: int, file: str, n: Naming) -> tuple[Bullets, ...]:
    """Where the rows are that the page does not hold, and all of them as a file."""
    left = count - MAX_ROWS
    words = n.t("league.csv_more", count=n.t.number(left)) if left > 0 else n.t("league.csv_all")
    return (Bullets((Cell(words, href=f"../csv/{clean(file)}.csv"),)),)
