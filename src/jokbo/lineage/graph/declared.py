"""What owners and cards declare of descent, beside what was found; every disagreement.

A declaration is somebody's word: the ``base_model`` of a card, or the parents that a register's owner names. It is
matched to models by hub id or name, as the hub compares them: without regard to case, address or revision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jokbo.lineage.graph.clusters import Union
from jokbo.lineage.graph.edges import Edge
from jokbo.lineage.graph.merges import Merge
from jokbo.lineage.graph.relations import Relation

MAX_ID = 512

_PREFIXES = ("https://huggingface.co/", "http://huggingface.co/", "huggingface.co/", "hf.co/", "hf://", "hf:")

FOUND_AGAINST = frozenset({"undeclared", "reversed", "parent_not_declared"})
"""Disagreements in which something was found that nobody declared."""

OPEN = frozenset({"undeclared_lead", "not_tested"})


@dataclass(frozen=True, slots=True)
class Node:
    """One model, as far as declarations go.

    Attributes
    ----------
    names : tuple of str
        What it may be called: its name, its source, its key.
    parents : tuple of str
        Declared.
    relation : str or None
        Declared: ``"finetune"``, ``"merge"``, ``"quantized"`` or ``"adapter"``.
    """

    names: tuple[str, ...]
    parents: tuple[str, ...] = ()
    relation: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """One declared parent.

    Attributes
    ----------
    child : int
    name : str
        As it was declared.
    parents : tuple of int
        Models that bear the name; none where it is not here.
    status : str
        ``"as_found"``, ``"consistent"``, ``"reversed"``, ``"no_evidence"``, ``"lead"``, ``"not_tested"`` or
        ``"not_here"``.
    """

    child: int
    name: str
    parents: tuple[int, ...]
    status: str

    def to_document(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"child": self.child, "name": self.name, "parents": list(self.parents), "status": self.status}


@dataclass(frozen=True, slots=True)
class Disagreement:
    """One place where word and finding part.

    Attributes
    ----------
    code : str
        ``"undeclared"``, ``"undeclared_lead"``, ``"reversed"``, ``"no_evidence"``, ``"not_tested"`` or
        ``"parent_not_declared"``.
    a, b : int
        Two models; where one was declared the other's parent, `a` is the parent.
    """

    code: str
    a: int
    b: int
    relation: str | None = None
    log10_evalue: float | None = None

    def to_document(self) -> dict[str, Any]:
        """As plain JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


def normal_id(name: str) -> str:
    """A hub id, or another name, in the form that is compared.

    Examples
    --------
    >>> normal_id("https://huggingface.co/Org/Base-7B/tree/main"), normal_id("org/base-7b@abc123")
    ('org/base-7b', 'org/base-7b')
    >>> normal_id(" /data/models/Base ")
    '/data/models/base'
    """
    plain = name[:MAX_ID].strip()
    hub = False
    for prefix in _PREFIXES:
        if plain.lower().startswith(prefix):
            plain, hub = plain[len(prefix) :], True
            break
    plain = plain.partition("@")[0].rstrip("/")
    return ("/".join(plain.split("/")[:2]) if hub else plain).casefold()


def match_names(nodes: Sequence[Node]) -> dict[str, tuple[int, ...]]:
    """By name in the form that is compared: the models that bear it."""
    found: dict[str, set[int]] = {}
    for k, node in enumerate(nodes):
        for name in node.names:
            if normal_id(name):
                found.setdefault(normal_id(name), set()).add(k)
    return {name: tuple(sorted(models)) for name, models in found.items()}


def judge(
    nodes: Sequence[Node],
    edges: Sequence[Edge],
    relations: Sequence[Relation],
    merges: Sequence[Merge],
    untested: frozenset[tuple[int, int]],
) -> tuple[tuple[Link, ...], tuple[Disagreement, ...]]:
    """Lay declarations beside findings.

    Parameters
    ----------
    nodes : sequence of Node
    edges : sequence of Edge
        Pairs that showed something; a pair that is in neither these nor `untested` showed no evidence.
    relations, merges : sequence
        What edges that join amount to.
    untested : frozenset of (int, int)
        Pairs without a result: not compared, failed, or not comparable.

    Returns
    -------
    tuple of Link, tuple of Disagreement
    """
    names = match_names(nodes)
    by_pair = {edge.pair: edge for edge in edges}
    related = {(relation.a, relation.b): relation for relation in relations}
    links, found = [], []
    for child, node in enumerate(nodes):
        for name in dict.fromkeys(node.parents):
            here = tuple(k for k in names.get(normal_id(name), ()) if k != child)
            statuses = [_status(parent, child, by_pair, related, untested) for parent in here]
            best = min(statuses, key=_ORDER.index, default="not_here")
            links.append(Link(child, name[:MAX_ID], here, best))
            code = {"lead": "not_tested"}.get(best, best)
            if code in ("reversed", "no_evidence", "not_tested"):
                parent = here[statuses.index(best)]
                edge = by_pair.get((min(parent, child), max(parent, child)))
                found.append(
                    Disagreement(
                        code,
                        parent,
                        child,
                        None if edge is None else edge.relation,
                        None if edge is None else edge.log10_evalue,
                    )
                )
    found += _missing_parents(links, merges, by_pair)
    found += _undeclared(nodes, links, edges)
    return tuple(links), tuple(sorted(found, key=lambda d: (d.code, d.a, d.b)))


_ORDER = ("as_found", "consistent", "lead", "not_tested", "reversed", "no_evidence")
"""Of several models that bear a declared name, the one that fits best counts."""


def _status(
    parent: int,
    child: int,
    by_pair: Mapping[tuple[int, int], Edge],
    related: Mapping[tuple[int, int], Relation],
    untested: frozenset[tuple[int, int]],
) -> str:
    pair = (min(parent, child), max(parent, child))
    edge, relation = by_pair.get(pair), related.get(pair)
    if edge is None or edge.relation == "inconclusive":
        return "not_tested" if edge is not None or pair in untested else "no_evidence"
    if edge.relation == "lead":
        return "lead"
    if relation is not None and relation.parent is not None:
        return "as_found" if relation.parent == parent else "reversed"
    return "consistent"


def _missing_parents(
    links: Sequence[Link], merges: Sequence[Merge], by_pair: Mapping[tuple[int, int], Edge]
) -> list[Disagreement]:
    """Parents of a mixture that its card leaves out, where it names parents at all."""
    named: dict[int, set[int]] = {}
    for link in links:
        named.setdefault(link.child, set()).update(link.parents)
    found = []
    for merge in merges:
        for parent in merge.parents:
            edge = by_pair.get((min(parent, merge.child), max(parent, merge.child)))
            if merge.child in named and parent not in named[merge.child] and edge is not None:
                found.append(
                    Disagreement("parent_not_declared", parent, merge.child, edge.relation, edge.log10_evalue)
                )
    return found


def _undeclared(nodes: Sequence[Node], links: Sequence[Link], edges: Sequence[Edge]) -> list[Disagreement]:
    """Dependence between models that no declaration connects, the strongest that together connect them.

    Two models that declare the same parent are connected, also where it is not here.
    """
    outside: dict[str, int] = {}
    for link in links:
        if not link.parents:
            outside.setdefault(normal_id(link.name), len(nodes) + len(outside))
    declared = Union(len(nodes) + len(outside))
    for link in links:
        if link.status == "no_evidence":
            continue  # a name that nothing bears out connects nobody
        for parent in link.parents or (outside[normal_id(link.name)],):
            declared.join(link.child, parent)
    found = []
    by_strength = sorted(edges, key=lambda e: (not e.depends, -(e.log10_evalue or 0.0), e.pair))
    for edge in by_strength:
        if edge.relation != "inconclusive" and declared.join(edge.a, edge.b):
            code = "undeclared" if edge.depends else "undeclared_lead"
            found.append(Disagreement(code, edge.a, edge.b, edge.relation, edge.log10_evalue))
    return found
