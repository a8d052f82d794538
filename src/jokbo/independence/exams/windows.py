"""Units matched by content: in whole matrices, and in windows where the models' units differ in number."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Int

from jokbo.architectures.base import Role
from jokbo.independence.base import Alignment, Cluster, Family, IndependenceResult
from jokbo.independence.exams.base import Rotation
from jokbo.independence.exams.blocks import affordable, wishes
from jokbo.independence.fixed_points import fixed_points_of_whole
from jokbo.independence.grams import cluster_widths, effective_width, unit_grams
from jokbo.independence.index_structure import (
    MAX_PVALUE,
    AxisCheck,
    axis_features,
    index_structure,
    row_products,
)
from jokbo.independence.ordered_subset import ordered_subset
from jokbo.independence.plan import Lot
from jokbo.independence.rank_betting import LOCAL_BLOCK
from jokbo.independence.self_dependence import UNITS as TIE_UNITS
from jokbo.independence.self_dependence import join_ties, tie_blocks
from jokbo.independence.unit_signs import match_units, unit_signs_by_gate
from jokbo.independence.whole_axis import MatchedUnits, repeats
from jokbo.views.component import Reason
from jokbo.views.samples import UNIT_ROLES, UnitRows, degenerate, fetch_units

if TYPE_CHECKING:
    from jokbo.independence.exams.units import UnitExam

MAX_WINDOW = 768
"""Rows of the reference that a window of the candidate is searched in."""

PROBED_UNITS = 64
"""Units spread over a whole axis that E0 looks at."""


def windows(
    lot: Lot, purpose: str, counts: tuple[int, int], length: int
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " n"]]:
    """A window of the candidate's units, and a wider one of the reference's around the same share of the axis.

    Of `n` units a random share that keeps its order strays by the standard deviation of a bridge, at most
    ``sqrt(n r (1 - r))``; three of them are added on either side.

    Examples
    --------
    >>> mine, theirs = windows(Lot(0, "a", "b"), "units", (344, 206), 64)
    >>> len(theirs), 100 < len(mine) <= 344
    (64, True)
    """
    n, m = counts
    theirs = lot.window(purpose, m, length)
    ratio = min(n, m) / max(n, m)
    slack = 3 * math.sqrt(max(n, m) * ratio * (1 - ratio)) * max(n / m, 1.0) ** 0.5
    first, last = theirs[0] * n / m - slack, (theirs[-1] + 1) * n / m + slack
    size = min(int(last - first) + 1, MAX_WINDOW, n)
    start = int(np.clip((first + last) / 2 - size / 2, 0, n - size))
    return np.arange(start, start + size), theirs


def centre(rows: UnitRows, count: int) -> UnitRows:
    """The middle `count` units of a window: what E0 looks at."""
    m = len(rows.index)
    mask = np.zeros(m, dtype=bool)
    start = max((m - count) // 2, 0)
    mask[start : start + count] = True
    return rows.keep(mask)


def read_windows(exam: UnitExam, stage: str) -> None:
    """Search windows of a few layers for units that kept their order (E3) and their signs (E8)."""
    bench, record, tower = exam.bench, exam.record, exam.component.tower
    chosen = exam._sampled(bench.plan.screen_layers)
    if not exam.pairs_up(chosen):
        return
    purpose = f"{exam.component}/units"
    if bench.sampled:
        mine, theirs = (bench.lot.window(purpose, count, bench.plan.units) for count in exam.counts)
        index = mine, theirs
    else:
        index = windows(bench.lot, purpose, exam.counts, bench.plan.units)
    fit = min(
        affordable(bench.ledgers[side], tower, mine, numbers)
        for side, (mine, numbers) in enumerate(zip(chosen, index, strict=True))
    )
    if not fit:
        first = [
            wishes(bench.ledgers[side], tower, mine[:1], numbers)
            for side, (mine, numbers) in enumerate(zip(chosen, index, strict=True))
        ]
        # Whole matrices would cost more still.
        record.reason = bench.refusal(*first, over_budget=Reason("budget_excludes_rows"))
        return
    rows = [
        fetch_units(ledger, tower, mine[:fit], numbers)
        for ledger, mine, numbers in zip(bench.ledgers, chosen, index, strict=True)
    ]
    rows = [one.keep(~degenerate(one)) for one in rows]
    exam.kept = min(len(one.index) / len(numbers) for one, numbers in zip(rows, index, strict=True))
    if min(len(one.index) for one in rows) < LOCAL_BLOCK:
        return
    exam.window = list(zip(chosen[0][:fit], chosen[1][:fit], strict=True)), index
    reference, candidate = rows[0], UnitRows(rows[0].blocks, rows[1].index, rows[1].rows)
    count = min(PROBED_UNITS, len(reference.index), len(candidate.index))
    order = bench.lot.draw(f"{exam.component}/ties").permutation(min(TIE_UNITS, count))
    ties = [tie_blocks(one, order=order) for one in (reference, candidate)]
    tied = join_ties(*ties)
    exam.heads = {block: reference.blocks[tied[k]] for k, block in enumerate(reference.blocks)}
    signed = frozenset({Role.FFN_UP}) if exam.signed else frozenset()
    probes = [centre(one, count) for one in (reference, candidate)]
    grams = unit_grams(*probes, clusters=tied, signed=signed)
    found = [
        exam.matched_units(block, _block(reference, k), _block(candidate, k), None)
        for k, block in enumerate(reference.blocks)
    ]
    exam._note_axes(effective_width(grams))
    exam.record.narrow(cluster_widths(grams))
    exam.check_axis(probes[0], probes[1], grams, ties)
    report(exam, {Alignment.UNITS_PERMUTED: found}, stage, units=min(map(len, index)))


def _block(rows: UnitRows, k: int) -> UnitRows:
    return UnitRows(
        (rows.blocks[k],), rows.index, {role: stack[k : k + 1] for role, stack in rows.rows.items()}
    )


def match(
    cluster: Cluster, reference: UnitRows, candidate: UnitRows, rotation: Rotation | None
) -> MatchedUnits:
    """Match the units of one pair of blocks, by their numbers on their axes."""
    sides = [{role: stack[0] for role, stack in one.rows.items()} for one in (reference, candidate)]
    found = match_units(*sides, rotation=rotation)
    return MatchedUnits(
        cluster,
        candidate.index[found.candidate[found.sole]],
        reference.index[found.reference[found.sole]],
        found.gates[found.sole],
        found.coins,
        found.gates,
        reference.index,
    )


def report(exam: UnitExam, found: dict[Alignment, list[MatchedUnits]], stage: str, *, units: int) -> None:
    """Bet on signs (E8) and on order (E2 where the models have equally many units, else E3).

    Parameters
    ----------
    units : int
        Units that could have been matched.
    """
    record, component = exam.record, exam.component
    if exam.bench.methods >= 2:
        exam.kept = min(exam.kept, _matched_share(found, units))
        exam._note_axes(record.axes[Family.UNITS].effective)
    if exam.matched and not record.signs_refused:
        for alignment, pairs in found.items():
            coins = [(p.cluster, p.coins, p.gates) for p in pairs]
            record.results.append(
                unit_signs_by_gate(coins, component=component, alignment=alignment, stage=stage)
            )
    if exam.searched and not (record.order_refused or exam.repeats_found or exam.moved):
        rng = exam.bench.lot.draw(f"{component}/places/{stage}")
        for alignment, pairs in found.items():
            basis = Alignment.SAME_BASIS if alignment is Alignment.UNITS_PERMUTED else Alignment.ROTATED
            record.results += _by_order(exam, pairs, stage, basis, rng)


def _matched_share(found: dict[Alignment, list[MatchedUnits]], units: int) -> float:
    """Share of the units that are matched, in the clusters that agree most: a rotation need fit no others."""
    best: dict[Cluster, tuple[float, int]] = {}
    for pair in (pair for pairs in found.values() for pair in pairs if len(pair.gates)):
        seen = (float(pair.gates.mean()), len(pair.gates))
        best[pair.cluster] = max(seen, best.get(pair.cluster, seen))
    if not best:
        return 1.0
    # Of a single copied layer, the other layers say nothing: chance pairs fewer than half of their units.
    least = max(gate for gate, _ in best.values()) / 2
    counts = [count for gate, count in best.values() if gate >= least]
    return sum(counts) / (units * len(counts))


def _by_order(
    exam: UnitExam,
    pairs: list[MatchedUnits],
    stage: str,
    alignment: Alignment,
    rng: np.random.Generator,
) -> list[IndependenceResult]:
    test = fixed_points_of_whole if exam.counts[0] == exam.counts[1] else ordered_subset
    return test(pairs, component=exam.component, stage=stage, alignment=alignment, rng=rng)


def check_whole_axis(exam: UnitExam, who: str, rows: UnitRows) -> None:
    """E0(a) on a whole matrix: trends and blocks over all of the axis, and tiles longer than a window."""
    axis, lot = f"{exam.component}.units", exam.bench.lot
    spread = _spread(len(rows.index), PROBED_UNITS)
    probe = rows.keep(spread)
    products = row_products([probe.rows[role] for role in UNIT_ROLES if role in probe.rows])
    own = unit_grams(probe, probe, clusters=None, signed=frozenset()).reference
    rng = lot.draw(f"{exam.component}/whole structure/{who}")
    check = AxisCheck(who, axis, *index_structure(axis_features(products), next(iter(own.values())), rng=rng))
    role = next(iter(rows.rows))
    tiles = repeats(rows.rows[role][0], rng=lot.draw(f"{exam.component}/repeats/{who}"))
    exam.record.checks += [check, AxisCheck(who, axis, tiles, "repeats in whole matrices")]
    if not check.passed:
        exam.record.local_only.add(Family.UNITS)
    exam.repeats_found |= tiles <= MAX_PVALUE


def _spread(n: int, count: int) -> Bool[np.ndarray, " n"]:
    mask = np.zeros(n, dtype=bool)
    mask[np.linspace(0, n - 1, min(n, count)).astype(int)] = True
    return mask
