"""The drawing as a Mermaid flowchart, which code forges show in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.lineage.graph.names import quoted_mermaid

ARROWS: Mapping[tuple[str, bool], str] = {
    ("parent_child", True): "-->",
    ("ancestor", True): "-->",
    ("merge", True): "==>",
    ("copy", False): "===",
    ("adjacent", False): "---",
    ("undetermined", False): "-.-",
}


def to_mermaid(document: Mapping[str, Any]) -> str:
    """A ``flowchart``; nodes are called by number, and names stand in quoted labels alone.

    Parameters
    ----------
    document : mapping
        Valid under ``jokbo.tree/1``.
    """
    lines = ["flowchart LR"]
    lines += [f"  m{k}[{quoted_mermaid(model['name'])}]" for k, model in enumerate(document["models"])]
    for stroke in document["drawing"]:
        kind, ends = stroke["kind"], (f"m{int(stroke['start'])}", f"m{int(stroke['end'])}")
        arrow = ARROWS.get((kind, bool(stroke["directed"])))
        if arrow is None:
            lines.append(f"  {ends[0]} -.-|{quoted_mermaid(kind)}| {ends[1]}")
        else:
            lines.append(f"  {ends[0]} {arrow} {ends[1]}")
    return "\n".join(lines) + "\n"
