"""The plain sections of an audit's report: events, checkpoints, logs, disclosures, how to repeat it, digests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.details import short
from jokbo.report.parts import Section
from jokbo.report.record_checks import event_place
from jokbo.report.record_wording import named_checks
from jokbo.report.record_words import Document
from jokbo.report.tables import Table
from jokbo.report.texts import Texts, clean, name
from jokbo.report.wording import capital, joined

MAX_ROWS = 200
"""Rows of one table on a page; the audit file has all."""

MAX_METRICS = 20
MAX_NOTE = 400


def _listed(caption: str, rows: Sequence[Any], t: Texts) -> str:
    """A caption that says so where a table is cut."""
    if len(rows) <= MAX_ROWS:
        return caption
    return t("record.listed", caption=caption, count=t.number(MAX_ROWS))


def events_section(document: Document, t: Texts) -> Section:
    """Declared events, and which checks took them into account."""
    events = document["events"]
    title = t("record.section.events")
    if not events:
        return Section("events", title, (t("record.section.events_none"),))
    used: dict[int, list[str]] = {}
    for row in document["checks"]:
        for index in row["events"]:
            used.setdefault(index, []).append(row["check"])
    rows = tuple(
        (
            str(k + 1),
            t.code("record.event", event["kind"]),
            event_place(event, t),
            capital(named_checks(used[k], t)) if k in used else t("record.event_where.none"),
            clean(event["note"], limit=MAX_NOTE) or t("ui.none"),
        )
        for k, event in enumerate(events[:MAX_ROWS])
    )
    keys = ("number_short", "event", "where", "used_by", "note")
    head = tuple(t(f"record.head.{key}") for key in keys)
    return Section(
        "events",
        title,
        (t("record.section.events_lead"),),
        tables=(Table(_listed(title, events, t), head, rows, prose=True),),
    )


def checkpoints_section(document: Document, t: Texts) -> Section:
    """Every checkpoint, and how much of it was read."""
    found = document["checkpoints"]
    title = t("record.section.checkpoints")
    if not found:
        return Section("checkpoints", title, (t("record.section.checkpoints_none"),))
    rows = []
    for each in found[:MAX_ROWS]:
        read = "none" if not each["rows_read"] else "whole" if each["whole"] else "rows"
        rows.append(
            (
                name(each["name"]),
                t.number(each["step"]),
                t(f"record.role.{each['role']}"),
                t(f"record.read.{read}", rows=t.number(each["rows_read"])),
                t.number(each["parameters"]) if each["parameters"] else t("ui.none"),
                short(each["sha256"]) if each["sha256"] else t("ui.none"),
            )
        )
    head = tuple(t(f"record.head.{key}") for key in ("name", "step", "role", "read", "parameters", "digest"))
    table = Table(_listed(title, found, t), head, tuple(rows), numeric=(1, 4), code=(5,))
    lead = t("record.section.checkpoints_lead")
    # A long history is told by the figures; its table is there to look things up.
    many = len(rows) > 20
    return Section(
        "checkpoints", title, (lead,), tables=() if many else (table,), folded=(table,) if many else ()
    )


def log_section(document: Document, t: Texts) -> Section:
    """What the logs are, and what was odd about them."""
    log = document["log"]
    title = t("record.section.log")
    if log is None:
        return Section("log", title, (t("record.section.log_none"),))
    metrics = ", ".join(clean(metric) for metric in log["metrics"][:MAX_METRICS])
    if len(log["metrics"]) > MAX_METRICS:
        metrics = t("record.and_more", first=metrics, count=t.number(len(log["metrics"]) - MAX_METRICS))
    values = {"rows": t.number(log["rows"]), "metrics": metrics or t("ui.none")}
    if log["first_step"] is None or log["last_step"] is None:
        lead = t("record.section.log_lead_no_steps", **values)
    else:
        ends = {"first": t.number(log["first_step"]), "last": t.number(log["last_step"])}
        lead = t("record.section.log_lead", **values, **ends)
    count = log["n_faults"]
    odd = t("record.section.faults_lead", count=t.number(count)) if count else t("record.section.faults_none")
    return Section(
        "log",
        title,
        (lead, odd),
        items=tuple(t.reason(fault, group="record.log.fault") for fault in log["faults"][:MAX_ROWS]),
        tables=(_segments(log["segments"], t),) if log["segments"] else (),
    )


def _segments(segments: Sequence[Mapping[str, Any]], t: Texts) -> Table:
    rows = []
    for each in segments[:MAX_ROWS]:
        remarks = [t("record.log.resumed")] if each["resumed"] else []
        if each["forked_from"] is not None:
            remarks.append(t("record.log.forked", step=t.number(each["forked_from"])))
        if each["sampled"]:
            remarks.append(t.code("record.log.sampled", each["sampled"]))
        count = t.number(max(each["last_row"] - each["first_row"], 0))
        none = t("ui.none")
        rows.append((name(each["file"]), clean(each["format"]), count, " ".join(remarks) or none))
    head = tuple(t(f"record.head.{key}") for key in ("file", "format", "rows", "remarks"))
    return Table(_listed(t("record.section.log"), segments, t), head, tuple(rows), numeric=(2,))


def disclosed_section(document: Document, t: Texts) -> Section:
    """What the checks asked for, and whether it was there."""
    record = document["record"]
    rows = [
        (capital(t.code("record.need", code)), t(f"record.{answer}"))
        for key, answer in (("disclosed", "yes"), ("undisclosed", "no"))
        for code in record[key]
    ]
    head = (t("record.head.item"), t("record.head.disclosed"))
    title = t("record.section.disclosed")
    return Section(
        "disclosed", title, (t("record.section.disclosed_lead"),), folded=(Table(title, head, tuple(rows)),)
    )


def repeat_section(document: Document, t: Texts) -> Section:
    """The command, and what decides its result."""
    given, policy = document["parameters"], document["verdict"]["policy"]
    software = ", ".join(f"{clean(k)} {clean(v)}" for k, v in sorted(document["software"].items()))
    models = joined([clean(each) for each in given["against"]], t) or t("ui.none")
    rows = (
        (t("record.repeat.seed"), clean(given["seed"])),
        (t("record.repeat.budget"), t.bytes(given["budget_bytes"])),
        (t("record.repeat.plants"), t.number(given["n_plants"])),
        (t("record.repeat.replay"), t(f"record.repeat.{'on' if given['replay'] else 'off'}")),
        (t("record.repeat.flops"), t("record.repeat.operations", count=t.significant(given["flops"]))),
        (t("record.repeat.against"), models),
        (t("record.repeat.keys"), t.number(given["keys"] + given["tsa_certificates"])),
        (t("record.repeat.methods"), clean(given["methods"])),
        (t("record.repeat.policy"), f"{clean(policy['name'])} {clean(policy['version'])}"),
        (t("repeat.jokbo"), clean(document["jokbo"])),
        (t("repeat.software"), software),
    )
    table = Table(t("record.repeat.caption"), (t("repeat.item"), t("repeat.value")), rows, code=(1,))
    return Section(
        "repeat",
        t("record.repeat.title"),
        (t("record.repeat.lead"),),
        code=command_line(document),
        folded=(table,),
    )


def command_line(document: Document) -> str:
    """The command that gives this audit again."""
    given = document["parameters"]
    words = ["jokbo record audit PACK", f"--seed {clean(given['seed'])}"]
    words += [f"--against {clean(each)}" for each in given["against"]]
    words += [] if given["replay"] else ["--no-replay"]
    return " ".join(words)


def digests_section(document: Document, digest: str, t: Texts) -> Section:
    """What names the record and this audit."""
    rows = (
        (t("record.digests.record"), clean(document["record"]["digest"])),
        (t("record.digests.audit"), digest),
    )
    head = (t("record.head.item"), t("record.head.digest"))
    lead = t("record.section.digests_lead")
    title = t("record.section.digests")
    return Section("digests", title, (lead,), tables=(Table(title, head, rows, code=(1,)),))
