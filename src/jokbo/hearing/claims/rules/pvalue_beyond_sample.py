"""A p-value smaller than so few values can give, by whatever test."""

from __future__ import annotations

import math
from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.claim import Figure
from jokbo.hearing.claims.groups import (
    Group,
    Interval,
    effect_size,
    group,
    log10_permutation_floor,
    log10_t_pvalue,
    t_of_effect_size,
)  # fmt: skip
from jokbo.hearing.claims.numbers import parse_stated
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, rounded

SLACK = 1.0
"""Powers of ten that a p-value may be off before it is another one."""


def applies(case: Case) -> bool:
    """The text has a p-value."""
    return any(figure.kind == "pvalue" for figure in case.claim.figures)


def check(case: Case) -> Iterator[Finding]:
    """Hold each p-value against what its sample allows."""
    for k, figure in enumerate(case.claim.figures):
        stated = parse_stated(figure.says)
        if figure.kind != "pvalue" or stated is None:
            continue
        if figure.computed_as == "permutation" and figure.resamples is not None:
            yield from _permuted(case, k, figure, figure.resamples, stated.log10)
            continue
        effect, baseline = (group(case.named(name, figure.measure)) for name in (figure.of, figure.against))
        least = None
        if effect is not None and baseline is not None and effect.n + baseline.n >= 3:
            least = _least(case, figure, effect, baseline)
        numbers: dict[str, float | int | str] = {"says": figure.says}
        if least is None or effect is None or baseline is None:
            if _zero(stated.log10):
                places = in_file(case, f"figures/{k}")
                yield Finding("pvalue_beyond_sample", Severity.FAULT, places, numbers, "zero")
        elif stated.log10 < least - SLACK:
            numbers |= {
                "n": effect.n, "m": baseline.n, "pairs": len({row.pair for row in effect.rows}),
                "log10_pvalue": rounded(least),
                "log10_floor": rounded(log10_permutation_floor(effect.n, baseline.n)),
            }  # fmt: skip
            yield Finding("pvalue_beyond_sample", Severity.FAULT, in_file(case, f"figures/{k}"), numbers)


def _permuted(case: Case, k: int, figure: Figure, resamples: int, log10: float) -> Iterator[Finding]:
    floor = -math.log10(resamples + 1)
    # Rounding to the digits written is allowed for: .001 may stand for 1/1000 or 1/1001.
    if log10 < floor - math.log10(1.5):
        numbers: dict[str, float | int | str] = {
            "says": figure.says, "resamples": resamples, "log10_floor": rounded(floor)
        }  # fmt: skip
        places = in_file(case, f"figures/{k}")
        yield Finding("pvalue_beyond_sample", Severity.FAULT, places, numbers, "resamples")


def _least(case: Case, figure: Figure, effect: Group, baseline: Group) -> float | None:
    """The p-value that the sample allows: of Student's test, or where no spread is known of all relabellings."""
    free = effect.n + baseline.n - 2
    floor = log10_permutation_floor(effect.n, baseline.n)
    if figure.computed_as == "permutation":
        return floor
    size = effect_size(effect, baseline)
    if size is None:
        size = _stated_size(case)
    if size is None:
        return floor if figure.computed_as != "other" else None
    if math.isinf(size.low) or math.isinf(size.high):
        return None
    return log10_t_pvalue(t_of_effect_size(max(abs(size.low), abs(size.high)), effect.n, baseline.n), free)


def _stated_size(case: Case) -> Interval | None:
    """An effect size that the claim itself tells, under whatever name."""
    for figure in case.claim.figures:
        stated = parse_stated(figure.says)
        if stated is not None and (figure.kind == "cohens_d" or figure.computed_as == "cohens_d"):
            return Interval(stated.value - stated.unit, stated.value + stated.unit)
    return None


def _zero(log10: float) -> bool:
    """Whether a p-value of nought is stated, which is what a computer writes for one that no float holds."""
    return math.isinf(log10)
