"""Independence concluded from the absence of evidence.

A measure that sees nothing has not seen that nothing is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """The conclusion is that nothing is there, or that nothing is shown."""
    return not case.claim.claims_dependence


def check(case: Case) -> Iterator[Finding]:
    """Find a conclusion of independence."""
    if case.claim.says == "independent":
        yield Finding("independence_from_absence", Severity.FAULT, in_file(case, "conclusion/says"))
