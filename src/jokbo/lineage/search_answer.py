"""From the tests of a search to its document: rows, what is left, and the sentence that a reader can quote."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jokbo.evidence.canonical import LOG_DECIMALS
from jokbo.independence.base import METHODS
from jokbo.independence.localise.ebh import e_bh
from jokbo.lineage.pairs import DEPENDENCE
from jokbo.lineage.prefilter import PASSES
from jokbo.lineage.search_document import SCHEMA
from jokbo.lineage.search_relations import public_first
from jokbo.lineage.sketch_format import SKETCH_VERSION

if TYPE_CHECKING:
    from jokbo.lineage.register import Entry
    from jokbo.lineage.search_prepare import Found

FALSE_DISCOVERY_RATE = 0.01
MAX_CLASSES = 12
"""Classes of shape with bounds of their own; the smaller ones are counted together."""

UNCLEAR = frozenset({"inconclusive"})


def build_document(found: Found) -> dict[str, Any]:
    """The document ``jokbo.search/1`` of a search."""
    from jokbo import __version__

    header, choices = found.fingerprint.header, found.choices
    rows = _rows(found)
    rest = _rest(found, rows)
    shapes, more = _shapes(found)
    return {
        "schema": SCHEMA,
        "jokbo": __version__,
        "software": {
            "python": platform.python_version(),
            "numpy": np.__version__,
        },
        "candidate": {
            "name": header.name,
            "commit": header.commit,
            "digest": header.digest,
            "digest_covers": header.digest_covers,
            "fingerprint": found.fingerprint.sha256,
            "private": header.private,
            "parameters": header.parameters,
            "declared": list(header.declared.base_models),
            "registered": found.itself is not None,
        },
        "register": {
            "digest": found.register_digest,
            "models": len(found.entries) + (found.itself is not None),
            "salt": found.register.salt,
        },
        "parameters": {
            "seed": choices.seed,
            "top": choices.top,
            "measured": choices.measured,
            "candidate_since": choices.candidate_since,
            "declare": list(choices.declare),
            "confirm": choices.confirm,
            "keep_going": choices.keep_going,
            "methods": METHODS,
            "sketch": SKETCH_VERSION,
            "passes": PASSES,
            "false_discovery_rate": FALSE_DISCOVERY_RATE,
        },
        "rows": rows,
        "rest": rest,
        "shapes": shapes,
        "more_shapes": more,
        "answer": _answer(found, rows, rest, shapes),
    }


def relation_of(row: Mapping[str, Any]) -> str:
    """The relation that a row ends with: of the models themselves where they were compared."""
    confirmation = row["confirmation"]
    pair = confirmation["pair"] if confirmation is not None and confirmation["pair"] else row["pair"]
    return str(pair["relation"])


def log10_evalue(pair: Mapping[str, Any]) -> float | None:
    """An e-value of the pair: that of its best component, divided by the number of components tested.

    The mean of the components' e-values is one, and the best divided by their number is no larger.
    """
    tested = sum(row["log10_evalue"] is not None for row in pair["components"])
    if pair["log10_evalue"] is None or not tested:
        return None
    return round(float(pair["log10_evalue"]) - math.log10(tested), LOG_DECIMALS) + 0.0


def _rows(found: Found) -> list[dict[str, Any]]:
    numbers, declared = found.numbers, found.declared
    named = dict(zip(*_named(found), strict=True))
    rows = []
    for entry in found.entries:
        pair = found.pairs.get(entry.key)
        if pair is None:
            continue
        rows.append(
            {
                "key": entry.key,
                "name": entry.name,
                "commit": entry.commit,
                "public_since": entry.public_since,
                "reference_first": public_first(entry, found.choices.candidate_since),
                "declared": declared.get(entry.key),
                "score": round(float(found.scored.score[numbers[entry.key]]), LOG_DECIMALS) + 0.0,
                "passed": entry.key in found.passed,
                "log10_evalue": log10_evalue(pair),
                "named": bool(named.get(entry.key, False)),
                "pair": pair,
                "confirmation": _confirmation(found.confirmed.get(entry.key)),
            }
        )
    return sorted(rows, key=_most_evidence_first)


def _most_evidence_first(row: Mapping[str, Any]) -> tuple[float, float, str]:
    value = row["log10_evalue"]
    return (math.inf if value is None else -value, -row["score"], row["key"])


def _confirmation(confirmed: dict[str, Any] | str | None) -> dict[str, Any] | None:
    if confirmed is None:
        return None
    if isinstance(confirmed, str):
        return {"pair": None, "reason": confirmed}
    return {"pair": confirmed, "reason": None}


def _named(found: Found) -> tuple[list[str], list[bool]]:
    """What e-BH names among all registered models: those that were not tested count with an e-value of 0."""
    keys, logs = [], []
    for entry in found.entries:
        pair = found.pairs.get(entry.key)
        value = None if pair is None else log10_evalue(pair)
        keys.append(entry.key)
        logs.append(-math.inf if value is None else value * math.log(10))
    return keys, e_bh(np.array(logs), level=FALSE_DISCOVERY_RATE).tolist()


def _rest(found: Found, rows: list[dict[str, Any]]) -> dict[str, Any]:
    told = {row["key"] for row in rows}
    keys = {key: k for k, key in enumerate(found.index.keys)}
    failed = {**found.others, **found.failed}
    clean = 0
    groups: dict[tuple[str, str, int, int], list[str]] = {}
    for entry in found.entries:
        if entry.key in told or entry.key in failed:
            continue
        number = keys.get(entry.key)
        if number is not None and found.scored.body[number]:
            clean += 1
            continue
        reason = "no_sketch" if number is None else "shapes_differ"
        groups.setdefault((reason, *_shape(entry)), []).append(entry.name)
    return {
        "clean": clean,
        "not_comparable": [
            {
                "reason": reason,
                "family": family,
                "hidden_size": hidden,
                "num_layers": depth,
                "models": len(names),
                "names": sorted(names),
            }
            for (reason, family, hidden, depth), names in sorted(
                groups.items(), key=lambda item: (-len(item[1]), item[0])
            )
        ],
        "failed": [
            {"key": entry.key, "name": entry.name, "error": failed[entry.key]}
            for entry in found.entries
            if entry.key in failed
        ],
    }


def _shape(entry: Entry) -> tuple[str, int, int]:
    return entry.family, entry.hidden_size, entry.num_layers


def _shapes(found: Found) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Bounds by class of shape; classes without any, and small ones, are only counted."""
    names = {entry.key: entry.name for entry in found.entries}
    shapes = []
    for number, shape in enumerate(found.classes[:MAX_CLASSES]):
        key = found.measured.get(number)
        pair = None if key is None else found.pairs.get(key)
        shapes.append(
            {
                "models": len(shape.models),
                "example": names[found.index.keys[int(shape.models[0])]],
                "prefilter": list(shape.bounds),
                "measured": None
                if pair is None or key is None
                else {"key": key, "name": names[key], "bounds": pair["bounds"]},
            }
        )
    left = found.classes[MAX_CLASSES:]
    return shapes, {"classes": len(left), "models": sum(len(shape.models) for shape in left)}


def _answer(
    found: Found, rows: list[dict[str, Any]], rest: Mapping[str, Any], shapes: list[dict[str, Any]]
) -> dict[str, Any]:
    relations = [(relation_of(row), row["declared"]) for row in rows]
    dependent = [declared for relation, declared in relations if relation in DEPENDENCE]
    leads = [declared for relation, declared in relations if relation == "lead"]
    unclear = sum(relation in UNCLEAR for relation, _ in relations)
    untestable = sum(relation == "untestable" for relation, _ in relations)
    comparable = rest["clean"] + len(rows) - untestable
    if None in dependent:
        outcome = "found"
    elif None in leads:
        outcome = "leads"
    elif unclear or rest["failed"]:
        outcome = "unclear"
    elif dependent or leads:
        outcome = "as_declared"
    else:
        outcome = "clean" if comparable else "nothing_comparable"
    return {
        "outcome": outcome,
        "registered": len(found.entries),
        "comparable": comparable,
        "not_comparable": untestable + sum(group["models"] for group in rest["not_comparable"]),
        "tested": len(rows),
        "found": len(dependent),
        "found_as_declared": sum(declared is not None for declared in dependent),
        "leads": len(leads),
        "unclear": unclear,
        "failed": len(rest["failed"]),
        "log10_needed": max((row["pair"]["log10_threshold"] for row in rows), default=None),
        "seen": list(_seen(shapes[0])) if shapes else [],
        "seen_models": shapes[0]["models"] if shapes else 0,
    }


def _seen(shape: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """What would have been seen on the largest class: it had to pass the prefilter, and then to be found."""
    measured = shape["measured"]
    for row in shape["prefilter"]:
        if row["scope"] != "all_layers":
            continue
        cosine = row["cosine"]
        if measured is not None:
            found = _measured(measured["bounds"], row["component"], row["alignment"])
            cosine = None if cosine is None or found is None else max(cosine, found)
        yield {
            "component": row["component"],
            "alignment": row["alignment"],
            "cosine": cosine,
            "measured": measured is not None,
        }


_COMPONENTS = {"mlp": ("mlp", "experts"), "attention": ("attention",), "embedding": ("embedding",)}


def _measured(bounds: list[dict[str, Any]], component: str, alignment: str) -> float | None:
    """The cosine that the full test finds with probability .99 in every tower that has such a component."""
    values = [
        row["value"]
        for row in bounds
        if row["kind"] == "cosine"
        and row["alignment"] == alignment
        and row["component"].rpartition(".")[2] in _COMPONENTS[component]
    ]
    if not values or any(value is None for value in values):
        return None
    return float(max(values))
