"""From the result of a search to a report: every text in one language, nothing left to decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import digest
from jokbo.lineage.search_answer import relation_of
from jokbo.lineage.search_document import check
from jokbo.report.context import plain
from jokbo.report.details import short
from jokbo.report.parents_mixture import component_words
from jokbo.report.parts import Headline, ModelCard, Section
from jokbo.report.search_tables import repeat_section, rest_section, shapes_section
from jokbo.report.search_wording import Document, search_caveats, search_headline
from jokbo.report.texts import Texts, clean, name
from jokbo.report.wording import joined

MARKS: Mapping[str, tuple[str, str]] = {
    "identical": ("●", "inherited"),
    "lineage": ("●", "inherited"),
    "shared_initialisation": ("●", "dependent"),
    "reuse": ("●", "inherited"),
    "shared_basis": ("◐", "shared_basis"),
    "lead": ("◑", "inconclusive"),
    "inconclusive": ("?", "inconclusive"),
    "no_evidence": ("○", "no_evidence"),
    "untestable": ("–", "not_comparable"),
}
"""Sign and class of colour by relation."""

MAX_SHOWN = 200
"""Rows of the page; the rest is counted, and stands in the result file."""

MAX_PARTS = 12

_TERMS = ("fingerprint", "sketch", "evalue", "lead", "ebh")


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One registered model's line.

    Attributes
    ----------
    status : str
        Class of its colour; `mark` is a sign that says the same without colour, `status_text` the words.
    evidence, cosine, score : str
    remarks : tuple of str
    """

    name: str
    status: str
    mark: str
    status_text: str
    evidence: str
    cosine: str
    score: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SearchPage:
    """A whole report.

    Attributes
    ----------
    lang : str
    title : str
        For the window; plain text.
    headline : Headline
    caveats : Section
        What the result does not mean.
    lead : str
        What the table shows.
    rows : tuple of SearchRow
    left : str
        How many rows are not shown; empty where all are.
    legend : tuple of (mark, word, meaning)
        Findings that occur.
    sections : tuple of Section
        What would have been seen; the other models; how to repeat it.
    models : tuple of ModelCard
        Candidate, register.
    glossary : tuple of (term, meaning)
    footer : str
    """

    lang: str
    title: str
    headline: Headline
    caveats: Section
    lead: str
    rows: tuple[SearchRow, ...]
    left: str
    legend: tuple[tuple[str, str, str], ...]
    sections: tuple[Section, ...]
    models: tuple[ModelCard, ...]
    glossary: tuple[tuple[str, str], ...]
    footer: str


def build_search_page(document: Document, lang: str) -> SearchPage:
    """Put the result of a search into words.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.lineage.search_document.SearchResult.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, or holds a code that this version does not explain.
    UsageError
        The language is not available.
    """
    t = Texts(lang)
    check(document, where="the result")
    head = search_headline(document, t)
    rows = document["rows"]
    present = dict.fromkeys(relation_of(row) for row in rows)
    candidate = name(document["candidate"]["name"])
    registered = t.number(document["answer"]["registered"])
    left = len(rows) - MAX_SHOWN
    return SearchPage(
        lang=lang,
        title=plain(t("search.title", candidate=candidate, label=head.label)),
        headline=head,
        caveats=search_caveats(document, t),
        lead=t("search.table_lead", registered=registered) if rows else t("search.table_none"),
        rows=tuple(_row(row, t) for row in rows[:MAX_SHOWN]),
        left=t("search.more_rows", count=t.number(left)) if left > 0 else "",
        legend=tuple(
            (
                MARKS[k][0],
                t.code("search", f"relation.{k}.word"),
                t.code("search", f"relation.{k}.meaning"),
            )
            for k in present
        ),
        sections=(shapes_section(document, t), rest_section(document, t), repeat_section(document, t)),
        models=_cards(document, t),
        glossary=tuple(
            (t(f"search.glossary.{term}"), t(f"search.glossary.{term}_meaning")) for term in _TERMS
        ),
        footer=t("search.footer", version=clean(document["jokbo"]), digest=digest(dict(document))[:12]),
    )


def _row(row: Mapping[str, Any], t: Texts) -> SearchRow:
    relation = relation_of(row)
    if relation not in MARKS:
        raise EvidenceError(
            f"The result holds the relation {clean(relation)!r}, which this version does not know."
        )
    mark, status = MARKS[relation]
    cosines = [c["effect_size"] for c in row["pair"]["components"] if c["effect_size"] is not None]
    return SearchRow(
        name=name(row["name"]),
        status=status,
        mark=mark,
        status_text=t.code("search", f"relation.{relation}.word"),
        evidence=t.evalue(row["log10_evalue"]),
        cosine=t.fixed(max(cosines), 2) if cosines else t("ui.none"),
        score=t.fixed(row["score"], 1),
        remarks=tuple(_remarks(row, t)),
    )


def _remarks(row: Mapping[str, Any], t: Texts) -> list[str]:
    words = []
    if row["declared"] is not None:
        words.append(t.code("search.remark", row["declared"]))
    if row["public_since"] is not None:
        key = "first" if row["reference_first"] else "since"
        words.append(t(f"search.remark.{key}", date=clean(row["public_since"])))
    seen = [
        c["component"]
        for c in row["pair"]["components"]
        if c["status"] in ("inherited", "dependent", "shared_basis")
        or (c["status"] == "inconclusive" and relation_of(row) == "lead")
    ]
    if seen:
        parts = joined([component_words(part, t) for part in seen[:MAX_PARTS]], t)
        words.append(t("search.remark.parts", parts=parts))
    if row["confirmation"] is not None:
        words.append(_confirmation(row["confirmation"], t))
    if not row["passed"]:
        words.append(t("search.remark.nearest"))
    return words


def _confirmation(confirmation: Mapping[str, Any], t: Texts) -> str:
    pair, reason = confirmation["pair"], confirmation["reason"]
    if pair is not None:
        word = t.code("search", f"relation.{pair['relation']}.word")
        return t("search.remark.confirmed", relation=word, evidence=t.evalue(pair["log10_evalue"]))
    if reason in ("no_model", "candidate_is_a_fingerprint"):
        return t(f"search.remark.{reason}")
    return t("search.remark.not_confirmed", reason=clean(reason, limit=400))


def _cards(document: Document, t: Texts) -> tuple[ModelCard, ...]:
    model, register = document["candidate"], document["register"]
    covers = "digest_weights" if model["digest_covers"] == "weights" else "digest_headers"
    facts = [
        (t("fact.parameters"), t.number(model["parameters"])),
        (t("fact.digest"), t(f"fact.{covers}", digest=short(model["digest"]))),
    ]
    if model["commit"] is not None:
        facts.append((t("fact.commit"), clean(model["commit"])))
    if model["declared"]:
        facts.append(
            (t("search.fact.declared"), ", ".join(name(each) for each in model["declared"][:MAX_PARTS]))
        )
    notes = (t("search.fact.private"),) if model["private"] else ()
    return (
        ModelCard(t("search.candidate"), name(model["name"]), tuple(facts), notes),
        ModelCard(
            t("search.register"),
            short(register["digest"]),
            (
                (t("search.fact.models"), t.number(register["models"])),
                (t("search.repeat.salt"), clean(register["salt"])),
            ),
            (),
        ),
    )
