"""The component table, the checks, what was read, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.evidence.canonical import digest
from jokbo.report.bounds import brief_limit
from jokbo.report.parts import ComponentRow, ModelCard, Section
from jokbo.report.tables import Table
from jokbo.report.texts import Texts, clean, name
from jokbo.report.wording import Document, capital, component_name, model_names, ordered, tower_name
from jokbo.views.fingerprint_header import FINGERPRINT

MARKS: Mapping[str, str] = {
    "inherited": "●",
    "dependent": "●",
    "shared_basis": "◐",
    "no_evidence": "○",
    "inconclusive": "?",
    "not_comparable": "–",
}
"""Signs that say what a colour says."""

MAX_LISTED = 200
"""Rows of a listing; the rest is counted, and stands in the evidence."""


def component_rows(document: Document, t: Texts) -> tuple[ComponentRow, ...]:
    """One row a component, findings first, then by size."""
    total = document["candidate"]["parameters"]
    return tuple(_component(c, total, t) for c in ordered(document))


def _component(c: Mapping[str, Any], total: int, t: Texts) -> ComponentRow:
    disguised = c["alignment"] is not None and c["alignment"] != "same_basis"
    status, mine = c["status"], c["parameters"][1]
    return ComponentRow(
        name=capital(component_name(c["tower"], c["kind"], t)),
        status=status,
        status_text=t.code("status", f"{status}.word"),
        mark=MARKS[status],
        parameters=t.number(mine),
        share=t.percent(mine / total) if total else t("ui.none"),
        evidence=t.evalue(c["log10_evalue"]),
        effect=t("ui.none") if c["effect_size"] is None else t.fixed(c["effect_size"], 2),
        level=t("ui.none") if c["relabelling_level"] is None else t.fixed(c["relabelling_level"], 2),
        reading=t.code("found_as", c["alignment"]) if disguised else "",
        bound=brief_limit(c, t),
        remarks=tuple(t.reason(reason) for reason in (*c["reasons"], *c["notes"])),
    )


def legend(rows: tuple[ComponentRow, ...], t: Texts) -> tuple[tuple[str, str, str], ...]:
    """Statuses that occur, in the order of the table."""
    present = dict.fromkeys(row.status for row in rows)
    return tuple((MARKS[s], t(f"status.{s}.word"), t(f"status.{s}.meaning")) for s in present)


def model_card(document: Document, role: str, t: Texts) -> ModelCard:
    """Who one of the models is."""
    model = document[role]
    covers = "digest_weights" if model["digest_covers"] == "weights" else "digest_headers"
    if model["kind"] == FINGERPRINT:
        covers = "digest_claimed"
    family = t("fact.family_unknown") if model["family"] == "unknown" else clean(model["family"])
    facts = [
        (t("fact.source"), t.code("source", model["kind"])),
        (t("fact.family"), family),
        (t("fact.parameters"), t.number(model["parameters"])),
        (t("fact.size"), t.bytes(model["data_bytes"])),
        (t("fact.digest"), t(f"fact.{covers}", digest=short(model["digest"]))),
    ]
    if model["commit"] is not None:
        facts.insert(1, (t("fact.commit"), clean(model["commit"])))
    for key in ("public_since", "public_from"):
        if model.get(key) is not None:
            facts.append((t(f"fact.{key}"), clean(model[key])))
    if model["unrecognised"]:
        facts.append((t("fact.unrecognised"), t.number(len(model["unrecognised"]))))
    notes = tuple(clean(note, limit=400) for note in model["notes"])
    return ModelCard(t(f"ui.{role}"), model_names(document, t)[role], tuple(facts), notes)


def short(digest_text: str) -> str:
    """The first twelve characters of a digest."""
    return clean(digest_text)[:12] + "…"


def checks(document: Document, t: Texts) -> Section:
    """E0: whether the axes may be used."""
    words = {
        c["component"]: capital(component_name(c["tower"], c["kind"], t)) for c in document["components"]
    }
    found = [check for c in ordered(document) for check in c["checks"]]
    rows = []
    for check in found:
        component, _, axis = check["axis"].rpartition(".")
        rows.append(
            (
                words.get(component, name(component)),
                t.code("role", check["model"]),
                t.code("axis", axis),
                t.number(check["pvalue"], digits=3),
                clean(check["statistic"]),
                t("checks.passed" if check["passed"] else "checks.failed"),
            )
        )
    failed = sum(not check["passed"] for check in found)
    key = "none" if not found else "some_failed" if failed else "all_passed"
    said = t(f"checks.{key}", count=t.number(len(found)), failed=t.number(failed))
    head = ("head.part", "checks.model", "checks.axis", "checks.pvalue", "checks.statistic", "checks.outcome")
    table = Table(t("checks.caption"), tuple(t(key) for key in head), tuple(rows), (3,), (4,))
    return Section("checks", t("checks.title"), (t("checks.lead"), said), folded=(table,) if rows else ())


def learning(document: Document, t: Texts) -> Section:
    """What tells a lineage from a shared initialisation."""
    rows = tuple(
        (
            tower_name(tower, t),
            *(
                t("ui.none") if found[key] is None else t.fixed(found[key], 2)
                for key in ("norm_correlation", "subspace_overlap")
            ),
            t("learning.yes" if found["shared"] else "learning.no"),
        )
        for tower, found in document["learning"].items()
    )
    head = ("learning.tower", "learning.norm_correlation", "learning.subspace_overlap", "learning.shared")
    table = Table(t("learning.caption"), tuple(t(key) for key in head), rows, (1, 2))
    said = (t("learning.lead"), t("learning.scale")) if rows else (t("learning.none"),)
    return Section("learning", t("learning.title"), said, tables=(table,) if rows else ())


def read(document: Document, t: Texts) -> Section:
    """What was read of both models."""
    names = model_names(document, t)
    salt = document["parameters"].get("salt")
    lead = t("read.lead") if salt is None else t("read.lead_fingerprint", salt=clean(salt))
    rows, folded, said = [], [], [lead]
    for role in ("reference", "candidate"):
        model, ledger = document[role], document[role]["read"]
        share = t.percent(ledger["bytes"] / model["data_bytes"]) if model["data_bytes"] else t("ui.none")
        tensors = len({(row["file"], row["tensor"]) for row in ledger["tensors"]})
        values = {
            "bytes": t.bytes(ledger["bytes"]),
            "total": t.bytes(model["data_bytes"]),
            "share": share,
            "budget": t("ui.none") if model["kind"] == FINGERPRINT else t.bytes(ledger["budget_bytes"]),
        }
        counted = t("read.tensors_of", read=t.number(tensors), all=t.number(model["tensors"]))
        rows.append((f"{t(f'ui.{role}')} · {names[role]}", *values.values(), counted))
        folded.append(_listing(names[role], ledger["tensors"], t))
        if len(ledger["tensors"]) > MAX_LISTED:
            said.append(t("read.more", count=t.number(len(ledger["tensors"]) - MAX_LISTED)))
    head = ("read.model", "read.bytes", "read.total", "read.share", "read.budget", "read.tensors")
    table = Table(t("read.caption"), tuple(t(key) for key in head), tuple(rows), (1, 2, 3, 4, 5))
    return Section("read", t("read.title"), tuple(said), tables=(table,), folded=tuple(folded))


def _listing(model: str, tensors: list[Mapping[str, Any]], t: Texts) -> Table:
    rows = []
    for row in tensors[:MAX_LISTED]:
        shown = [f"{low}\u2013{high}" for low, high in row["ranges"]]
        ranges = ", ".join(shown[:3])
        if len(shown) > 3:
            ranges = t("read.more_ranges", first=ranges, count=t.number(len(shown) - 3))
        rows.append((clean(row["tensor"]), clean(row["file"]), ranges))
    head = (t("read.tensor"), t("read.file"), t("read.ranges"))
    return Table(t("read.list", model=model), head, tuple(rows), (), (0, 1, 2))


def repeat(document: Document, t: Texts) -> Section:
    """What it takes to find the same again."""
    names = model_names(document, t)
    parameters = document["parameters"]
    plan = ", ".join(
        f"{t(f'plan.{key}') if t.has(f'plan.{key}') else clean(key)} {t.value(value)}"
        for key, value in parameters["plan"].items()
    )
    policy = document["verdict"]["policy"]
    declared = ", ".join(clean(part) for part in parameters["declared"]) or t("repeat.nothing")
    rows = [
        (t("repeat.seed"), str(parameters["seed"])),
        (t("repeat.budget"), clean(parameters["budget"])),
        (t("repeat.plan"), plan),
        *(
            (t(f"repeat.{key}"), clean(str(parameters[key])))
            for key in ("salt", "among")
            if key in parameters
        ),
        (t("repeat.declared"), declared),
        (t("repeat.policy"), t("repeat.policy_value", name=clean(policy["name"]), version=policy["version"])),
    ]
    for role in ("reference", "candidate"):
        model = document[role]
        rows.append((t("repeat.digest_of", model=names[role]), clean(model["digest"])))
        if model["commit"] is not None:
            rows.append((t("repeat.commit_of", model=names[role]), clean(model["commit"])))
        rows.append((t("repeat.rows_of", model=names[role]), clean(model["read"]["sha256"])))
    software = ", ".join(
        f"{clean(key)} {clean(value)}" for key, value in document.get("software", {}).items()
    )
    rows += [
        (t("repeat.schema"), clean(document["schema"])),
        (t("repeat.jokbo"), clean(document["jokbo"])),
        (t("repeat.software"), software),
        (t("repeat.evidence_digest"), evidence_digest(document)),
    ]
    table = Table(t("repeat.caption"), (t("repeat.item"), t("repeat.value")), tuple(rows), (), (1,))
    return Section(
        "repeat", t("repeat.title"), (t("repeat.lead"),), tables=(table,), code=t("repeat.command")
    )


def evidence_digest(document: Document) -> str:
    """Digest of the evidence, as :attr:`jokbo.evidence.evidence.Evidence.digest` has it."""
    return digest({key: value for key, value in document.items() if key != "software"})
