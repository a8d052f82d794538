"""From all pairs of a tree to its document; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jokbo import __version__
from jokbo.evidence.canonical import effect
from jokbo.lineage.cluster_rows import LaidOut
from jokbo.lineage.graph.declared import judge
from jokbo.lineage.graph.document import SCHEMA, TreeResult, verdict_of
from jokbo.lineage.graph.edges import Edge
from jokbo.lineage.graph.geometry import Frame
from jokbo.lineage.graph.merges import Merge, find_merges
from jokbo.lineage.graph.relations import relate
from jokbo.lineage.graph.skeleton import Stroke, skeleton
from jokbo.lineage.tree_models import TreeModel

Pair = tuple[int, int]

DISTANCE_DIGITS = 6
"""Of distances that decide which lines are drawn: the last digits of sums differ between machines."""


@dataclass(frozen=True, slots=True)
class Found:
    """All that a tree is built from.

    Attributes
    ----------
    models : tuple of TreeModel
    edges : tuple of Edge
        Pairs that showed something.
    families : tuple of tuple of int
    laid : sequence of LaidOut
        By family.
    relations : mapping of (int, int) to str
        Of every pair that was compared.
    failed : sequence of dict
        Comparisons without a result.
    unmade : sequence of (str, str)
        Models without a fingerprint, and why.
    dropped : frozenset of (int, int)
        Pairs that their sketches left out.
    """

    models: tuple[TreeModel, ...]
    edges: tuple[Edge, ...]
    families: tuple[tuple[int, ...], ...]
    laid: Sequence[LaidOut]
    relations: Mapping[Pair, str]
    failed: Sequence[Mapping[str, Any]]
    unmade: Sequence[tuple[str, str]]
    dropped: frozenset[Pair]
    confirmed: int
    seed: int
    confirm: bool

    @property
    def untested(self) -> frozenset[Pair]:
        """Pairs without a result that says anything."""
        tested = {pair for pair, relation in self.relations.items() if relation != "untestable"}
        count = len(self.models)
        return frozenset((a, b) for a in range(count) for b in range(a + 1, count) if (a, b) not in tested)


def build_document(found: Found) -> TreeResult:
    """Relations, mixtures, the drawing and the declarations of what was found."""
    frames = [frame for laid in found.laid for frame in laid.frames]
    comparable = {edge.pair: edge.joins and edge.same_basis for edge in found.edges}
    depends = {edge.pair: edge.depends for edge in found.edges}
    merges = tuple(merge for frame in frames for merge in find_merges(frame, comparable, depends))
    dates = {k: m.public_since for k, m in enumerate(found.models) if m.public_since is not None}
    whole = not found.dropped and not any(not row["whole"] for row in found.failed)
    relations = relate(found.edges, frames, merges, dates, complete=whole)
    nodes = [model.node for model in found.models]
    links, disagreements = judge(nodes, found.edges, relations, merges, found.untested)
    preferred = [(p, link.child) for link in links for p in link.parents if link.status != "no_evidence"]
    strokes = skeleton(len(found.models), found.edges, relations, merges, _nearness(frames), preferred)
    counts = Counter(found.relations.values())
    lost = sum(not row["whole"] for row in found.failed) + len(found.unmade)
    kind, status = verdict_of(counts, lost, disagreements)
    document = {
        "schema": SCHEMA,
        "jokbo": __version__,
        "software": {"numpy": np.__version__},
        "parameters": {
            "seed": found.seed,
            "salt": found.models[0].header.salt,
            "confirm": found.confirm,
        },
        "models": [model.to_document() for model in found.models],
        "unmade": [{"model": model, "error": error[:1000]} for model, error in found.unmade],
        "among": len(found.models) * (len(found.models) - 1) // 2,
        "pairs": {
            "compared": len(found.relations),
            "confirmed": found.confirmed,
            "dropped": len(found.dropped),
            "relations": dict(sorted(counts.items())),
        },
        "failed": sorted((dict(row) for row in found.failed), key=lambda row: (row["a"], row["b"])),
        "edges": [edge.to_document() for edge in found.edges],
        "clusters": [list(family) for family in found.families],
        "relations": [relation.to_document() for relation in relations],
        "merges": [_merge(merge) for merge in merges],
        "frames": [{"members": list(f.members), "rows": f.rows, "parts": len(f.squared)} for f in frames],
        "left_out": sorted(k for laid in found.laid for k in laid.left_out),
        "drawing": [_stroke(stroke) for stroke in strokes],
        "declared": [link.to_document() for link in links],
        "disagreements": [each.to_document() for each in disagreements],
        "verdict": {"kind": kind, "exit_status": status},
    }
    return TreeResult(document, status)


def _nearness(frames: Sequence[Frame]) -> dict[Pair, float]:
    found = {}
    for frame in frames:
        d = np.sqrt(frame.total)
        for i, a in enumerate(frame.members):
            for j, b in enumerate(frame.members):
                if a < b:
                    found[a, b] = float(f"{d[i, j]:.{DISTANCE_DIGITS}g}")
    return found


def _merge(merge: Merge) -> dict[str, Any]:
    return {
        "child": merge.child,
        "parents": list(merge.parents),
        "weights": [effect(weight) for weight in merge.weights],
        "residual": merge.residual,
    }


def _stroke(stroke: Stroke) -> dict[str, Any]:
    return {name: getattr(stroke, name) for name in stroke.__slots__}
