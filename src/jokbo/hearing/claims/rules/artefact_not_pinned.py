"""A model that is named without its commit or digest: nobody can fetch the same bytes again."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """Every claim is about two models."""
    return True


def check(case: Case) -> Iterator[Finding]:
    """Find which of the two are not pinned."""
    pair = (case.claim.reference, case.claim.candidate)
    loose = [label for label in pair if not case.claim.models[label].pinned]
    if loose:
        names = ", ".join(case.claim.models[label].name or label for label in loose)
        places = in_file(case, *(f"models/{label}" for label in loose))
        yield Finding("artefact_not_pinned", Severity.MISSING, places, {"models": names})
