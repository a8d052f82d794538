"""From an audit's document to a report: every text in one language, nothing left to decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.records.document import check
from jokbo.report.context import plain
from jokbo.report.details import evidence_digest
from jokbo.report.parts import Headline, Section
from jokbo.report.record_checks import (
    Findings,
    check_legend,
    check_tables,
)
from jokbo.report.record_coverage import coverage
from jokbo.report.record_history import history_section
from jokbo.report.record_sections import (
    checkpoints_section,
    digests_section,
    disclosed_section,
    events_section,
    log_section,
    repeat_section,
)
from jokbo.report.record_wording import record_caveats, record_headline
from jokbo.report.record_words import Document
from jokbo.report.texts import Texts, clean, name

_TERMS = (
    "record", "declaration", "initialisation", "checkpoint", "update", "loss", "learning_rate", "forgery",
    "planted", "power", "pvalue", "event", "commitment", "digest",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A whole report.

    Attributes
    ----------
    lang : str
    title : str
        For the window; plain text.
    headline : Headline
    caveats : Section
        What the verdict does not mean.
    coverage : Findings
        Every forgery, and what excludes it.
    history : Section
        Figures.
    checks : tuple of Findings
        By kind.
    legend : tuple of (mark, word, meaning)
        Outcomes of checks that occur.
    sections : tuple of Section
        Events, checkpoints, logs, what was disclosed, how to repeat it, digests.
    glossary : tuple of (term, meaning)
    footer : str
    """

    lang: str
    title: str
    headline: Headline
    caveats: Section
    coverage: Findings
    history: Section
    checks: tuple[Findings, ...]
    legend: tuple[tuple[str, str, str], ...]
    sections: tuple[Section, ...]
    glossary: tuple[tuple[str, str], ...]
    footer: str


def build_record_page(document: Document, lang: str) -> RecordPage:
    """Put an audit into words.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.records.audit.Audit.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.

    Raises
    ------
    EvidenceError
        The document does not follow its schema, contradicts itself, or holds a code that this version does
        not explain.
    UsageError
        The language is not available.
    """
    t = Texts(lang)
    t("ui.brand")
    check(document, "the audit")
    try:
        return _build(document, t)
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise EvidenceError(
            f"The audit cannot be shown ({type(error).__name__}: {clean(error)}). Write it again with "
            "`jokbo record audit --json`."
        ) from error


def _build(document: Mapping[str, Any], t: Texts) -> RecordPage:
    head = record_headline(document, t)
    digest = evidence_digest(document)
    return RecordPage(
        lang=t.lang,
        title=plain(t("record.title", name=name(document["record"]["name"]), label=head.label)),
        headline=head,
        caveats=record_caveats(document, t),
        coverage=coverage(document, t),
        history=history_section(document, t),
        checks=check_tables(document, t),
        legend=check_legend(document, t),
        sections=(
            events_section(document, t),
            checkpoints_section(document, t),
            log_section(document, t),
            disclosed_section(document, t),
            repeat_section(document, t),
            digests_section(document, digest, t),
        ),
        glossary=tuple(
            (t(f"record.glossary.{term}"), t(f"record.glossary.{term}_meaning")) for term in _TERMS
        ),
        footer=t("record.footer", version=clean(document["jokbo"]), digest=digest[:12]),
    )
