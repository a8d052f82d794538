"""A value of the table that comes out otherwise when its vectors are measured again."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_table, rounded


def applies(case: Case) -> bool:
    """Rows could be measured again."""
    return case.repeated > 0


def check(case: Case) -> Iterator[Finding]:
    """Tell how many rows differ, and the one that differs most."""
    if not case.mismatches:
        return
    worst = max(case.mismatches, key=lambda found: (abs(found.found - found.row.value), -found.row.line))
    numbers = {
        "n": len(case.mismatches), "all": case.repeated,
        "value": rounded(worst.row.value), "found": rounded(worst.found),
    }  # fmt: skip
    places = in_table(case, [found.row for found in case.mismatches])
    yield Finding("rerun_disagrees", Severity.FAULT, places, numbers)
