"""Read once more what the last stage read: through ledgers of their own, entered nowhere twice."""

from __future__ import annotations

import numpy as np

from jokbo.architectures.base import Role
from jokbo.independence.base import Family
from jokbo.independence.exams.attention import AttentionExam
from jokbo.independence.exams.base import Bench
from jokbo.independence.exams.units import UnitExam
from jokbo.independence.grams import normalise
from jokbo.views.component import Block, Reason
from jokbo.views.ledger import Ledger
from jokbo.views.rows import RowsWish
from jokbo.views.samples import UNIT_ROLES, degenerate, fetch_units


def matched_blocks(exam: UnitExam) -> list[tuple[Block, Block]]:
    """The pairs of blocks whose whole matrices were matched; none where the depths differ."""
    read = {row.cluster for r in exam.record.results if r.stage == "tensors" for row in r.rows}
    a, b = exam._sampled(exam.bench.plan.tensor_layers or None)
    if [block.layer for block in a] != [block.layer for block in b]:
        return []
    return [pair for pair in zip(a, b, strict=True) if exam._cluster_of(pair[0]) in read]


def aside(bench: Bench) -> Bench:
    """The same bench with ledgers of its own: rows read again are not entered twice."""
    ledgers = [
        Ledger(ledger.model, budget_bytes=ledger.model.catalog.data_bytes * 2) for ledger in bench.ledgers
    ]
    return Bench(ledgers[0], ledgers[1], bench.lot, bench.plan, bench.budget, bench.methods)


def whole_units(
    bench: Bench, tower: str, pair: tuple[Block, Block]
) -> tuple[dict[Role, np.ndarray], dict[Role, np.ndarray]]:
    """Unit rows of whole gate and up matrices of both models."""
    sides = []
    for ledger, block in zip(bench.ledgers, pair, strict=True):
        part = ledger.model.anatomy.find(tower, Role.FFN_UP, layer=block.layer, expert=block.expert)
        assert part is not None
        rows = fetch_units(ledger, tower, [block], np.arange(part.shape[0]))
        kept = rows.keep(~degenerate(rows))
        sides.append({role: normalise(stack[0]).astype(np.float32) for role, stack in kept.rows.items()})
    return sides[0], sides[1]


def window_units(
    bench: Bench, tower: str, pair: tuple[Block, Block], index: tuple[np.ndarray, np.ndarray]
) -> tuple[dict[Role, np.ndarray], dict[Role, np.ndarray]]:
    """Unit rows of a window of gate and up of both models."""
    sides = []
    for ledger, block, numbers in zip(bench.ledgers, pair, index, strict=True):
        rows = fetch_units(ledger, tower, [block], numbers)
        kept = rows.keep(~degenerate(rows))
        unit = {role: normalise(stack[0]).astype(np.float32) for role, stack in kept.rows.items()}
        # Without a gate units are matched by up, which then stands for both.
        sides.append({Role.FFN_GATE: unit[Role.FFN_UP]} | unit)
    return sides[0], sides[1]


def unit_wishes(exam: UnitExam, side: int) -> list[RowsWish]:
    """The gate and up matrices that the last stage wants of one model."""
    anatomy, tower = exam.bench.anatomies[side], exam.component.tower
    blocks = exam._sampled(exam.bench.plan.tensor_layers or None)[side]
    parts = [anatomy.find(tower, role, layer=b.layer, expert=b.expert) for b in blocks for role in UNIT_ROLES]
    return [RowsWish(part) for part in parts if part is not None]


def head_layers(exam: AttentionExam) -> tuple[list[int], list[int]]:
    """Layers whose value projections the last stage wants of each model."""
    count = exam.bench.plan.tensor_layers or max(map(len, exam.layers))
    lot = exam.bench.lot
    return (
        lot.layers(f"{exam.component}/tensors", exam.layers[0], count),
        lot.layers(f"{exam.component}/tensors", exam.layers[1], count),
    )


def head_wishes(exam: AttentionExam, side: int, chosen: list[int]) -> list[RowsWish]:
    """The value projections of these layers of one model."""
    anatomy, tower = exam.bench.anatomies[side], exam.component.tower
    parts = [anatomy.find(tower, Role.ATTN_V, layer=layer) for layer in chosen]
    return [RowsWish(part) for part in parts if part is not None]


def windowed(exam: UnitExam) -> bool:
    """Whether windows of units that differ in number were searched, by signs or by order."""
    record = exam.record
    by_order = Family.UNITS not in record.local_only and any(
        r.test == "ordered_subset" and r.stage == "rows" for r in record.results
    )
    return exam.window is not None and ((exam.matched and not record.signs_refused) or by_order)


def unordered(exam: UnitExam) -> Reason | None:
    """Why units were not compared by number; None where they were."""
    if exam.grams is None:
        if exam.window is not None:
            return Reason("order_not_planted")
        if exam.counts[0] != exam.counts[1]:
            return Reason("unit_counts_differ", {"reference": exam.counts[0], "candidate": exam.counts[1]})
        return Reason("no_unit_symmetry")
    if exam.grams.cross is None:
        return Reason("hidden_sizes_differ", {"reference": exam.widths[0], "candidate": exam.widths[1]})
    return None
