"""The exam of attention of which at least one model shows Gram matrices and no rows: signs of value channels."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from jokbo.architectures.base import Role
from jokbo.independence.anchored_signs import anchored_signs
from jokbo.independence.attention_signs import LayerPairs, pair_layers
from jokbo.independence.base import Cluster, Family
from jokbo.independence.exams.base import AxisSize, Bench, ExamRecord
from jokbo.independence.exams.private_units import MAX_ACROSS, MAX_BLOCKS
from jokbo.independence.gram_grid import tie_grams
from jokbo.independence.index_structure import AxisCheck, sign_repeats
from jokbo.independence.self_dependence import join_ties
from jokbo.independence.unit_grid import MAX_CELLS
from jokbo.views.component import Block, Component, Reason, both_hold, layers
from jokbo.views.private_grams import Axis, GramStack, Place, fetch_grams, grams_held
from jokbo.views.rows import RowsWish

MIN_VALUES = 8
"""Fewer distinct value rows than this carry no evidence worth a verdict."""


@dataclass(slots=True)
class PrivateValueExam:
    """One tower's attention, by the signs of its value channels (E11).

    Attributes
    ----------
    tied_layers : mapping of int to int
        Layer to the layer that stands for its cluster, from the tower's MLP exam.
    pairs : LayerPairs or None
    grams : pair of arrays (layers, m, m), or None
        Of the rows stage; bounds are planted into them.
    """

    bench: Bench
    component: Component
    tied_layers: dict[int, int] = field(default_factory=dict)
    record: ExamRecord = field(init=False)
    layers: tuple[list[int], list[int]] = field(init=False)
    widths: tuple[int, int] = (0, 0)
    count: int = 0
    pairs: LayerPairs | None = None
    grams: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        self.record = ExamRecord(self.component)
        tower = self.component.tower
        found = [layers(anatomy, tower, Role.ATTN_V) for anatomy in self.bench.anatomies]
        self.layers = ([], [])
        self.record.reason = self._compare_shapes(found)
        if self.record.reason is None:
            self.layers = self._held(0, found[0]), self._held(1, found[1])
            if not all(self.layers):
                self.record.reason = Reason("private_fingerprint")

    def _compare_shapes(self, found: list[list[int]]) -> Reason | None:
        for mine, where in zip(found, ("reference", "candidate"), strict=True):
            if not mine:
                return Reason(f"absent_in_{where}")
        towers = self.bench.towers(self.component.tower)
        if towers is None:
            return Reason("tower_absent")
        if not both_hold(towers, "value_sign"):
            return Reason("no_value_symmetry")
        shapes = []
        for anatomy, mine in zip(self.bench.anatomies, found, strict=True):
            part = anatomy.find(self.component.tower, Role.ATTN_V, layer=mine[0])
            shapes.append(part.shape if part is not None and len(part.shape) == 2 else (0, 0))
        self.count, self.widths = shapes[0][0], (shapes[0][1], shapes[1][1])
        if shapes[0][0] != shapes[1][0] or not self.count:
            return Reason("value_rows_differ", {"reference": shapes[0][0], "candidate": shapes[1][0]})
        self.record.axes[Family.ATTENTION] = AxisSize(self.count, max(self.widths))
        return None

    @property
    def _index(self) -> Int[np.ndarray, " rows"]:
        return self.bench.lot.window(f"{self.component}/values", self.count, self.bench.plan.values)

    def _held(self, side: int, found: list[int]) -> list[int]:
        """Layers that a model shows, and whose rows its budget covers where it shows rows."""
        tower, ledger = self.component.tower, self.bench.ledgers[side]
        held = self.bench.held(side, tower)
        mine = [n for n in found if held is None or n in held]
        if ledger.model.grams is not None:
            grams = ledger.model.grams
            return [n for n in mine if grams_held(grams, Place(tower, Axis.VALUES, Block(n)), self._index)]
        parts = {n: ledger.model.anatomy.find(tower, Role.ATTN_V, layer=n) for n in mine}
        return [
            n
            for n, part in parts.items()
            if part is not None
            and part.shape[:1] == (self.count,)
            and ledger.affords([RowsWish(part, self._index)])
        ]

    def read_rows(self, stage: str) -> None:
        """Fetch Gram matrices, or the rows of the model that has rows, and test."""
        if self.record.reason is not None:
            return
        chosen = self._chosen()
        if not all(chosen):
            code = "budget_excludes_rows" if all(self.layers) else "private_fingerprint"
            self.record.reason = Reason(code)
            return
        stacks = [
            fetch_grams(ledger, self.component.tower, Axis.VALUES, [Block(n) for n in mine], self._index)
            for ledger, mine in zip(self.bench.ledgers, chosen, strict=True)
        ]
        bad = stacks[0].without_identity | stacks[1].without_identity
        if (~bad).sum() < MIN_VALUES:
            self.record.reason = Reason("degenerate_rows", {"units": int(bad.sum()), "of": len(bad)})
            return
        self._test([stack.keep(~bad) for stack in stacks], chosen, stage)

    def _chosen(self) -> list[list[int]]:
        """The same layers of models of one depth, as many as the smaller budget covers."""
        towers = self.bench.towers(self.component.tower)
        assert towers is not None
        mine, theirs = self.layers
        level = towers[0].num_layers == towers[1].num_layers
        if level:
            mine = theirs = [n for n in mine if n in theirs]
        most = MAX_BLOCKS if level else MAX_ACROSS
        chosen = [self.bench.lot.layers(f"{self.component}/layers", side, most) for side in (mine, theirs)]
        if max(len(mine), len(theirs)) > most:
            values = {"blocks": most, "of": max(len(mine), len(theirs))}
            self.record.notes.append(Reason("blocks_compared", values))
        for side, ledger in enumerate(self.bench.ledgers):
            fit = len(chosen[side])
            while (
                fit
                and ledger.model.grams is None
                and not ledger.affords(self._wishes(side, chosen[side][:fit]))
            ):
                fit -= 1
            if fit < len(chosen[side]):
                values = {"layers": fit, "of": len(chosen[side])}
                self.record.notes.append(Reason("budget_covers_layers", values))
                same = chosen[0] == chosen[1]
                chosen[side] = chosen[side][:fit]
                chosen = [chosen[side], chosen[side]] if same else chosen
        return chosen

    def _wishes(self, side: int, mine: list[int]) -> list[RowsWish]:
        anatomy = self.bench.anatomies[side]
        parts = [anatomy.find(self.component.tower, Role.ATTN_V, layer=n) for n in mine]
        return [RowsWish(part, self._index) for part in parts if part is not None]

    def _test(self, stacks: list[GramStack], chosen: list[list[int]], stage: str) -> None:
        grams = [stack.grams[Role.ATTN_V] for stack in stacks]
        ties = [tie_grams(None, side) for side in grams]
        self.tied_layers = self._tie(chosen, ties)
        self.pairs = pair_layers(*chosen, tied=self.tied_layers)
        for who, side, tie in zip(("reference", "candidate"), grams, ties, strict=True):
            pvalue = sign_repeats(side[sorted(set(tie.values()))])
            self.record.checks.append(
                AxisCheck(who, f"{self.component}.values", pvalue, "repeats along the axis")
            )
            self.record.signs_refused |= not self.record.checks[-1].passed
        if self.record.signs_refused:
            self.record.reason = Reason("signs_refused")
            return
        order = self.bench.lot.draw(f"{self.component}/order").permutation(grams[0].shape[1])
        matched = {"number": self.pairs.pairs}
        cells = np.argwhere(np.ones([len(side) for side in grams], dtype=bool))
        if 1 < len(self.pairs.pairs) < len(cells) <= MAX_CELLS:
            matched["layer_grid"] = cells
        for matching, pairs in matched.items():
            self.record.results.append(
                anchored_signs(
                    grams[0],
                    grams[1],
                    pairs,
                    [Cluster(self.tied_layers[chosen[0][i]]) for i in pairs[:, 0]],
                    component=self.component,
                    stage=stage,
                    order=order,
                    family=Family.ATTENTION,
                    matching=matching,
                )
            )
        self.grams = grams[0], grams[1]

    def _tie(self, chosen: list[list[int]], ties: list[dict[int, int]]) -> dict[int, int]:
        """Join the layers that the MLPs tie with those whose value rows depend on one another."""
        numbers = {layer: k for k, layer in enumerate(chosen[0])}
        known = {numbers[a]: numbers[b] for a, b in self.tied_layers.items() if a in numbers and b in numbers}
        own = ties if chosen[0] == chosen[1] else ties[:1]
        tied = join_ties({k: k for k in range(len(numbers))}, known, *own)
        return {layer: chosen[0][tied[k]] for layer, k in numbers.items()}
