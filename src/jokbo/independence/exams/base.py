"""What every exam works with and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from jokbo.architectures.base import Anatomy, Role, Tower
from jokbo.independence.base import METHODS, Cluster, Family, IndependenceResult
from jokbo.independence.index_structure import AxisCheck, fine_structure, index_structure
from jokbo.independence.plan import Budget, Lot, ReadingPlan
from jokbo.independence.rank_betting import LOCAL_BLOCK
from jokbo.views.component import Component, Reason, shared_tower
from jokbo.views.ledger import Ledger
from jokbo.views.rows import rows_held

if TYPE_CHECKING:
    from jokbo.views.rows import RowsWish


@dataclass(slots=True)
class Bench:
    """Both models on the bench, with the plan and the lot that decide what is read.

    Attributes
    ----------
    methods : int
        Which set of tests runs (:data:`~jokbo.independence.base.METHODS`); an exam asks it before a test that
        an older set lacks.
    """

    reference: Ledger
    candidate: Ledger
    lot: Lot
    plan: ReadingPlan
    budget: Budget
    methods: int = METHODS

    @property
    def ledgers(self) -> tuple[Ledger, Ledger]:
        """Reference, candidate."""
        return self.reference, self.candidate

    @property
    def anatomies(self) -> tuple[Anatomy, Anatomy]:
        """Reference, candidate."""
        return self.reference.model.anatomy, self.candidate.model.anatomy

    def towers(self, name: str) -> tuple[Tower, Tower] | None:
        """A tower's facts in both."""
        return shared_tower(*self.anatomies, name)

    @property
    def sampled(self) -> bool:
        """Whether the rows compared are those of fingerprints, which anybody can foresee."""
        return self.lot.salt is not None

    @property
    def private(self) -> bool:
        """Whether one of them shows Gram matrices and no rows: only what sees these can be tested."""
        return any(ledger.model.grams is not None for ledger in self.ledgers)

    def held(self, side: int, tower: str) -> frozenset[int] | None:
        """Layers of one model whose rows can be compared; None for all of them.

        Of models of one depth the same layers, so that they stand side by side.
        """
        samplings = [ledger.model.sampling for ledger in self.ledgers]
        layers = [None if s is None else frozenset(s.layers.get(tower, ())) for s in samplings]
        towers = self.towers(tower)
        if towers is not None and towers[0].num_layers == towers[1].num_layers:
            known = [some for some in layers if some is not None]
            return frozenset.intersection(*known) if known else None
        return layers[side]

    def lacks(self, reference: list[RowsWish], candidate: list[RowsWish]) -> bool:
        """Whether a fingerprint does not hold these rows, whatever the budget."""
        return not (rows_held(self.reference.model, reference) and rows_held(self.candidate.model, candidate))

    def refusal(
        self, reference: list[RowsWish], candidate: list[RowsWish], *, over_budget: Reason
    ) -> Reason | None:
        """Why these rows cannot be read, the budget by its own code; None where they can."""
        if self.lacks(reference, candidate):
            return Reason("fingerprint_holds_rows")
        return None if self.affords(reference, candidate) else over_budget

    def affords(self, reference: list[RowsWish], candidate: list[RowsWish]) -> bool:
        """Whether both budgets cover these rows."""
        return self.reference.affords(reference) and self.candidate.affords(candidate)


@dataclass(frozen=True, slots=True)
class AxisSize:
    """What an accuser could relabel, rotate or rebase at no loss of function before showing its model.

    Attributes
    ----------
    n, d : int
        `n` rows of width `d` on the axis of a family.
    rotation : float
        Channels a row, if one rotation of the residual stream were fitted to a single cluster; infinite
        where so few rows are matched that a rotation could fit them all.
    basis : float
        Dimensions a row of a free basis inside a head: value rows have any invertible one.
    effective : float
        Effective width of the rows, ``1 / mean cos^2`` between them; 0 for `d` itself. A few loud
        channels make chance cosines large.
    alone : float
        The same for value rows, to be used where no MLP of the tower vouches for the attention; 0 where it
        was not measured. A free basis of a head could fit rows that few channels carry.
    """

    n: int
    d: int
    rotation: float = 0.0
    basis: float = 0.0
    effective: float = 0.0
    alone: float = 0.0


@dataclass(slots=True)
class ExamRecord:
    """What an exam found.

    Attributes
    ----------
    component : Component
    reason : Reason or None
        Why the component could not be compared; None when it was.
    results : list of IndependenceResult
    checks : list of AxisCheck
    local_only : set of Family
        Families whose axis failed E0.
    order_refused : bool
        Neighbours can be told apart by their numbers: not even the local form is believed.
    signs_refused : bool
        E0(c) failed: sign evidence is not believed.
    axes : mapping of Family to AxisSize
    effective : mapping of Cluster to float
        Effective width of the rows of each cluster: one loud layer must not hide among quiet ones.
    notes : list of Reason
        What was not tested although the component was, and why.
    """

    component: Component
    reason: Reason | None = None
    results: list[IndependenceResult] = field(default_factory=list)
    checks: list[AxisCheck] = field(default_factory=list)
    local_only: set[Family] = field(default_factory=set)
    order_refused: bool = False
    signs_refused: bool = False
    axes: dict[Family, AxisSize] = field(default_factory=dict)
    effective: dict[Cluster, float] = field(default_factory=dict)
    notes: list[Reason] = field(default_factory=list)

    def narrow(self, widths: Mapping[Cluster, float]) -> None:
        """Keep the smallest effective width seen of each cluster."""
        for cluster, width in widths.items():
            self.effective[cluster] = min(width, self.effective.get(cluster, math.inf))

    def check_order(
        self,
        model: str,
        axis: str,
        family: Family,
        features: Sequence[Float[np.ndarray, "blocks m"]],
        grams: Mapping[Role, Float[np.ndarray, "blocks m m"]],
        index: Int[np.ndarray, " m"],
        rng: np.random.Generator,
    ) -> None:
        """E0(a) on one axis of one model: may its order be used in full, locally, or not at all?"""
        own = next(iter(grams.values()))
        check = AxisCheck(model, axis, *index_structure(features, own, rng=rng))
        self.checks.append(check)
        if not check.passed:
            self.local_only.add(family)
            fine = AxisCheck(model, axis, *fine_structure(own, index, block=LOCAL_BLOCK, rng=rng))
            self.checks.append(fine)
            self.order_refused |= not fine.passed


Rotation = Float[np.ndarray, "hidden hidden"]
