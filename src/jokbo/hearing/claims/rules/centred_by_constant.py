"""Centring that subtracts a constant: what the vectors have in common stays in, unless the constant is their mean."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, rounded


def applies(case: Case) -> bool:
    """Something was centred."""
    return any(control.kind == "centred" for control in case.claim.controls)


def check(case: Case) -> Iterator[Finding]:
    """Find a control that subtracted a number instead of each vector's own mean."""
    for k, control in enumerate(case.claim.controls):
        if control.kind == "centred" and isinstance(control.subtracted, float):
            numbers = {"constant": rounded(control.subtracted)}
            yield Finding("centred_by_constant", Severity.FAULT, in_file(case, f"controls/{k}"), numbers)
