"""The exam of MLPs and of experts: order and signs of their units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from jokbo.architectures.base import Role
from jokbo.independence.base import Alignment, Cluster, Family
from jokbo.independence.channel_signs import channel_signs
from jokbo.independence.exams.base import AxisSize, Bench, ExamRecord, Rotation
from jokbo.independence.fixed_points import fixed_points
from jokbo.independence.grams import AxisGrams, effective_width, normalise, unit_grams
from jokbo.independence.index_structure import (
    MAX_PVALUE,
    SIGN_ROWS,
    AxisCheck,
    axis_features,
    row_products,
    sign_balance,
    sign_checks,
    sign_repeats,
    sign_structure,
)
from jokbo.independence.learned import subspace_overlap
from jokbo.independence.rank_betting import rank_betting
from jokbo.independence.self_dependence import UNITS as TIE_UNITS
from jokbo.independence.self_dependence import join_ties, tie_blocks
from jokbo.independence.unit_signs import match_by_gate, unit_signs_by_gate, unit_signs_in_order
from jokbo.views.component import Block, Component, ComponentKind, Reason, blocks, both_hold
from jokbo.views.ledger import Ledger
from jokbo.views.rows import RowsWish
from jokbo.views.samples import UNIT_ROLES, UnitRows, degenerate, fetch_units

CHANNEL_ROWS = 512
"""Gate rows, over all blocks, that the coins of residual channels are summed over."""

MIN_UNITS = 16
"""Fewer distinct units than this carry no evidence worth a verdict."""


@dataclass(slots=True)
class UnitExam:
    """One component's MLPs in both models.

    Attributes
    ----------
    ordered : bool
        Units are compared by number: equally many in both and the axis is exchangeable.
    signed : bool
        Unit signs are exchangeable in both.
    matched : bool
        Units can be matched by gate rows: signed, and equally wide.
    grams : AxisGrams or None
        Of the rows stage; bounds are planted into it.
    overlap : float or None
        Leading subspace overlap, once whole matrices were read.
    """

    bench: Bench
    component: Component
    record: ExamRecord = field(init=False)
    blocks: tuple[list[Block], list[Block]] = field(init=False)
    ordered: bool = False
    signed: bool = False
    matched: bool = False
    widths: tuple[int, int] = (0, 0)
    counts: tuple[int, int] = (0, 0)
    grams: AxisGrams | None = None
    overlap: float | None = None
    heads: dict[Block, Block] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.record = ExamRecord(self.component)
        self.blocks = (
            blocks(self.bench.anatomies[0], self.component),
            blocks(self.bench.anatomies[1], self.component),
        )
        self.record.reason = self._compare_shapes()

    def _compare_shapes(self) -> Reason | None:
        for mine, where in zip(self.blocks, ("reference", "candidate"), strict=True):
            if not mine:
                return Reason(f"absent_in_{where}")
        towers = self.bench.towers(self.component.tower)
        if towers is None:
            return Reason("tower_absent")
        shapes = []
        for anatomy, mine in zip(self.bench.anatomies, self.blocks, strict=True):
            part = anatomy.find(self.component.tower, Role.FFN_UP, layer=mine[0].layer, expert=mine[0].expert)
            assert part is not None
            shapes.append(part.shape)
        self.counts, self.widths = (shapes[0][0], shapes[1][0]), (shapes[0][1], shapes[1][1])
        experts = [len({b.expert for b in mine if b.expert and not b.expert.shared}) for mine in self.blocks]
        if experts[0] != experts[1]:
            return Reason("expert_counts_differ", {"reference": experts[0], "candidate": experts[1]})
        self.ordered = self.counts[0] == self.counts[1] and both_hold(towers, "unit_permutation")
        self.signed = both_hold(towers, "unit_sign") and all(tower.gated for tower in towers)
        self.matched = self.signed and self.widths[0] == self.widths[1]
        if not self.ordered and not self.matched:
            if self.counts[0] != self.counts[1]:
                return Reason(
                    "unit_counts_differ", {"reference": self.counts[0], "candidate": self.counts[1]}
                )
            return Reason("no_unit_symmetry")
        self._note_axes(0.0)
        return None

    def _note_axes(self, effective: float) -> None:
        """What an accuser could do to these rows; the effective width is known once they are read."""
        width, units = max(self.widths), max(self.counts)
        axis = AxisSize(units, width, width / units, effective=effective)
        self.record.axes |= {Family.UNITS: axis, Family.SIGNS: axis}
        self.record.axes[Family.CHANNELS] = AxisSize(width, units, width / units)

    def _sampled(self, count: int | None) -> tuple[list[Block], list[Block]]:
        """The blocks to read: all MLPs, or one expert a layer, in `count` layers where given."""
        lot, plan = self.bench.lot, self.bench.plan
        if self.component.kind is not ComponentKind.EXPERTS:
            chosen = self.blocks
        else:
            routed = sorted({b.expert for b in self.blocks[0] if b.expert and not b.expert.shared})
            use = lot.draw(f"{self.component}/experts").choice(
                len(routed), min(plan.experts, len(routed)), replace=False
            )
            keep = {routed[int(k)] for k in use}
            chosen = tuple([b for b in mine if b.expert in keep] for mine in self.blocks)  # type: ignore[assignment]
        if count is None:
            return chosen
        if [b.layer for b in chosen[0]] == [b.layer for b in chosen[1]]:
            layers = set(lot.layers(f"{self.component}/layers", sorted({b.layer for b in chosen[0]}), count))
            return tuple([b for b in mine if b.layer in layers] for mine in chosen)  # type: ignore[return-value]
        picked = [
            set(lot.layers(f"{self.component}/layers", sorted({b.layer for b in m}), count)) for m in chosen
        ]
        return tuple([b for b in m if b.layer in p] for m, p in zip(chosen, picked, strict=True))  # type: ignore[return-value]

    def read_rows(self, stage: str) -> None:
        """Stage one or two: a window of units in some or all layers."""
        if self.record.reason is not None or not self.ordered:
            return
        bench = self.bench
        count = bench.plan.screen_layers if stage == "screen" else None
        chosen = self._sampled(count)
        index = bench.lot.window(f"{self.component}/units", self.counts[0], bench.plan.units)
        fitting = [
            _affordable(ledger, self.component.tower, mine, index)
            for ledger, mine in zip(bench.ledgers, chosen, strict=True)
        ]
        # Each model against its own depth: a shallower one is no sign of a small budget.
        if any(fit < len(mine) for fit, mine in zip(fitting, chosen, strict=True)):
            values = {"layers": min(fitting), "of": max(map(len, chosen))}
            self.record.notes.append(Reason("budget_covers_layers", values))
            chosen = self._sampled(max(min(fitting), 1))
        rows = [
            fetch_units(ledger, self.component.tower, mine, index)
            for ledger, mine in zip(bench.ledgers, chosen, strict=True)
        ]
        bad = degenerate(rows[0]) | degenerate(rows[1])
        if (~bad).sum() < MIN_UNITS:
            self.record.reason = Reason("degenerate_rows", {"units": int(bad.sum()), "of": len(bad)})
            return
        self._test(rows[0].keep(~bad), rows[1].keep(~bad), stage)

    def _test(self, reference: UnitRows, candidate: UnitRows, stage: str) -> None:
        lot, record = self.bench.lot, self.record
        m = len(reference.index)
        tie_order = lot.draw(f"{self.component}/ties").permutation(min(TIE_UNITS, m))
        ties = [tie_blocks(rows, order=tie_order) for rows in (reference, candidate)]
        tied = join_ties(*ties) if reference.blocks == candidate.blocks else ties[0]
        self.heads = {block: reference.blocks[tied[k]] for k, block in enumerate(reference.blocks)}
        signed = frozenset({Role.FFN_UP}) if self.signed else frozenset()
        grams = unit_grams(reference, candidate, clusters=tied, signed=signed)
        self._note_axes(effective_width(grams))
        self._check_axis(reference, candidate, grams, ties)
        if not record.order_refused:
            order = lot.draw(f"{self.component}/order").permutation(m)
            record.results += rank_betting(grams, component=self.component, stage=stage, order=order)
            rng = lot.draw(f"{self.component}/ties of best")
            record.results += fixed_points(grams, component=self.component, stage=stage, rng=rng)
        if self.signed and not record.signs_refused:
            record.results += unit_signs_in_order(grams, component=self.component, stage=stage)
        if not record.results:
            record.reason = Reason("order_refused")
            return
        self._test_channels(reference, candidate, stage)
        self.grams = grams

    def _test_channels(self, reference: UnitRows, candidate: UnitRows, stage: str) -> None:
        """E9 on units of the same number: whether the bodies share a basis."""
        towers = self.bench.towers(self.component.tower)
        if towers is None or self.widths[0] != self.widths[1] or reference.blocks != candidate.blocks:
            return
        if both_hold(towers, "channel_sign"):
            role = next(iter(reference.rows))
            few = max(CHANNEL_ROWS // len(reference.blocks), 1)
            flat = [rows.rows[role][:, :few].reshape(-1, self.widths[0]) for rows in (reference, candidate)]
            checks = sign_checks(*flat, axis=f"{self.component}.channel signs")
            self.record.checks += checks
            if all(check.passed for check in checks):
                self.record.results.append(
                    channel_signs(*flat, component=self.component, stage=stage, matching="number")
                )

    def _check_axis(
        self, reference: UnitRows, candidate: UnitRows, grams: AxisGrams, ties: list[dict[int, int]]
    ) -> None:
        """E0 on the units of each model alone."""
        sides = (("reference", reference, grams.reference), ("candidate", candidate, grams.candidate))
        for (who, rows, own), tie in zip(sides, ties, strict=True):
            products = row_products([rows.rows[role] for role in UNIT_ROLES if role in rows.rows])
            features = axis_features(products)
            rng = self.bench.lot.draw(f"{self.component}/index structure/{who}")
            self.record.check_order(
                who, f"{self.component}.units", Family.UNITS, features, own, rows.index, rng
            )
            if self.signed:
                # Copies of a block repeat its signs and prove nothing twice.
                heads = sorted(set(tie.values()))
                balance = sign_balance(products.cosines()[heads])
                repeats = sign_repeats(own[Role.FFN_UP][heads])
                self.record.checks.append(AxisCheck(who, f"{self.component}.signs", balance, "cos(gate, up)"))
                self.record.checks.append(
                    AxisCheck(who, f"{self.component}.signs", repeats, "repeats along the axis")
                )
                self.record.signs_refused |= min(balance, repeats) <= MAX_PVALUE

    def read_tensors(self, rotation: Rotation | None) -> None:
        """Stage three: whole gate and up matrices of a few layers, units matched by gate rows."""
        if self.record.reason is not None or not self.matched or self.record.signs_refused:
            return
        chosen = self._sampled(self.bench.plan.tensor_layers or None)
        same = [block.layer for block in chosen[0]] == [block.layer for block in chosen[1]]
        matches: dict[Alignment, list[tuple[Cluster, np.ndarray, np.ndarray]]] = {}
        overlaps: list[float] = []
        held: dict[Block, dict[Role, np.ndarray]] = {}
        for k, b in enumerate(chosen[1]):
            partners = [chosen[0][k]] if same else chosen[0]
            if not self._affords_whole([a for a in partners if a not in held], b):
                break
            if same:
                held.clear()  # one layer of each model in memory at a time
            theirs = self._whole(1, b)
            self._check_whole("candidate", theirs)
            for a in partners:
                if a not in held:
                    held[a] = self._whole(0, a)
                if self.grams is None:
                    self._note_axes(min(_effective(rows) for rows in (*held[a].values(), *theirs.values())))
                    self._check_whole("reference", held[a])
                overlaps.append(self._match(a, held[a], theirs, rotation, matches))
        if not overlaps:
            self.record.notes.append(Reason("budget_excludes_tensors"))
            return
        self.overlap = float(np.median(overlaps)) if same else float(max(overlaps))
        if self.record.signs_refused:
            self.record.notes.append(Reason("signs_refused"))
            return
        for alignment, found in matches.items():
            self.record.results.append(
                unit_signs_by_gate(found, component=self.component, alignment=alignment, stage="tensors")
            )

    def _match(
        self,
        block: Block,
        mine: dict[Role, np.ndarray],
        theirs: dict[Role, np.ndarray],
        rotation: Rotation | None,
        matches: dict[Alignment, list[tuple[Cluster, np.ndarray, np.ndarray]]],
    ) -> float:
        """Match one pair of whole MLPs under each alignment; return their leading subspace overlap."""
        overlaps = []
        for alignment, turn in ((Alignment.UNITS_PERMUTED, None), (Alignment.ROTATED_AND_PERMUTED, rotation)):
            if alignment is Alignment.ROTATED_AND_PERMUTED and turn is None:
                continue
            coins, gates = match_by_gate(mine, theirs, rotation=turn)
            matches.setdefault(alignment, []).append((self._cluster_of(block), coins, gates))
            up = mine[Role.FFN_UP] if turn is None else mine[Role.FFN_UP] @ turn
            overlaps.append(subspace_overlap(up, theirs[Role.FFN_UP]))
        return max(overlaps)

    def _affords_whole(self, reference: list[Block], candidate: Block) -> bool:
        tower, (first, second) = self.component.tower, self.bench.ledgers
        return self.bench.affords(
            _wishes(first, tower, reference, None), _wishes(second, tower, [candidate], None)
        )

    def _cluster_of(self, block: Block) -> Cluster:
        """The block's cluster; one for all where the blocks' own dependence was not tested."""
        head = self.heads.get(block)
        return Cluster(head.layer, head.expert.index if head.expert else None) if head else Cluster(0)

    def _check_whole(self, who: str, rows: dict[Role, np.ndarray]) -> None:
        """E0(c) on a whole matrix: tiles longer than the window of the rows stage."""
        repeats = sign_structure(rows[Role.FFN_UP][None, :, :SIGN_ROWS])
        self.record.checks.append(
            AxisCheck(who, f"{self.component}.signs", repeats, "repeats in whole matrices")
        )
        self.record.signs_refused |= repeats <= MAX_PVALUE

    def _whole(self, side: int, block: Block) -> dict[Role, np.ndarray]:
        rows = fetch_units(
            self.bench.ledgers[side], self.component.tower, [block], np.arange(self.counts[side])
        )
        kept = rows.keep(~degenerate(rows))
        return {role: stack[0] for role, stack in kept.rows.items()}


def _effective(rows: np.ndarray) -> float:
    """Effective width of some rows of a whole matrix, where no window was read before."""
    few = normalise(rows[:: max(len(rows) // 256, 1)])
    gram = few @ few.T
    return 1 / max(float((gram[~np.eye(len(gram), dtype=bool)] ** 2).mean()), 1e-12)


def _wishes(
    ledger: Ledger, tower: str, wanted: list[Block], index: Int[np.ndarray, " units"] | None
) -> list[RowsWish]:
    anatomy = ledger.model.anatomy
    parts = [anatomy.find(tower, role, layer=b.layer, expert=b.expert) for b in wanted for role in UNIT_ROLES]
    return [RowsWish(part, index) for part in parts if part is not None]


def _affordable(ledger: Ledger, tower: str, wanted: list[Block], index: Int[np.ndarray, " units"]) -> int:
    """How many of these blocks the budget covers."""
    fit = 0
    for count in range(1, len(wanted) + 1):
        if not ledger.affords(_wishes(ledger, tower, wanted[:count], index)):
            break
        fit = count
    return fit
