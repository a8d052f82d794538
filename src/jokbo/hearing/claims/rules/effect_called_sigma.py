"""An effect size called sigma: how far values are apart, told as if it were how sure one can be.

Cohen's d divides by the spread of single values; "sigma" of a difference is its distance in standard errors. The first
does not grow with the sample, and no p-value follows from it without the sample's size.
"""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.claim import Figure
from jokbo.hearing.claims.groups import (
    Group,
    effect_size,
    group,
    log10_permutation_floor,
    log10_t_pvalue,
    standard_errors,
    t_of_effect_size,
)  # fmt: skip
from jokbo.hearing.claims.numbers import Stated, parse_stated
from jokbo.hearing.claims.rules.base import MOST, Finding, Severity, in_file, rounded


def applies(case: Case) -> bool:
    """The text has a number of sigmas."""
    return any(figure.kind == "sigma" for figure in case.claim.figures)


def check(case: Case) -> Iterator[Finding]:
    """Find a number of sigmas that is an effect size: by the claim's own account, or because it equals one."""
    for k, figure in enumerate(case.claim.figures):
        stated = parse_stated(figure.says)
        if figure.kind != "sigma" or stated is None:
            continue
        effect, baseline = (group(case.named(name, figure.measure)) for name in (figure.of, figure.against))
        if figure.computed_as == "cohens_d" or _is_effect_size(stated, effect, baseline):
            yield _finding(case, k, figure, stated, effect, baseline)


def _is_effect_size(stated: Stated, effect: Group | None, baseline: Group | None) -> bool:
    if effect is None or baseline is None:
        return False
    d, sigma = effect_size(effect, baseline), standard_errors(effect, baseline)
    if d is None or sigma is None or sigma.low == -float("inf") or sigma.high == float("inf"):
        return False
    return stated.agrees(d.low, d.high) and not stated.agrees(sigma.low, sigma.high)


def _finding(
    case: Case, k: int, figure: Figure, stated: Stated, effect: Group | None, baseline: Group | None
) -> Finding:
    numbers: dict[str, float | int | str] = {"stated": rounded(stated.value)}
    variant = "unsized"
    n, m = (0 if each is None else each.n for each in (effect, baseline))
    if n and m and n + m > 2 and 0 < abs(stated.value) <= MOST:
        t = t_of_effect_size(stated.value, n, m)
        variant = ""
        numbers |= {
            "n": n, "m": m, "t": rounded(t), "free": n + m - 2,
            "log10_pvalue": rounded(log10_t_pvalue(t, n + m - 2)),
            "log10_floor": rounded(log10_permutation_floor(n, m)),
        }  # fmt: skip
    return Finding("effect_called_sigma", Severity.FAULT, in_file(case, f"figures/{k}"), numbers, variant)
