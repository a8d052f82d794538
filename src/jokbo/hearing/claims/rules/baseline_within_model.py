"""A baseline of different layers of one model, for an effect between equal layers of two.

What has to be known is how alike equal layers of *unrelated models* are; layers of one model differ for their depth.
"""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_table, rounded


def applies(case: Case) -> bool:
    """Dependence of two models is concluded, and there is a baseline."""
    return case.claim.claims_dependence and case.baseline is not None and case.effect is not None


def check(case: Case) -> Iterator[Finding]:
    """Find that no pair of unrelated models, and no shuffle, was measured."""
    rows = case.rows("baseline")
    shuffled = bool(case.shuffled) or case.again is not None
    if all(row.within for row in rows) and not case.rows("unrelated") and not shuffled:
        assert case.baseline is not None
        numbers = {"n": case.baseline.n, "mean": rounded(case.baseline.mean)}
        yield Finding("baseline_within_model", Severity.FAULT, in_table(case, rows), numbers)
