"""A claim with everything that was computed for it: what the rules look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from jokbo.hearing.claims.claim import Claim
from jokbo.hearing.claims.groups import Group, group
from jokbo.hearing.claims.measures import CENTRED, POSITIVE
from jokbo.hearing.claims.table import Row
from jokbo.hearing.claims.vectors import Again

LEAST_EXCESS = 0.05
"""Share of the way from the shuffled value to 1 that a cosine must go beyond it, where no spread is known."""

MIN_DEVIATIONS = 2.0
MAX_PVALUE = 0.01


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A row whose value is another when its vectors are measured again."""

    row: Row
    found: float


@dataclass(frozen=True, slots=True)
class OpenedModels:
    """What the models themselves say, where they were opened.

    Attributes
    ----------
    digests : mapping of str to str
        By label.
    parameters : int
        Of the candidate.
    norm_parameters : int
        Entries of the candidate's norm gains that were compared.
    pairs : int
        Norms compared, of equal role and layer.
    raw, shuffled, centred : float or None
        Means over them.
    """

    digests: Mapping[str, str]
    parameters: int
    norm_parameters: int = 0
    pairs: int = 0
    raw: float | None = None
    shuffled: float | None = None
    centred: float | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A claim, and what could be run again.

    Attributes
    ----------
    claim : Claim
    again : Again or None
        The headline's rows, measured again from their vectors.
    mismatches : tuple of Mismatch
    repeated : int
        Rows that were measured again.
    evidence : mapping or None
        Document of `jokbo compare`, checked against its schema.
    models : OpenedModels or None
    """

    claim: Claim
    again: Again | None = None
    mismatches: tuple[Mismatch, ...] = ()
    repeated: int = 0
    evidence: Mapping[str, Any] | None = None
    models: OpenedModels | None = None

    def measure_of(self, row: Row) -> str:
        """Name of a row's measure: its own, or the claim's."""
        return row.measure or self.claim.measure.name

    def kind_of(self, row: Row) -> str:
        """Kind of a row's tensors: its own, or the claim's where that names one."""
        return row.tensor or (self.claim.tensors[0] if len(self.claim.tensors) == 1 else "")

    @property
    def pair(self) -> frozenset[str]:
        """The two models."""
        return frozenset((self.claim.reference, self.claim.candidate))

    def rows(
        self, *roles: str, measures: Sequence[str] | None = None, counts: Sequence[str] | None = None
    ) -> list[Row]:
        """Rows of some roles, of the claim's measure unless others are asked for."""
        wanted = (self.claim.measure.name,) if measures is None else measures
        return [
            row
            for row in self.claim.rows
            if row.role in roles
            and self.measure_of(row) in wanted
            and (counts is None or row.counts in counts)
        ]

    @property
    def headline(self) -> list[Row]:
        """Rows of the effect that the conclusion rests on."""
        return self.rows("effect", counts=("", "for"))

    @property
    def effect(self) -> Group | None:
        """The headline taken together."""
        return group(self.headline)

    @property
    def baseline(self) -> Group | None:
        """What the headline is held against."""
        return group(self.rows("baseline"))

    @property
    def shuffled(self) -> list[Row]:
        """Controls with one side in random order."""
        by_role = self.rows("shuffled", measures=(self.claim.measure.name, "shuffled_cosine"))
        return by_role + self.rows("effect", "other", measures=("shuffled_cosine",))

    @property
    def centred(self) -> list[Row]:
        """The claim's own pair by a measure that asks whether the same entries stand out."""
        rows = self.rows("effect", "other", measures=tuple(CENTRED))
        return [row for row in rows if row.pair == self.pair]

    @property
    def exceeds_shuffled(self) -> bool:
        """Whether shuffles are known, and the headline lies beyond them."""
        if self.again is not None:
            return self.again.pvalue <= MAX_PVALUE
        effect, shuffled = self.effect, group(self.shuffled)
        if effect is None or shuffled is None:
            return False
        gap = self.closeness(effect.mean) - self.closeness(shuffled.mean)
        if shuffled.sd is not None:
            return gap > MIN_DEVIATIONS * shuffled.sd
        return gap > (LEAST_EXCESS * (1 - shuffled.mean) if self.claim.measure.blind_to_order else 0.0)

    @property
    def by_common_mean(self) -> bool:
        """Whether two unrelated vectors of this kind score high for their common mean alone."""
        if not self.claim.measure.blind_to_order:
            return False
        if self.again is not None:
            return self.again.by_means > 0.5
        return self._mostly(POSITIVE)

    @property
    def may_share_mean(self) -> bool:
        """Whether the vectors may be such, because the claim does not say that they are none."""
        if not self.claim.measure.blind_to_order or self.again is not None:
            return self.by_common_mean
        return not self.claim.tensors or self._mostly({*POSITIVE, "other", ""})

    def _mostly(self, kinds: AbstractSet[str]) -> bool:
        """Whether half of the headline's values or more are of some kinds: one row of another does not change that."""
        if not self.headline:
            return bool(self.claim.tensors) and set(self.claim.tensors) <= kinds
        within = sum(row.count for row in self.headline if self.kind_of(row) in kinds)
        return 2 * within >= sum(row.count for row in self.headline)

    def alike(self, *roles: str) -> list[Row]:
        """Rows of some roles that may be held against the headline: of its kinds of tensors, or of none named."""
        mine = {self.kind_of(row) for row in self.headline}
        return [row for row in self.rows(*roles) if "" in mine or self.kind_of(row) in {*mine, ""}]

    def closeness(self, value: float) -> float:
        """A value so that greater means more alike."""
        return value if self.claim.measure.higher_is_closer else -value

    @property
    def boundary(self) -> float | None:
        """Closeness half-way between the headline and what unrelated things score; None where neither is known."""
        if self.effect is None:
            return None
        if self.baseline is not None:
            return (self.closeness(self.effect.mean) + self.closeness(self.baseline.mean)) / 2
        if self.claim.measure.chance is not None:
            return (self.closeness(self.effect.mean) + self.closeness(self.claim.measure.chance)) / 2
        return None

    def named(self, name: str, measure: str = "") -> list[Row]:
        """Rows that a figure means: by id, else by role."""
        by_id = [row for row in self.claim.rows if row.id == name]
        if by_id:
            # Of a row with several measures beside each other, its value is meant unless another is named.
            return [
                row
                for row in by_id
                if (self.measure_of(row) == measure if measure else row.column == "value")
            ]
        counts = ("", "for") if name == "effect" else None
        return self.rows(name, measures=(measure,) if measure else None, counts=counts)
