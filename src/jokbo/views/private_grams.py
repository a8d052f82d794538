"""Cosine Gram matrices of rows: what a private fingerprint holds in place of them.

Every number here is the same on every machine. Rows are scaled by a power of two and rounded to whole numbers,
element by element, so small that every sum of their products is a whole number below 2^53, which float64 adds without
rounding in any order; square roots and quotients of such sums are correctly rounded by IEEE 754. Cosines are then
rounded to :data:`SCALE` steps. Rounding looks at one model alone and treats all its rows alike, so it can take power
from a test that relabels or flips them, and never its validity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int16, Int64

from jokbo.architectures.base import Role
from jokbo.errors import RowsAbsentError
from jokbo.views.component import Block
from jokbo.views.ledger import Ledger
from jokbo.views.samples import UNIT_ROLES, UnitRows, degenerate, fetch_heads, fetch_units

SCALE = 32767
"""A cosine of one, in steps: half a step is 1.5e-5, a thousandth of what unrelated rows of 4,096 channels show."""

EXACT_BITS = 53
"""Whole numbers up to 2^53 are exact in float64."""


class Axis(StrEnum):
    """What the rows are."""

    UNITS = "units"
    VALUES = "values"

    @property
    def roles(self) -> tuple[Role, ...]:
        """Matrices that have such rows, in the order in which they are held."""
        return UNIT_ROLES if self is Axis.UNITS else (Role.ATTN_V,)


class Place(NamedTuple):
    """Whose rows: a tower's, along an axis, of one MLP or of one layer's attention."""

    tower: str
    axis: Axis
    block: Block

    def __str__(self) -> str:
        expert = (
            "" if self.block.expert is None else f"/{'s' * self.block.expert.shared}{self.block.expert.index}"
        )
        return f"{self.tower}/{self.axis}/{self.block.layer}{expert}"


@dataclass(frozen=True, slots=True)
class HeldGrams:
    """What is held of some neighbouring rows of one place.

    Attributes
    ----------
    start : int
        Number of the first row.
    grams : mapping of Role to array (rows, rows)
        Cosines in steps of ``1 / SCALE``. A row without identity (zero, constant, repeated) is all zeros, its
        diagonal included.
    ranks : array (matrices, rows)
        Of units: dense ranks from 0 of the row norms of each matrix; -1 for units without identity.
    cosines : array (rows,) or (0,)
        Of units with a gate: cosine of gate and up row, in steps.
    """

    start: int
    grams: Mapping[Role, Int16[np.ndarray, "rows rows"]]
    ranks: Int16[np.ndarray, "matrices rows"]
    cosines: Int16[np.ndarray, " some"]

    @property
    def count(self) -> int:
        """Rows of each matrix."""
        return len(next(iter(self.grams.values())))

    @property
    def data(self) -> bytes:
        """As a fingerprint stores it: upper triangle of each matrix, ranks, cosines; two bytes each, little-endian."""
        upper = np.triu_indices(self.count)
        parts = [*(gram[upper] for gram in self.grams.values()), self.ranks.reshape(-1), self.cosines]
        return b"".join(part.astype("<i2").tobytes() for part in parts)


@dataclass(frozen=True, slots=True)
class GramStack:
    """Gram matrices of several places of one model, side by side.

    Attributes
    ----------
    blocks : tuple of Block
    index : array (rows,)
        Row numbers.
    grams : mapping of Role to array (blocks, rows, rows)
        Cosines.
    ranks : array (matrices, blocks, rows)
    cosines : array (blocks, rows) or (blocks, 0)
    """

    blocks: tuple[Block, ...]
    index: Int[np.ndarray, " rows"]
    grams: Mapping[Role, Float[np.ndarray, "blocks rows rows"]]
    ranks: Int16[np.ndarray, "matrices blocks rows"]
    cosines: Float[np.ndarray, "blocks some"]

    @property
    def without_identity(self) -> Bool[np.ndarray, " rows"]:
        """Rows that are zero, constant or repeated in any block."""
        bad = np.zeros(len(self.index), dtype=bool)
        for gram in self.grams.values():
            bad |= (np.diagonal(gram, axis1=1, axis2=2) == 0).any(axis=0)
        return bad

    def keep(self, mask: Bool[np.ndarray, " rows"]) -> GramStack:
        """The same, restricted to some rows."""
        return GramStack(
            self.blocks,
            self.index[mask],
            {role: gram[:, mask][:, :, mask] for role, gram in self.grams.items()},
            self.ranks[:, :, mask],
            self.cosines[:, mask] if self.cosines.shape[1] else self.cosines,
        )


def whole_rows(
    rows: Float[np.ndarray, "rows width"],
) -> tuple[Float64[np.ndarray, "rows width"], Int64[np.ndarray, " rows"]]:
    """Rows as whole numbers whose products add up exactly, and the power of two that each was scaled by.

    Examples
    --------
    >>> whole, powers = whole_rows(np.array([[0.5, -0.25], [3.0, 1.0]], dtype=np.float32))
    >>> bool((whole == np.rint(whole)).all()), bool(abs(whole @ whole.T).max() <= 2**53)
    (True, True)
    """
    wide = np.asarray(rows, dtype=np.float64)
    bits = (EXACT_BITS - max(math.ceil(math.log2(max(rows.shape[1], 2))), 1)) // 2
    _, exponents = np.frexp(np.abs(wide).max(axis=1, initial=0.0))
    powers = bits - exponents.astype(np.int64)
    return np.rint(np.ldexp(wide, powers[:, None])), powers


def make_grams(rows: UnitRows, number: int = 0) -> HeldGrams:
    """What a private fingerprint holds of the rows of one place.

    Parameters
    ----------
    rows : UnitRows
        Folded rows with neighbouring numbers: of MLP units, or of value projections under :attr:`Role.ATTN_V`.
    number : int
        Which of its blocks.
    """
    mine = {role: stack[number : number + 1] for role, stack in rows.rows.items()}
    bad = degenerate(UnitRows(rows.blocks[number : number + 1], rows.index, mine))
    whole = {role: whole_rows(stack[0]) for role, stack in mine.items()}
    squares = {role: np.einsum("md,md->m", numbers, numbers) for role, (numbers, _) in whole.items()}
    for sizes in squares.values():
        bad |= sizes == 0
    grams = {}
    for role, (numbers, _) in whole.items():
        gram = _steps(numbers @ numbers.T, squares[role][:, None] * squares[role][None, :])
        gram[bad], gram[:, bad] = 0, 0
        grams[role] = gram
    units = Role.ATTN_V not in whole
    ranks = [
        _dense_ranks(np.ldexp(squares[r], -2 * powers), ~bad) for r, (_, powers) in whole.items() if units
    ]
    cosines = np.empty(0, dtype=np.int16)
    if set(UNIT_ROLES) <= set(whole):
        gate, up = (whole[role][0] for role in UNIT_ROLES)
        cosines = _steps(np.einsum("md,md->m", gate, up), squares[UNIT_ROLES[0]] * squares[UNIT_ROLES[1]])
        cosines[bad] = 0
    stacked = np.stack(ranks) if ranks else np.empty((0, len(bad)), dtype=np.int16)
    return HeldGrams(int(rows.index[0]), grams, stacked, cosines)


def _steps(
    products: Float64[np.ndarray, "*shape"], squares: Float64[np.ndarray, "*shape"]
) -> Int16[np.ndarray, "*shape"]:
    """Cosines in steps, from whole products and the products of their squared norms."""
    cosines = np.divide(products, np.sqrt(squares), out=np.zeros_like(products), where=squares > 0)
    return np.rint(SCALE * cosines).astype(np.int16)


def _dense_ranks(
    values: Float64[np.ndarray, " rows"], use: Bool[np.ndarray, " rows"]
) -> Int16[np.ndarray, " rows"]:
    found = np.full(len(values), -1, dtype=np.int16)
    found[use] = np.unique(values[use], return_inverse=True)[1].reshape(-1)
    return found


def fetch_grams(
    ledger: Ledger, tower: str, axis: Axis, wanted: Sequence[Block], index: Int[np.ndarray, " rows"]
) -> GramStack:
    """Gram matrices of some places: those that a private fingerprint holds, or of rows fetched now.

    Raises
    ------
    RowsAbsentError
        A private fingerprint does not hold them.
    """
    if ledger.model.grams is None:
        rows = _fetch_rows(ledger, tower, axis, wanted, index)
        made = [make_grams(rows, k) for k in range(len(wanted))]
    else:
        made = [_held(ledger, Place(tower, axis, block), index) for block in wanted]
    m = len(index)
    return GramStack(
        tuple(wanted),
        np.asarray(index),
        {role: np.stack([one.grams[role][:m, :m] / SCALE for one in made]) for role in made[0].grams},
        np.stack([one.ranks[:, :m] for one in made], axis=1),
        np.stack([one.cosines[:m] / SCALE for one in made]),
    )


def _fetch_rows(
    ledger: Ledger, tower: str, axis: Axis, wanted: Sequence[Block], index: Int[np.ndarray, " rows"]
) -> UnitRows:
    if axis is Axis.UNITS:
        return fetch_units(ledger, tower, wanted, index)
    heads = fetch_heads(ledger, tower, Role.ATTN_V, [block.layer for block in wanted], index)
    return UnitRows(tuple(wanted), heads.index, {Role.ATTN_V: heads.rows})


def grams_held(
    grams: Mapping[Place, HeldGrams], place: Place, index: Int[np.ndarray, " rows"]
) -> HeldGrams | None:
    """What begins with these rows, or None."""
    found = grams.get(place)
    return None if found is None or found.start != index[0] or len(index) > found.count else found


def _held(ledger: Ledger, place: Place, index: Int[np.ndarray, " rows"]) -> HeldGrams:
    found = grams_held(ledger.model.grams or {}, place, index)
    if found is None:
        raise RowsAbsentError(
            f"{ledger.model.name}: the private fingerprint has no Gram matrix of rows {index[0]} to {index[-1]} of "
            f"{place}. Compare the model itself."
        )
    ledger.note(str(place), found.data)
    return found
