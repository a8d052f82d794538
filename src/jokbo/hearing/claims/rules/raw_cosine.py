"""Raw cosine on vectors whose entries are all positive, with nothing that shows more: unrelated models score as high.

Of vectors with mean m and standard deviation s, unrelated ones have a cosine near ``1 / (1 + s**2 / m**2)``.
"""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.descriptive.references import published
from jokbo.descriptive.scores import Score
from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, in_table, rounded

HELD_BY_CENTRED = 0.1
"""A centred cosine above this carries the claim whatever the raw one says."""


def applies(case: Case) -> bool:
    """Dependence is concluded from a cosine."""
    return case.claim.claims_dependence and case.claim.measure.blind_to_order and case.effect is not None


def check(case: Case) -> Iterator[Finding]:
    """Find a cosine that the vectors' common mean explains."""
    centred = [row.value for row in case.centred]
    held = bool(centred) and sum(centred) / len(centred) > HELD_BY_CENTRED
    if not case.by_common_mean or held or case.exceeds_shuffled:
        return
    assert case.effect is not None
    numbers: dict[str, float | int | str] = {"value": rounded(case.effect.mean)}
    variant = ""
    if case.again is not None:
        numbers["by_means"] = rounded(case.again.by_means)
        variant = "vectors"
    else:
        unrelated = [f for f in published().of(Score.NORM_RAW) if f.relation in ("independent", "random")]
        numbers["low"] = min(figure.value for figure in unrelated)
        numbers["high"] = max(figure.value for figure in unrelated)
    places = (*in_file(case, "measure/name"), *in_table(case, case.headline))
    yield Finding("raw_cosine", Severity.FAULT, places, numbers, variant)
