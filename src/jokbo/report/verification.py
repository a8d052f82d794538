"""The outcome of ``jokbo verify``, in words and as JSON."""

from __future__ import annotations

from typing import Any

from jokbo.evidence.verify import Verification
from jokbo.report.texts import Texts

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
