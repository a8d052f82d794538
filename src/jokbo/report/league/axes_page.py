"""The three axes, each for itself: events finished, absolute scores, races with their fronts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.figures.dots import Dot, DotChart, Rule
from jokbo.report.figures.pareto import FrontChart, FrontPoint
from jokbo.report.league.blocks import Block, Cell, Grid, Head, Page, Part, Picture, Prose, Subhead
from jokbo.report.league.event_page import quantity, rule_of, unit_words
from jokbo.report.league.naming import Naming
from jokbo.report.league.overview import event_file
from jokbo.report.league.places import places
from jokbo.report.league.standings import MOST_DRAWN, score_data
from jokbo.report.tables import Table
from jokbo.report.wording import capital


def axes_page(n: Naming) -> Page:
    """Build the page."""
    t = n.t
    head = Head(t("league.axes.title"), lead=(t("league.axes.lead"),))
    parts = (_range(n), _absolute(n), _races(n), *_fronts(n))
    return Page("axes.html", "axes", t("league.axes.title"), head, tuple(p for p in parts if p is not None))


def _range(n: Naming) -> Part:
    t = n.t
    rows = n.board["axes"]["range"]
    title = t("league.axis.range")
    if not rows:
        return Part("range", title, (Prose(t("league.axes.no_range")),))
    found = tuple(
        (
            Cell(n.team(row["team"])),
            Cell(t("league.profile.finished", count=t.number(row["finished"]), of=t.number(row["of"]))),
            Cell(", ".join(map(n.event, row["events"])) or t("ui.none")),
            Cell(", ".join(map(n.event, row["unresolved"])) or t("ui.none")),
        )
        for row in sorted(rows, key=lambda row: -row["finished"])
    )
    head = (
        t("league.head_team"),
        *(t(f"league.axes.head_{key}") for key in ("finished", "events", "unresolved")),
    )
    grid = Grid(t("league.axes.range_caption"), head, found)
    return Part("range", title, (Prose(t("league.axes.range_lead")), grid))


def _absolute(n: Naming) -> Part:
    t = n.t
    rows = sorted(
        n.board["axes"]["absolute"], key=lambda row: -(row["score"] if row["score"] is not None else -1e300)
    )
    title = t("league.axis.absolute")
    if not rows:
        return Part("absolute", title, (Prose(t("league.axes.no_absolute")),))
    blocks: list[Block] = [Prose(t("league.axes.absolute_lead"))]
    if len(rows) <= MOST_DRAWN:
        chart = DotChart(
            key="absolute-chart",
            title=t("league.axes.absolute_chart"),
            lead=t("league.event.chart_lead"),
            alt=t("league.event.chart_alt", count=t.number(len(rows))),
            data=(score_data(rows, t("league.axes.absolute_caption"), n),),
            rows=tuple(
                Dot(
                    n.label("team", row["team"], 380.0),
                    n.points_with_interval(row, "score"),
                    row["score"],
                    row["low"],
                    row["high"],
                )
                for row in rows
            ),
            rules=(Rule(t("league.floor"), 0.0, "zero"), Rule(t("league.anchor"), 100.0)),
            axis=t("league.event.axis"),
        )
        blocks.append(Picture(chart))
    else:
        data = score_data(rows, t("league.axes.absolute_caption"), n)
        cells = tuple(tuple(Cell(each) for each in row) for row in data.rows)
        blocks.append(Grid(data.caption, data.head, cells, numeric=data.numeric))
    return Part("absolute", title, tuple(blocks))


def _races(n: Naming) -> Part:
    t = n.t
    races = [event for event in n.board["events"] if event["kind"] == "race"]
    title = t("league.axis.efficiency")
    if not races:
        return Part("efficiency", title, (Prose(t("league.axes.no_races")),))
    blocks: list[Block] = [Prose(t("league.axes.races_lead"))]
    for race in races:
        blocks += [Subhead(n.event(race["id"])), Prose(_race_words(race, n)), _race(race, n)]
    return Part("efficiency", title, tuple(blocks))


def _race_words(race: Mapping[str, Any], n: Naming) -> str:
    rule = rule_of(race)
    if not rule:
        return n.t.code("league.direction", race["direction"])
    words = n.t("league.event.race", quantity=quantity(rule["quantity"], n), target=n.long(rule["target"]))
    fixed = ", ".join(
        f"{n.words(key)}: {n.words(value)}" for key, value in list((rule.get("fixed") or {}).items())[:12]
    )
    return f"{words} {n.t('league.axes.fixed', fixed=fixed)}" if fixed else words


def _race(race: Mapping[str, Any], n: Naming) -> Grid:
    """A race's teams in order of finish, then those who did not."""
    t = n.t
    intervals = _race_rows(race["id"], n)
    place = {each.team: each.place for each in places(race)}
    rows = sorted(race["results"], key=lambda row: place.get(row["team"], len(place) + 1))
    found = tuple(
        (
            Cell(n.team(row["team"]), href=event_file(race["id"])),
            Cell(t.number(place[row["team"]]) if row["team"] in place else t("ui.none")),
            Cell(
                n.measured(row["value"])
                if row["status"] == "scored"
                else t.code("league.status", row["status"])
            ),
            Cell(_race_interval(intervals.get(row["team"]), n)),
            Cell(_race_runs(intervals.get(row["team"]), n)),
            Cell(n.score(row["score"] if row["status"] == "scored" else None)),
        )
        for row in rows
    )
    head = (
        t("league.head_team"),
        t("league.head_place"),
        unit_words(race, n),
        t("league.head_interval"),
        t("league.axes.head_runs"),
        t("league.head_score"),
    )
    return Grid(
        t("league.axes.race_caption", event=n.event(race["id"])), head, found, numeric=(1, 2, 3, 4, 5)
    )


def _race_rows(id: str, n: Naming) -> dict[str, Mapping[str, Any]]:
    races = n.board["axes"]["efficiency"]["races"]
    rows = next((race["rows"] for race in races if race["event"] == id), ())
    return {row["team"]: row for row in rows}


def _race_interval(row: Mapping[str, Any] | None, n: Naming) -> str:
    if row is None or row.get("low") is None:
        return n.t("ui.none")
    return n.t("league.interval", low=n.measured(row["low"]), high=n.measured(row["high"]))


def _race_runs(row: Mapping[str, Any] | None, n: Naming) -> str:
    """Runs that reached the target, of those begun."""
    if row is None or not row.get("started"):
        return n.t("ui.none")
    return n.t(
        "league.profile.runs", finished=n.t.number(row["finished"]), started=n.t.number(row["started"])
    )


def _fronts(n: Naming) -> list[Part]:
    t = n.t
    fronts = n.board["axes"]["efficiency"]["fronts"]
    if not fronts:
        return []
    blocks: list[Block] = [Prose(t("league.front.lead"))]
    for k, front in enumerate(fronts):
        blocks.append(Picture(_front(front, k, n)))
    return [Part("fronts", t("league.front.title"), tuple(blocks))]


def _cost_words(cost: Mapping[str, Any], n: Naming) -> str:
    """The race and its unit, said once where they are the same word."""
    title, unit = n.label("event", cost["id"], 260.0), unit_words(cost, n)
    return title if title.casefold() == unit.casefold() else f"{title}, {unit}"


def _front(front: Mapping[str, Any], k: int, n: Naming) -> FrontChart:
    t = n.t
    cost = next(event for event in n.board["events"] if event["id"] == front["cost"])
    ability = n.plain(n.by(front["ability"]) if front["ability"] == "absolute" else n.event(front["ability"]))
    known = [point for point in front["points"] if point["cost"] is not None and point["ability"] is not None]
    log = cost["scale"] == "log" and all(point["cost"] > 0 for point in known)
    rows = tuple(
        (
            n.team(point["team"]),
            n.measured(point["cost"]),
            n.measured(point["ability"]),
            t("league.yes") if point["on_front"] else t("league.no"),
            n.share(point.get("front_share")),
            ", ".join(map(n.team, point["dominated_by"])) or t("ui.none"),
        )
        for point in front["points"]
    )
    said = {"ability": ability, "cost": n.plain(n.event(front["cost"]))}
    head = (
        t("league.head_team"),
        unit_words(cost, n),
        ability,
        t("league.front.head_on"),
        t("league.front.head_share"),
        t("league.front.head_beaten"),
    )
    return FrontChart(
        key=f"front-{k}",
        title=capital(t("league.front.chart", **said)),
        lead=t("league.front.chart_lead_log") if log else t("league.front.chart_lead"),
        alt=t(
            "league.front.alt",
            count=t.number(len(known)),
            front=", ".join(n.plain(n.team(point["team"])) for point in known if point["on_front"])
            or t("ui.none"),
        ),
        data=(Table(capital(t("league.front.data", **said)), head, rows, numeric=(1, 2, 4)),),
        points=tuple(
            FrontPoint(
                n.label("team", point["team"], 150.0), point["cost"], point["ability"], point["on_front"]
            )
            for point in known[:MOST_DRAWN]
        ),
        log=log,
        more_is_better=cost["direction"] == "higher",
        x_axis=_cost_words(cost, n),
        y_axis=ability,
        front_label=t("league.front.on"),
        other_label=t("league.front.off"),
    )
