"""Where each model stands in the drawing: families one below the other, ancestors left, one model a row.

A layered drawing in the manner of a file tree: depth gives the column, a depth-first walk the row, so no two names
overlap whatever their number, and lines of a tree do not cross (Reingold and Tilford 1981 on tidy trees).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jokbo.lineage.graph.skeleton import Stroke


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one model stands.

    Attributes
    ----------
    model : int
    row, column : int
    parent : int or None
        The model that it hangs from in the drawing.
    parent_row : int or None
        Its row.
    """

    model: int
    row: int
    column: int
    parent: int | None
    parent_row: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The whole drawing.

    Attributes
    ----------
    families : tuple of tuple of Spot
        Each from the top down; single models are the last, together.
    rows, columns : int
    """

    families: tuple[tuple[Spot, ...], ...]
    rows: int
    columns: int

    @property
    def spots(self) -> dict[int, Spot]:
        """By model."""
        return {spot.model: spot for family in self.families for spot in family}


def lay_out(
    families: Sequence[Sequence[int]],
    single: Sequence[int],
    strokes: Sequence[Stroke],
    first: Mapping[int, str],
    *,
    gap: int = 1,
) -> Layout:
    """Give every model a row and a column.

    Parameters
    ----------
    families : sequence of sequence of int
        Clusters, in the order of the drawing.
    single : sequence of int
        Models without relatives.
    strokes : sequence of Stroke
        Those with ``tree`` connect each family.
    first : mapping of int to str
        Sort key of each model, such as its date and name: among equals the smaller stands first.
    gap : int
        Empty rows between families.

    Examples
    --------
    >>> strokes = [Stroke(0, 1, "parent_child", True, True), Stroke(2, 1, "merge", True, True)]
    >>> [(s.model, s.row, s.column) for s in lay_out([(0, 1, 2)], [], strokes, {0: "a", 1: "b", 2: "c"}).families[0]]
    [(0, 0, 0), (1, 1, 1), (2, 2, 2)]
    """
    near: dict[int, list[int]] = {}
    above: dict[int, set[int]] = {}
    for stroke in strokes:
        if stroke.tree:
            near.setdefault(stroke.start, []).append(stroke.end)
            near.setdefault(stroke.end, []).append(stroke.start)
        if stroke.directed:
            above.setdefault(stroke.end, set()).add(stroke.start)
    laid, row = [], 0
    for family in families:
        spots = _family(family, near, above, first, row)
        row += len(spots) + gap
        laid.append(spots)
    if single:
        ordered = sorted(single, key=lambda k: (first[k], k))
        laid.append(tuple(Spot(model, row + k, 0, None) for k, model in enumerate(ordered)))
        row += len(ordered) + gap
    columns = 1 + max((spot.column for family in laid for spot in family), default=0)
    return Layout(tuple(laid), max(row - gap, 0), columns)


def _family(
    family: Sequence[int],
    near: Mapping[int, Sequence[int]],
    above: Mapping[int, set[int]],
    first: Mapping[int, str],
    row: int,
) -> tuple[Spot, ...]:
    root = _root(family, near, above, first)
    spots: list[Spot] = []
    seen = {root}
    stack: list[tuple[int, int, Spot | None]] = [(root, 0, None)]
    while stack:
        model, column, above_it = stack.pop()
        hangs = (None, None) if above_it is None else (above_it.model, above_it.row)
        spot = Spot(model, row + len(spots), column, *hangs)
        spots.append(spot)
        children = [k for k in near.get(model, ()) if k not in seen]
        seen.update(children)
        # Leaves first, so that a long branch does not part a model from its other neighbours.
        children.sort(key=lambda k: (_degree(k, near) > 1, first[k], k))
        stack += [(child, column + 1, spot) for child in reversed(children)]
    return tuple(spots)


def _root(
    family: Sequence[int],
    near: Mapping[int, Sequence[int]],
    above: Mapping[int, set[int]],
    first: Mapping[int, str],
) -> int:
    """A model that was made from no other here; of these the one with the most neighbours."""
    free = [k for k in family if not above.get(k)] or list(family)
    return min(free, key=lambda k: (-_degree(k, near), first[k], k))


def _degree(model: int, near: Mapping[int, Sequence[int]]) -> int:
    return len(near.get(model, ()))
