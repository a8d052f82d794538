"""A sample that is larger in the text than in the table, or that counts the same measurement twice."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.hearing.claims.case import Case
from jokbo.hearing.claims.groups import group
from jokbo.hearing.claims.numbers import parse_stated
from jokbo.hearing.claims.rules.base import Finding, Severity, in_file, in_table, rounded
from jokbo.hearing.claims.table import Row


def applies(case: Case) -> bool:
    """There are rows to count."""
    return bool(case.headline or case.rows("baseline"))


def check(case: Case) -> Iterator[Finding]:
    """Count the values again."""
    for k, figure in enumerate(case.claim.figures):
        stated, found = parse_stated(figure.says), group(case.named(figure.of, figure.measure))
        if figure.kind == "n" and stated is not None and found is not None and stated.value > found.n:
            numbers: dict[str, float | int | str] = {"stated": rounded(stated.value), "n": found.n}
            places = (*in_file(case, f"figures/{k}"), *in_table(case, found.rows))
            yield Finding("sample_inflated", Severity.FAULT, places, numbers)
        rows = (
            case.named(figure.of, figure.measure) if figure.kind == "entries" and stated is not None else []
        )
        known = [row.entries for row in rows if row.entries is not None]
        if stated is not None and known and stated.value > max(known):
            numbers = {"stated": rounded(stated.value), "n": max(known)}
            places = (*in_file(case, f"figures/{k}"), *in_table(case, rows))
            yield Finding("sample_inflated", Severity.FAULT, places, numbers, "entries")
    for role in ("effect", "baseline"):
        rows = case.headline if role == "effect" else case.rows(role)
        for sure, severity in ((True, Severity.FAULT), (False, Severity.NOTE)):
            if twice := _twice(rows, sure=sure):
                numbers = {"n": len(rows), "different": len(rows) - len(twice)}
                yield Finding("sample_inflated", severity, in_table(case, twice), numbers, "twice")


def _twice(rows: list[Row], *, sure: bool) -> list[Row]:
    """Rows that repeat an earlier one; A against B is the same measurement as B against A.

    Sure where both name the same vectors, or the same pair the other way round. Rows that are equal in all they tell
    may be two tensors of one layer: those are worth a note.
    """
    seen: dict[object, Row] = {}
    found = []
    for row in rows:
        sides = frozenset(
            {
                (row.reference, row.reference_layers, row.reference_vector),
                (row.candidate, row.candidate_layers, row.candidate_vector),
            }
        )
        first = seen.setdefault((sides, row.tensor, row.measure, row.value, row.note, row.count), row)
        if first is not row and row.layers:
            certain = bool(row.reference_vector) or row.reference != first.reference
            found += [row] if certain is sure else []
    return found
