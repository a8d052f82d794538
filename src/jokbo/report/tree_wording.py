"""The outcome of a family tree in plain words, and what it does not mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.report.parts import Headline, KeyNumber, Section
from jokbo.report.texts import Texts, clean, name
from jokbo.report.wording import joined

Document = Mapping[str, Any]

TONE = {"nothing": "clear", "as_declared": "clear", "undeclared": "found", "unclear": "open"}
"""Tone by kind of verdict."""

MAX_NAMED = 4
"""Models named in one sentence; the rest is counted."""

_AGAINST = ("undeclared", "reversed", "parent_not_declared")


class Names:
    """Names of all models, told apart by number where they are equal."""

    def __init__(self, document: Document, t: Texts) -> None:
        count = Counter(clean(model["name"]) for model in document["models"])
        self.plain = tuple(
            clean(model["name"])
            if count[clean(model["name"])] == 1
            else t("tree.numbered", name=clean(model["name"]), number=k + 1)
            for k, model in enumerate(document["models"])
        )
        self._t = t

    def __getitem__(self, model: int) -> str:
        """As a sentence writes it."""
        return name(self.plain[model])

    def listed(self, models: Sequence[int], word: str = "ui.and") -> str:
        """Several, joined by *and*, or by *or*."""
        t, shown = self._t, [self[k] for k in models]
        if len(shown) > MAX_NAMED:
            left = t.number(len(shown) - MAX_NAMED + 1)
            return t("tree.and_more", first=", ".join(shown[: MAX_NAMED - 1]), count=left)
        if word == "ui.and" or len(shown) < 2:
            return joined(shown, t)
        return t(word, first=", ".join(shown[:-1]), last=shown[-1])


def tree_headline(document: Document, names: Names, t: Texts) -> Headline:
    """What came out, in one sentence to quote."""
    kind = document["verdict"]["kind"]
    tone = TONE[kind]
    against = [d for d in document["disagreements"] if d["code"] in _AGAINST]
    values = {
        "models": t.number(len(document["models"])),
        "undeclared": t.number(len(against)),
    }
    explanation = [t(f"tree.explanation.{kind}")]
    if kind == "undeclared" and not document["declared"]:
        explanation.append(t("tree.explanation.none_declared"))
    if document["pairs"]["dropped"]:
        explanation.append(t("tree.explanation.dropped", count=t.number(document["pairs"]["dropped"])))
    return Headline(
        kind=kind,
        tone=tone,
        label=t(f"tree.label.{kind}"),
        sentence=t(f"tree.headline.{kind}", **values),
        explanation=tuple(explanation),
        strength=_strength(document, t),
        numbers=_numbers(document, t),
    )


def _strength(document: Document, t: Texts) -> str:
    levels = [e["log10_evalue"] for e in document["edges"] if e["relation"] in _DEPENDENT]
    levels = [level for level in levels if level is not None]
    if not levels:
        return t("tree.strength.none", pairs=t.number(document["among"]))
    return t("tree.strength.found", tries=t.tries(min(levels)), pairs=t.number(document["among"]))


_DEPENDENT = frozenset({"identical", "lineage", "shared_initialisation", "reuse", "shared_basis"})


def _numbers(document: Document, t: Texts) -> tuple[KeyNumber, ...]:
    pairs = document["pairs"]
    told = sum(r["kind"] != "undetermined" for r in document["relations"])
    inside = sum(map(len, document["clusters"]))
    return (
        KeyNumber(
            t("tree.number.families"),
            t.number(len(document["clusters"])),
            t("tree.number.families_note", inside=t.number(inside), all=t.number(len(document["models"]))),
        ),
        KeyNumber(
            t("tree.number.pairs"),
            t.number(pairs["compared"]),
            t("tree.number.pairs_note", confirmed=t.number(pairs["confirmed"])),
        ),
        KeyNumber(
            t("tree.number.told"),
            t("tree.number.of", part=t.number(told), all=t.number(len(document["relations"]))),
            t("tree.number.told_note"),
        ),
        KeyNumber(
            t("tree.number.disagreements"),
            t.number(len(document["disagreements"])),
            t("tree.number.disagreements_note"),
        ),
    )


def tree_caveats(document: Document, t: Texts) -> Section:
    """What the tree does not mean, most important first."""
    items = [t("tree.caveat.arrows")]
    if any(r["kind"] in ("adjacent", "undetermined", "through") for r in document["relations"]):
        items.append(t("tree.caveat.not_here"))
    if any(e["rows"] == "fingerprint" for e in document["edges"]):
        items.append(t("tree.caveat.claims"))
    items += [t("tree.caveat.unseen"), t("tree.caveat.declared"), t("caveat.no_blame"), t("caveat.not_data")]
    return Section("caveats", t("caveat.title"), items=tuple(items))


def relation_words(relation: Mapping[str, Any], names: Names, t: Texts) -> str:
    """What two relatives are to each other, in a sentence."""
    a, b, parent = relation["a"], relation["b"], relation["parent"]
    child = b if parent == a else a
    kind = relation["kind"]
    values = {
        "a": names[a],
        "b": names[b],
        "parent": "" if parent is None else names[parent],
        "child": names[child],
        "via": names.listed(relation["via"], "tree.or"),
    }
    said = t.code("tree", f"relation.{kind}", **values)
    first = relation["first"]
    if kind in ("adjacent", "through", "undetermined") and first is not None:
        later = b if first == a else a
        said += " " + t("tree.relation.first", first=names[first], later=names[later])
    return said
