"""A control that the claim names, and whose numbers are not there."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.claim import Control
from jokbo.hearing.claims.measures import CENTRED
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file


def applies(case: Case) -> bool:
    """The claim names controls."""
    return case.claim.claims_dependence and bool(case.claim.controls)


def check(case: Case) -> Iterator[Finding]:
    """Look for the rows of each control."""
    for k, control in enumerate(case.claim.controls):
        if not _settled(case, control) and not _shown(case, control.kind):
            numbers = {"control": control.kind}
            yield Finding("control_not_shown", Severity.MISSING, in_file(case, f"controls/{k}"), numbers)


def _settled(case: Case, control: Control) -> bool:
    """Whether another rule says already that this control is none."""
    loaded = bool(control.model) and bool(case.claim.models[control.model].loaded)
    return loaded or isinstance(control.subtracted, float) or control.passed is False


def _shown(case: Case, kind: str) -> bool:
    if case.again is not None and kind in ("shuffled", "centred"):
        return True
    if kind == "shuffled":
        return bool(case.shuffled)
    if kind == "centred":
        return case.claim.measure.name in CENTRED or bool(case.centred)
    return bool(case.rows(kind))
