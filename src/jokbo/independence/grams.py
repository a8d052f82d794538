"""Small cosine matrices: all that the tests on one axis need, whatever the width.

Everything is an m x m identity of the rows read; nothing of size hidden x hidden is
formed. Arithmetic is float64 so that ranks do not depend on the machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from jokbo.architectures.base import Role
from jokbo.independence.base import Cluster
from jokbo.views.samples import UnitRows


@dataclass(frozen=True, slots=True)
class AxisGrams:
    """Cosines along one axis, stacked over pairs of blocks.

    Attributes
    ----------
    index : array (m,)
        Position of each row on its axis; blocks of neighbours are taken on it.
    pairs : array (pairs, 2)
        Which block of the reference and of the candidate.
    clusters : tuple of Cluster
        One a pair: blocks that share the randomness invoked.
    cross : mapping of Role to array (pairs, m, m), or None
        ``cross[r][p, i, j]``: cosine of candidate row `i` and reference row `j`; None where
        the widths differ.
    reference, candidate : mapping of Role to array (blocks, m, m)
        Cosine Gram matrices of each block.
    signed : frozenset of Role
        Roles whose rows a unit flip negates; scores take their absolute value.
    """

    index: Int[np.ndarray, " m"]
    pairs: Int[np.ndarray, "pairs 2"]
    clusters: tuple[Cluster, ...]
    cross: Mapping[Role, Float[np.ndarray, "pairs m m"]] | None
    reference: Mapping[Role, Float[np.ndarray, "blocks m m"]]
    candidate: Mapping[Role, Float[np.ndarray, "blocks m m"]]
    signed: frozenset[Role] = frozenset()

    def direct_scores(self) -> Float[np.ndarray, "pairs m m"] | None:
        """Cosines summed over the tensors that share the axis."""
        if self.cross is None:
            return None
        return sum(np.abs(c) if role in self.signed else c for role, c in self.cross.items())  # type: ignore[return-value]

    def gram_stacks(self) -> tuple[Float[np.ndarray, "pairs m m"], Float[np.ndarray, "pairs m m"]]:
        """Summed Gram matrices of reference and candidate, one of each a pair."""

        def total(grams: Mapping[Role, np.ndarray]) -> np.ndarray:
            return sum(np.abs(g) if role in self.signed else g for role, g in grams.items())  # type: ignore[return-value]

        return total(self.reference)[self.pairs[:, 0]], total(self.candidate)[self.pairs[:, 1]]


def unit_grams(
    reference: UnitRows, candidate: UnitRows, *, clusters: Mapping[int, int] | None, signed: frozenset[Role]
) -> AxisGrams:
    """Grams on the unit axis.

    Blocks pair one to one when both models list the same blocks; else every block of
    the reference meets every block of the candidate (the layer grid).

    Parameters
    ----------
    reference, candidate : UnitRows
        The same units of each.
    clusters : mapping, optional
        Block number of the reference to the block that stands for its cluster, where
        blocks of one model depend on one another.
    signed : frozenset of Role
        Roles that a unit flip negates.
    """
    a, b = _unit_rows(reference), _unit_rows(candidate)
    roles = [role for role in a if role in b]
    if reference.blocks == candidate.blocks:
        pairs = np.repeat(np.arange(len(reference.blocks))[:, None], 2, axis=1)
    else:
        pairs = np.array([(i, j) for i in range(len(reference.blocks)) for j in range(len(candidate.blocks))])
    tied = clusters or {}
    heads = [reference.blocks[tied.get(int(i), int(i))] for i in pairs[:, 0]]
    same_width = all(a[role].shape[2] == b[role].shape[2] for role in roles)
    return AxisGrams(
        index=reference.index,
        pairs=pairs,
        clusters=tuple(Cluster(h.layer, h.expert.index if h.expert else None) for h in heads),
        cross={r: np.stack([b[r][j] @ a[r][i].T for i, j in pairs]) for r in roles} if same_width else None,
        reference={r: _grams(a[r]) for r in roles},
        candidate={r: _grams(b[r]) for r in roles},
        signed=signed,
    )


def _unit_rows(units: UnitRows) -> dict[Role, np.ndarray]:
    return {role: normalise(rows) for role, rows in units.rows.items()}


def _grams(rows: Float[np.ndarray, "blocks m d"]) -> Float[np.ndarray, "blocks m m"]:
    return np.stack([block @ block.T for block in rows])


def normalise(rows: np.ndarray) -> np.ndarray:
    """Rows as float64 of length one; zero rows stay zero."""
    wide = np.asarray(rows, dtype=np.float64)
    norms = np.sqrt(np.einsum("...d,...d->...", wide, wide))[..., None]
    return np.divide(wide, norms, out=wide if wide is not rows else None, where=norms > 0)


def ranks(values: Float[np.ndarray, "rows n"]) -> Float[np.ndarray, "rows n"]:
    """Ranks from 1 along each row, ties sharing their mean rank (``scipy.stats`` costs half a second to import)."""
    ordered = np.sort(values, axis=1)
    pairs = zip(ordered, values, strict=True)
    return np.stack([(np.searchsorted(o, v, "left") + np.searchsorted(o, v, "right") + 1) / 2 for o, v in pairs])


def per_cluster(clusters: tuple[Cluster, ...], values: np.ndarray) -> dict[Cluster, np.ndarray]:
    """Group a stack by cluster, in order of first appearance."""
    groups: dict[Cluster, list[int]] = {}
    for k, cluster in enumerate(clusters):
        groups.setdefault(cluster, []).append(k)
    return {cluster: values[members] for cluster, members in groups.items()}
