"""The table of checks: what each says, how strong that is, and what it cannot see."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jokbo.records.forgeries import VARIANTS
from jokbo.report.record_words import (
    MARKS,
    STYLE,
    Document,
    check_text,
    forgery_title,
    pvalue,
    reasons,
)
from jokbo.report.texts import Texts
from jokbo.report.wording import joined

KINDS = ("exact", "calibrated", "soft")


@dataclass(frozen=True, slots=True)
class FindingRow:
    """One line of a table of findings.

    Attributes
    ----------
    name, note : str
        What it is about, and a line below it.
    status, mark, status_text : str
        Class of its colour, a sign that says the same without colour, and the words.
    cells : tuple of tuple of str
        Further columns, each of several lines.
    remarks : tuple of str
        Sentences across all columns.
    """

    name: str
    note: str
    status: str
    mark: str
    status_text: str
    cells: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """A table of findings.

    Attributes
    ----------
    head : tuple of str
        One more than the cells of a row: name, finding, cells.
    legend : tuple of (mark, word, meaning)
        Findings that occur.
    """

    key: str
    title: str
    lead: str
    caption: str
    head: tuple[str, ...]
    rows: tuple[FindingRow, ...]
    legend: tuple[tuple[str, str, str], ...] = ()


def check_tables(document: Document, t: Texts) -> tuple[Findings, ...]:
    """The checks that ran, by kind."""
    alpha = document["verdict"]["policy"].get("family_alpha") or 1e-6
    found = []
    for kind in KINDS:
        rows = [row for row in document["checks"] if row["kind"] == kind]
        if rows:
            found.append(
                Findings(
                    key=f"checks-{kind}",
                    title=t(f"record.kind.{kind}.title"),
                    lead=t(f"record.kind.{kind}.lead", tries=t.tries(-math.log10(alpha))),
                    caption=t(f"record.kind.{kind}.title"),
                    head=tuple(t(f"record.head.{key}") for key in ("check", "outcome", "number", "power")),
                    rows=tuple(check_row(row, document, t) for row in rows),
                )
            )
    return tuple(found)


def check_legend(document: Document, t: Texts) -> tuple[tuple[str, str, str], ...]:
    """Outcomes of checks that occur."""
    present = {row["outcome"] for row in document["checks"]}
    return tuple(
        (mark, t(f"record.outcome.{key}.word"), t(f"record.outcome.{key}.meaning"))
        for key, mark in MARKS.items()
        if key in present
    )


def check_row(row: Mapping[str, Any], document: Document, t: Texts) -> FindingRow:
    """One check."""
    outcome = row["outcome"]
    remarks = [*reasons(row, t)]
    if row["missing"]:
        wanted = joined([t.code("record.need", need) for need in row["missing"]], t)
        remarks.append(t("record.check_line.missing", needs=wanted))
    if row["events"]:
        events = joined([event_words(document["events"][k], k, t) for k in row["events"][:8]], t)
        remarks.append(t("record.check_line.events", events=events))
    remarks += [check_text(row["check"], field, t) for field in ("what", "cannot")]
    return FindingRow(
        name=check_text(row["check"], "title", t),
        note=f"{row['number']} · {row['check']}",
        status=STYLE[outcome],
        mark=MARKS[outcome],
        status_text=t(f"record.outcome.{outcome}.word"),
        cells=(headline_number(row, t), _planted(row["planted"], t)),
        remarks=tuple(remarks),
    )


def headline_number(row: Mapping[str, Any], t: Texts) -> tuple[str, ...]:
    """The number of a check, what it is, and beyond what it contradicts."""
    if row["statistic"] is None:
        return ()
    found = [t.significant(row["statistic"]), check_text(row["check"], "statistic", t)]
    if row["threshold"] is not None:
        found.append(t("record.check_line.threshold", threshold=t.significant(row["threshold"])))
    if row["log10_pvalue"] is not None:
        found.append(t("record.check_line.pvalue", pvalue=pvalue(row["log10_pvalue"])))
    return tuple(found)


def _planted(planted: Sequence[Mapping[str, Any]], t: Texts) -> tuple[str, ...]:
    """Plants by kind, the least found of each; kinds that the list of forgeries does not name go by the forgery."""
    least: dict[str, Mapping[str, Any]] = {}
    for row in planted:
        words = forgery_title(row["forgery"], t)
        key = f"record.variant.{row['forgery']}.{row['variant']}"
        if t.has(key) and len(VARIANTS.get(row["forgery"], ())) > 1:
            words = t("record.power.one_variant", forgery=words, variant=t(key))
        if words not in least or row["lower"] < least[words]["lower"]:
            least[words] = row
    found = []
    for words, row in least.items():
        counts = {"found": t.number(row["found"]), "tried": t.number(row["tried"])}
        key = "one_costly" if row["costly"] else "one"
        found.append(t(f"record.power.{key}", forgery=words, lower=t.percent(row["lower"]), **counts))
    return tuple(found)


def event_words(event: Mapping[str, Any], index: int, t: Texts) -> str:
    """A declared event in a few words, with the number it has in the table."""
    return f"{index + 1}. {t.code('record.event', event['kind'])} ({event_place(event, t)})"


def event_place(event: Mapping[str, Any], t: Texts) -> str:
    """Where a declared event lies."""
    step, end = event["step"], event["to_step"]
    if end is None or end == step:
        return t("record.event_where.at", step=t.number(step))
    key = "back" if event["kind"] == "rollback" else "span"
    return t(f"record.event_where.{key}", step=t.number(step), to=t.number(end))
