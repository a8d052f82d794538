"""The history of a disclosed training as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.figures.charts import (
    Band,
    Chart,
    Lane,
    LaneItem,
    Moment,
    TimeChart,
    TimeCurve,
    TimelineChart,
    TimePanel,
)
from jokbo.report.parts import Section
from jokbo.report.record_bounds import updates_chart
from jokbo.report.record_words import Document
from jokbo.report.tables import Table
from jokbo.report.texts import Texts

MAX_TABLE = 60
"""Rows of the table behind a figure; a page must stay readable and small."""

LOG_FROM = 30.0
"""Above this ratio of largest to smallest a plain axis would hide most of a curve."""

MAX_EVENTS = 40
MAX_LOGS = 40
MARK: Mapping[str, str] = {"training": "circle", "average": "square", "published": "diamond"}

Curve = Mapping[str, Any]


def history_section(document: Document, t: Texts) -> Section:
    """All figures that the disclosed parts allow."""
    history = document["history"]
    span = _span(document)
    charts: list[Chart] = [_timeline(document, span, t)] if document["checkpoints"] or document["log"] else []
    if history["loss"] is not None:
        charts.append(_loss(history["loss"], document, span, t))
    for key in ("learning_rate", "tokens"):
        if history[key] is not None:
            charts.append(_pair(key, history[key], document, span, t))
    if history["updates"]:
        charts.append(updates_chart(document, frame(document, span, t), t))
    if history["distance"] is not None:
        charts.append(_distance(history["distance"], document, span, t))
    leads = [t("record.section.history_lead") if charts else t("record.section.history_none")]
    if charts and document["events"]:
        leads.append(t("record.section.history_events"))
    return Section("history", t("record.section.history"), (" ".join(leads),), charts=tuple(charts))


def _span(document: Document) -> tuple[float, float]:
    """Steps that every figure shows, so that they can be read one below the other."""
    log = document["log"] or {}
    ends = [document["record"]["steps"], log.get("last_step") or 0, 1]
    return 0.0, float(max(ends + [each["step"] for each in document["checkpoints"]]))


def frame(document: Document, span: tuple[float, float], t: Texts) -> dict[str, Any]:
    """What all charts over the steps have in common."""
    return {
        "moments": moments(document),
        "first": span[0],
        "last": span[1],
        "axis": t("record.chart.table.axis"),
    }


def moments(document: Document) -> tuple[Moment, ...]:
    """Declared events, numbered as in their table."""
    found = []
    for k, event in enumerate(document["events"][:MAX_EVENTS]):
        end = event["step"] if event["to_step"] is None else event["to_step"]
        found.append(Moment(float(event["step"]), float(end), str(k + 1)))
    return tuple(found)


def curve(words: str, style: str, found: Curve, *, marked: bool = False) -> TimeCurve:
    """A curve of the document."""
    steps = tuple(float(step) for step in found["steps"])
    return TimeCurve(words, style, steps, tuple(float(value) for value in found["values"]), marked)


def table(head: Sequence[str], rows: Sequence[Sequence[float | None]], t: Texts) -> Table:
    """Numbers of a figure: step, then values; long ones are thinned, and say so."""
    every = -(-len(rows) // MAX_TABLE)
    shown = [*rows[:: max(every, 1)]]
    if rows and shown[-1] is not rows[-1]:
        shown.append(rows[-1])
    thinned = t("record.chart.table.thinned", every=t.number(every))
    return Table(
        thinned if every > 1 else t("record.chart.table.values"),
        (t("record.chart.table.step"), *head),
        tuple(
            (t.number(row[0] or 0), *(t("ui.none") if v is None else t.significant(v) for v in row[1:]))
            for row in shown
        ),
        numeric=tuple(range(len(head) + 1)),
    )


def _merged(*curves: Curve | None) -> list[list[float | None]]:
    """Rows of several curves by step; None where a curve has no value."""
    given = [dict(zip(c["steps"], c["values"], strict=True)) if c is not None else {} for c in curves]
    steps = sorted(set().union(*given))
    return [[float(step), *(each.get(step) for each in given)] for step in steps]


def _loss(loss: Mapping[str, Any], document: Document, span: tuple[float, float], t: Texts) -> TimeChart:
    def words(key: str, **values: object) -> str:
        return t(f"record.chart.loss.{key}", **values)

    curves = [curve(words("logged"), "raw", loss["curve"]), curve(words("trend"), "main", loss["trend"])]
    if loss["replaced"] is not None:
        curves.insert(1, curve(words("replaced"), "gone", loss["replaced"]))
    twice = 2 * loss["spread"]
    first, last = (loss["curve"]["values"][k] for k in (0, -1))
    return TimeChart(
        key="loss",
        title=words("title"),
        lead=words("lead"),
        alt=words(
            "alt",
            first=t.significant(first),
            last=t.significant(last),
            first_step=t.number(loss["curve"]["steps"][0]),
            last_step=t.number(loss["curve"]["steps"][-1]),
            spread=t.significant(loss["spread"]),
        ),
        data=(
            table(
                [words("axis"), words("trend"), words("axis_residual")],
                _merged(loss["curve"], loss["trend"], loss["residuals"]),
                t,
            ),
        ),
        panels=(
            TimePanel(words("axis"), tuple(curves)),
            TimePanel(
                words("axis_residual"),
                (curve(words("residual"), "raw", loss["residuals"]),),
                band=Band(words("spread"), -twice, twice),
                height=110.0,
            ),
        ),
        **frame(document, span, t),
    )


def _pair(
    key: str, pair: Mapping[str, Any], document: Document, span: tuple[float, float], t: Texts
) -> TimeChart:
    logged, declared = pair["logged"], pair["declared"]
    curves, heads = [], []
    for found, word, style in ((declared, "declared", "wide"), (logged, "logged", "main")):
        heads.append(t(f"record.chart.pair.{word}"))
        if found is not None:
            curves.append(curve(heads[-1], style, found))
    which = "both" if len(curves) == 2 else "only_declared" if logged is None else "only_logged"
    values = [v for each in curves for v in each.values]
    return TimeChart(
        key=key.replace("_", "-"),
        title=t(f"record.chart.{key}.title"),
        lead=t(f"record.chart.{key}.lead"),
        alt=t(
            f"record.chart.{key}.alt",
            logged=t(f"record.chart.pair.{which}"),
            highest=t.significant(max(values, default=0.0)),
        ),
        data=(table(heads, _merged(declared, logged), t),),
        panels=(TimePanel(t(f"record.chart.{key}.axis"), tuple(curves), height=180.0),),
        **frame(document, span, t),
    )


def _distance(
    distance: Mapping[str, Any], document: Document, span: tuple[float, float], t: Texts
) -> TimeChart:
    points = distance["points"]

    def along(key: str, style: str) -> TimeCurve:
        kept = [point for point in points if point[key] is not None]
        found = {"steps": [p["step"] for p in kept], "values": [p[key] for p in kept]}
        return curve(t(f"record.chart.distance.{key}"), style, found, marked=True)

    first, previous, cosine = (
        along("from_first", "main"),
        along("from_previous", "second"),
        along("cosine", "main"),
    )
    none = t("ui.none")
    return TimeChart(
        key="distance",
        title=t("record.chart.distance.title"),
        lead=t("record.chart.distance.lead"),
        alt=t(
            "record.chart.distance.alt",
            first_step=t.number(distance["first_step"]),
            far=t.significant(first.values[-1]) if first.values else none,
            cosine=t.significant(cosine.values[-1]) if cosine.values else none,
        ),
        data=(
            table(
                [first.label, previous.label, cosine.label],
                [[float(p["step"]), p["from_first"], p["from_previous"], p["cosine"]] for p in points],
                t,
            ),
        ),
        panels=(
            TimePanel(t("record.chart.distance.axis"), (first, previous), height=180.0),
            TimePanel(t("record.chart.distance.axis_cosine"), (cosine,), height=130.0),
        ),
        **frame(document, span, t),
    )


def _timeline(document: Document, span: tuple[float, float], t: Texts) -> TimelineChart:
    lanes = []
    for role, shape in MARK.items():
        items = tuple(
            LaneItem("mark", float(c["step"]), float(c["step"]), shape, hollow=c["rows_read"] == 0)
            for c in document["checkpoints"]
            if c["role"] == role
        )
        if items:
            lanes.append(Lane(t(f"record.role.{role}"), items))
    logs = document["history"]["log"][:MAX_LOGS]
    bars = tuple(LaneItem("bar", float(log["first_step"]), float(log["last_step"])) for log in logs)
    if bars:
        lanes.append(Lane(t("record.chart.timeline.logs"), bars))
    events = tuple(LaneItem("moment", m.first, m.last, label=m.label) for m in moments(document))
    if events:
        lanes.append(Lane(t("record.chart.timeline.events"), events))
    counts = {
        "checkpoints": t.number(len(document["checkpoints"])),
        "events": t.number(len(document["events"])),
    }
    return TimelineChart(
        key="timeline",
        title=t("record.chart.timeline.title"),
        lead=t("record.chart.timeline.lead"),
        alt=t("record.chart.timeline.alt", steps=t.number(document["record"]["steps"]), **counts),
        data=(_lanes(lanes, t),),
        lanes=tuple(lanes),
        first=span[0],
        last=span[1],
        axis=t("record.chart.timeline.axis"),
    )


def _lanes(lanes: Sequence[Lane], t: Texts) -> Table:
    """What stands on each lane, in words; names are in the tables further down."""
    rows = [(lane.label, item) for lane in lanes for item in lane.items]
    every = -(-len(rows) // MAX_TABLE)
    thinned = t("record.chart.table.thinned", every=t.number(every))
    return Table(
        thinned if every > 1 else t("record.chart.table.values"),
        (t("record.head.item"), t("record.head.from"), t("record.head.to")),
        tuple(
            (f"{words} {item.label}".rstrip(), t.number(item.first), t.number(item.last))
            for words, item in rows[:: max(every, 1)]
        ),
        numeric=(1, 2),
    )
