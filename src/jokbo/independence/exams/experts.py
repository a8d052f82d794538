"""Which MLPs of two models pair where either has experts, and the exam of the experts' own order.

Experts may be permuted, cut down in number, or copies of a dense parent's MLP. Whom an
expert is compared with is decided from router rows, from numbers and from the lot, none of which a
relabelling of units touches; so every test on units stays exact.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import lcm

import numpy as np

from jokbo.architectures.base import Expert, Role
from jokbo.independence.base import Family, IndependenceResult
from jokbo.independence.exams.base import Bench, ExamRecord, Rotation
from jokbo.independence.exams.blocks import wishes
from jokbo.independence.expert_matching import expert_matching, match_routers
from jokbo.independence.grams import normalise, ranks
from jokbo.independence.index_structure import AxisCheck
from jokbo.views.component import Block, Component
from jokbo.views.rows import RowsWish, rows_held

MAX_PARTNERS = 8
"""Experts of the reference that one of the candidate's meets where none is known to be its partner."""

MAX_PAIRS = 128
"""Pairs of blocks, over all layers, up to which more than one partner is tried."""

MIN_EXPERTS_CHECKED = 8
"""Fewer experts than this have too few numberings for E0 to say anything."""

Pair = tuple[Block, Block]


@dataclass(slots=True)
class ExpertPairs:
    """Pairs of MLPs, reference and candidate, layer by layer.

    Attributes
    ----------
    blocks : pair of lists of Block
        All MLPs of both: of one component, or of a dense parent's and of a mixture's.
    routers : dict of int to pair of arrays
        Router rows of each layer read, where both models have one, the norm before them folded in.
    rotation : array (hidden, hidden), or None
        Solved from embeddings; routers that name nobody as they are, are turned by it.
    """

    bench: Bench
    component: Component
    blocks: tuple[list[Block], list[Block]]
    routers: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    asked: set[int] = field(default_factory=set)
    rotation: Rotation | None = None

    def chosen(self, count: int | None) -> tuple[list[Block], list[Block]]:
        """Blocks to read in all layers, or in `count` of them: side by side where the depths allow it."""
        lot = self.bench.lot
        towers = self.bench.towers(self.component.tower)
        both = sorted({b.layer for b in self.blocks[0]} & {b.layer for b in self.blocks[1]})
        if both and towers is not None and towers[0].num_layers == towers[1].num_layers:
            few = both if count is None else lot.layers(f"{self.component}/layers", both, count)
            pairs = self.pairs(few)
            return [a for a, _ in pairs], [b for _, b in pairs]
        return self._apart(0, count), self._apart(1, count)

    def _apart(self, side: int, count: int | None) -> list[Block]:
        """Of models of different depth every layer will meet every layer: one expert number throughout."""
        mine = [b for b in self.blocks[side] if not (b.expert and b.expert.shared)]
        numbers = sorted({b.expert.index for b in mine if b.expert})
        if numbers:
            keep = {numbers[k] for k in self._sample(f"{self.component}/experts", min(self._counts()))}
            mine = [b for b in mine if b.expert is None or b.expert.index in keep]
        if self.bench.sampled:
            mine = [b for b in mine if self._held(side, b)]
        layers = sorted({b.layer for b in mine})
        if count is not None:
            layers = self.bench.lot.layers(f"{self.component}/layers", layers, count)
        return [b for b in mine if b.layer in layers]

    def _counts(self) -> list[int]:
        """Routed experts of each side that has any."""
        return [count for count in shared_counts(self.blocks) if count]

    @property
    def routed(self) -> bool:
        """Whether both sides have routed experts."""
        return all(any(b.expert and not b.expert.shared for b in mine) for mine in self.blocks)

    def pairs(self, layers: list[int]) -> list[Pair]:
        """Sample experts of each layer and find their partners."""
        if self.routed:
            self._read_routers(layers)
        return [pair for layer in layers for pair in self._in_layer(layer)]

    def _in_layer(self, layer: int) -> list[Pair]:
        mine, theirs = (
            [b for b in side if b.layer == layer and not (b.expert and b.expert.shared)]
            for side in self.blocks
        )
        if not mine or not theirs:
            return []
        if not self.routed:
            # A dense MLP meets sampled experts; which ones differs from layer to layer.
            few = self._sample(f"{self.component}/experts/{layer}", max(len(mine), len(theirs)))
            wide = mine if len(mine) > 1 else theirs
            chosen = [wide[k] for k in few]
            return [(b, theirs[0]) for b in chosen] if wide is mine else [(mine[0], b) for b in chosen]
        if self.bench.sampled:
            return self._held_in_layer(layer, mine, theirs)
        pairs = []
        # Other experts in every layer: half of them copied must not be missed by one number.
        for k in self._sample(f"{self.component}/experts/{layer}", min(len(mine), len(theirs))):
            b = theirs[k]
            pairs += [(a, b) for a in self._partners(layer, b, mine)]
        return pairs

    def _held_in_layer(self, layer: int, mine: list[Block], theirs: list[Block]) -> list[Pair]:
        """Of fingerprints the few experts held, each with its partner where that is held as well."""
        mine, theirs = (
            [block for block in some if self._held(side, block)] for side, some in enumerate((mine, theirs))
        )
        if not mine or not theirs:
            return []
        if len(mine) < len(theirs):
            return [(a, b) for a in mine for b in self._partners(layer, a, theirs, side=0)]
        return [(a, b) for b in theirs for a in self._partners(layer, b, mine)]

    def _held(self, side: int, block: Block) -> bool:
        """Whether a model holds this expert's window: a fingerprint has rows of few."""
        ledger, tower = self.bench.ledgers[side], self.component.tower
        part = ledger.model.anatomy.find(tower, Role.FFN_UP, layer=block.layer, expert=block.expert)
        if not self.bench.sampled or part is None:
            return part is not None
        return rows_held(ledger.model, wishes(ledger, tower, [block], self._window(part.shape[0])))

    def _window(self, count: int) -> np.ndarray:
        return self.bench.lot.window(f"{self.component}/units", count, self.bench.plan.units)

    def _sample(self, purpose: str, count: int) -> list[int]:
        return self.bench.lot.sample(purpose, count, min(self.bench.plan.experts, count))

    def _partners(self, layer: int, block: Block, others: list[Block], side: int = 1) -> list[Block]:
        """One by the router, else the same number, else a few of the other model's experts.

        Parameters
        ----------
        side : int
            Whose `block` is: 0 of the reference, 1 of the candidate.
        """
        assert block.expert is not None
        numbers = {b.expert.index: b for b in others if b.expert}
        if layer in self.routers:
            named = self._named(layer, block.expert.index, side)
            if named in numbers:
                return [numbers[named]]
            if self.bench.sampled and named >= 0:
                return []  # its partner is known, and is not held
        counts = shared_counts(self.blocks)
        if counts[0] == counts[1] and block.expert.index in numbers:
            return [numbers[block.expert.index]]
        most = max(1, min(MAX_PARTNERS, MAX_PAIRS // len({b.layer for b in self.blocks[1]})))
        few = self.bench.lot.draw(f"{self.component}/partners/{layer}").choice(
            len(others), min(most, len(others)), replace=False
        )
        return [others[int(k)] for k in np.sort(few)]

    def _named(self, layer: int, index: int, side: int) -> int:
        """The expert of the other model whose router row is like this one's; -1 where none is."""
        a, b = self.routers[layer]
        named = self._matched(a, b, index, side)
        if self.rotation is not None and named == -1:
            named = self._matched(a @ self.rotation, b, index, side)
        return named

    @staticmethod
    def _matched(a: np.ndarray, b: np.ndarray, index: int, side: int) -> int:
        own, other = (b, a) if side else (a, b)
        found = match_routers(other, own[index : index + 1]).tolist()
        return int(found[0]) if found else -1

    def _read_routers(self, layers: list[int]) -> None:
        wanted = [layer for layer in layers if layer not in self.asked]
        self.asked |= set(wanted)
        known = [
            layer
            for layer in wanted
            if all(a.find(self.component.tower, Role.FFN_GATE_INP, layer=layer) for a in self.bench.anatomies)
        ]
        if self.bench.sampled:
            known = [layer for layer in known if self._affords_routers([layer])]
        if not known or not self._affords_routers(known):
            return
        folded = []
        wanted_rows = [self._router_wishes(side, known) for side in (0, 1)]
        for ledger, wish in zip(self.bench.ledgers, wanted_rows, strict=True):
            rows = ledger.fetch(wish)
            norms = {
                w.part.layer: r[:, 0] + w.part.offset
                for w, r in zip(wish, rows, strict=True)
                if len(w.part.shape) == 1
            }
            folded.append([_fold(r, norms.get(layer)) for r, layer in zip(rows, known, strict=False)])
        for layer, a, b in zip(known, *folded, strict=True):
            self.routers[layer] = a, b

    def _affords_routers(self, layers: list[int]) -> bool:
        return self.bench.affords(self._router_wishes(0, layers), self._router_wishes(1, layers))

    def _router_wishes(self, side: int, layers: list[int]) -> list[RowsWish]:
        """Routers of these layers, then the norms before them."""
        anatomy, tower = self.bench.anatomies[side], self.component.tower
        parts = [
            anatomy.find(tower, role, layer=layer)
            for role in (Role.FFN_GATE_INP, Role.FFN_NORM)
            for layer in layers
        ]
        return [RowsWish(part) for part in parts if part is not None]

    def test(self, record: ExamRecord, heads: dict[int, int], stage: str) -> list[IndependenceResult]:
        """E6 on the layers whose routers were read: the order of the experts themselves."""
        layers = [
            layer
            for layer, (a, b) in sorted(self.routers.items())
            if len(a) == len(b) >= 2 and not (_repeated(a) or _repeated(b))
        ]
        shapes = {tuple(r.shape for r in self.routers[layer]) for layer in layers}
        if len(shapes) != 1:
            return []
        a, b = (np.stack([self.routers[layer][side] for layer in layers]) for side in (0, 1))
        experts = a.shape[1]
        groups = self._groups(experts)
        if experts >= MIN_EXPERTS_CHECKED and not self._axis_holds(record, (a, b)):
            return []
        return expert_matching(
            a,
            b,
            layers=layers,
            heads=heads,
            component=self.component,
            stage=stage,
            order=self.bench.lot.draw(f"{self.component}/expert order").permutation(experts),
            groups=groups,
            rng=self.bench.lot.draw(f"{self.component}/ties of experts"),
        )

    def _axis_holds(self, record: ExamRecord, routers: tuple[np.ndarray, np.ndarray]) -> bool:
        """E0 on the numbering of experts, which must not speak of the numbering of units."""
        scratch = ExamRecord(self.component)
        for who, rows in zip(("reference", "candidate"), routers, strict=True):
            unit = normalise(rows)
            sizes = ranks(np.linalg.norm(rows.astype(float), axis=2))
            features = [sizes - sizes.mean(axis=1, keepdims=True)]
            rng = self.bench.lot.draw(f"{self.component}/expert structure/{who}")
            gram = {Role.FFN_GATE_INP: unit @ unit.transpose(0, 2, 1)}
            index = np.arange(rows.shape[1])
            scratch.check_order(who, f"{self.component}.experts", Family.HEADS, features, gram, index, rng)
        record.checks += [check for check in scratch.checks if isinstance(check, AxisCheck)]
        return Family.HEADS not in scratch.local_only

    def _groups(self, experts: int) -> np.ndarray | None:
        """Routing groups, fine enough for both models; None where each has one."""
        count = 1
        for ledger in self.bench.ledgers:
            config = ledger.model.config or {}
            given = (
                config.get("text_config", config)
                if isinstance(config.get("text_config", config), dict)
                else {}
            )
            found = given.get("n_group")
            if type(found) is int and 1 < found <= experts and experts % found == 0:
                count = lcm(count, found)
        return None if count == 1 else np.arange(experts) * count // experts


def _fold(rows: np.ndarray, gain: np.ndarray | None) -> np.ndarray:
    return rows if gain is None or len(gain) != rows.shape[1] else rows * gain


def _repeated(rows: np.ndarray) -> bool:
    """Whether two router rows are equal, or one is zero: they name nobody."""
    return len(np.unique(rows, axis=0)) < len(rows) or bool((rows == 0).all(axis=1).any())


def shared_counts(blocks: tuple[list[Block], list[Block]]) -> list[int]:
    """Routed experts of each side."""
    experts: list[set[Expert]] = [
        {b.expert for b in mine if b.expert and not b.expert.shared} for mine in blocks
    ]
    return [len(found) for found in experts]
