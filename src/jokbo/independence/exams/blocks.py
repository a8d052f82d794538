"""What reading some MLPs takes, and whether a budget covers it."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int

from jokbo.independence.exams.base import Bench
from jokbo.independence.grams import normalise
from jokbo.independence.layer_grid import LayerGrid
from jokbo.views.component import Block, Component, blocks
from jokbo.views.ledger import Ledger
from jokbo.views.rows import RowsWish
from jokbo.views.samples import UNIT_ROLES

LOG_MOVED = math.log(1e6)
"""Evidence in one cell of the grid from which a layer counts as moved."""


def beside(
    grid: LayerGrid | None, chosen: tuple[list[Block], list[Block]]
) -> tuple[tuple[list[Block], list[Block]], bool]:
    """Put layers beside those that a grid found them like; say whether any was moved.

    Only for one MLP a layer. The grid has seen gate rows and their numbers, so what is compared then
    must rest on neither: the signs of up rows do not (E8).
    """
    plain = [b.layer for b in chosen[0]] == [b.layer for b in chosen[1]]
    if grid is None or not plain or any(b.expert for side in chosen for b in side):
        return chosen, False
    partners = []
    for a, b in zip(*chosen, strict=True):
        k = grid.reference.index(a.layer) if a.layer in grid.reference else None
        best = b.layer
        if k is not None:
            best = grid.candidate[int(grid.log_evalues[k].argmax())]
            if grid.log_evalues[k].max() < LOG_MOVED:
                best = b.layer
        partners.append(Block(best))
    return (chosen[0], partners), partners != chosen[1]


def effective(rows: np.ndarray) -> float:
    """Effective width of some rows of a whole matrix, where no window was read before."""
    if len(rows) < 2:
        return 1.0  # a single row has no others to differ from
    few = normalise(rows[:: max(len(rows) // 256, 1)])
    gram = few @ few.T
    return 1 / max(float((gram[~np.eye(len(gram), dtype=bool)] ** 2).mean()), 1e-12)


def wishes(
    ledger: Ledger, tower: str, wanted: list[Block], index: Int[np.ndarray, " units"] | None
) -> list[RowsWish]:
    """Gate and up rows of some blocks: all of them without an index."""
    anatomy = ledger.model.anatomy
    parts = [anatomy.find(tower, role, layer=b.layer, expert=b.expert) for b in wanted for role in UNIT_ROLES]
    return [RowsWish(part, index) for part in parts if part is not None]


def affordable(ledger: Ledger, tower: str, wanted: list[Block], index: Int[np.ndarray, " units"]) -> int:
    """How many of these blocks the budget covers."""
    fit = 0
    for count in range(1, len(wanted) + 1):
        if not ledger.affords(wishes(ledger, tower, wanted[:count], index)):
            break
        fit = count
    return fit


def held_blocks(
    bench: Bench, named: tuple[Component, Component]
) -> tuple[tuple[list[Block], list[Block]], bool]:
    """The MLPs of a component in both models, of fingerprints those of layers held; whether one holds none of its own.

    Parameters
    ----------
    named : pair of Component
        The reference's and the candidate's.
    """
    found = [blocks(anatomy, component) for anatomy, component in zip(bench.anatomies, named, strict=True)]
    held = [bench.held(side, component.tower) for side, component in enumerate(named)]
    kept = [
        [b for b in mine if layers is None or b.layer in layers]
        for mine, layers in zip(found, held, strict=True)
    ]
    bare = any(mine and not some for mine, some in zip(found, kept, strict=True))
    return (kept[0], kept[1]), bare


def lacks_window(
    bench: Bench, tower: str, chosen: tuple[list[Block], list[Block]], index: Int[np.ndarray, " units"]
) -> bool:
    """Whether fingerprints leave nothing of these blocks to compare."""
    first = [
        wishes(ledger, tower, mine[:1], index) for ledger, mine in zip(bench.ledgers, chosen, strict=True)
    ]
    return not all(chosen) or bench.lacks(*first)
