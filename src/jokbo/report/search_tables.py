"""The parts of a search report beneath its table: what would have been seen, the other models, how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.report.parts import Section
from jokbo.report.search_wording import Document
from jokbo.report.tables import Table
from jokbo.report.texts import Texts, clean, name
from jokbo.report.wording import capital

MAX_NAMES = 40
"""Names of models that could not be compared, in one row; all stand in the result file."""

MAX_GROUPS = 100
_KINDS = {"mlp": ("mlp", "experts"), "attention": ("attention",), "embedding": ("embedding",)}


def shapes_section(document: Document, t: Texts) -> Section:
    """Bounds by class of shape."""
    rows = [cells for shape in document["shapes"] for cells in _shape_rows(shape, t)]
    more = document["more_shapes"]
    notes = [t("search.shapes.lead")] if rows else [t("search.shapes.none")]
    if more["classes"]:
        notes.append(
            t("search.shapes.more", models=t.number(more["models"]), classes=t.number(more["classes"]))
        )
    table = Table(
        t("search.shapes.caption"),
        tuple(t(f"search.shapes.head_{head}") for head in ("shape", "part", "all", "one", "test")),
        tuple(rows),
        numeric=(2, 3, 4),
    )
    return Section("shapes", t("search.shapes.title"), tuple(notes), tables=(table,) if rows else ())


def _shape_rows(shape: Mapping[str, Any], t: Texts) -> list[tuple[str, ...]]:
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for bound in shape["prefilter"]:
        parts.setdefault((bound["component"], bound["alignment"]), {})[bound["scope"]] = bound["cosine"]
    label = t("search.shapes.shape", example=name(shape["example"]), count=t.number(shape["models"]))
    rows = []
    for (component, alignment), scopes in parts.items():
        part = capital(t.code("search.shapes.part", f"{component}_{alignment}"))
        rows.append(
            (
                label,
                part,
                *(_cosine(scopes[scope], t) if scope in scopes else t("ui.none") for scope in _SCOPES),
                _measured(shape["measured"], component, alignment, t),
            )
        )
    return rows


_SCOPES = ("all_layers", "one_layer")


def _cosine(value: float | None, t: Texts) -> str:
    return t("search.shapes.never") if value is None else t.fixed(value, 2)


def _measured(measured: Mapping[str, Any] | None, component: str, alignment: str, t: Texts) -> str:
    if measured is None:
        return t("search.shapes.unmeasured")
    values = [
        bound["value"]
        for bound in measured["bounds"]
        if bound["kind"] == "cosine"
        and bound["tested"]
        and bound["alignment"] == alignment
        and bound["component"].rpartition(".")[2] in _KINDS[component]
    ]
    if not values:
        return t("search.shapes.unmeasured")
    return _cosine(None if None in values else max(values), t)


def rest_section(document: Document, t: Texts) -> Section:
    """Models that were not tested in full: compared by sketch alone, not comparable, or not readable."""
    rest, answer = document["rest"], document["answer"]
    groups, failed = rest["not_comparable"], rest["failed"]
    notes = [t("search.rest.itself")] if document["candidate"]["registered"] else []
    if rest["clean"]:
        notes.append(t("search.rest.clean", count=t.number(rest["clean"])))
    notes.append(
        t("search.rest.not_comparable", count=t.number(answer["not_comparable"]))
        if answer["not_comparable"]
        else t("search.rest.none")
    )
    if failed:
        notes.append(t("search.rest.failed", count=t.number(len(failed))))
    tables = []
    if groups:
        heads = ("reason", "family", "hidden", "layers", "count", "names")
        rows = tuple(_group(group, t) for group in groups[:MAX_GROUPS])
        tables.append(
            Table(
                t("search.rest.caption"),
                tuple(t(f"search.rest.head_{head}") for head in heads),
                rows,
                numeric=(2, 3, 4),
            )
        )
    if failed:
        tables.append(
            Table(
                t("search.rest.failed_caption"),
                (t("search.head.model"), t("search.rest.head_error")),
                tuple((name(row["name"]), clean(row["error"], limit=400)) for row in failed[:MAX_GROUPS]),
                prose=True,
            )
        )
    return Section("rest", t("search.rest.title"), tuple(notes), folded=tuple(tables))


def _group(group: Mapping[str, Any], t: Texts) -> tuple[str, ...]:
    shown = ", ".join(name(each) for each in group["names"][:MAX_NAMES])
    left = len(group["names"]) - MAX_NAMES
    return (
        t.code("search.reason", group["reason"]),
        clean(group["family"]),
        t.number(group["hidden_size"]),
        t.number(group["num_layers"]),
        t.number(group["models"]),
        t("search.and_more", first=shown, count=t.number(left)) if left > 0 else shown,
    )


def repeat_section(document: Document, t: Texts) -> Section:
    """All that a repetition needs."""
    given = document["parameters"]
    none = t("ui.none")
    software = ", ".join(f"{clean(k)} {clean(v)}" for k, v in sorted(document["software"].items()))
    items = Table(
        t("repeat.caption"),
        (t("repeat.item"), t("repeat.value")),
        (
            (t("search.repeat.register_digest"), clean(document["register"]["digest"])),
            (t("search.repeat.salt"), clean(document["register"]["salt"])),
            (t("search.repeat.fingerprint"), clean(document["candidate"]["fingerprint"])),
            (t("repeat.seed"), clean(given["seed"])),
            (t("search.repeat.sketch"), clean(given["sketch"])),
            (t("search.repeat.passes"), t.number(given["passes"], digits=2)),
            (t("search.repeat.top"), t.number(given["top"])),
            (t("search.repeat.since"), clean(given["candidate_since"] or none)),
            (t("search.repeat.declare"), ", ".join(map(clean, given["declare"])) or none),
            (t("repeat.jokbo"), clean(document["jokbo"])),
            (t("repeat.software"), software),
        ),
        code=(1,),
    )  # fmt: skip
    pairs = Table(
        t("search.repeat.pairs"),
        (t("search.head.model"), t("search.repeat.digest")),
        tuple(
            (name(row["name"]), clean(row["pair"]["evidence_sha256"]))
            for row in document["rows"][:MAX_GROUPS]
        ),
        code=(1,),
    )
    return Section(
        "repeat",
        t("repeat.title"),
        (t("search.repeat.lead"),),
        code=f"jokbo search CANDIDATE --registry DIR --seed {clean(given['seed'])}",
        folded=(items, pairs) if document["rows"] else (items,),
    )
