"""The drawing in the DOT language of Graphviz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.lineage.graph.names import quoted_dot

STYLES: Mapping[str, str] = {
    "parent_child": "color=black",
    "ancestor": "color=black",
    "merge": "color=black, style=bold",
    "copy": 'color="black:invis:black", dir=none',
    "adjacent": "color=black",
    "undetermined": "color=gray40, style=dashed",
    "lead": "color=gray40, style=dotted",
    "reuse": "color=gray40, style=dotted",
    "shared_initialisation": "color=gray40, style=dotted",
    "shared_basis": "color=gray40, style=dotted",
}

_TIES = frozenset({"lead", "reuse", "shared_initialisation", "shared_basis"})


def to_dot(document: Mapping[str, Any]) -> str:
    """A ``digraph``; nodes are called by number, and names stand in quoted labels alone.

    Parameters
    ----------
    document : mapping
        Valid under ``jokbo.tree/1``.
    """
    lines = ["digraph family {", "  rankdir=LR;", '  node [shape=box, fontname="sans-serif"];']
    models = document["models"]
    for k, cluster in enumerate(document["clusters"]):
        lines.append(f"  subgraph cluster_{k} {{")
        lines += [f"    m{int(model)};" for model in cluster]
        lines.append("  }")
    lines += [f"  m{k} [label={quoted_dot(model['name'])}];" for k, model in enumerate(models)]
    for stroke in document["drawing"]:
        kind = stroke["kind"]
        style = STYLES[kind]
        if not stroke["directed"] and "dir=" not in style:
            style += ", dir=none"
        if kind in _TIES:
            style += f", constraint=false, label={quoted_dot(kind)}"
        elif not stroke["tree"]:
            style += ", constraint=true"
        lines.append(f"  m{int(stroke['start'])} -> m{int(stroke['end'])} [{style}];")
    return "\n".join([*lines, "}"]) + "\n"
