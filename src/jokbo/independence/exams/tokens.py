"""Unused tokens of an input embedding: which rows count, and whether they may be bet on (E7)."""

from __future__ import annotations

import numpy as np

from jokbo.architectures.base import Part, Role
from jokbo.independence.base import Family
from jokbo.independence.exams.base import AxisSize, Bench, ExamRecord
from jokbo.independence.index_structure import AxisCheck, axis_features, index_structure, row_products
from jokbo.independence.unused_tokens import (
    MAX_LEFT_OUT,
    MAX_TOKENS,
    MIN_TOKENS,
    class_rows,
    untouched,
    unused_tokens,
)
from jokbo.views.component import Reason
from jokbo.views.rows import RowsWish
from jokbo.views.samples import fetch_matrix_rows
from jokbo.views.tokens import match_reserved


def examine_tokens(bench: Bench, record: ExamRecord, parts: tuple[Part, Part], *, stage: str) -> None:
    """Bet on the rows of tokens that both tokenizers reserve, where nothing ever trained them.

    Parameters
    ----------
    parts : pair of Part
        The input embeddings.
    """
    if any(part.role is not Role.TOKEN_EMBD or part.axes[0] != "vocab" for part in parts):
        return
    index = match_reserved(
        *(ledger.model.vocabulary for ledger in bench.ledgers),
        reference_rows=parts[0].shape[0],
        candidate_rows=parts[1].shape[0],
    )
    reason = _refusal(bench, record, parts, len(index[0]))
    if reason is not None:
        record.notes.append(reason)
        return
    window = bench.lot.window(f"{record.component}/unused tokens", len(index[0]), MAX_TOKENS)
    wishes = [[RowsWish(part, rows[window])] for part, rows in zip(parts, index, strict=True)]
    unread = bench.refusal(wishes[0], wishes[1], over_budget=Reason("budget_excludes_tokens"))
    if unread is not None:
        record.notes.append(unread)
        return
    tables = [
        fetch_matrix_rows(ledger, part, rows[window])
        for ledger, part, rows in zip(bench.ledgers, parts, index, strict=True)
    ]
    kept = [untouched(rows) for rows in tables]
    keep = kept[0] & kept[1]
    count = {"tokens": int(keep.sum()), "of": len(window), "least": MIN_TOKENS}
    if keep.mean() < 1 - MAX_LEFT_OUT or keep.sum() < MIN_TOKENS:
        record.notes.append(Reason("unused_tokens_trained", count))
        return
    a, b = (class_rows(rows[keep]) for rows in tables)
    if not _check(bench, record, tables, keep):
        record.notes.append(Reason("unused_tokens_ordered"))
        return
    order = bench.lot.draw(f"{record.component}/unused order").permutation(len(a))
    record.axes[Family.TOKENS] = AxisSize(len(a), a.shape[1])
    record.results += unused_tokens(a, b, component=record.component, stage=stage, order=order)


def _refusal(bench: Bench, record: ExamRecord, parts: tuple[Part, Part], tokens: int) -> Reason | None:
    if tokens < MIN_TOKENS:
        return Reason("too_few_unused_tokens", {"tokens": tokens, "least": MIN_TOKENS})
    for anatomy, part in zip(bench.anatomies, parts, strict=True):
        # Without a head of its own, the embedding is the head, whatever the configuration says.
        if anatomy.tied_output or anatomy.find(part.tower, Role.OUTPUT) is None:
            return Reason("unused_tokens_tied")
    return None


def _check(bench: Bench, record: ExamRecord, tables: list[np.ndarray], keep: np.ndarray) -> bool:
    """E0(a) on the class in each model alone."""
    checks = []
    for who, table in zip(("reference", "candidate"), tables, strict=True):
        rows = class_rows(table[keep])
        features = axis_features(row_products([table[keep][None].astype(np.float64)]))
        rng = bench.lot.draw(f"{record.component}/index structure/unused tokens/{who}")
        found = index_structure(features, (rows @ rows.T)[None], rng=rng)
        checks.append(AxisCheck(who, f"{record.component}.unused tokens", *found))
    record.checks += checks
    return all(check.passed for check in checks)
