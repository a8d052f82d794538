"""The evidence section: strips by layer, families, and every test that was run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.figures.charts import Chart, StripChart, StripRow
from jokbo.report.parts import Section
from jokbo.report.tables import Table
from jokbo.report.texts import Texts
from jokbo.report.wording import Document, capital, component_name, log_threshold, ordered

MAX_CLUSTERS = 400
"""Rows of the table behind the figure; the rest stands in the evidence."""


def evidence(document: Document, t: Texts) -> Section:
    """What the tests found."""
    verdict = document["verdict"]
    said = [t("evidence.lead")]
    if verdict["components_tested"]:
        said.append(
            t(
                "evidence.combine",
                threshold=t.tries(log_threshold(document)),
                base=t.tries(_log10(verdict["policy"]["min_evalue"])),
                count=t.number(verdict["components_tested"]),
            )
        )
    return Section(
        "evidence", t("evidence.title"), tuple(said), charts=_chart(document, t), folded=_tables(document, t)
    )


def _log10(value: float) -> float:
    import math

    return math.log10(value)


def _families(document: Document, t: Texts) -> list[tuple[str, str, Mapping[str, Any]]]:
    """(part, family in words, what the family found), in the order of the document."""
    return [
        (capital(component_name(c["tower"], c["kind"], t)), t.code("family", family), found)
        for c in ordered(document)
        for family, found in c["families"].items()
    ]


def _chart(document: Document, t: Texts) -> tuple[Chart, ...]:
    found = _families(document, t)
    if not found:
        return ()
    rows = tuple(
        StripRow(
            t("evidence.row", part=part, family=family),
            tuple(value for _, _, value in entry["clusters"]),
            entry["log10_evalue"],
            t.evalue(entry["log10_evalue"]),
        )
        for part, family, entry in found
    )
    summary = " ".join(t("evidence.alt_row", row=row.label, value=row.value) for row in rows)
    threshold = log_threshold(document)
    alt = t(
        "evidence.alt", count=t.number(len(rows)), threshold=t.number(threshold, digits=1), summary=summary
    )
    return (
        StripChart(
            key="evidence-strips",
            title=t("evidence.chart"),
            lead=t("evidence.chart_lead"),
            alt=alt,
            data=(_clusters(found, t),),
            rows=rows,
            threshold=threshold,
            threshold_label=t("evidence.threshold"),
            axis=t("evidence.axis"),
        ),
    )


def _clusters(found: list[tuple[str, str, Mapping[str, Any]]], t: Texts) -> Table:
    rows = [
        (
            part,
            family,
            t.number(layer),
            t("ui.none") if expert is None else t.number(expert),
            t.fixed(value, 1),
        )
        for part, family, entry in found
        for layer, expert, value in entry["clusters"]
    ]
    head = ("head.part", "evidence.kind_of", "evidence.layer", "evidence.expert", "evidence.log10")
    caption = t("evidence.chart")
    if len(rows) > MAX_CLUSTERS:
        caption = t("evidence.more", caption=caption, count=t.number(len(rows) - MAX_CLUSTERS))
    return Table(caption, tuple(t(key) for key in head), tuple(rows[:MAX_CLUSTERS]), (2, 3, 4))


def _tables(document: Document, t: Texts) -> tuple[Table, ...]:
    families = tuple(
        (
            part,
            family,
            t.fixed(entry["log10_evalue"], 1),
            t("ui.none") if entry["log10_local"] is None else t.fixed(entry["log10_local"], 1),
            t.number(len(entry["clusters"])),
        )
        for part, family, entry in _families(document, t)
    )
    head = ("head.part", "evidence.kind_of", "evidence.log10", "evidence.log10_local", "evidence.layers")
    results = tuple(_result(c, result, t) for c in ordered(document) for result in c["results"])
    heads = ("head.part", "evidence.test", "evidence.disguise", "evidence.stage", "evidence.tier",
             "evidence.effect", "evidence.strongest", "evidence.looked_at")  # fmt: skip
    tables = [
        Table(t("evidence.families"), tuple(t(key) for key in head), families, (2, 3, 4)),
        Table(t("evidence.results"), tuple(t(key) for key in heads), results, (5, 6, 7)),
    ]
    return tuple(table for table in tables if table.rows)


def _result(c: Mapping[str, Any], result: Mapping[str, Any], t: Texts) -> tuple[str, ...]:
    clusters = result["clusters"]
    test = t.code("test", result["test"])
    if result["local"]:
        test = t("evidence.local", test=test)
    return (
        capital(component_name(c["tower"], c["kind"], t)),
        t("evidence.versioned", test=test, version=result["version"]),
        t.code("alignment", result["alignment"]),
        t.code("stage", result["stage"]),
        t.code("tier", result["tier"]),
        t.fixed(result["effect_size"], 3),
        t.fixed(max(cluster[2] for cluster in clusters), 1) if clusters else t("ui.none"),
        t.number(sum(cluster[4] for cluster in clusters)),
    )
