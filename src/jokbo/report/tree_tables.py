"""Tables of a family tree: models, relations, declarations, disagreements, ties, what could not be told."""

from __future__ import annotations

from collections.abc import Sequence

from jokbo.report.parts import Section
from jokbo.report.tables import Table
from jokbo.report.texts import Texts, clean, name
from jokbo.report.tree_wording import Document, Names, relation_words

MAX_ROWS = 2000
"""Rows of one table; the JSON holds all."""

MAX_FAILED = 50

TIES = ("lead", "shared_initialisation", "reuse", "shared_basis")


def models_table(members: Sequence[int], document: Document, names: Names, t: Texts) -> Table:
    """Members of one family."""
    rows = []
    for k in members:
        model = document["models"][k]
        since = t("ui.none") if model["public_since"] is None else clean(model["public_since"])
        rows.append((names[k], t.code("source", model["kind"]) if t.has(f"source.{model['kind']}") else
                     clean(model["kind"]), t.number(model["parameters"]), since))  # fmt: skip
    head = tuple(t(f"tree.head.{key}") for key in ("model", "source", "parameters", "since"))
    return Table(t("tree.models_caption"), head, tuple(rows), numeric=(2,))


def relations_table(members: Sequence[int], document: Document, names: Names, t: Texts) -> Table:
    """What each two of one family are to each other: the told ones first."""
    inside = set(members)
    evidence = {(e["a"], e["b"]): e for e in document["edges"]}
    mine = [r for r in document["relations"] if r["a"] in inside]
    mine.sort(key=lambda r: (r["kind"] == "undetermined", r["a"], r["b"]))
    rows = []
    for relation in mine[:MAX_ROWS]:
        edge = evidence[relation["a"], relation["b"]]
        rows.append(
            (
                t("tree.pair", a=names[relation["a"]], b=names[relation["b"]]),
                relation_words(relation, names, t),
                t(f"tree.basis.{relation['basis']}"),
                t.evalue(edge["log10_evalue"]),
            )
        )
    caption = t("tree.relations_caption")
    if len(mine) > MAX_ROWS:
        caption += " " + t("tree.rows_cut", shown=t.number(MAX_ROWS), all=t.number(len(mine)))
    head = tuple(t(f"tree.head.{key}") for key in ("pair", "relation", "basis", "evidence"))
    return Table(caption, head, tuple(rows), numeric=(3,), prose=True)


def disagreement_section(document: Document, names: Names, t: Texts) -> Section:
    """Where word and finding part."""
    found = document["disagreements"]
    if not found:
        return Section("disagreements", t("tree.disagreements"), (t("tree.no_disagreements"),))
    order = ("undeclared", "reversed", "parent_not_declared", "no_evidence", "not_tested", "undeclared_lead")
    rows = sorted(found, key=lambda d: (order.index(d["code"]), -(d["log10_evalue"] or 0), d["a"], d["b"]))
    table = Table(
        t("tree.disagreements_caption"),
        tuple(t(f"tree.head.{key}") for key in ("pair", "disagreement", "found", "evidence")),
        tuple(
            (
                t("tree.pair", a=names[d["a"]], b=names[d["b"]]),
                t(f"tree.disagreement.{d['code']}", a=names[d["a"]], b=names[d["b"]]),
                t(f"tree.found.{d['relation'] or 'no_evidence'}"),
                t.evalue(d["log10_evalue"]),
            )
            for d in rows[:MAX_ROWS]
        ),
        numeric=(3,),
        prose=True,
    )
    return Section("disagreements", t("tree.disagreements"), (t("tree.disagreements_lead"),), tables=(table,))


def declared_section(document: Document, names: Names, t: Texts) -> tuple[Section, ...]:
    """Every declared parent and what was found of it; nothing where none is declared."""
    links = document["declared"]
    if not links:
        return ()
    rows = tuple(
        (
            names[link["child"]],
            name(link["name"]),
            t(f"tree.status.{link['status']}"),
        )
        for link in links[:MAX_ROWS]
    )
    head = tuple(t(f"tree.head.{key}") for key in ("model", "declared", "status"))
    table = Table(t("tree.declared_caption"), head, rows, prose=True)
    return (Section("declared", t("tree.declared"), (t("tree.declared_lead"),), tables=(table,)),)


def ties_section(document: Document, names: Names, t: Texts) -> tuple[Section, ...]:
    """What ties families and lone models without making them relatives: the strongest between each two."""
    evidence = {(e["a"], e["b"]): e for e in document["edges"]}
    ties = [s for s in document["drawing"] if s["kind"] in TIES]
    if not ties:
        return ()
    rows = tuple(
        (
            t("tree.pair", a=names[s["start"]], b=names[s["end"]]),
            t(f"tree.found.{s['kind']}"),
            t.evalue(evidence[s["start"], s["end"]]["log10_evalue"]),
        )
        for s in ties
    )
    head = tuple(t(f"tree.head.{key}") for key in ("pair", "found", "evidence"))
    table = Table(t("tree.ties_caption"), head, rows, numeric=(2,))
    meanings = tuple(t(f"tree.tie.{kind}") for kind in TIES if any(s["kind"] == kind for s in ties))
    return (Section("ties", t("tree.ties"), (t("tree.ties_lead"), *meanings), tables=(table,)),)


def open_section(document: Document, names: Names, t: Texts) -> tuple[Section, ...]:
    """What was not compared, could not be compared, or could not be laid side by side."""
    counts = document["pairs"]["relations"]
    items = [
        t(f"tree.open.{key}", count=t.number(counts[key]))
        for key in ("untestable", "inconclusive", "lead")
        if counts.get(key)
    ]
    if document["pairs"]["dropped"]:
        items.append(t("tree.open.dropped", count=t.number(document["pairs"]["dropped"])))
    if document["left_out"]:
        items.append(t("tree.open.left_out", models=names.listed(document["left_out"])))
    for row in document["unmade"][:MAX_FAILED]:
        items.append(t("tree.open.unmade", model=name(row["model"]), error=name(row["error"])))
    for row in document["failed"][:MAX_FAILED]:
        key = "failed_whole" if row["whole"] else "failed"
        items.append(t(f"tree.open.{key}", a=names[row["a"]], b=names[row["b"]], error=name(row["error"])))
    if len(document["failed"]) > MAX_FAILED:
        items.append(t("tree.open.failed_more", count=t.number(len(document["failed"]) - MAX_FAILED)))
    return (Section("open", t("tree.open.title"), items=tuple(items)),) if items else ()
