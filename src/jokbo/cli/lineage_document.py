"""What ``jokbo verify`` and ``jokbo report`` do with the documents of searches, of family trees and of leagues."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def schema_of(path: Path) -> str | None:
    """The schema that a file names; None where it is no such document, or cannot be read: its reader says so."""
    from jokbo.lineage.graph.document import MAX_TREE_BYTES

    try:
        with path.open("rb") as file:
            document = json.loads(file.read(MAX_TREE_BYTES + 1))
    except (OSError, ValueError, RecursionError):
        return None
    schema = document.get("schema") if isinstance(document, dict) else None
    return schema if isinstance(schema, str) else None


def refuse_tree(path: Path) -> None:
    """Say how a family tree is repeated: it names its models and not where they are.

    Raises
    ------
    UsageError
        Always.
    """
    from jokbo.errors import UsageError

    document = _tree(path)
    raise UsageError(
        f"{path.name} is a family tree. To repeat it, run `jokbo tree` on the same models with --seed "
        f"{document['parameters']['seed']} and --json: the same bytes must come out."
    )


def refuse_board(path: Path) -> None:
    """Say what shows and repeats the board of a league's round: it follows from files that lie beside it.

    Raises
    ------
    UsageError
        Always.
    """
    from jokbo.errors import UsageError

    raise UsageError(
        f"{path.name} is the board of a league's round. `jokbo league check` computes it again, from the folder that "
        "holds it; index.html there shows it."
    )


def shown_search(path: Path) -> tuple[bytes, Callable[[str], str], Callable[[str, Console], None]]:
    """A search that was written: its canonical bytes, its page, and how it is printed."""
    from jokbo.evidence.canonical import canonical_bytes
    from jokbo.lineage.search_document import MAX_SEARCH_BYTES, parse_search
    from jokbo.report.search import render_search_html, render_search_terminal

    document = parse_search(_read(path, MAX_SEARCH_BYTES), where=path.name)
    return (
        canonical_bytes(dict(document)) + b"\n",
        lambda lang: render_search_html(document, lang=lang),
        lambda lang, console: render_search_terminal(document, lang=lang, console=console),
    )


def shown_tree(path: Path) -> tuple[bytes, Callable[[str], str], Callable[[str, Console], None]]:
    """The same of a family tree."""
    from jokbo.evidence.canonical import canonical_bytes
    from jokbo.report.tree import render_tree_html, render_tree_terminal

    document = _tree(path)
    return (
        canonical_bytes(dict(document)) + b"\n",
        lambda lang: render_tree_html(document, lang=lang),
        lambda lang, console: render_tree_terminal(document, lang=lang, console=console),
    )


def _tree(path: Path) -> Any:
    from jokbo.lineage.graph.document import MAX_TREE_BYTES, parse_tree

    return parse_tree(_read(path, MAX_TREE_BYTES), where=path.name)


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit + 1)
