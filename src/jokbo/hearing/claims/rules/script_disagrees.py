"""A conclusion that goes beyond what the measure's own script concluded."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, rounded

HALF = 0.5


def applies(case: Case) -> bool:
    """The claim tells what its script concluded."""
    script = case.claim.script
    return case.claim.claims_dependence and bool(
        script.concluded or (script.score is not None and script.out_of)
    )


def check(case: Case) -> Iterator[Finding]:
    """Find a word below strong, or less than half of the score."""
    script = case.claim.script
    scored = script.score is not None and bool(script.out_of)
    weak = script.concluded in ("moderate", "weak", "none")
    if not script.concluded and script.score is not None and script.out_of:
        weak = script.score / script.out_of < HALF
    if not weak:
        return
    numbers: dict[str, float | int | str] = {"says": case.claim.says}
    if script.score is not None and script.out_of:
        numbers |= {"score": rounded(script.score), "out_of": rounded(script.out_of)}
    if script.concluded:
        numbers["concluded"] = script.concluded
    variant = "" if scored and script.concluded else "score" if scored else "word"
    places = in_file(case, "measure/script", "conclusion/says")
    yield Finding("script_disagrees", Severity.FAULT, places, numbers, variant)
