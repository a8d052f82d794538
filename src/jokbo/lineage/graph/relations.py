"""What each pair of relatives is to each other: right, or "undetermined".

What is said, and what it rests on:

``copy``          the same weights.
``parent_child``  one is an edit of the other: a mark that cannot be undone says which.
``ancestor``      the same, directly or through a third model.
``merge``         one is a mixture of the other and more (:mod:`jokbo.lineage.graph.merges`).
``siblings``      neither was made from the other, and a third model says so: both are edits of it, or they meet at
                  it or close to it and it was public before both.
``through``       they meet at a third model or close to it: they are siblings, or one comes from the other through it.
                  An equal average of one of them and of a model that is not here stands at the same angle; so a third
                  model that was public after both, where dates are vouched for, is not taken for one.
``adjacent``      no relative that is here lies between them, mixtures and mere edits of one of them aside: one was
                  made from the other, or both from one model that is not here or trained them much alike. Where
                  dates are vouched for, which of the two was public first.
``undetermined``  none of these can be told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jokbo.lineage.graph.edges import A_FROM_B, B_FROM_A, Edge
from jokbo.lineage.graph.geometry import Frame, Triangle, triangle, usable
from jokbo.lineage.graph.merges import Merge

KINDS = (
    "copy",
    "parent_child",
    "ancestor",
    "merge",
    "siblings",
    "through",
    "adjacent",
    "undetermined",
)

MARKS_OF_SHAPE = frozenset({"repeated_layers", "upcycled_experts"})

DECIMALS = 3
"""Of cosines in the document; products of floats differ in their last digits between machines."""


@dataclass(frozen=True, slots=True)
class Relation:
    """What two models of one family are to each other.

    Attributes
    ----------
    a, b : int
        Numbers of the models, ``a < b``.
    kind : str
        One of :data:`KINDS`.
    parent : int or None
        Of the two, where it is known: the parent, the ancestor, or a parent of the mixture.
    via : tuple of int
        The third model that it was told by; where several may be it, all of them.
    first : int or None
        Of the two, the one that was public first, where dates are vouched for and differ.
    basis : str
        ``"digest"``, ``"marks"``, ``"mixture"``, ``"geometry"``, ``"geometry_and_dates"`` or ``"none"``.
    cosines : tuple of float
        At the third model, at `a`, at `b`; empty where no triangle was used, or several.
    """

    a: int
    b: int
    kind: str
    parent: int | None = None
    via: tuple[int, ...] = ()
    first: int | None = None
    basis: str = "none"
    cosines: tuple[float, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """As plain JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {
            "via": list(self.via),
            "cosines": list(self.cosines),
        }


def relate(
    edges: Sequence[Edge],
    frames: Sequence[Frame],
    merges: Sequence[Merge],
    dates: Mapping[int, str],
    *,
    complete: bool = True,
) -> tuple[Relation, ...]:
    """The relation of every edge that joins.

    Parameters
    ----------
    edges : sequence of Edge
        All of them; those that do not join are left out.
    frames : sequence of Frame
        Of models whose rows were laid side by side; a model is in one at most.
    merges : sequence of Merge
    dates : mapping of int to str
        By model: since when it was public, as somebody vouches; ISO 8601.
    complete : bool
        Whether every pair was compared: a model that was left out may lie between two others.

    Returns
    -------
    tuple of Relation
        In the order of the edges.
    """
    told = _Told(edges, merges, dates, complete=complete)
    for frame in frames:
        told.enter(frame)
    told.find_edits()
    return tuple(told.relation(edge) for edge in edges if edge.joins)


class _Told:
    """All that is known when one pair is asked about."""

    def __init__(
        self, edges: Sequence[Edge], merges: Sequence[Merge], dates: Mapping[int, str], *, complete: bool
    ) -> None:
        self.edges = {edge.pair: edge for edge in edges}
        self.comparable = {edge.pair: edge.joins and edge.same_basis for edge in edges}
        self.merges = {merge.child: merge for merge in merges}
        self.dates = dates
        self.complete = complete
        self.frame_of: dict[int, Frame] = {}
        self.edits: dict[int, set[int]] = {}
        self.reshaped: set[tuple[int, int]] = set()

    def enter(self, frame: Frame) -> None:
        """Take up a frame's models."""
        self.frame_of |= dict.fromkeys(frame.members, frame)

    def find_edits(self) -> None:
        """Take up what marks say, once all frames are known.

        A mark on values, such as a quantiser's grid, looks alike seen from the original and from whatever else was
        cut or copied from it without change; so both models must have one shape. Where a model was deepened or
        upcycled, it is the shape that tells.
        """
        for edge in self.edges.values():
            if not edge.joins or edge.direction not in (B_FROM_A, A_FROM_B):
                continue
            one_shape = self.frame_of.get(edge.a) is self.frame_of.get(edge.b) is not None
            if one_shape or set(edge.marks) & MARKS_OF_SHAPE:
                parent, child = edge.pair if edge.direction == B_FROM_A else edge.pair[::-1]
                self.edits.setdefault(parent, set()).add(child)
                if not one_shape:
                    self.reshaped.add((parent, child))

    def relation(self, edge: Edge) -> Relation:
        """What is said of one pair, the surest first."""
        plain = Relation(edge.a, edge.b, "undetermined", first=self._first(edge.a, edge.b))
        for ask in (self._copy, self._merge, self._edit, self._of_one_origin, self._by_geometry):
            found = ask(edge, plain)
            if found is not None:
                return found
        return plain

    def _copy(self, edge: Edge, plain: Relation) -> Relation | None:
        return replace(plain, kind="copy", basis="digest") if edge.relation == "identical" else None

    def _merge(self, edge: Edge, plain: Relation) -> Relation | None:
        for child, other in (edge.pair, edge.pair[::-1]):
            if child in self.merges and other in self.merges[child].parents:
                return replace(plain, kind="merge", parent=other, basis="mixture")
        return None

    def _edit(self, edge: Edge, plain: Relation) -> Relation | None:
        for parent, child in (edge.pair, edge.pair[::-1]):
            if child not in self.edits.get(parent, ()):
                continue
            between = sorted(k for k in self.edits[parent] if self._may_lead_to(parent, k, child))
            if between:
                return replace(plain, kind="ancestor", parent=parent, via=tuple(between), basis="marks")
            if any({parent, child} <= edits for edits in self.edits.values()):
                # All three look the same where the parent is a near copy of an origin that both come from.
                return plain
            return replace(plain, kind="parent_child", parent=parent, basis="marks")
        return None

    def _may_lead_to(self, origin: int, edit: int, child: int) -> bool:
        """Whether one edit of an origin may have been made from another.

        Layers that were repeated once more are all the origin's, too.
        """
        reshaped = {(origin, edit), (origin, child)} <= self.reshaped
        unordered = reshaped and edit != child and edit not in self.edits.get(child, ())
        return unordered or child in self.edits.get(edit, ())

    def _of_one_origin(self, edge: Edge, plain: Relation) -> Relation | None:
        """Two edits of one model, of which no mark says that one is an edit of the other."""
        if edge.direction in (B_FROM_A, A_FROM_B):
            return None
        for origin in sorted(self.edits):
            both = {edge.a, edge.b} <= self.edits[origin]
            if both and not self._may_lead_to(origin, edge.a, edge.b):
                return replace(plain, kind="siblings", via=(origin,), basis="marks")
        return None

    def _by_geometry(self, edge: Edge, plain: Relation) -> Relation | None:
        frame = self.frame_of.get(edge.a)
        if frame is None or frame is not self.frame_of.get(edge.b) or not self.comparable[edge.pair]:
            return None
        if edge.a in self.merges or edge.b in self.merges:
            return None  # a mixture is no branch of a tree
        triangles = self._triangles(frame, edge)
        asked = self._may_lie_between(frame, edge)
        open_ = sorted(z for z in asked & triangles.keys() if not triangles[z].z_apart)
        if any(triangles[z].z_between and not self._after(z, edge) for z in open_):
            return self._through(plain, tuple(open_), triangles[open_[0]])
        outside = self._akin_elsewhere(frame, edge)
        if self.complete and not open_ and not outside and asked <= triangles.keys():
            return replace(plain, kind="adjacent", basis="geometry")
        return None

    def _may_lie_between(self, frame: Frame, edge: Edge) -> set[int]:
        """Relatives of both, or what may be one; mixtures and mere edits of one of the pair aside."""
        return {
            model
            for model in frame.members
            if model not in edge.pair
            and not self._aside(model, edge)
            and all(self._akin(model, other) for other in edge.pair)
        }

    def _akin_elsewhere(self, frame: Frame, edge: Edge) -> bool:
        """Whether a relative of both has another shape or basis, so that nobody knows where it stands."""
        near = {k for pair in self.edges for k in pair} - set(frame.members)
        return any(
            all(self._akin(model, other) for other in edge.pair) and not self._aside(model, edge)
            for model in near
        )

    def _akin(self, a: int, b: int) -> bool:
        found = self.edges.get((min(a, b), max(a, b)))
        return found is not None and (found.joins or found.relation in ("lead", "inconclusive"))

    def _triangles(self, frame: Frame, edge: Edge) -> dict[int, Triangle]:
        """Of the pair and each third model that is comparable with both."""
        x, y = frame.members.index(edge.a), frame.members.index(edge.b)
        return {
            model: triangle(frame, z, x, y)
            for z, model in enumerate(frame.members)
            if z not in (x, y) and usable(frame, self.comparable, (x, y, z))
        }

    def _through(self, plain: Relation, via: tuple[int, ...], found: Triangle) -> Relation:
        corners = (found.at_z, found.at_x, found.at_y) if len(via) == 1 else ()
        cosines = tuple(round(value, DECIMALS) + 0.0 for value in corners)
        # Whoever may be the third model, it was there before both: neither comes from the other through it.
        if all(self._first(z, k) == z for z in via for k in (plain.a, plain.b)):
            return replace(plain, kind="siblings", via=via, basis="geometry_and_dates", cosines=cosines)
        return replace(plain, kind="through", via=via, basis="geometry", cosines=cosines)

    def _after(self, model: int, edge: Edge) -> bool:
        """Whether dates say that a model was public after both: an equal average stands where an ancestor would."""
        return all(self._first(k, model) == k for k in edge.pair)

    def _aside(self, model: int, edge: Edge) -> bool:
        """Whether a model need not be asked: a mixture, or a mere edit of one of the pair."""
        return model in self.merges or any(model in self.edits.get(k, ()) for k in edge.pair)

    def _first(self, a: int, b: int) -> int | None:
        one, other = self.dates.get(a), self.dates.get(b)
        if one is None or other is None or one == other:
            return None
        return a if one < other else b
