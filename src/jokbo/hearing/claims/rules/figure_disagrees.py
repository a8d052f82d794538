"""A number of the text that is another one in the table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.claim import Figure
from jokbo.hearing.claims.groups import Group, Interval, difference, effect_size, group, standard_errors
from jokbo.hearing.claims.numbers import Stated, parse_stated
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, in_table, rounded


def applies(case: Case) -> bool:
    """The claim names figures of its text."""
    return bool(case.claim.figures)


def check(case: Case) -> Iterator[Finding]:
    """Compute each figure again, and look for it in the text."""
    for k, figure in enumerate(case.claim.figures):
        stated = parse_stated(figure.says)
        if stated is None:
            continue
        if not _in_text(figure.says, case.claim.text):
            numbers: dict[str, float | int | str] = {"says": figure.says}
            yield Finding("figure_disagrees", Severity.FAULT, in_file(case, f"figures/{k}"), numbers, "text")
        if figure.kind == "evalue":
            yield from _evalue(case, k, stated)
            continue
        found = computed(case, figure)
        if found is None or stated.agrees(found.low, found.high):
            continue
        # A count that is too large is a finding of its own.
        if figure.kind in ("n", "entries") and stated.value > found.high:
            continue
        rows = case.named(figure.of, figure.measure)
        numbers = {"says": figure.says, "found": rounded(found.middle)}
        places = (*in_file(case, f"figures/{k}"), *(in_table(case, rows) if case.claim.table else ()))
        yield Finding("figure_disagrees", Severity.FAULT, places, numbers)


def _in_text(says: str, text: str) -> bool:
    return _plain(says) in _plain(text)


def _plain(text: str) -> str:
    """As it is read: one sign for minus, one for a gap, whichever keyboard wrote it."""
    return " ".join(text.replace("\u2212", "-").split()).casefold()


def computed(case: Case, figure: Figure) -> Interval | None:
    """What a figure can be, by the table or the evidence, e-values aside; None where that does not tell."""
    if figure.kind == "inherited_share":
        return _by_evidence(case)
    if figure.kind == "share":
        share = case.claim.share
        return None if share is None else Interval(share, share)
    effect = group(case.named(figure.of, figure.measure))
    if effect is None:
        return None
    if figure.kind in _ONE:
        return _ONE[figure.kind](effect)
    baseline = group(case.named(figure.against, figure.measure))
    if baseline is None:
        return None
    if figure.kind == "sigma":
        # An effect size called sigma is a finding of its own: here only a third number counts.
        chosen = _size if figure.computed_as == "cohens_d" else standard_errors
        return _either(chosen(effect, baseline), _size(effect, baseline), parse_stated(figure.says))
    return _TWO[figure.kind](effect, baseline) if figure.kind in _TWO else None


def _size(effect: Group, baseline: Group) -> Interval | None:
    """Cohen's d, its spread divided by n - 1 or by n: both are in use, and neither is a disagreement."""
    found = effect_size(effect, baseline)
    if found is None:
        return None
    n, m = effect.n, baseline.n
    wider = math.sqrt((n + m) / (n + m - 2))
    return Interval(min(found.low, wider * found.low), max(found.high, wider * found.high))


def _either(chosen: Interval | None, other: Interval | None, stated: Stated | None) -> Interval | None:
    if stated is not None and other is not None and stated.agrees(other.low, other.high):
        return other
    return chosen


def _by_evidence(case: Case) -> Interval | None:
    share = None if case.evidence is None else case.evidence["verdict"]["inherited_share"]
    return None if share is None else Interval(share - 5e-5, share + 5e-5)


def _evalue(case: Case, k: int, stated: Stated) -> Iterator[Finding]:
    """E-values are compared by their logarithms: no float holds them. Rounded or cut to a power of ten is the same."""
    log10 = None if case.evidence is None else case.evidence["verdict"]["log10_evalue"]
    if log10 is not None and abs(stated.log10 - log10) > 1.0:
        numbers: dict[str, float | int | str] = {"says": stated.text, "log10_found": rounded(log10)}
        yield Finding("figure_disagrees", Severity.FAULT, in_file(case, f"figures/{k}"), numbers, "evalue")


def _middle(found: Group) -> Interval:
    return Interval(found.mean - found.rounding, found.mean + found.rounding)


def _spread(found: Group) -> Interval | None:
    return (
        None if found.sd is None else Interval(found.sd - 2 * found.rounding, found.sd + 2 * found.rounding)
    )


def _entries(found: Group) -> Interval | None:
    known = [row.entries for row in found.rows if row.entries is not None]
    return Interval(min(known), max(known)) if known else None


_ONE: Mapping[str, Callable[[Group], Interval | None]] = {
    "mean": _middle,
    "minimum": lambda found: Interval(found.low - found.rounding, found.low + found.rounding),
    "maximum": lambda found: Interval(found.high - found.rounding, found.high + found.rounding),
    "sd": _spread,
    "n": lambda found: Interval(found.n, found.n),
    "entries": _entries,
}
_TWO: Mapping[str, Callable[[Group, Group], Interval | None]] = {
    "difference": difference,
    "cohens_d": _size,
}
