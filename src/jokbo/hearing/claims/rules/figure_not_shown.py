"""A number of the text whose rows are not in the table."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.numbers import parse_stated
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file

OF_ROWS = frozenset({"mean", "minimum", "maximum", "sd", "n", "entries", "difference", "cohens_d"})
OF_EVIDENCE = frozenset({"evalue", "inherited_share"})


def applies(case: Case) -> bool:
    """The claim names figures of its text."""
    return bool(case.claim.figures)


def check(case: Case) -> Iterator[Finding]:
    """Find figures without a number, without rows, or without evidence."""
    for k, figure in enumerate(case.claim.figures):
        numbers = {"says": figure.says}
        places = in_file(case, f"figures/{k}")
        if parse_stated(figure.says) is None:
            yield Finding("figure_not_shown", Severity.MISSING, places, numbers, "no_number")
        elif figure.kind in OF_EVIDENCE and case.evidence is None:
            yield Finding("figure_not_shown", Severity.MISSING, places, numbers, "no_evidence")
        elif figure.kind in OF_ROWS:
            needed = [figure.of, *([figure.against] if figure.kind in ("difference", "cohens_d") else [])]
            entries = figure.kind == "entries"
            missing = [
                name
                for name in needed
                if not any(row.entries or not entries for row in case.named(name, figure.measure))
            ]
            if missing:
                numbers["rows"] = missing[0]
                yield Finding("figure_not_shown", Severity.MISSING, places, numbers)
