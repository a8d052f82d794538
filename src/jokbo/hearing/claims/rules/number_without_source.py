"""Numbers of the text that neither the table nor the claim's own figures hold."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.numbers import Stated, numbers_in, parse_stated
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file

MAX_TOLD = 8


def applies(case: Case) -> bool:
    """The text has numbers that are measurements: with decimals, percent or powers of ten."""
    return any(not stated.exact for stated in numbers_in(_text(case)))


def check(case: Case) -> Iterator[Finding]:
    """Look for each measured number of the text in the table."""
    figures = [found for figure in case.claim.figures if (found := parse_stated(figure.says)) is not None]
    values = [row.value for row in case.claim.rows]
    values += [row.sd for row in case.claim.rows if row.sd is not None]
    values += [] if case.claim.share is None else [case.claim.share]
    values.sort()
    unknown = []
    for stated in numbers_in(_text(case)):
        known = any(abs(stated.log10 - figure.log10) < 1e-9 for figure in figures)
        if not stated.exact and not known and not _among(stated, values):
            unknown.append(stated.text)
    if unknown:
        told = ", ".join(dict.fromkeys(unknown[:MAX_TOLD]))
        numbers: dict[str, float | int | str] = {"count": len(unknown), "numbers": told}
        # Where the claim lists its figures the rest is context; where it lists none, nothing of it can be checked.
        severity = Severity.NOTE if case.claim.figures else Severity.MISSING
        yield Finding("number_without_source", severity, in_file(case, "conclusion/text"), numbers)


def _among(stated: Stated, values: Sequence[float]) -> bool:
    """Whether one of some sorted values could have been written like this."""
    nearest = bisect.bisect_left(values, stated.value)
    return any(stated.agrees(value, value) for value in values[max(nearest - 1, 0) : nearest + 1])


def _text(case: Case) -> str:
    """The conclusion without the names of models, which have numbers of their own."""
    text = case.claim.text
    for model in case.claim.models.values():
        for name in sorted((model.repository, model.name, model.label), key=len, reverse=True):
            text = text.replace(name, " ") if len(name) > 1 else text
    return text
