"""A number of sigmas that nobody can compute again: its spread, its rows or its formula are not there."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.groups import group, standard_errors
from jokbo.hearing.claims.numbers import SIGMA
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """The text speaks of sigmas."""
    figures = any(figure.kind == "sigma" for figure in case.claim.figures)
    return figures or SIGMA.search(case.claim.text) is not None


def check(case: Case) -> Iterator[Finding]:
    """Find sigmas that are no figure of the claim, or one without what it follows from."""
    figures = [(k, figure) for k, figure in enumerate(case.claim.figures) if figure.kind == "sigma"]
    if not figures:
        yield Finding("sigma_not_shown", Severity.MISSING, in_file(case, "conclusion/text"), {}, "text")
    for k, figure in figures:
        effect, baseline = (group(case.named(name, figure.measure)) for name in (figure.of, figure.against))
        known = effect is not None and baseline is not None and standard_errors(effect, baseline) is not None
        if not known and not figure.computed_as:
            numbers = {"says": figure.says}
            yield Finding("sigma_not_shown", Severity.MISSING, in_file(case, f"figures/{k}"), numbers)
