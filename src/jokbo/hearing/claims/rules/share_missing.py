"""It is not told what share of all parameters was measured."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """Dependence is concluded from some tensors; evidence of `jokbo compare` tells its own share."""
    return case.claim.claims_dependence and case.evidence is None


def check(case: Case) -> Iterator[Finding]:
    """Find that neither the share nor the counts behind it are given."""
    opened = case.models is not None and case.models.norm_parameters > 0
    if case.claim.share is None and not opened:
        yield Finding("share_missing", Severity.MISSING, in_file(case, "measure"))
