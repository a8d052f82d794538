"""The outcome of a search in plain words, and what it does not mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jokbo.lineage.pairs import DEPENDENCE
from jokbo.lineage.search_answer import relation_of
from jokbo.report.parts import Headline, KeyNumber, Section
from jokbo.report.texts import MAX_POWER, Texts, name
from jokbo.report.wording import joined

Document = Mapping[str, Any]

MAX_NAMED = 4
"""Models named in one sentence; the rest is counted."""

TONES: Mapping[str, str] = {
    "found": "found",
    "as_declared": "found",
    "leads": "open",
    "unclear": "open",
    "nothing_comparable": "open",
    "clean": "clear",
}
"""Tone by outcome."""


def names_in(rows: Sequence[Mapping[str, Any]], t: Texts) -> str:
    """Registered models as a list in a sentence."""
    # Korean particles follow the word for a model, whatever letter a name ends with.
    words = [t("search.one", name=name(row["name"])) for row in rows]
    if len(words) > MAX_NAMED:
        left = t.number(len(words) - MAX_NAMED + 1)
        return t("search.and_more", first=", ".join(words[: MAX_NAMED - 1]), count=left)
    return joined(words, t)


def search_headline(document: Document, t: Texts) -> Headline:
    """The sentence to quote, how strong it is, and what it rests on."""
    answer = document["answer"]
    outcome = answer["outcome"]
    tone = TONES[outcome]
    return Headline(
        kind=outcome,
        tone=tone,
        label=t(f"tone.{tone}"),
        sentence=_sentence(document, t),
        explanation=tuple(_explanation(document, t)),
        strength=_strength(document, t),
        numbers=_numbers(document, t),
    )


def _sentence(document: Document, t: Texts) -> str:
    answer = document["answer"]
    outcome = answer["outcome"]
    found = [row for row in document["rows"] if relation_of(row) in DEPENDENCE]
    leads = [row for row in document["rows"] if relation_of(row) == "lead"]
    key = outcome
    if outcome == "found" and leads:
        key = "found_and_leads"
    if outcome == "clean" and answer["comparable"] < answer["registered"]:
        key = "clean_of"
    shown = {"found": found, "leads": leads, "as_declared": [*found, *leads]}.get(outcome, [])
    return t(
        f"search.headline.{key}",
        candidate=name(document["candidate"]["name"]),
        models=names_in(shown, t),
        registered=t.number(answer["registered"]),
        comparable=t.number(answer["comparable"]),
        leads=t.number(len(leads)),
        count=t.number(answer["unclear"] + answer["failed"]),
        seen=seen_words(answer["seen"], t),
    )


def seen_words(seen: Sequence[Mapping[str, Any]], t: Texts) -> str:
    """What would have been seen, as a list in a sentence; what nothing would have shown is left out."""
    parts = [
        t(
            "search.seen.part",
            part=t.code("search.seen", f"{row['component']}_{row['alignment']}"),
            cosine=t.number(row["cosine"], digits=2),
        )
        for row in seen
        if row["cosine"] is not None
    ]
    return joined(parts, t) if parts else t("search.seen.none")


def _explanation(document: Document, t: Texts) -> list[str]:
    answer = document["answer"]
    words = [t(f"search.explanation.{answer['outcome']}")]
    if answer["outcome"] == "found" and answer["leads"]:
        words.append(t("search.explanation.leads"))
    if answer["outcome"] == "clean" and answer["seen"]:
        measured = all(row["measured"] for row in answer["seen"])
        key = "of_shape" if measured else "of_shape_unmeasured"
        words.append(t(f"search.explanation.{key}", count=t.number(answer["seen_models"])))
    if answer["not_comparable"] and answer["outcome"] != "nothing_comparable":
        words.append(t("search.explanation.not_comparable", count=t.number(answer["not_comparable"])))
    named = sum(row["named"] for row in document["rows"])
    if named:
        rate = t.percent(document["parameters"]["false_discovery_rate"])
        words.append(t("search.explanation.ranked", count=t.number(named), rate=rate))
    return words


def _levels(document: Document) -> list[float]:
    return [row["log10_evalue"] for row in document["rows"] if row["log10_evalue"] is not None]


def _strength(document: Document, t: Texts) -> str:
    answer, levels = document["answer"], _levels(document)
    if not levels or answer["log10_needed"] is None:
        return t("search.strength.untested")
    registered = t.number(answer["registered"])
    if TONES[answer["outcome"]] == "found":
        import math

        # Of any of them: the best e-value, divided by all that were looked at.
        paid = max(max(levels) - math.log10(max(answer["registered"], 1)), 0.0)
        return t("search.strength.found", registered=registered, tries=t.tries(min(paid, float(MAX_POWER))))
    key = "clear" if answer["outcome"] == "clean" else "open"
    return t(
        f"search.strength.{key}",
        evalue=t.evalue(max(levels)),
        needed=t.tries(answer["log10_needed"]),
        registered=registered,
    )


def _numbers(document: Document, t: Texts) -> tuple[KeyNumber, ...]:
    answer, levels = document["answer"], _levels(document)
    none = t("ui.none")
    needed = none if answer["log10_needed"] is None else t.tries(answer["log10_needed"])
    passed = sum(row["passed"] for row in document["rows"])
    return (
        KeyNumber(
            t("search.number.comparable"),
            t(
                "search.number.comparable_value",
                comparable=t.number(answer["comparable"]),
                registered=t.number(answer["registered"]),
            ),
            t("search.number.comparable_note"),
        ),
        KeyNumber(
            t("search.number.tested"),
            t.number(answer["tested"]),
            t("search.number.tested_note", passed=t.number(passed)),
        ),
        KeyNumber(
            t("search.number.evidence"),
            t.evalue(max(levels)) if levels else none,
            t("search.number.evidence_note", needed=needed),
        ),
    )


def search_caveats(document: Document, t: Texts) -> Section:
    """What the result does not mean."""
    answer = document["answer"]
    codes = ["register", "prefilter", "scrambled", "claims"]
    if answer["found"] or answer["leads"]:
        codes.insert(0, "direction")
    if answer["leads"]:
        codes.insert(0, "leads")
    items = [t("caveat.no_blame")] if answer["found"] else []
    return Section(
        "caveats", t("caveat.title"), items=(*items, *(t(f"search.caveat.{code}") for code in codes))
    )
