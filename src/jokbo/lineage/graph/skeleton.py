"""Which of a family's many pairs are drawn: one tree of it, its mixtures, and what ties it to others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jokbo.lineage.graph.clusters import Union
from jokbo.lineage.graph.edges import Edge
from jokbo.lineage.graph.merges import Merge
from jokbo.lineage.graph.relations import Relation

RANK = {
    kind: k
    for k, kind in enumerate(("merge", "parent_child", "copy", "adjacent", "undetermined", "ancestor"))
}
"""What is drawn first; the others hang in the tree by these."""

MAX_TIES = 200
"""Ties between families; more could not be followed with the eye."""


@dataclass(frozen=True, slots=True)
class Stroke:
    """One line of the drawing.

    Attributes
    ----------
    start, end : int
        Numbers of two models; where `directed`, `end` was made from `start`.
    kind : str
        A kind of :data:`jokbo.lineage.graph.relations.KINDS`, or of a tie: ``"lead"``, ``"reuse"``,
        ``"shared_initialisation"`` or ``"shared_basis"``.
    directed : bool
    tree : bool
        Whether the drawing is laid out by it.
    """

    start: int
    end: int
    kind: str
    directed: bool
    tree: bool


def skeleton(
    count: int,
    edges: Sequence[Edge],
    relations: Sequence[Relation],
    merges: Sequence[Merge],
    nearness: Mapping[tuple[int, int], float],
    preferred: Sequence[tuple[int, int]] = (),
) -> tuple[Stroke, ...]:
    """Choose the lines.

    Parameters
    ----------
    count : int
        Of models.
    nearness : mapping of (int, int) to float
        By pair: distance between the models where it is known; the rest is chosen by evidence.
    preferred : sequence of (int, int)
        Declared pairs (parent, child): of lines that are equally good those are drawn.

    Returns
    -------
    tuple of Stroke
        One tree a family, lines to the further parents of mixtures, then ties, each in a fixed order.
    """
    tree = Union(count)
    declared = {(min(pair), max(pair)) for pair in preferred}
    hubs = Counter(k for r in relations if r.kind in ("adjacent", "parent_child") for k in (r.a, r.b))
    evidence = {edge.pair: edge.log10_evalue or 0.0 for edge in edges}

    def order(relation: Relation) -> tuple[object, ...]:
        pair = (relation.a, relation.b)
        rank = RANK.get(relation.kind, len(RANK))
        hub = max(hubs[relation.a], hubs[relation.b])
        return (rank, pair not in declared, _step(nearness.get(pair)), -hub, -evidence.get(pair, 0.0), pair)

    mixed = {merge.child for merge in merges}
    plain = [r for r in sorted(relations, key=order) if r.kind != "merge"]
    # Mixtures last, so that each hangs from a parent and not its parents from it.
    strokes = [_stroke(r) for r in plain if not mixed & {r.a, r.b} and tree.join(r.a, r.b)]
    for merge in merges:
        for parent in merge.parents:
            strokes.append(Stroke(parent, merge.child, "merge", True, tree.join(parent, merge.child)))
    strokes += [_stroke(r) for r in plain if tree.join(r.a, r.b)]
    return (*strokes, *_ties(edges, tree))


def _step(distance: float | None) -> float:
    """Distances in steps of a tenth: trainings on like data are nearer to each other than to their origin by less."""
    if distance is None:
        return math.inf
    return float(round(math.log(distance) / math.log(1.1))) if distance > 0 else -math.inf


def _stroke(relation: Relation) -> Stroke:
    start, end = relation.a, relation.b
    if relation.parent == end:
        start, end = end, start
    # What hangs here by a pair that is no neighbourhood is drawn as not told.
    kind = relation.kind if relation.kind in RANK else "undetermined"
    return Stroke(start, end, kind, relation.parent is not None, True)


def _ties(edges: Sequence[Edge], tree: Union) -> list[Stroke]:
    """The strongest edge between any two families, and lone models, of each kind of tie."""
    best: dict[tuple[int, int, str], Edge] = {}
    for edge in edges:
        if edge.joins or edge.relation == "inconclusive":
            continue
        ends = sorted((tree.find(edge.a), tree.find(edge.b)))
        key = (ends[0], ends[1], edge.relation)
        held = best.get(key)
        if ends[0] != ends[1] and (held is None or (edge.log10_evalue or 0.0) > (held.log10_evalue or 0.0)):
            best[key] = edge
    found = [Stroke(edge.a, edge.b, edge.relation, False, False) for edge in best.values()]
    return sorted(found, key=lambda s: (s.start, s.end, s.kind))[:MAX_TIES]
