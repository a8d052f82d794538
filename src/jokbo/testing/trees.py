"""Small documents of family trees, valid by construction, and names that try to be more than names."""

from __future__ import annotations

from typing import Any

from jokbo.lineage.graph.declared import Node, judge
from jokbo.lineage.graph.document import verdict_of
from jokbo.lineage.graph.edges import Edge
from jokbo.lineage.graph.merges import Merge
from jokbo.lineage.graph.relations import Relation
from jokbo.lineage.graph.skeleton import skeleton

HOSTILE = (
    '"]; evil [label="x',
    "<script>alert(1)</script>",
    "a\nb -> c",
    'x"]\n  click m0 "javascript:alert(1)"',
    "\u202egnp.exe",
    "back\\slash\\",
    "</title><svg onload=alert(1)>",
    "`md` **bold** [link](http://x) #quot;",
    "&lt;b&gt; &#34;",
    "%%{init: {}}%%",
    "subgraph end",
    "\x00\x1b[31mred",
)
"""Names that would act in DOT, Mermaid, SVG, HTML, Markdown or a terminal, if they were let."""


def edge(a: int, b: int, relation: str = "lineage", **changed: Any) -> Edge:
    """An edge with evidence of 80 powers of ten.

    Parameters
    ----------
    a, b : int
    relation : str
        Of the whole models and of the fingerprints alike.
    **changed
        Other fields of :class:`~jokbo.lineage.graph.edges.Edge`.
    """
    fields: dict[str, Any] = {
        "a": a,
        "b": b,
        "relation": relation,
        "seen": relation,
        "direction": "undetermined",
        "marks": ("repeated_layers",) if "direction" in changed else (),
        "log10_evalue": 80.0,
        "log10_threshold": 9.0,
        "inherited_share": 1.0,
        "components": ("text.mlp",),
        "same_basis": True,
        "rows": "full",
        "evidence_sha256": "0" * 64,
    }
    return Edge(**fields | changed)


def tree_document(
    names: tuple[str, ...] = HOSTILE[:6],
    *,
    declared: dict[int, tuple[str, ...]] | None = None,
    edges: tuple[Edge, ...] | None = None,
) -> dict[str, Any]:
    """A document of three relatives, a mixture of two of them, a lead and a lone model.

    Parameters
    ----------
    names : tuple of str
        Six of them.
    declared : mapping of int to tuple of str, optional
        Declared parents by model.
    edges : tuple of Edge, optional
        Instead of those above; relations are then not told.
    """
    found: tuple[Edge, ...] = (
        edge(0, 1),
        edge(0, 2),
        edge(0, 3),
        edge(1, 2),
        edge(1, 3),
        edge(2, 3),
        edge(3, 4, "lead"),
    )
    found = found if edges is None else edges
    relations: tuple[Relation, ...] = (
        Relation(0, 1, "parent_child", parent=0, basis="marks"),
        Relation(0, 2, "adjacent", first=0, basis="geometry"),
        Relation(0, 3, "undetermined"),
        Relation(1, 2, "through", via=(0,), basis="geometry", cosines=(0.01, 0.7, 0.7)),
        Relation(1, 3, "merge", parent=1, basis="mixture"),
        Relation(2, 3, "merge", parent=2, basis="mixture"),
    )
    merges: tuple[Merge, ...] = (Merge(3, (1, 2), (0.6, 0.4), 0.0001),)
    if edges is not None:
        relations, merges = tuple(Relation(e.a, e.b, "undetermined") for e in edges if e.joins), ()
    nodes = [Node((name,), (declared or {}).get(k, ())) for k, name in enumerate(names)]
    links, disagreements = judge(nodes, found, relations, merges, frozenset())
    strokes = skeleton(len(names), found, relations, merges, {})
    counts = {kind: sum(e.relation == kind for e in found) for kind in {e.relation for e in found}}
    kind, status = verdict_of(counts, 0, disagreements)
    family = sorted({k for e in found if e.joins for k in e.pair})
    return {
        "schema": "jokbo.tree/1",
        "jokbo": "0.4.0",
        "software": {"numpy": "2.0.0"},
        "parameters": {"seed": 0, "salt": "jokbo-1", "confirm": True},
        "models": [_model(name) for name in names],
        "unmade": [{"model": names[0], "error": names[1]}],
        "among": len(names) * (len(names) - 1) // 2,
        "pairs": {"compared": 15, "confirmed": 6, "dropped": 0, "relations": counts},
        "failed": [{"a": 0, "b": 5, "whole": False, "error": names[1]}],
        "edges": [each.to_document() for each in found],
        "clusters": [family] if family else [],
        "relations": [each.to_document() for each in relations],
        "merges": [
            {"child": m.child, "parents": list(m.parents), "weights": list(m.weights), "residual": m.residual}
            for m in merges
        ],
        "frames": [{"members": family, "rows": 768, "parts": 8}] if family else [],
        "left_out": [],
        "drawing": [{name: getattr(s, name) for name in s.__slots__} for s in strokes],
        "declared": [link.to_document() for link in links],
        "disagreements": [each.to_document() for each in disagreements],
        "verdict": {"kind": kind, "exit_status": status},
    }


def _model(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "kind": "local",
        "commit": None,
        "fingerprint": "a" * 64,
        "digest": "b" * 64,
        "digest_covers": "weights",
        "family": "",
        "parameters": 1000,
        "public_since": None,
        "declared_relation": None,
    }
