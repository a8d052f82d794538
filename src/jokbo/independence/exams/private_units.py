"""The exam of MLPs and experts of which at least one model shows Gram matrices and no rows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from jokbo.architectures.base import Expert, Role
from jokbo.independence.anchored_signs import anchored_signs
from jokbo.independence.base import Cluster, Family
from jokbo.independence.exams.base import AxisSize, Bench, ExamRecord
from jokbo.independence.exams.blocks import affordable, wishes
from jokbo.independence.exams.units import MIN_UNITS
from jokbo.independence.gram_grid import gram_grid, tie_grams
from jokbo.independence.grams import AxisGrams, cluster_widths, effective_width, ranks
from jokbo.independence.index_structure import MAX_PVALUE, AxisCheck, sign_balance, sign_repeats
from jokbo.independence.layer_grid import LayerGrid
from jokbo.independence.plan import Lot
from jokbo.independence.rank_betting import rank_betting
from jokbo.independence.self_dependence import join_ties
from jokbo.views.component import Block, Component, ComponentKind, Reason, blocks, both_hold
from jokbo.views.private_grams import Axis, GramStack, Place, fetch_grams, grams_held
from jokbo.views.rows import rows_held
from jokbo.views.samples import UNIT_ROLES

MAX_BLOCKS = 256
"""MLPs of each model that are compared where they pair; a hostile file may list many more."""

MAX_ACROSS = 64
"""The same where every one meets every one: four thousand pairs."""


@dataclass(slots=True)
class PrivateUnitExam:
    """One component's MLPs, by the order (E1, anchored) and the signs (E11) of their units.

    Attributes
    ----------
    source : Component or None
        The reference's component, where it has another name: a dense parent's MLP for upcycled experts.
    grams : AxisGrams or None
        Without cross products, which nobody can form.
    heads : dict of Block to Block
        Blocks of the reference to those that stand for their clusters.
    grid : LayerGrid or None
        Every layer against every layer, anchored.
    """

    bench: Bench
    component: Component
    source: Component | None = None
    record: ExamRecord = field(init=False)
    blocks: tuple[list[Block], list[Block]] = field(init=False)
    counts: tuple[int, int] = (0, 0)
    widths: tuple[int, int] = (0, 0)
    signed: bool = False
    grams: AxisGrams | None = None
    heads: dict[Block, Block] = field(default_factory=dict)
    grid: LayerGrid | None = None

    def __post_init__(self) -> None:
        self.record = ExamRecord(self.component)
        named = (self.source or self.component, self.component)
        found = [blocks(anatomy, part) for anatomy, part in zip(self.bench.anatomies, named, strict=True)]
        self.record.reason = self._compare_shapes(found)
        self.blocks = ([], [])
        if self.record.reason is None:
            self.blocks = self._held(0, found[0]), self._held(1, found[1])
            if not all(self.blocks):
                self.record.reason = Reason("private_fingerprint")

    def _compare_shapes(self, found: list[list[Block]]) -> Reason | None:
        for mine, where in zip(found, ("reference", "candidate"), strict=True):
            if not mine:
                return Reason(f"absent_in_{where}")
        towers = self.bench.towers(self.component.tower)
        if towers is None:
            return Reason("tower_absent")
        shapes = []
        for anatomy, mine in zip(self.bench.anatomies, found, strict=True):
            part = anatomy.find(self.component.tower, Role.FFN_UP, layer=mine[0].layer, expert=mine[0].expert)
            assert part is not None
            shapes.append(part.shape)
        self.counts, self.widths = (shapes[0][0], shapes[1][0]), (shapes[0][1], shapes[1][1])
        if self.counts[0] != self.counts[1]:
            return Reason("unit_counts_differ", {"reference": self.counts[0], "candidate": self.counts[1]})
        if not both_hold(towers, "unit_permutation"):
            return Reason("no_unit_symmetry")
        self.signed = both_hold(towers, "unit_sign") and all(tower.gated for tower in towers)
        self._note_axes(0.0)
        return None

    def _note_axes(self, width: float) -> None:
        fitted = min(self.counts[0], self.bench.plan.units)
        axis = AxisSize(self.counts[0], max(self.widths), max(self.widths) / fitted, effective=width)
        self.record.axes |= {Family.UNITS: axis, Family.SIGNS: axis}

    @property
    def _index(self) -> Int[np.ndarray, " units"]:
        return self.bench.lot.window(f"{self.component}/units", self.counts[0], self.bench.plan.units)

    @property
    def _level(self) -> bool:
        """Whether the models are equally deep, so that layers pair by number."""
        towers = self.bench.towers(self.component.tower)
        return towers is not None and towers[0].num_layers == towers[1].num_layers

    def _held(self, side: int, mine: list[Block]) -> list[Block]:
        """Blocks of one model that it shows, or that a fingerprint would hold of it."""
        tower, ledger = self.component.tower, self.bench.ledgers[side]
        held = self.bench.held(side, tower)
        first = self._sizes(side, mine[0])
        mine = [b for b in mine if (held is None or b.layer in held) and self._sizes(side, b) == first]
        if ledger.model.grams is not None:
            grams = ledger.model.grams
            return [b for b in mine if grams_held(grams, Place(tower, Axis.UNITS, b), self._index)]
        own = (self.source or self.component) if side == 0 else self.component
        chosen = sampled_blocks(self.bench.lot, own, mine, self.bench.plan.experts)
        return [b for b in chosen if rows_held(ledger.model, wishes(ledger, tower, [b], self._index))]

    def _sizes(self, side: int, block: Block) -> tuple[int, ...]:
        """Units of each matrix: what differs from layer to layer does not stack."""
        find, tower = self.bench.anatomies[side].find, self.component.tower
        parts = [find(tower, role, layer=block.layer, expert=block.expert) for role in UNIT_ROLES]
        return tuple(0 if part is None or len(part.shape) != 2 else part.shape[0] for part in parts)

    def read_rows(self, stage: str) -> None:
        """Fetch Gram matrices, or the rows of the model that has rows, and test."""
        if self.record.reason is not None:
            return
        index, tower = self._index, self.component.tower
        most = MAX_BLOCKS if self._level else MAX_ACROSS
        found = self._chosen(most)
        if any(len(few) < len(mine) for few, mine in zip(found, self.blocks, strict=True)):
            values = {"blocks": most, "of": max(map(len, self.blocks))}
            self.record.notes.append(Reason("blocks_compared", values))
        chosen = self._affordable(found, index)
        if chosen is None:
            self.record.reason = Reason("budget_excludes_rows")
            return
        pairs = self._pairs(*chosen)
        if not len(pairs):
            self.record.reason = Reason("private_fingerprint")
            return
        stacks = [
            fetch_grams(ledger, tower, Axis.UNITS, mine, index)
            for ledger, mine in zip(self.bench.ledgers, chosen, strict=True)
        ]
        bad = stacks[0].without_identity | stacks[1].without_identity
        if (~bad).sum() < MIN_UNITS:
            self.record.reason = Reason("degenerate_rows", {"units": int(bad.sum()), "of": len(bad)})
            return
        self._test(stacks[0].keep(~bad), stacks[1].keep(~bad), pairs, stage)

    def _chosen(self, most: int) -> tuple[list[Block], list[Block]]:
        """At most so many blocks of each side, whole layers."""
        found = []
        for mine in self.blocks:
            layers = sorted({b.layer for b in mine})
            widest = max(sum(b.layer == layer for b in mine) for layer in layers)
            few = set(self.bench.lot.layers(f"{self.component}/layers", layers, max(most // widest, 1)))
            found.append([b for b in mine if b.layer in few][:most])
        return found[0], found[1]

    def _affordable(
        self, chosen: tuple[list[Block], list[Block]], index: Int[np.ndarray, " units"]
    ) -> tuple[list[Block], list[Block]] | None:
        """Fewer layers where a model with rows has no budget for all; None where for none."""
        fits = [
            len(mine)
            if ledger.model.grams is not None
            else affordable(ledger, self.component.tower, mine, index)
            for ledger, mine in zip(self.bench.ledgers, chosen, strict=True)
        ]
        if all(fit == len(mine) for fit, mine in zip(fits, chosen, strict=True)):
            return chosen
        if not min(fits):
            return None
        values = {"layers": min(fits), "of": max(map(len, chosen))}
        self.record.notes.append(Reason("budget_covers_layers", values))
        return self._chosen(min(fits))

    def _pairs(self, mine: list[Block], theirs: list[Block]) -> Int[np.ndarray, "pairs 2"]:
        """Same layers of models of one depth, else every layer with every layer; experts by number if they can."""
        level = self._level
        named = (self.source or self.component, self.component)
        found = [blocks(anatomy, c) for anatomy, c in zip(self.bench.anatomies, named, strict=True)]
        routed = [{block.expert for block in mine} for mine in found]
        numbered = routed[0] == routed[1]
        if numbered and len(routed[0]) > 1:
            self.record.notes.append(Reason("experts_by_number"))
        pairs = [
            (i, j)
            for i, a in enumerate(mine)
            for j, b in enumerate(theirs)
            if (not level or a.layer == b.layer) and (not numbered or a.expert == b.expert)
        ]
        return np.array(pairs, dtype=int).reshape(-1, 2)

    def _test(
        self, reference: GramStack, candidate: GramStack, pairs: Int[np.ndarray, "pairs 2"], stage: str
    ) -> None:
        lot, record, component = self.bench.lot, self.record, self.component
        signed = frozenset({Role.FFN_UP}) if self.signed else frozenset()
        ties = [
            tie_grams(_summed(side, signed), side.grams[Role.FFN_UP] if self.signed else None)
            for side in (reference, candidate)
        ]
        tied = join_ties(*ties) if reference.blocks == candidate.blocks else ties[0]
        self.heads = {block: reference.blocks[tied[k]] for k, block in enumerate(reference.blocks)}
        clusters = [_cluster(self.heads[block]) for block in reference.blocks]
        roles = [role for role in reference.grams if role in candidate.grams]
        grams = AxisGrams(
            index=reference.index,
            pairs=pairs,
            clusters=tuple(clusters[i] for i in pairs[:, 0]),
            cross=None,
            reference={role: reference.grams[role] for role in roles},
            candidate={role: candidate.grams[role] for role in roles},
            signed=signed,
        )
        self._note_axes(effective_width(grams))
        record.narrow(cluster_widths(grams))
        self._check_axes((reference, candidate), ties)
        order = lot.draw(f"{component}/order").permutation(len(reference.index))
        if not record.order_refused:
            record.results += rank_betting(grams, component=component, stage=stage, order=order)
            self._test_grid(grams, (reference, candidate), clusters, stage)
        if self.signed and not record.signs_refused:
            up = grams.reference[Role.FFN_UP], grams.candidate[Role.FFN_UP]
            record.results.append(
                anchored_signs(
                    up[0],
                    up[1],
                    pairs,
                    grams.clusters,
                    component=component,
                    stage=stage,
                    order=order,
                    family=Family.SIGNS,
                )
            )
        if not record.results:
            record.reason = Reason("order_refused")
            return
        self.grams = grams

    def _test_grid(
        self, grams: AxisGrams, sides: tuple[GramStack, GramStack], clusters: list[Cluster], stage: str
    ) -> None:
        """Every layer against every layer; where the pairs are all of them, E1 has done so already."""
        found = gram_grid(
            _summed(sides[0], grams.signed, tuple(grams.reference)),
            _summed(sides[1], grams.signed, tuple(grams.reference)),
            layers=([b.layer for b in sides[0].blocks], [b.layer for b in sides[1].blocks]),
            clusters=clusters,
            component=self.component,
            stage=stage,
            index=grams.index,
            order=self.bench.lot.draw(f"{self.component}/grid").permutation(len(grams.index)),
        )
        if found is not None:
            self.grid, results = found
            if len(grams.pairs) < self.grid.log_evalues.size:
                self.record.results += results

    def _check_axes(self, sides: tuple[GramStack, GramStack], ties: list[dict[int, int]]) -> None:
        """E0 on the units of each model alone."""
        for who, side, tie in zip(("reference", "candidate"), sides, ties, strict=True):
            rng = self.bench.lot.draw(f"{self.component}/index structure/{who}")
            self.record.check_order(
                who, f"{self.component}.units", Family.UNITS, _features(side), side.grams, side.index, rng
            )
            if not self.signed:
                continue
            heads = sorted(set(tie.values()))
            found = (
                (sign_balance(side.cosines[heads]), "cos(gate, up)"),
                (sign_repeats(side.grams[Role.FFN_UP][heads]), "repeats along the axis"),
            )
            self.record.checks += [AxisCheck(who, f"{self.component}.signs", *check) for check in found]
            self.record.signs_refused |= min(pvalue for pvalue, _ in found) <= MAX_PVALUE


def sampled_blocks(lot: Lot, component: Component, found: list[Block], few: int) -> list[Block]:
    """Blocks that a fingerprint of the lot's salt holds: every MLP; of experts a few, the shared ones left out."""
    if component.kind is not ComponentKind.EXPERTS:
        return found
    routed = [b for b in found if b.expert is not None and not b.expert.shared]
    numbers = sorted({b.expert.index for b in routed if b.expert is not None})
    if not numbers:
        return []
    common = {numbers[k] for k in lot.sample(f"{component}/experts", len(numbers), min(few, len(numbers)))}
    chosen = []
    for layer in sorted({b.layer for b in routed}):
        mine = [b for b in routed if b.layer == layer]
        own = lot.sample(f"{component}/experts/{layer}", len(mine), min(few, len(mine)))
        chosen += [b for k, b in enumerate(mine) if k in own or (b.expert or Expert(-1)).index in common]
    return chosen


def _summed(stack: GramStack, signed: frozenset[Role], roles: tuple[Role, ...] | None = None) -> np.ndarray:
    use = roles or tuple(stack.grams)
    return np.asarray(sum(np.abs(stack.grams[r]) if r in signed else stack.grams[r] for r in use))


def _features(stack: GramStack) -> list[np.ndarray]:
    """Ranked row norms of each matrix, and ranked |cosine| of gate and up, centred."""
    features = [matrix.astype(float) for matrix in stack.ranks]
    if stack.cosines.shape[1]:
        features.append(np.abs(stack.cosines))
    return [ranks(feature) - (feature.shape[1] + 1) / 2 for feature in features]


def _cluster(block: Block) -> Cluster:
    return Cluster(block.layer, block.expert.index if block.expert else None)
