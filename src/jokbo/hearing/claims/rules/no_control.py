"""Neither a shuffled nor a centred control, where the vectors' common mean alone could make the agreement."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, rounded


def applies(case: Case) -> bool:
    """Dependence is concluded from a cosine of vectors that share a mean, or may."""
    return case.claim.claims_dependence and case.effect is not None and case.may_share_mean


def check(case: Case) -> Iterator[Finding]:
    """Find that neither control was made; one that subtracts a constant is none."""
    opened = case.models is not None and case.models.shuffled is not None
    if case.shuffled or case.centred or case.again is not None or opened:
        return
    assert case.effect is not None
    where = "controls" if case.claim.controls else "measure"
    numbers = {"value": rounded(case.effect.mean)}
    yield Finding("no_control", Severity.MISSING, in_file(case, where), numbers)
