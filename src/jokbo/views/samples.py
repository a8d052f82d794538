"""Rows of two models, side by side: what the tests look at.

Each function fetches the same window of the same axis from both models. Rows
that read the residual stream come *folded*: multiplied by the gains of the norm before
them, so that a gain moved into the matrix, or a rotation with folded norms, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int

from jokbo.architectures.base import Anatomy, Kind, Part, Role
from jokbo.views.component import Block
from jokbo.views.ledger import Ledger
from jokbo.views.rows import RowsWish, rows_held

UNIT_ROLES = (Role.FFN_GATE, Role.FFN_UP)


@dataclass(frozen=True, slots=True)
class UnitRows:
    """Rows of MLP units of one model.

    Attributes
    ----------
    blocks : tuple of Block
        Which MLPs, along the first axis.
    index : array (units,)
        Unit numbers along the second axis.
    rows : mapping of Role to array (blocks, units, hidden)
        Folded gate and up rows; only ``ffn_up`` where the MLP has no gate.
    """

    blocks: tuple[Block, ...]
    index: Int[np.ndarray, " units"]
    rows: dict[Role, Float32[np.ndarray, "blocks units hidden"]]

    def keep(self, mask: np.ndarray) -> UnitRows:
        """The same, restricted to some units; nothing is copied where all are kept."""
        if mask.all():
            return self
        return UnitRows(
            self.blocks, self.index[mask], {role: rows[:, mask] for role, rows in self.rows.items()}
        )


@dataclass(frozen=True, slots=True)
class HeadRows:
    """Rows of attention heads of one model.

    Attributes
    ----------
    layers : tuple of int
    index : array (rows,)
        Row numbers within the projection.
    rows : array (layers, rows, hidden)
        Folded.
    """

    layers: tuple[int, ...]
    index: Int[np.ndarray, " rows"]
    rows: Float32[np.ndarray, "layers rows hidden"]


def fetch_units(
    ledger: Ledger, tower: str, wanted: Sequence[Block], index: Int[np.ndarray, " units"]
) -> UnitRows:
    """Fetch gate and up rows of some MLPs and fold the norm before them in."""
    anatomy = ledger.model.anatomy
    roles = [role for role in UNIT_ROLES if _find(anatomy, tower, role, wanted[0]) is not None]
    wishes = [RowsWish(_need(anatomy, tower, role, block), index) for role in roles for block in wanted]
    gains = _gains(ledger, tower, Role.FFN_NORM, [block.layer for block in wanted], wishes)
    arrays = gains.arrays
    stacks = {}
    for k, role in enumerate(roles):
        mine = arrays[k * len(wanted) : (k + 1) * len(wanted)]
        stacks[role] = np.stack(
            [_fold(rows, gains.of[b.layer]) for rows, b in zip(mine, wanted, strict=True)]
        )
    return UnitRows(tuple(wanted), np.asarray(index), stacks)


def fetch_heads(
    ledger: Ledger, tower: str, role: Role, wanted: Sequence[int], index: Int[np.ndarray, " rows"]
) -> HeadRows:
    """Fetch rows of a query, key or value projection in some layers and fold the norm before them in."""
    anatomy = ledger.model.anatomy
    wishes = [RowsWish(_need(anatomy, tower, role, Block(layer)), index) for layer in wanted]
    gains = _gains(ledger, tower, Role.ATTN_NORM, wanted, wishes)
    rows = [_fold(rows, gains.of[layer]) for rows, layer in zip(gains.arrays, wanted, strict=True)]
    return HeadRows(tuple(wanted), np.asarray(index), np.stack(rows))


@dataclass(frozen=True, slots=True)
class _Gains:
    of: dict[int, Float[np.ndarray, " hidden"] | None]
    arrays: list[np.ndarray]


def _gains(ledger: Ledger, tower: str, role: Role, wanted: Sequence[int], wishes: list[RowsWish]) -> _Gains:
    """Fetch rows and the norm gains before them in one read."""
    parts = {layer: ledger.model.anatomy.find(tower, role, layer=layer) for layer in dict.fromkeys(wanted)}
    norms = {layer: part for layer, part in parts.items() if part is not None}
    arrays = ledger.fetch([*wishes, *(RowsWish(part) for part in norms.values())])
    gains: dict[int, np.ndarray | None] = dict.fromkeys(parts)
    for (layer, part), values in zip(norms.items(), arrays[len(wishes) :], strict=True):
        gains[layer] = values[:, 0] + np.float32(part.offset)
    return _Gains(gains, arrays[: len(wishes)])


def _fold(rows: Float32[np.ndarray, "rows cols"], gain: Float[np.ndarray, " hidden"] | None) -> np.ndarray:
    # A value projection may read a latent rather than the residual stream; its norm is another one.
    return rows if gain is None or gain.shape[0] != rows.shape[1] else rows * gain


def fetch_matrix_rows(ledger: Ledger, part: Part, index: Int[np.ndarray, " rows"] | None) -> np.ndarray:
    """Fetch rows of one matrix as they are stored."""
    return ledger.fetch([RowsWish(part, index)])[0]


@dataclass(frozen=True, slots=True)
class NormVector:
    """One norm gain or bias, by its place."""

    role: Role
    kind: Kind
    layer: int | None
    values: Float[np.ndarray, " channels"]


def fetch_norms(ledger: Ledger, tower: str, *, channels: int) -> list[NormVector]:
    """Fetch every norm vector of a tower that has one value a residual channel; of a fingerprint those it holds."""
    parts = [
        part
        for part in ledger.model.anatomy.parts
        if part.tower == tower
        and part.role.endswith("norm")
        and part.kind in (Kind.WEIGHT, Kind.BIAS)
        and part.axes == ("hidden",)
        and part.shape == (channels,)
        and rows_held(ledger.model, [RowsWish(part)])
    ]
    if not parts:
        return []
    arrays = ledger.fetch([RowsWish(part) for part in parts])
    return [
        NormVector(part.role, part.kind, part.layer, values[:, 0].astype(float) + part.offset)
        for part, values in zip(parts, arrays, strict=True)
    ]


def degenerate(rows: UnitRows) -> np.ndarray:
    """Units whose rows are zero, constant or equal to another's in any block: they carry no identity.

    Constant rows, padding and copies sit at fixed places in independent models, so the
    symmetry that the tests rest on does not hold for them.
    """
    bad = np.zeros(len(rows.index), dtype=bool)
    for stack in rows.rows.values():
        bad |= (stack == stack[:, :, :1]).all(axis=2).any(axis=0)
        for block in stack:
            bad |= _repeated(block)
    return bad


def _repeated(block: Float32[np.ndarray, "units hidden"]) -> np.ndarray:
    """Rows that equal another row; most rows already differ in their first few values."""
    _, inverse, counts = np.unique(block[:, :4], axis=0, return_inverse=True, return_counts=True)
    suspects = np.flatnonzero(counts[inverse.reshape(-1)] > 1)
    seen: dict[bytes, int] = {}
    bad = np.zeros(len(block), dtype=bool)
    for i in suspects:
        first = seen.setdefault(block[i].tobytes(), int(i))
        if first != i:
            bad[first] = bad[i] = True
    return bad


def _find(anatomy: Anatomy, tower: str, role: Role, block: Block) -> Part | None:
    return anatomy.find(tower, role, layer=block.layer, expert=block.expert)


def _need(anatomy: Anatomy, tower: str, role: Role, block: Block) -> Part:
    from jokbo.errors import ArchitectureError

    part = _find(anatomy, tower, role, block)
    if part is None:
        where = f"layer {block.layer}" + (f", expert {block.expert.index}" if block.expert else "")
        raise ArchitectureError(
            f"the {tower} tower has no {role} matrix in {where}, while its other layers have one. "
            "A verdict is never given on part of a model: complete the checkpoint."
        )
    return part
