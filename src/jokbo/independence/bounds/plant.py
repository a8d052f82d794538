"""Measure the bounds of one component: choose what can be planted, and say why of the rest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from jokbo.architectures.base import Role
from jokbo.independence.attention_signs import pair_layers
from jokbo.independence.base import Alignment, Family
from jokbo.independence.bounds.base import (
    N_PLANTS,
    SCRAMBLED,
    Axis,
    Bound,
    Goal,
    Kind,
    Plant,
    alignments,
    clusters_of,
    search,
    untested,
)
from jokbo.independence.bounds.heads import HeadPlants, ValuePlants
from jokbo.independence.bounds.matched import GatePlants
from jokbo.independence.bounds.order import OrderMatchPlants
from jokbo.independence.bounds.private_plants import private_plant
from jokbo.independence.bounds.reads import (
    aside,
    head_layers,
    head_wishes,
    matched_blocks,
    unit_wishes,
    unordered,
    whole_units,
    window_units,
    windowed,
)
from jokbo.independence.bounds.tables import OrderPlants, SignPlants
from jokbo.independence.bounds.turns import Turn, Turns, no_turn
from jokbo.independence.bounds.units import UnitPlants
from jokbo.independence.combine import BODY, STAGES
from jokbo.independence.examine import BLAS_THREADS, Examination
from jokbo.independence.exams.attention import AttentionExam
from jokbo.independence.exams.channels import NormExam, TableExam
from jokbo.independence.exams.private_units import PrivateUnitExam
from jokbo.independence.exams.private_values import PrivateValueExam
from jokbo.independence.exams.units import UnitExam
from jokbo.independence.grams import normalise, ranks
from jokbo.independence.norm_pattern import align_norms
from jokbo.views.component import Block, Component, ComponentKind, Reason
from jokbo.views.rows import RowsWish, bytes_wanted
from jokbo.views.samples import fetch_heads, fetch_norms

LOG_WITNESS = math.log(1e3)
"""As the verdict's policy asks of a second witness."""

MAX_TURN_WIDTH = 512
"""Largest hidden size for which a rotation is solved once a planted cosine."""


def plant_bounds(
    examination: Examination,
    component: Component,
    *,
    log_threshold: float,
    log_witness: float = LOG_WITNESS,
    n_plants: int = N_PLANTS,
    rng_purpose: str = "bounds",
) -> tuple[Bound, ...]:
    """Measure how much dependence the rows read would have shown.

    Parameters
    ----------
    examination : Examination
        Of a pair in which the component shows no evidence.
    component : Component
    log_threshold, log_witness : float
        Natural logs of the e-values that the verdict's policy asks for.
    n_plants : int
        Plants a value; 299 without a miss show with 95 % confidence that 99 % are found.
    rng_purpose : str
        Names the draws from the examination's lot.

    Returns
    -------
    tuple of Bound
        One for every class of disguise and kind, tested or not.

    Notes
    -----
    Evidence that is not planted counts zero although the exam would add it, so a bound is rather too
    high than too low. What each model shows alone (index structure, ties, sign checks) is taken from
    the pair as read. A plant counts as found when its e-value passes the threshold and is believed;
    whether its cosine also passes the relabelling guard tells an accusation from "inconclusive", and
    neither is a clean result.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=BLAS_THREADS, user_api="blas"):
        measured = _Measuring(
            examination, component, log_threshold, log_witness, n_plants, rng_purpose
        ).bounds()
    return tuple(bound for name in alignments() for bound in measured[name])


@dataclass(frozen=True, slots=True)
class _Measuring:
    examination: Examination
    component: Component
    log_threshold: float
    log_witness: float
    n_plants: int
    purpose: str

    def bounds(self) -> dict[str, tuple[Bound, ...]]:
        exam = self.examination.exams.get(self.component)
        if exam is None:
            return self._none(self.examination.untested.get(self.component, Reason("not_tested")))
        if exam.record.reason is not None or not exam.record.results:
            return self._none(exam.record.reason or Reason("not_tested"))
        if isinstance(exam, PrivateUnitExam | PrivateValueExam):
            return self._private(exam)
        if isinstance(exam, UnitExam):
            found = self._units(exam)
        elif isinstance(exam, AttentionExam):
            found = self._attention(exam)
        else:
            found = self._channels(exam)
        nothing = Reason("no_exact_test")
        return {name: found.get(name) or untested(name, nothing) for name in alignments()}

    def _private(self, exam: PrivateUnitExam | PrivateValueExam) -> dict[str, tuple[Bound, ...]]:
        """Gram matrices see nothing of a rotation, so what is found under one is found without."""
        rng = self.examination.bench.lot.draw(f"{self.purpose}/{self.component}/cross")
        plant = private_plant(exam, self._goal(), rng)
        if isinstance(plant, Reason):
            return self._none(plant)
        rotated = self._search(plant, Alignment.ROTATED)
        found = self._none(Reason("private_fingerprint"))
        return found | {Alignment.ROTATED: rotated, Alignment.SAME_BASIS: _as(Alignment.SAME_BASIS, rotated)}

    def _none(self, reason: Reason) -> dict[str, tuple[Bound, ...]]:
        return {
            name: untested(name, Reason("no_exact_test") if name == SCRAMBLED else reason)
            for name in alignments()
        }

    def _goal(self) -> Goal:
        evidence = self.examination.evidence(self.component)
        assert evidence is not None
        body = self.component.kind in BODY
        speaking = [f for f in evidence.families if not (body and f is Family.CHANNELS)]
        return Goal(self.log_threshold, self.log_witness, len(speaking))

    def _search(
        self, plant: Plant, alignment: Alignment, known: Sequence[Bound] | None = None
    ) -> tuple[Bound, ...]:
        """One bound a kind; `known` are those of a heavier disguise of the same matrices."""
        heavier = known or (None,) * len(Kind)
        return tuple(self._one(plant, alignment, kind, k) for kind, k in zip(Kind, heavier, strict=True))

    def _one(self, plant: Plant, alignment: Alignment, kind: Kind, known: Bound | None = None) -> Bound:
        name = f"{self.purpose}/{self.component}/{alignment}"

        def draw(batch: int) -> np.random.Generator:
            return self.examination.bench.lot.draw(f"{name}/{batch}")

        return search(plant, alignment, kind, n_plants=self.n_plants, draw=draw, known=known)

    def _units(self, exam: UnitExam) -> dict[str, tuple[Bound, ...]]:
        found: dict[str, tuple[Bound, ...]] = {}
        blocks = matched_blocks(exam)
        for alignment, heavier in _HEAVIER.items():
            reason = self._unit_refusal(exam, heavier, blocks)
            if reason is None:
                plant = self._gates(exam, heavier, blocks)
                cosine, scattered = (
                    self._one(plant, heavier, kind) for kind in (Kind.COSINE, Kind.SCATTERED)
                )
                # Units matched by content: a run of copies shows as scattered ones do.
                found[heavier] = cosine, replace(scattered, kind=Kind.CONTIGUOUS), scattered
            else:
                found[heavier] = untested(heavier, reason)
            by_number = unordered(exam)
            if alignment is Alignment.SAME_BASIS and windowed(exam):
                found[alignment] = self._windows(exam, found[heavier])
            elif by_number is None:
                rows = UnitPlants(exam, self._goal(), rotated=alignment is Alignment.ROTATED)
                found[alignment] = self._search(rows, alignment, found[heavier])
            else:
                found[alignment] = (
                    _as(alignment, found[heavier]) if reason is None else untested(alignment, by_number)
                )
        return found

    def _gates(
        self, exam: UnitExam, alignment: Alignment, blocks: Sequence[tuple[Block, Block]]
    ) -> GatePlants:
        bench, lot = aside(exam.bench), exam.bench.lot
        name = f"{self.purpose}/{self.component}/{alignment}/sample"
        turn = self._turn(alignment)

        @lru_cache(maxsize=1 if turn is no_turn else len(blocks))
        def read(k: int) -> tuple[dict[Role, np.ndarray], dict[Role, np.ndarray]]:
            return whole_units(bench, self.component.tower, blocks[k])

        clusters = [exam._cluster_of(pair[0]) for pair in blocks]
        return GatePlants(
            read, clusters, turn=turn, goal=self._goal(), draw=lambda k: lot.draw(f"{name}/{k}")
        )

    def _windows(self, exam: UnitExam, known: Sequence[Bound]) -> tuple[Bound, ...]:
        """Units that kept their order, searched in windows: found by signs (E8), or by order where signs fail."""
        assert exam.window is not None
        bench, lot, tower = aside(exam.bench), exam.bench.lot, self.component.tower
        blocks, index = exam.window

        @lru_cache(maxsize=1)
        def read(k: int) -> tuple[dict[Role, np.ndarray], dict[Role, np.ndarray]]:
            return window_units(bench, tower, blocks[k], index)

        # These plants are weighed as whole matrices; what they stand for was read with the rows.
        step = math.log(STAGES["tensors"]) - math.log(STAGES["rows"])
        goal = self._goal()
        goal = replace(goal, log_threshold=goal.log_threshold + step, log_witness=goal.log_witness + step)
        by_signs = exam.matched and not exam.record.signs_refused
        plant = (GatePlants if by_signs else OrderMatchPlants)(
            read,
            [exam._cluster_of(pair[0]) for pair in blocks],
            turn=no_turn,
            goal=goal,
            draw=lambda k: lot.draw(f"{self.purpose}/{self.component}/window/{k}"),
        )
        found = []
        for kind, heavier in zip(Kind, known, strict=True):
            if kind is not Kind.CONTIGUOUS:
                found.append(
                    self._one(plant, Alignment.SAME_BASIS, kind, heavier if heavier.tested else None)
                )
            elif heavier.tested:
                found.append(replace(heavier, alignment=Alignment.SAME_BASIS))
            else:
                found += untested(Alignment.SAME_BASIS, Reason("window_sees_part"))[1:2]
        return tuple(found)

    def _unit_refusal(
        self, exam: UnitExam, alignment: Alignment, blocks: Sequence[tuple[Block, Block]]
    ) -> Reason | None:
        if not exam.matched:
            sizes = {"reference": exam.widths[0], "candidate": exam.widths[1]}
            return (
                Reason("hidden_sizes_differ", sizes)
                if exam.widths[0] != exam.widths[1]
                else Reason("no_unit_sign")
            )
        wishes = [unit_wishes(exam, side) for side in (0, 1)]
        refusal = self._tensor_refusal(exam, alignment, wishes)
        if refusal is not None:
            return refusal
        if not blocks:
            return Reason(
                "depths_differ", {"reference": len(exam.blocks[0]), "candidate": len(exam.blocks[1])}
            )
        return None

    def _tensor_refusal(
        self, exam: UnitExam | AttentionExam, alignment: Alignment, wishes: Sequence[list[RowsWish]]
    ) -> Reason | None:
        """Why a class that needs whole matrices was not tested, or cannot be planted in."""
        results = exam.record.results
        if exam.record.signs_refused:
            return Reason("signs_refused")
        if not any(r.stage == "tensors" for r in results):
            if exam.bench.sampled:
                return Reason("fingerprint_lacks_matrices")
            cut = any(note.code == "budget_excludes_tensors" for note in exam.record.notes)
            if "tensors" in self.examination.stages and not cut:
                return Reason("heads_not_matched")
            ledgers = exam.bench.ledgers
            needed = max(
                ledger.spent_bytes + bytes_wanted(w) for ledger, w in zip(ledgers, wishes, strict=True)
            )
            return Reason("not_tested_at_budget", {"bytes": needed})
        width = max(t.hidden_size for t in exam.bench.towers(self.component.tower) or ())
        if not any(r.stage == "tensors" and r.alignment is alignment for r in results):
            return Reason("rotation_not_solved", {"width": width})
        if alignment is Alignment.ROTATED_AND_PERMUTED and width > MAX_TURN_WIDTH:
            return Reason("plants_too_dear", {"width": width, "most": MAX_TURN_WIDTH})
        return None

    def _turn(self, alignment: Alignment) -> Turn:
        if alignment is not Alignment.ROTATED_AND_PERMUTED:
            return no_turn
        bench = aside(self.examination.bench)
        table = TableExam(bench, Component(self.component.tower, ComponentKind.EMBEDDING))
        towers = bench.towers(self.component.tower)
        assert towers is not None
        rows = table.fetch(4 * towers[0].hidden_size)
        assert rows is not None
        return Turns(rows[0], rows[1])

    def _attention(self, exam: AttentionExam) -> dict[str, tuple[Bound, ...]]:
        found: dict[str, tuple[Bound, ...]] = {}
        chosen = head_layers(exam)
        for alignment, heavier in _HEAVIER.items():
            wishes = [head_wishes(exam, side, chosen[side]) for side in (0, 1)]
            reason = self._tensor_refusal(exam, heavier, wishes)
            found[heavier] = (
                self._search(self._heads(exam, chosen, heavier), heavier)
                if reason is None
                else untested(heavier, reason)
            )
            # Rows read by number tell nothing once rotated; whole matrices do, heads permuted or not.
            if alignment is Alignment.ROTATED:
                found[alignment] = _as(alignment, found[heavier])
            elif exam.value_cosines is None:
                found[alignment] = untested(alignment, Reason("signs_refused"))
            else:
                found[alignment] = self._search(ValuePlants(exam, self._goal()), alignment, found[heavier])
        return found

    def _heads(
        self, exam: AttentionExam, chosen: tuple[list[int], list[int]], alignment: Alignment
    ) -> HeadPlants:
        bench = aside(exam.bench)
        towers = bench.towers(self.component.tower)
        assert towers is not None
        index = np.arange(exam.record.axes[Family.ATTENTION].n)
        rows = [
            normalise(fetch_heads(ledger, self.component.tower, Role.ATTN_V, mine, index).rows)
            for ledger, mine in zip(bench.ledgers, chosen, strict=True)
        ]
        layers = pair_layers(*chosen, tied=exam.tied_layers)
        use, clusters = clusters_of(layers.pairs, layers.clusters)
        a, b = (
            side[layers.pairs[use, k]].reshape(len(use), towers[0].num_kv_heads, -1, side.shape[-1])
            for k, side in enumerate(rows)
        )
        return HeadPlants(a, b, clusters, turn=self._turn(alignment), goal=self._goal())

    def _channels(self, exam: TableExam | NormExam) -> dict[str, tuple[Bound, ...]]:
        plant: Plant
        if isinstance(exam, NormExam):
            plant = self._norms(exam)
        elif any(result.test == "channel_signs" for result in exam.record.results):
            plant = SignPlants(exam, self._goal())
        else:
            plant = self._columns(exam)
        same = self._search(plant, Alignment.SAME_BASIS)
        # A permutation of units does not touch the channels of a table or of a norm.
        return {Alignment.SAME_BASIS: same, Alignment.UNITS_PERMUTED: _as(Alignment.UNITS_PERMUTED, same)}

    def _norms(self, exam: NormExam) -> Plant:
        lot = exam.bench.lot
        width = exam.record.axes[Family.CHANNELS].n
        ledgers = aside(exam.bench).ledgers
        a, b = align_norms(*(fetch_norms(ledger, self.component.tower, channels=width) for ledger in ledgers))
        count = int(exam.record.results[0].parameters["channels"])
        channels = lot.channel_blocks(f"{self.component.tower}/norm channels", width, count)
        x, y = (normalise((ranks(v) - (width + 1) / 2).T)[channels] for v in (a, b))
        return OrderPlants(x, y, record=exam.record, goal=self._goal(), channels=channels)

    def _columns(self, exam: TableExam) -> Plant:
        assert exam.rows is not None
        lot, plan = exam.bench.lot, exam.bench.plan
        a, b = exam.rows
        channels = lot.channel_blocks(f"{self.component.tower}/channels", a.shape[1], plan.channels)
        x, y = (normalise(normalise(rows)[:, channels].T) for rows in (a, b))
        rows = Axis(exam.record.axes[Family.CHANNELS].d, np.arange(len(a)))
        return OrderPlants(x, y, record=exam.record, goal=self._goal(), channels=channels, rows=rows)


_HEAVIER = {
    Alignment.SAME_BASIS: Alignment.UNITS_PERMUTED,
    Alignment.ROTATED: Alignment.ROTATED_AND_PERMUTED,
}
"""What a test that matches by content finds under the second, it finds under the first."""


def _as(alignment: Alignment, bounds: Sequence[Bound]) -> tuple[Bound, ...]:
    return tuple(replace(bound, alignment=alignment) for bound in bounds)
