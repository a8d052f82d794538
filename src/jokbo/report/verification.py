"""The outcome of ``jokbo verify``, in words and as JSON."""

from __future__ import annotations

from typing import Any

from jokbo.evidence.verify import Verification
from jokbo.records.attest.verify_documents import DocumentVerification
from jokbo.report.texts import Texts
from jokbo.views.component import Reason

SHOWN = 10


def verification_document(outcome: Verification) -> dict[str, Any]:
    """The outcome as plain JSON values."""
    return {
        "schema": "jokbo.verification/1",
        "holds": outcome.holds,
        "names_hold": outcome.names_hold,
        "evidence": outcome.evidence.digest,
        "differences": [
            {"path": d.path, "claimed": d.claimed, "found": d.found} for d in outcome.differences
        ],
    }


def render_verification(outcome: Verification, *, lang: str) -> str:
    """Say whether evidence holds, and where it does not."""
    t = Texts(lang)
    if outcome.holds:
        names = "names_hold" if outcome.names_hold else "names_unchecked"
        return f"{t('verification.holds', digest=outcome.evidence.digest[:16])} {t(f'verification.{names}')}"
    lines = [t("verification.fails", count=len(outcome.differences))]
    lines += [f"  {d.path}: {d.claimed} -> {d.found}" for d in outcome.differences[:SHOWN]]
    return "\n".join(lines)


def document_outcome(outcome: DocumentVerification) -> dict[str, Any]:
    """What verifying a document about a record gave, as plain JSON values."""
    return {
        "schema": "jokbo.document-verification/1",
        "kind": outcome.kind,
        "holds": outcome.holds,
        **{
            name: [{"code": r.code, "values": dict(r.values)} for r in getattr(outcome, name)]
            for name in ("problems", "checked", "unchecked")
        },
    }


def render_document_verification(outcome: DocumentVerification, *, lang: str) -> str:
    """Say whether a document about a record holds, what was checked, and what was not."""
    t = Texts(lang)
    kind = t(f"record.verify.kind.{outcome.kind}")
    what = " ".join(_sentence(t, "record.verify.what", reason) for reason in outcome.checked)
    if outcome.holds:
        lines = [t("record.verify.holds", kind=kind, what=what)]
    else:
        lines = [t("record.verify.fails", kind=kind, count=len(outcome.problems))]
        lines += [f"  {_problem(t, reason)}" for reason in outcome.problems[:SHOWN]]
    lines += [
        t("record.verify.unchecked", what=_sentence(t, "record.verify.open", reason))
        for reason in outcome.unchecked
    ]
    return "\n".join(lines)


def _problem(t: Texts, reason: Reason) -> str:
    own = f"record.verify.problem.{reason.code}"
    group = "record.verify.problem" if t.has(own) else "record.reason.precedence"
    return _sentence(t, group, reason)


def _sentence(t: Texts, group: str, reason: Reason) -> str:
    return t.reason({"code": reason.code, "values": dict(reason.values)}, group=group)
