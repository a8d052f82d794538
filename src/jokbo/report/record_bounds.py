"""Sizes of updates against the furthest that the declared optimizer could carry a weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.figures.charts import TimeChart, TimeCurve, TimePanel
from jokbo.report.record_words import Document
from jokbo.report.tables import Table
from jokbo.report.texts import Texts

BOUND_CHECK = "step_bound"


def updates_chart(document: Document, frame: Mapping[str, Any], t: Texts) -> TimeChart:
    """How far weights moved between neighbouring checkpoints, and their bound where a check knows it."""
    rows = document["history"]["updates"]
    steps = tuple(float(row["to"]) for row in rows)
    largest, mean = (tuple(float(row[key]) for row in rows) for key in ("largest", "mean"))
    heads = {key: t(f"record.chart.updates.{key}") for key in ("largest", "mean")}
    shares = bound_shares(document)
    panels = [
        TimePanel(
            t("record.chart.updates.axis"),
            (
                TimeCurve(heads["largest"], "main", steps, largest, marked=True),
                TimeCurve(heads["mean"], "second", steps, mean, marked=True),
            ),
            log=True,
            height=180.0,
        )
    ]
    lead = t("record.chart.updates.lead")
    if shares:
        words = t("record.chart.share.largest")
        places, values = tuple(map(float, shares)), tuple(shares.values())
        panels.append(
            TimePanel(
                t("record.chart.share.axis"),
                (TimeCurve(words, "main", places, values, marked=True),),
                rule=(t("record.chart.share.bound"), 1.0),
                log=max(values) > 5,
                height=140.0,
            )
        )
        lead = f"{lead} {t('record.chart.share.lead')}"
    return TimeChart(
        key="updates",
        title=t("record.chart.updates.title"),
        lead=lead,
        alt=t(
            "record.chart.updates.alt",
            least=t.significant(min(largest)),
            most=t.significant(max(largest)),
        ),
        data=(_table(rows, shares, heads, t),),
        panels=tuple(panels),
        **frame,
    )


def bound_shares(document: Document) -> dict[int, float]:
    """Share of the bound that was used, by the step at which an interval ends; empty where no check says."""
    check = next((row for row in document["checks"] if row["check"] == BOUND_CHECK), None)
    found: dict[int, float] = {}
    for row in (check or {"details": {}})["details"].get("stretches") or ():
        end, share = row["to"], row["ratio"]
        if isinstance(end, int) and isinstance(share, int | float) and 0 <= share < 1e12:
            found[end] = float(share)
    return dict(sorted(found.items()))


def _table(rows: Any, shares: Mapping[int, float], heads: Mapping[str, str], t: Texts) -> Table:
    from jokbo.report.record_history import MAX_TABLE

    bound = (t("record.chart.share.largest"),) if shares else ()
    every = -(-len(rows) // MAX_TABLE)
    found = []
    for row in rows[:: max(every, 1)]:
        share = shares.get(row["to"])
        last = (t("ui.none") if share is None else t.significant(share),) if shares else ()
        numbers = (t.significant(row["largest"]), t.significant(row["mean"]))
        found.append((t.number(row["from"]), t.number(row["to"]), *numbers, *last))
    thinned = t("record.chart.table.thinned", every=t.number(every))
    head = (t("record.head.from"), t("record.head.to"), heads["largest"], heads["mean"], *bound)
    caption = thinned if every > 1 else t("record.chart.table.values")
    return Table(caption, head, tuple(found), numeric=tuple(range(len(head))))
