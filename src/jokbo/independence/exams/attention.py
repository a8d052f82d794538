"""The exam of attention: signs of value channels and of rotary pairs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int

from jokbo.architectures.base import Role, Tower
from jokbo.independence.attention_signs import (
    LayerPairs,
    attention_signs,
    match_value_heads,
    pair_layers,
    rotary_coins,
    row_cosines,
    value_grid,
)
from jokbo.independence.base import Alignment, Family
from jokbo.independence.exams.base import AxisSize, Bench, ExamRecord, Rotation
from jokbo.independence.exams.blocks import effective
from jokbo.independence.exams.heads import examine_heads
from jokbo.independence.index_structure import AxisCheck, sign_structure
from jokbo.independence.layer_grid import LayerGrid
from jokbo.independence.self_dependence import join_ties, tie_rows
from jokbo.views.component import Component, Reason, both_hold, layers
from jokbo.views.rows import RowsWish
from jokbo.views.samples import HeadRows, fetch_heads


@dataclass(slots=True)
class AttentionExam:
    """One tower's attention in both models.

    Attributes
    ----------
    tied_layers : mapping of int to int
        Layer to the layer that stands for its cluster, from the tower's MLP exam: layers that
        are copies in one component are copies in all.
    value_cosines : array (pairs, rows) or None
        Of the rows stage; bounds are planted into it.
    grid : LayerGrid or None
        Every layer's value rows against every layer's, by sign.
    """

    bench: Bench
    component: Component
    tied_layers: dict[int, int] = field(default_factory=dict)
    record: ExamRecord = field(init=False)
    layers: tuple[list[int], list[int]] = field(init=False)
    value_cosines: np.ndarray | None = None
    pairs: LayerPairs | None = None
    grid: LayerGrid | None = None

    def __post_init__(self) -> None:
        self.record = ExamRecord(self.component)
        found = [layers(anatomy, self.component.tower, Role.ATTN_V) for anatomy in self.bench.anatomies]
        held = [self.bench.held(side, self.component.tower) for side in (0, 1)]
        self.layers = (
            [n for n in found[0] if held[0] is None or n in held[0]],
            [n for n in found[1] if held[1] is None or n in held[1]],
        )
        bare = any(all_ and not held_ for all_, held_ in zip(found, self.layers, strict=True))
        self.record.reason = Reason("fingerprint_holds_rows") if bare else self._compare_shapes()

    def _compare_shapes(self) -> Reason | None:
        for mine, where in zip(self.layers, ("reference", "candidate"), strict=True):
            if not mine:
                return Reason(f"absent_in_{where}")
        towers = self._towers()
        if towers is None:
            return Reason("tower_absent")
        if not both_hold(towers, "value_sign"):
            return Reason("no_value_symmetry")
        a, b = self._shapes(Role.ATTN_V)
        if a != b:
            code = "hidden_sizes_differ" if a[0] == b[0] else "value_rows_differ"
            return Reason(code, {"reference": a[a[0] == b[0]], "candidate": b[a[0] == b[0]]})
        self.record.axes[Family.ATTENTION] = AxisSize(
            a[0], a[1], a[1] / self._fitted(a[0]), basis=max(t.v_head_dim for t in towers) / a[1]
        )
        return None

    def _fitted(self, values: int) -> int:
        """Value rows that one rotation would have to fit: those of a fingerprint can be foreseen."""
        return min(values, self.bench.plan.values) if self.bench.sampled else values

    def _towers(self) -> tuple[Tower, Tower] | None:
        return self.bench.towers(self.component.tower)

    def _shapes(self, role: Role) -> list[tuple[int, ...]]:
        found = []
        for anatomy, mine in zip(self.bench.anatomies, self.layers, strict=True):
            part = anatomy.find(self.component.tower, role, layer=mine[0])
            found.append(part.shape if part is not None else ())
        return found

    def read_rows(self, stage: str) -> None:
        """Stage one or two: a window of value rows, and of one head's query and key rows."""
        if self.record.reason is not None:
            return
        plan, lot = self.bench.plan, self.bench.lot
        count = plan.screen_layers if stage == "screen" else max(map(len, self.layers))
        values = lot.window(f"{self.component}/values", self.record.axes[Family.ATTENTION].n, plan.values)
        chosen = self._choose(count, values)
        if self.bench.lacks(*(self._wishes(side, mine, values) for side, mine in enumerate(chosen))):
            self.record.reason = Reason("fingerprint_holds_rows")
            return
        rows = self._fetch(Role.ATTN_V, chosen, values)
        if self.bench.methods >= 2:
            least = min(effective(layer) for side in rows for layer in side.rows)
            axis = self.record.axes[Family.ATTENTION]
            self.record.axes[Family.ATTENTION] = replace(axis, alone=least)
        ties = [tie_rows(side.rows) for side in rows]
        self.tied_layers = self._tie(rows, ties)
        self.pairs = pair_layers(*chosen, tied=self.tied_layers)
        believed = self._check_signs(rows, ties)
        self.value_cosines = row_cosines(rows[0], rows[1], self.pairs) if believed else None
        self.record.results += attention_signs(
            self.value_cosines, self._rotary(chosen), self.pairs, component=self.component, stage=stage
        )
        if believed and self.bench.methods >= 2:
            self._test_grid(rows, stage)
        if not self.record.results:
            self.record.reason = Reason("signs_refused")

    def _test_grid(self, rows: list[HeadRows], stage: str) -> None:
        """Every layer against every layer, from the rows already read: finds a layer copied to another place."""
        found = value_grid(rows[0], rows[1], tied=self.tied_layers)
        if found is None:
            return
        coins, pairs, self.grid = found
        # Of models with different layers, every pair was scored already.
        if rows[0].layers == rows[1].layers and len(rows[0].layers) > 1:
            self.record.results += attention_signs(
                coins, None, pairs, component=self.component, stage=stage, matching="layer_grid"
            )

    def _tie(self, rows: list[HeadRows], ties: list[dict[int, int]]) -> dict[int, int]:
        """Join the layers that the MLPs tie with those whose value rows depend on one another."""
        numbers = {layer: k for k, layer in enumerate(rows[0].layers)}
        known = {numbers[a]: numbers[b] for a, b in self.tied_layers.items() if a in numbers and b in numbers}
        own = [tie for tie, side in zip(ties, rows, strict=True) if side.layers == rows[0].layers]
        tied = join_ties({k: k for k in range(len(numbers))}, known, *own)
        return {layer: rows[0].layers[tied[k]] for layer, k in numbers.items()}

    def _check_signs(self, rows: list[HeadRows], ties: list[dict[int, int]]) -> bool:
        """E0(c) on value channels: do their signs repeat along the axis of either model?"""
        checks = []
        for who, side, tie in zip(("reference", "candidate"), rows, ties, strict=True):
            pvalue = sign_structure(side.rows[sorted(set(tie.values()))])
            checks.append(AxisCheck(who, f"{self.component}.values", pvalue, "repeats along the axis"))
        self.record.checks += checks
        refused = not all(check.passed for check in checks)
        if refused and not self.record.signs_refused:
            self.record.notes.append(Reason("signs_refused"))
        self.record.signs_refused |= refused
        return not refused

    def _choose(self, count: int, values: Int[np.ndarray, " rows"]) -> list[list[int]]:
        """Layers to read: `count` of each model, fewer where the budget does not cover them."""
        deepest = max(map(len, self.layers))
        while count > 1:
            chosen = [self.bench.lot.layers(f"{self.component}/layers", mine, count) for mine in self.layers]
            wishes = [self._wishes(side, mine, values) for side, mine in enumerate(chosen)]
            if self.bench.affords(*wishes):
                break
            count = min(count, deepest) - 1
        if count < deepest:
            self.record.notes.append(Reason("budget_covers_layers", {"layers": count, "of": deepest}))
        return [self.bench.lot.layers(f"{self.component}/layers", mine, count) for mine in self.layers]

    def _wishes(self, side: int, mine: list[int], index: Int[np.ndarray, " rows"]) -> list[RowsWish]:
        anatomy = self.bench.anatomies[side]
        parts = [anatomy.find(self.component.tower, Role.ATTN_V, layer=layer) for layer in mine]
        # Query and key rows cost about as much again as the value rows.
        return [RowsWish(part, index) for part in parts for _ in range(2) if part is not None]

    def _fetch(self, role: Role, chosen: list[list[int]], index: np.ndarray) -> list[HeadRows]:
        return [
            fetch_heads(ledger, self.component.tower, role, mine, index)
            for ledger, mine in zip(self.bench.ledgers, chosen, strict=True)
        ]

    def _rotary(self, chosen: list[list[int]]) -> np.ndarray | None:
        """Coins of rotary pairs, where both models have plain query and key projections of equal shape."""
        towers = self._towers()
        if towers is None or not both_hold(towers, "rotary_sign"):
            return None
        a, b = towers
        facts = [
            (t.num_heads, t.num_kv_heads, t.head_dim, t.rope, t.rotary_dim, t.rotary_start) for t in towers
        ]
        expected = [(t.num_heads * t.head_dim, t.num_kv_heads * t.head_dim) for t in towers]
        shapes = list(zip(self._shapes(Role.ATTN_Q), self._shapes(Role.ATTN_K), strict=True))
        plain = all(q[:1] == (e[0],) and k[:1] == (e[1],) for (q, k), e in zip(shapes, expected, strict=True))
        if facts[0] != facts[1] or not plain:
            self.record.notes.append(Reason("rotary_not_tested"))
            return None
        lot, group = self.bench.lot, a.num_heads // max(a.num_kv_heads, 1)
        head = lot.pick(f"{self.component}/head", a.num_kv_heads)
        dims = lot.window(f"{self.component}/rotary", a.head_dim, self.bench.plan.rotary)
        queries = self._fetch(Role.ATTN_Q, chosen, head * group * a.head_dim + dims)
        keys = self._fetch(Role.ATTN_K, chosen, head * a.head_dim + dims)
        assert self.pairs is not None
        return rotary_coins((queries[0], queries[1]), (keys[0], keys[1]), self.pairs, b)

    def read_tensors(self, rotation: Rotation | None) -> None:
        """Stage three: whole value projections, heads matched, with and without a rotation."""
        towers = self._towers()
        if self.record.reason is not None or towers is None:
            return
        if len({(t.num_kv_heads, t.v_head_dim) for t in towers}) > 1 or towers[0].num_kv_heads == 0:
            return
        rows = np.arange(self.record.axes[Family.ATTENTION].n)
        count = self.bench.plan.tensor_layers or max(map(len, self.layers))
        chosen = [self.bench.lot.layers(f"{self.component}/tensors", mine, count) for mine in self.layers]
        if rows.size % towers[0].num_kv_heads or not self.bench.affords(
            *(self._wishes(side, mine, rows) for side, mine in enumerate(chosen))
        ):
            self.record.notes.append(Reason("budget_excludes_tensors"))
            return
        pairs = pair_layers(*chosen, tied=self.tied_layers)
        a, b = self._fetch(Role.ATTN_V, chosen, rows)
        if self.bench.methods >= 2:
            heads = examine_heads(self.bench, self.record, (a, b), tied=self.tied_layers)
            self.record.results += [] if heads is None else [heads]
        if self.record.signs_refused or not self._check_signs([a, b], [tie_rows(a.rows), tie_rows(b.rows)]):
            return
        for alignment, turn in ((Alignment.UNITS_PERMUTED, None), (Alignment.ROTATED_AND_PERMUTED, rotation)):
            if alignment is Alignment.ROTATED_AND_PERMUTED and turn is None:
                continue
            cosines = np.stack(
                [
                    match_value_heads(a.rows[i], b.rows[j], heads=towers[0].num_kv_heads, rotation=turn)
                    for i, j in pairs.pairs
                ]
            )
            self.record.results += attention_signs(
                cosines,
                None,
                pairs,
                component=self.component,
                stage="tensors",
                alignment=alignment,
                matching="head",
            )
