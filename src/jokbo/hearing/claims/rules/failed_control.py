"""A control that came out as it should not, and a conclusion that stands all the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from jokbo.hearing.claims.case import LEAST_EXCESS, MAX_PVALUE, MIN_DEVIATIONS, Case
from jokbo.hearing.claims.groups import Group, group
from jokbo.hearing.claims.measures import MEASURES
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, in_table, rounded
from jokbo.hearing.claims.table import Row

MIN_POPULATION = 3


def applies(case: Case) -> bool:
    """Dependence is concluded, and there is a control."""
    controls = (*case.shuffled, *case.rows("unrelated", "derived"), *case.claim.controls)
    again = case.again is not None or (case.models is not None and case.models.shuffled is not None)
    return case.claim.claims_dependence and (bool(controls) or again or bool(_otherwise(case)))


def check(case: Case) -> Iterator[Finding]:
    """Yield each control that failed."""
    for k, control in enumerate(case.claim.controls):
        if control.passed is False:
            numbers = {"control": control.kind}
            yield Finding("failed_control", Severity.FAULT, in_file(case, f"controls/{k}"), numbers, "said")
    for measure, rows, base in _otherwise(case):
        if base.mean >= rows.mean:
            values: dict[str, float | int | str] = {
                "measure": measure, "value": rounded(rows.mean), "baseline": rounded(base.mean)
            }  # fmt: skip
            places = in_table(case, (*rows.rows, *base.rows))
            yield Finding("failed_control", Severity.FAULT, places, values, "baseline")
    if case.effect is not None:
        yield from _shuffled(case)
        yield from _unrelated(case, case.alike("unrelated"))
        yield from _derived(case, case.alike("derived"))


def _otherwise(case: Case) -> list[tuple[str, Group, Group]]:
    """The claim's pair and what it is held against, by measures other than the claim's that rise with likeness."""
    found = []
    for name, measure in MEASURES.items():
        rows = [row for row in case.rows("effect", "other", measures=(name,)) if row.pair == case.pair]
        kinds = {case.kind_of(row) for row in rows}
        base = [row for row in case.rows("baseline", measures=(name,)) if case.kind_of(row) in kinds]
        own, against = group(rows), group(base)
        if name != case.claim.measure.name and measure.higher_is_closer and own and against:
            found.append((name, own, against))
    return found


def _shuffled(case: Case) -> Iterator[Finding]:
    assert case.effect is not None
    if case.again is not None:
        if case.again.pvalue > MAX_PVALUE:
            numbers = {
                "value": rounded(case.again.raw), "shuffled": rounded(case.again.shuffled),
                "centred": rounded(case.again.centred), "pvalue": rounded(case.again.pvalue),
            }  # fmt: skip
            places = in_table(case, case.headline)
            yield Finding("failed_control", Severity.FAULT, places, numbers, "shuffled_again")
        return
    shuffled = group(case.shuffled)
    if shuffled is not None and not case.exceeds_shuffled:
        numbers = {"value": rounded(case.effect.mean), "shuffled": rounded(shuffled.mean)}
        places = in_table(case, (*case.headline, *case.shuffled))
        yield Finding("failed_control", Severity.FAULT, places, numbers, "shuffled")
    opened = case.models
    if opened is None or opened.raw is None or opened.shuffled is None:
        return
    if opened.raw - opened.shuffled <= LEAST_EXCESS * (1 - opened.shuffled):
        numbers = {"value": rounded(opened.raw), "shuffled": rounded(opened.shuffled)}
        yield Finding("failed_control", Severity.FAULT, in_file(case, "models"), numbers, "shuffled_models")


def _unrelated(case: Case, rows: Sequence[Row]) -> Iterator[Finding]:
    """Pairs of models that have nothing to do with each other, by the same measure."""
    found = group(rows)
    if found is None:
        return
    assert case.effect is not None
    nearest = max(rows, key=lambda row: case.closeness(row.value))
    effect = case.closeness(case.effect.mean)
    reached = case.closeness(nearest.value) >= effect
    gap = effect - case.closeness(found.mean)
    spread = found.sd if found.n >= MIN_POPULATION else None
    if not reached and (spread is None or gap >= MIN_DEVIATIONS * spread):
        return
    numbers: dict[str, float | int | str] = {
        "value": rounded(case.effect.mean), "n": found.n, "mean": rounded(found.mean),
        "nearest": rounded(nearest.value), "first": nearest.reference, "second": nearest.candidate,
    }  # fmt: skip
    variant = "unrelated" if reached else "unrelated_spread"
    if not reached and spread is not None:
        numbers["sd"] = rounded(spread)
    yield Finding("failed_control", Severity.FAULT, in_table(case, rows), numbers, variant)


def _derived(case: Case, rows: Sequence[Row]) -> Iterator[Finding]:
    """Pairs of which one is known to come from the other: the measure must see them."""
    boundary = case.boundary
    if boundary is None:
        return
    for row in rows:
        if case.closeness(row.value) < boundary:
            numbers: dict[str, float | int | str] = {
                "value": rounded(row.value), "first": row.reference, "second": row.candidate
            }  # fmt: skip
            yield Finding("failed_control", Severity.FAULT, in_table(case, [row]), numbers, "derived")
