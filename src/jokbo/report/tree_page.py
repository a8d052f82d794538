"""From the document of a family tree to a report: every text in one language, nothing left to decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.lineage.graph.document import check
from jokbo.lineage.graph.layout import Layout, Spot, lay_out
from jokbo.lineage.graph.skeleton import Stroke
from jokbo.report.context import plain
from jokbo.report.details import evidence_digest
from jokbo.report.figures.tree import TreeChart, TreeCurve, TreeRow
from jokbo.report.parts import Headline, Section
from jokbo.report.tables import Table
from jokbo.report.texts import Texts, clean
from jokbo.report.tree_tables import (
    declared_section,
    disagreement_section,
    models_table,
    open_section,
    relations_table,
    ties_section,
)
from jokbo.report.tree_wording import Document, Names, tree_caveats, tree_headline

_TERMS = ("family", "edit", "neighbour", "mixture", "lead", "reuse", "declared")

MAX_CHART_ROWS = 400
"""Models drawn of one family; the table and the JSON hold all."""


@dataclass(frozen=True, slots=True)
class TreePage:
    """A whole report.

    Attributes
    ----------
    lang : str
    title : str
        For the window; plain text.
    headline : Headline
    caveats : Section
        What the result does not mean.
    families : Section
        A figure a family.
    sections : tuple of Section
        Disagreements, declarations, ties, what could not be told, how to repeat it.
    glossary : tuple of (term, meaning)
    footer : str
    legend : tuple of (kind, word, meaning)
        Lines that occur.
    """

    lang: str
    title: str
    headline: Headline
    caveats: Section
    families: Section
    sections: tuple[Section, ...]
    glossary: tuple[tuple[str, str], ...]
    footer: str
    legend: tuple[tuple[str, str, str], ...]


def build_tree_page(document: Document, lang: str) -> TreePage:
    """Put a family tree into words.

    Parameters
    ----------
    document : mapping
        Valid under ``jokbo.tree/1``.
    lang : str
        ``"en"`` or ``"ko"``.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, or contradicts itself.
    UsageError
        The language is not available.
    """
    t = Texts(lang)
    t("ui.brand")
    check(document, where="The tree")
    try:
        return _build(document, t)
    except (KeyError, IndexError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise EvidenceError(
            f"The tree contradicts itself ({type(error).__name__}: {clean(error)}), so there is no report. "
            "Write it again with `jokbo tree --json`."
        ) from error


def _build(document: Document, t: Texts) -> TreePage:
    names = Names(document, t)
    head = tree_headline(document, names, t)
    strokes = strokes_of(document)
    layout = layout_of(document)
    charts = tuple(
        _chart(k, family, document, strokes, names, t)
        for k, family in enumerate(layout.families[: len(document["clusters"])])
    )
    kinds = [row.kind for chart in charts for row in chart.rows if row.parent is not None]
    present = [kind for kind in LINES if kind in kinds]
    alone = [spot.model for family in layout.families[len(charts) :] for spot in family]
    return TreePage(
        lang=t.lang,
        title=plain(t("tree.title", count=t.number(len(document["models"])), label=head.label)),
        headline=head,
        caveats=tree_caveats(document, t),
        families=Section(
            "families",
            t("tree.families"),
            (t("tree.families_lead") if charts else t("tree.no_families"), *_alone(alone, names, t)),
            charts=charts,
        ),
        sections=(
            disagreement_section(document, names, t),
            *declared_section(document, names, t),
            *ties_section(document, names, t),
            *open_section(document, names, t),
            _repeat(document, names, t),
        ),
        glossary=tuple((t(f"tree.glossary.{k}"), t(f"tree.glossary.{k}_meaning")) for k in _TERMS),
        footer=t("tree.footer", version=clean(document["jokbo"]), digest=evidence_digest(document)[:12]),
        legend=tuple((kind, t(f"tree.line.{kind}"), t(f"tree.line.{kind}_meaning")) for kind in present),
    )


LINES = ("parent_child", "ancestor", "merge", "copy", "adjacent", "undetermined")
"""Kinds of line inside a family."""


def strokes_of(document: Document) -> tuple[Stroke, ...]:
    """The lines of the document's drawing."""
    return tuple(
        Stroke(s["start"], s["end"], s["kind"], s["directed"], s["tree"]) for s in document["drawing"]
    )


def layout_of(document: Document) -> Layout:
    """Where every model stands."""
    inside = {k for cluster in document["clusters"] for k in cluster}
    single = [k for k in range(len(document["models"])) if k not in inside]
    first = {
        k: f"{model['public_since'] or '9'}|{model['name']}" for k, model in enumerate(document["models"])
    }
    return lay_out(document["clusters"], single, strokes_of(document), first)


def _alone(alone: Sequence[int], names: Names, t: Texts) -> tuple[str, ...]:
    return (t("tree.alone", count=t.number(len(alone)), models=names.listed(alone)),) if alone else ()


def _chart(
    number: int,
    family: Sequence[Spot],
    document: Document,
    strokes: Sequence[Stroke],
    names: Names,
    t: Texts,
) -> TreeChart:
    top = family[0].row
    shown = family[:MAX_CHART_ROWS]
    rows = {spot.model: spot.row - top for spot in shown}
    hanging = {frozenset((s.start, s.end)): s for s in strokes if s.tree}
    merges = {merge["child"]: merge for merge in document["merges"]}
    drawn = tuple(_row(spot, top, hanging, merges, names, t) for spot in shown)
    curves = tuple(
        TreeCurve(rows[s.start], rows[s.end])
        for s in strokes
        if s.kind == "merge" and not s.tree and {s.start, s.end} <= rows.keys()
    )
    lead = t("tree.chart_lead", count=t.number(len(family)))
    if len(shown) < len(family):
        lead += " " + t("tree.chart_cut", shown=t.number(len(shown)))
    title = t("tree.chart_title", number=number + 1, model=names[family[0].model])
    members = [spot.model for spot in family]
    return TreeChart(
        key=f"family-{number + 1}",
        title=title,
        lead=lead,
        alt=plain(t("tree.chart_alt", count=t.number(len(family)), models=names.listed(members))),
        data=(models_table(members, document, names, t), relations_table(members, document, names, t)),
        rows=drawn,
        curves=curves,
    )


def _row(
    spot: Spot,
    top: int,
    hanging: Mapping[frozenset[int], Stroke],
    merges: Mapping[int, Mapping[str, Any]],
    names: Names,
    t: Texts,
) -> TreeRow:
    stroke = None if spot.parent is None else hanging[frozenset((spot.model, spot.parent))]
    merge = merges.get(spot.model)
    note = "" if stroke is None or spot.parent is None else _note(stroke, spot.model, names, t)
    if merge is not None:
        parts = ", ".join(
            t("tree.note.part", parent=names.plain[p], weight=t.percent(w))
            for p, w in zip(merge["parents"], merge["weights"], strict=True)
        )
        note = t("tree.note.merge", parts=parts)
    return TreeRow(
        label=names.plain[spot.model],
        note=plain(note),
        row=spot.row - top,
        column=spot.column,
        parent=None if spot.parent_row is None else spot.parent_row - top,
        kind="undetermined" if stroke is None else stroke.kind,
        directed=stroke is not None and stroke.directed and stroke.end == spot.model,
        shape="circle" if merge is None else "diamond",
    )


def _note(stroke: Stroke, model: int, names: Names, t: Texts) -> str:
    other = stroke.start if stroke.end == model else stroke.end
    came = "" if not stroke.directed else "_from" if stroke.end == model else "_gave"
    return t(f"tree.note.{stroke.kind}{came}", other=names[other])


def _repeat(document: Document, names: Names, t: Texts) -> Section:
    given = document["parameters"]
    software = ", ".join(f"{clean(k)} {clean(v)}" for k, v in sorted(document["software"].items()))
    items = Table(
        t("tree.repeat.caption"),
        (t("repeat.item"), t("repeat.value")),
        (
            (t("repeat.seed"), clean(given["seed"])),
            (t("tree.repeat.salt"), clean(given["salt"])),
            (t("repeat.jokbo"), clean(document["jokbo"])),
            (t("repeat.software"), software),
        ),
        code=(1,),
    )
    prints = Table(
        t("tree.repeat.models"),
        (t("tree.head.model"), t("tree.head.fingerprint"), t("tree.head.digest")),
        tuple(
            (names[k], clean(model["fingerprint"]), clean(model["digest"]))
            for k, model in enumerate(document["models"])
        ),
        code=(1, 2),
    )
    confirm = "" if given["confirm"] else " --no-confirm"
    return Section(
        "repeat",
        t("repeat.title"),
        (t("tree.repeat.lead"),),
        code=f"jokbo tree FINGERPRINT…{confirm} --seed {clean(given['seed'])}",
        folded=(items, prints),
    )
