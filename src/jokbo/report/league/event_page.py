"""One event: results with their intervals, how they were measured, by whom, from which files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.figures.dots import Dot, DotChart, Rule
from jokbo.report.league.blocks import (
    Block,
    Bullets,
    Cell,
    Facts,
    Folded,
    Grid,
    Head,
    Page,
    Part,
    Picture,
    Prose,
)
from jokbo.report.league.event_rows import items_part, panel_part
from jokbo.report.league.naming import Naming
from jokbo.report.league.overview import event_file
from jokbo.report.league.standings import MOST_DRAWN
from jokbo.report.tables import Table
from jokbo.report.texts import clean

Event = Mapping[str, Any]

FINISHED: Mapping[str, str] = {"yes": "●", "no": "○", "unresolved": "◑"}
"""Signs of the range axis."""

MAX_SETTINGS = 60
NAIVE_RATIO = 1.2
"""From this ratio of the clustered to the naive error on, the page says what the naive one would have hidden."""


def event_page(event: Event, n: Naming) -> Page:
    """Build the page of one event."""
    t = n.t
    axes = ", ".join(t.code("league.axis", axis) for axis in event["axes"])
    lead = [t("league.event.lead", kind=t.code("league.kind_of_event", event["kind"]), axes=axes)]
    lead += _kind_words(event, n)
    if event["assumed"]:
        lead.append(t("league.event.assumed", why=n.long(event["why"])))
    parts = (
        results_part(event, n),
        _notes(event, n),
        _how(event, n),
        panel_part(event, n),
        items_part(event, n),
        _files(event, n),
        _neighbours(event, n),
    )
    title = n.event(event["id"])
    return Page(
        event_file(event["id"]),
        "index",
        n.plain(title),
        Head(title, lead=tuple(lead)),
        tuple(part for part in parts if part is not None),
    )


def _kind_words(event: Event, n: Naming) -> list[str]:
    rule = rule_of(event)
    if event["kind"] == "race" and rule:
        return [
            n.t("league.event.race", quantity=quantity(rule["quantity"], n), target=n.long(rule["target"]))
        ]
    if event["kind"] == "panel" and rule:
        values = {key: n.measured(rule[key]) for key in ("lowest", "highest")}
        dropped = rule.get("drop_each_side", 0)
        words = [n.t("league.event.panel", **values)]
        return [*words, n.t("league.event.trimmed", count=n.t.number(dropped))] if dropped else words
    return []


def rule_of(event: Event) -> Mapping[str, Any]:
    """The rule of a race, a panel or a published figure; empty where there is none."""
    rule = event["rule"] or {}
    inner = rule.get(event["kind"], rule)
    return inner if isinstance(inner, Mapping) else {}


def quantity(code: str, n: Naming) -> str:
    """What a race measures, in words; foreign text for a quantity without any."""
    key = f"league.quantity.{code}"
    return n.t(key) if n.t.has(key) else n.words(code)


def unit_words(event: Event, n: Naming) -> str:
    """The unit of an event's values, for an axis."""
    if event["kind"] == "race" and rule_of(event):
        return n.plain(quantity(rule_of(event)["quantity"], n))
    return clean(event["unit"]) or n.t("league.event.value")


def results_part(event: Event, n: Naming) -> Part:
    """Results as a figure and as a table."""
    t = n.t
    rows = sorted(event["results"], key=lambda row: -(row["score"] if row["score"] is not None else -1e300))
    blocks: list[Block] = [Prose(t("league.event.results_lead", level=t.percent(n.board["round"]["level"])))]
    if any(row["score"] is not None for row in rows) and len(rows) <= MOST_DRAWN:
        blocks.append(Picture(_chart(event, rows, n)))
    blocks.append(_grid(event, rows, n))
    ratio = _naive_ratio(rows)
    if ratio is not None and ratio >= NAIVE_RATIO:
        blocks.append(Prose(t("league.event.naive", ratio=t.fixed(ratio, 1))))
    return Part("results", t("league.event.results"), tuple(blocks))


def _chart(event: Event, rows: list[Event], n: Naming) -> DotChart:
    t = n.t
    return DotChart(
        key="results-chart",
        title=t("league.event.chart", event=n.plain(n.event(event["id"]))),
        lead=t("league.event.chart_lead"),
        alt=t("league.event.chart_alt", count=t.number(len(rows))),
        data=(),
        rows=tuple(
            Dot(
                n.label("team", row["team"], 380.0),
                _result_words(row, n),
                row["score"],
                row["low"],
                row["high"],
                hollow=bool(event["assumed"]),
            )
            for row in rows
        ),
        rules=(
            Rule(t("league.event.floor_line", value=n.measured(event["floor"])), 0.0, "zero"),
            Rule(t("league.event.anchor_line", value=n.measured(event["anchor"]["value"])), 100.0),
        ),
        axis=t("league.event.axis"),
    )


def _result_words(row: Event, n: Naming) -> str:
    if row["score"] is None:
        return n.t.code("league.status", row["status"])
    return n.points_with_interval(row, "score")


def _grid(event: Event, rows: list[Event], n: Naming) -> Grid:
    t = n.t
    ranged = "range" in event["axes"]
    naive = any(row["naive_error"] is not None for row in rows)
    head = [t("league.head_team"), t("league.head_value"), t("league.head_value_error")]
    head += [t("league.head_naive")] if naive else []
    head += [t("league.head_score"), t("league.head_interval")]
    numeric = tuple(range(1, len(head)))
    head += [t("league.head_finished")] if ranged else []
    found = []
    for row in rows:
        if row["status"] != "scored":
            word = Cell(t.code("league.status", row["status"]))
            rest = [Cell(t("ui.none")) for _ in head[2:]]
            found.append((Cell(n.team(row["team"])), word, *rest))
            continue
        cells = [
            Cell(n.team(row["team"])),
            Cell(n.measured(row["value"])),
            Cell(n.measured(row["value_error"])),
        ]
        cells += [Cell(n.measured(row["naive_error"]))] if naive else []
        cells += [Cell(n.score(row["score"])), Cell(n.interval(row["low"], row["high"]))]
        cells += [_finished_cell(row["finished"], n)] if ranged else []
        found.append(tuple(cells))
    return Grid(t("league.event.results_caption"), tuple(head), tuple(found), numeric=numeric)


def _finished_cell(finished: str | None, n: Naming) -> Cell:
    if finished is None:
        return Cell(n.t("ui.none"))
    return Cell(n.t.code("league.finished", finished), sign=FINISHED.get(finished, ""))


def _naive_ratio(rows: list[Event]) -> float | None:
    """The greatest ratio of the error used to the naive one."""
    found = [
        row["value_error"] / row["naive_error"]
        for row in rows
        if row["naive_error"] and row["value_error"] is not None
    ]
    return max(found, default=None)


def _notes(event: Event, n: Naming) -> Part | None:
    if not event["notes"]:
        return None
    said = dict.fromkeys(n.reason(note, "league.note") for note in event["notes"])
    return Part("notes", n.t("league.event.notes"), (Bullets(tuple(Cell(words) for words in said)),))


def _how(event: Event, n: Naming) -> Part:
    """Everything that was fixed beforehand, and what was counted."""
    t = n.t
    anchor = event["anchor"]
    model = anchor["model"] or {}
    facts = [
        (t("league.fact.author"), n.words(event["author"])),
        (t("league.fact.affiliations"), n.listed(event["affiliations"])),
        (t("league.fact.direction"), t.code("league.direction", event["direction"])),
        (t("league.fact.scale"), t.code("league.scale", event["scale"])),
        (t("league.fact.floor"), n.measured(event["floor"])),
        (t("league.fact.anchor"), n.measured(anchor["value"])),
    ]
    if model:
        facts.append((t("league.fact.anchor_model"), n.words(model.get("name"))))
    if anchor["source"]:
        facts.append((t("league.fact.anchor_source"), n.long(anchor["source"])))
    if event["category"] is not None:
        facts.append((t("league.fact.category"), n.category(event["category"])))
        facts.append((t("league.fact.weight"), n.measured(event["weight"])))
    facts += [
        (t(f"league.fact.{key}"), n.words(event[key]))
        for key in ("unit", "task", "metric", "filter")
        if event.get(key)
    ]
    if event["kind"] == "items":
        facts.append((t("league.fact.average"), t.code("league.average", event["average"])))
    if event.get("missing"):
        facts.append((t("league.fact.missing"), t.code("league.missing", event["missing"])))
    counts = event["counts"] or {}
    facts += [
        (t.code("league.count", key), _count(value, n)) for key, value in counts.items() if value is not None
    ]
    fixed = rule_of(event).get("fixed") or {}
    facts += [(n.words(key), n.words(value)) for key, value in list(fixed.items())[:MAX_SETTINGS]]
    blocks: list[Block] = [Facts(tuple(facts))]
    settings = list(event["settings"].items())
    if settings:
        rows = tuple((n.words(key), n.words(value)) for key, value in settings[:MAX_SETTINGS])
        head = (t("league.head_setting"), t("league.head_setting_value"))
        blocks.append(Folded(Table(t("league.event.settings"), head, rows)))
    return Part("how", t("league.event.how"), tuple(blocks))


def _count(value: object, n: Naming) -> str:
    """One number; the least and the most where teams differ; a list of names."""
    if isinstance(value, bool) or not isinstance(value, (int, float, list, tuple, Mapping)):
        return n.words(value)
    if isinstance(value, (int, float)):
        return n.measured(value) if isinstance(value, float) else n.t.number(value)
    values = list(value.values()) if isinstance(value, Mapping) else list(value)
    if values and all(isinstance(each, int) and not isinstance(each, bool) for each in values):
        low, high = min(values), max(values)
        if low == high:
            return n.t.number(low)
        return n.t("league.interval", low=n.t.number(low), high=n.t.number(high))
    return n.listed(values)


def _files(event: Event, n: Naming) -> Part | None:
    t = n.t
    if not event["files"]:
        return None
    names = {row["sha256"]: row["name"] for row in n.board["inputs"]}
    rows = tuple(
        (Cell(clean(names.get(sha256, "")) or t("ui.none")), Cell(clean(sha256))) for sha256 in event["files"]
    )
    grid = Grid(
        t("league.event.files_caption"), (t("league.head_file"), t("league.head_digest")), rows, code=(0, 1)
    )
    return Part("files", t("league.event.files"), (grid,))


def _neighbours(event: Event, n: Naming) -> Part | None:
    ids = [each["id"] for each in n.board["events"]]
    at = ids.index(event["id"])
    near = [ids[k] for k in (at - 1, at + 1) if 0 <= k < len(ids)]
    if not near:
        return None
    items = tuple(Cell(n.event(id), href=event_file(id)) for id in near)
    return Part("others", n.t("league.event.others"), (Bullets(items),))
