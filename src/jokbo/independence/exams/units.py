"""The exam of MLPs and of experts: order and signs of their units."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jokbo.architectures.base import Role
from jokbo.independence.base import Alignment, Cluster, Family
from jokbo.independence.channel_signs import channel_signs
from jokbo.independence.exams.base import AxisSize, Bench, ExamRecord, Rotation
from jokbo.independence.exams.blocks import affordable, beside, effective, held_blocks, lacks_window, wishes
from jokbo.independence.exams.experts import ExpertPairs, shared_counts
from jokbo.independence.exams.windows import check_whole_axis, match, read_windows, report
from jokbo.independence.fixed_points import fixed_points
from jokbo.independence.grams import AxisGrams, cluster_widths, effective_width, unit_grams
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
from jokbo.independence.layer_grid import LayerGrid
from jokbo.independence.learned import subspace_overlap
from jokbo.independence.rank_betting import rank_betting
from jokbo.independence.self_dependence import UNITS as TIE_UNITS
from jokbo.independence.self_dependence import join_ties, tie_blocks
from jokbo.independence.unit_grid import layer_grid
from jokbo.independence.unit_signs import unit_signs_in_order
from jokbo.independence.whole_axis import MatchedUnits
from jokbo.views.component import Block, Component, ComponentKind, Reason, both_hold
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
    searched : bool
        Units matched by gate rows can be compared by number, equally many or not.
    source : Component or None
        The reference's component, where it has another name: a dense parent's MLP for upcycled experts.
    grams : AxisGrams or None
        Of the rows stage; bounds are planted into it.
    grid : LayerGrid or None
        Every layer against every layer, on a few rows.
    window : pairs of blocks and two arrays of unit numbers, or None
        What was searched where the models' units differ in number.
    moved : bool
        Whole layers were put beside those that the grid found them like; their units are then no longer
        compared by number, because the grid has looked at the numbers.
    kept : float
        Share of the units read that have a partner to be compared with; others cost an accuser nothing.
    repeats_found : bool
        A whole matrix repeats itself, so nothing is read from the order of its units.
    overlap : float or None
        Leading subspace overlap, once whole matrices were read.
    """

    bench: Bench
    component: Component
    source: Component | None = None
    record: ExamRecord = field(init=False)
    blocks: tuple[list[Block], list[Block]] = field(init=False)
    ordered: bool = False
    signed: bool = False
    matched: bool = False
    searched: bool = False
    widths: tuple[int, int] = (0, 0)
    counts: tuple[int, int] = (0, 0)
    grams: AxisGrams | None = None
    overlap: float | None = None
    heads: dict[Block, Block] = field(default_factory=dict)
    grid: LayerGrid | None = None
    kept: float = 1.0
    repeats_found: bool = False
    moved: bool = False
    window: tuple[list[tuple[Block, Block]], tuple[np.ndarray, np.ndarray]] | None = None
    experts: ExpertPairs | None = None

    def __post_init__(self) -> None:
        self.record = ExamRecord(self.component)
        self.blocks, bare = held_blocks(self.bench, (self.source or self.component, self.component))
        self.record.reason = Reason("fingerprint_holds_rows") if bare else self._compare_shapes()

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
        experts = shared_counts(self.blocks)
        if max(experts) and self.bench.methods >= 2:
            self.experts = ExpertPairs(self.bench, self.component, self.blocks)
        elif experts[0] != experts[1]:
            return Reason("expert_counts_differ", {"reference": experts[0], "candidate": experts[1]})
        self.ordered = self.counts[0] == self.counts[1] and both_hold(towers, "unit_permutation")
        self.signed = both_hold(towers, "unit_sign") and all(tower.gated for tower in towers)
        self.matched = self.signed and self.widths[0] == self.widths[1]
        same_width = self.widths[0] == self.widths[1]
        alike = same_width and towers[0].gated == towers[1].gated and both_hold(towers, "unit_permutation")
        self.searched = self.bench.methods >= 2 and alike
        if not self.ordered and not self.matched and not self.searched:
            if self.counts[0] != self.counts[1]:
                if self.bench.methods >= 2 and not same_width:
                    return Reason(
                        "hidden_sizes_differ", {"reference": self.widths[0], "candidate": self.widths[1]}
                    )
                return Reason(
                    "unit_counts_differ", {"reference": self.counts[0], "candidate": self.counts[1]}
                )
            return Reason("no_unit_symmetry")
        self._note_axes(0.0)
        return None

    def _note_axes(self, effective: float) -> None:
        """What an accuser could do to these rows; the effective width is known once they are read."""
        width, units = max(self.widths), max(self.counts)
        # A rotation need fit no more rows than can be matched: those of the narrower model, null units left out,
        fitted = min(self.counts) if self.bench.methods >= 2 else units
        if self.bench.sampled:  # and no others than can be foreseen
            fitted = min(fitted, self.bench.plan.units)
        axis = AxisSize(units, width, width / max(fitted * self.kept, 1), effective=effective)
        self.record.axes |= {Family.UNITS: axis, Family.SIGNS: axis}
        self.record.axes[Family.CHANNELS] = AxisSize(width, units, width / units)

    def _sampled(self, count: int | None) -> tuple[list[Block], list[Block]]:
        """The blocks to read: all MLPs, or one expert a layer, in `count` layers where given."""
        lot, plan = self.bench.lot, self.bench.plan
        if self.experts is not None:
            return self.experts.chosen(count)
        if self.component.kind is not ComponentKind.EXPERTS:
            chosen = self.blocks
        else:
            routed = sorted({b.expert for b in self.blocks[0] if b.expert and not b.expert.shared})
            use = lot.sample(f"{self.component}/experts", len(routed), min(plan.experts, len(routed)))
            keep = {routed[k] for k in use}
            chosen = tuple([b for b in mine if b.expert in keep] for mine in self.blocks)  # type: ignore[assignment]
        if count is None:
            return chosen
        if [b.layer for b in chosen[0]] == [b.layer for b in chosen[1]]:
            among = set(lot.layers(f"{self.component}/layers", sorted({b.layer for b in chosen[0]}), count))
            return tuple([b for b in mine if b.layer in among] for mine in chosen)  # type: ignore[return-value]
        picked = [
            set(lot.layers(f"{self.component}/layers", sorted({b.layer for b in m}), count)) for m in chosen
        ]
        return tuple([b for b in m if b.layer in p] for m, p in zip(chosen, picked, strict=True))  # type: ignore[return-value]

    def read_rows(self, stage: str) -> None:
        """Stage one or two: a window of units in some or all layers."""
        if self.record.reason is not None:
            return
        if not self.ordered:
            if self.searched:
                read_windows(self, stage)
            return
        bench = self.bench
        count = bench.plan.screen_layers if stage == "screen" else None
        chosen = self._sampled(count)
        index = bench.lot.window(f"{self.component}/units", self.counts[0], bench.plan.units)
        if bench.sampled and lacks_window(bench, self.component.tower, chosen, index):
            self.record.reason = Reason("fingerprint_holds_rows")
            return
        fitting = [
            affordable(ledger, self.component.tower, mine, index)
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
        if self.experts is not None and self.pairs_up(chosen):
            rows[1] = UnitRows(rows[0].blocks, rows[1].index, rows[1].rows)
        bad = degenerate(rows[0]) | degenerate(rows[1])
        if (~bad).sum() < MIN_UNITS:
            self.record.reason = Reason("degenerate_rows", {"units": int(bad.sum()), "of": len(bad)})
            return
        self.kept = 1 - float(bad.mean())
        self._test(rows[0].keep(~bad), rows[1].keep(~bad), stage)

    def _test(self, reference: UnitRows, candidate: UnitRows, stage: str) -> None:
        lot, record, m = self.bench.lot, self.record, len(reference.index)
        tie_order = lot.draw(f"{self.component}/ties").permutation(min(TIE_UNITS, m))
        ties = [tie_blocks(rows, order=tie_order) for rows in (reference, candidate)]
        tied = join_ties(*ties) if reference.blocks == candidate.blocks else ties[0]
        self.heads = {block: reference.blocks[tied[k]] for k, block in enumerate(reference.blocks)}
        signed = frozenset({Role.FFN_UP}) if self.signed else frozenset()
        grams = unit_grams(reference, candidate, clusters=tied, signed=signed)
        self._note_axes(effective_width(grams))
        self.record.narrow(cluster_widths(grams))
        self.check_axis(reference, candidate, grams, ties)
        if not record.order_refused:
            order = lot.draw(f"{self.component}/order").permutation(m)
            record.results += rank_betting(grams, component=self.component, stage=stage, order=order)
            rng = lot.draw(f"{self.component}/ties of best")
            record.results += fixed_points(grams, component=self.component, stage=stage, rng=rng)
            self._test_grid(reference, candidate, stage)
        if self.signed and not record.signs_refused:
            record.results += unit_signs_in_order(grams, component=self.component, stage=stage)
        if not record.results:
            record.reason = Reason("order_refused")
            return
        if self.experts is not None:
            heads = {block.layer: head.layer for block, head in self.heads.items()}
            record.results += self.experts.test(record, heads, stage)
        self._test_channels(reference, candidate, stage)
        self.grams = grams

    def _test_grid(self, reference: UnitRows, candidate: UnitRows, stage: str) -> None:
        """Every layer against every layer; where the depths differ, E1 has done so already."""
        if self.bench.methods < 2:
            return
        found = layer_grid(
            reference,
            candidate,
            heads=self.heads,
            component=self.component,
            stage=stage,
            rng=self.bench.lot.draw(f"{self.component}/grid"),
        )
        if found is not None:
            self.grid, results = found
            if reference.blocks == candidate.blocks:
                self.record.results += results

    def pairs_up(self, chosen: tuple[list[Block], list[Block]]) -> bool:
        """Whether the blocks chosen of both models stand side by side, one to one."""
        return bool(chosen[0]) and [b.layer for b in chosen[0]] == [b.layer for b in chosen[1]]

    def _test_channels(self, reference: UnitRows, candidate: UnitRows, stage: str) -> None:
        """E9 on units of the same number: whether the bodies share a basis."""
        towers, (width, other) = self.bench.towers(self.component.tower), self.widths
        if towers is None or width != other or reference.blocks != candidate.blocks:
            return
        if both_hold(towers, "channel_sign"):
            role = next(iter(reference.rows))
            few = max(CHANNEL_ROWS // len(reference.blocks), 1)
            flat = [rows.rows[role][:, :few].reshape(-1, width) for rows in (reference, candidate)]
            if self.bench.sampled and (count := len(flat[0])):  # a rotation need fit no other rows
                self.record.axes[Family.CHANNELS] = AxisSize(width, count, width / count)
            checks = sign_checks(*flat, axis=f"{self.component}.channel signs")
            self.record.checks += checks
            if all(check.passed for check in checks):
                self.record.results.append(
                    channel_signs(*flat, component=self.component, stage=stage, matching="number")
                )

    def check_axis(
        self, reference: UnitRows, candidate: UnitRows, grams: AxisGrams, ties: list[dict[int, int]]
    ) -> None:
        """E0 on the units of each model alone, and how wide their rows are in effect."""
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
        by_signs = self.matched and not self.record.signs_refused
        by_order = self.searched and not self.record.order_refused
        if self.record.reason is not None or not (by_signs or by_order):
            return
        if self.experts is not None:
            self.experts.rotation = rotation
        chosen, self.moved = beside(self.grid, self._sampled(self.bench.plan.tensor_layers or None))
        same = self.moved or self.pairs_up(chosen)
        matches: dict[Alignment, list[MatchedUnits]] = {}
        overlaps: list[float] = []
        held: dict[Block, UnitRows] = {}
        for k, b in enumerate(chosen[1]):
            partners = [chosen[0][k]] if same else chosen[0]
            if not self._affords_whole([a for a in partners if a not in held], b):
                break
            if same:
                held.clear()  # one layer of each model in memory at a time
            theirs = self._whole(1, b)
            self._check_signs("candidate", theirs)
            for a in partners:
                if a not in held:
                    held[a] = self._whole(0, a)
                if self.grams is None:
                    rows = (*held[a].rows.values(), *theirs.rows.values())
                    least = min(effective(stack[0]) for stack in rows)
                    self.record.narrow({self._cluster_of(a): least})
                    known = self.record.axes[Family.UNITS].effective if self.bench.methods >= 2 else 0.0
                    self._note_axes(min(least, known or least))
                    self._check_signs("reference", held[a])
                if self.searched and not overlaps:
                    check_whole_axis(self, "reference", held[a])
                    check_whole_axis(self, "candidate", theirs)
                overlaps.append(self._match(a, held[a], theirs, rotation, matches))
        if not overlaps:
            self.record.notes.append(Reason("budget_excludes_tensors"))
            return
        self.overlap = float(np.median(overlaps)) if same else float(max(overlaps))
        if self.record.signs_refused:
            self.record.notes.append(Reason("signs_refused"))
            if self.bench.methods < 2:
                return
        report(self, matches, "tensors", units=min(self.counts))

    def matched_units(
        self, block: Block, mine: UnitRows, theirs: UnitRows, rotation: Rotation | None
    ) -> MatchedUnits:
        """Match one pair of blocks by content."""
        return match(self._cluster_of(block), mine, theirs, rotation)

    def _match(
        self,
        block: Block,
        mine: UnitRows,
        theirs: UnitRows,
        rotation: Rotation | None,
        matches: dict[Alignment, list[MatchedUnits]],
    ) -> float:
        """Match one pair of whole MLPs under each alignment; return their leading subspace overlap."""
        overlaps = []
        for alignment, turn in ((Alignment.UNITS_PERMUTED, None), (Alignment.ROTATED_AND_PERMUTED, rotation)):
            if alignment is Alignment.ROTATED_AND_PERMUTED and turn is None:
                continue
            matches.setdefault(alignment, []).append(self.matched_units(block, mine, theirs, turn))
            up = mine.rows[Role.FFN_UP][0]
            overlaps.append(subspace_overlap(up if turn is None else up @ turn, theirs.rows[Role.FFN_UP][0]))
        return max(overlaps)

    def _affords_whole(self, reference: list[Block], candidate: Block) -> bool:
        tower, (first, second) = self.component.tower, self.bench.ledgers
        return self.bench.affords(
            wishes(first, tower, reference, None), wishes(second, tower, [candidate], None)
        )

    def _cluster_of(self, block: Block) -> Cluster:
        """The block's cluster; one for all where the blocks' own dependence was not tested."""
        head = self.heads.get(block)
        if head is None and self.experts is not None:
            # Another expert of a layer that was tested: it stands with the one that was.
            head = next((h for b, h in self.heads.items() if b.layer == block.layer), None)
        return Cluster(head.layer, head.expert.index if head.expert else None) if head else Cluster(0)

    def _check_signs(self, who: str, rows: UnitRows) -> None:
        """E0(c) on a whole matrix: tiles longer than the window of the rows stage."""
        if not self.signed:
            return
        repeats = sign_structure(rows.rows[Role.FFN_UP][:, :, :SIGN_ROWS])
        self.record.checks.append(
            AxisCheck(who, f"{self.component}.signs", repeats, "repeats in whole matrices")
        )
        self.record.signs_refused |= repeats <= MAX_PVALUE

    def _whole(self, side: int, block: Block) -> UnitRows:
        rows = fetch_units(
            self.bench.ledgers[side], self.component.tower, [block], np.arange(self.counts[side])
        )
        return rows.keep(~degenerate(rows))
