"""The document of a family tree: canonical JSON under ``schemas/tree-1.json``, checked at the edge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.evidence.documents import check_against, load_schema, parse_document
from jokbo.lineage.graph.declared import FOUND_AGAINST, OPEN, Disagreement

SCHEMA = "jokbo.tree/1"
MAX_TREE_BYTES = 256 << 20

UNSURE = frozenset({"lead", "inconclusive", "untestable"})


@dataclass(frozen=True, slots=True)
class TreeResult:
    """What :func:`~jokbo.lineage.tree.find_tree` returns.

    Attributes
    ----------
    document : mapping
        Valid under ``jokbo.tree/1``.
    exit_status : int
        10 where dependence was found that nobody declared, 0 where all that was found is as declared, 11 where
        something could not be told and nothing undeclared was found.
    """

    document: Mapping[str, Any]
    exit_status: int

    def to_json(self) -> bytes:
        """Canonical JSON with a final newline."""
        return canonical_bytes(dict(self.document)) + b"\n"


def verdict_of(
    counts: Mapping[str, int], failed: int, disagreements: Sequence[Disagreement]
) -> tuple[str, int]:
    """What came out in one word, and the exit status.

    Parameters
    ----------
    counts : mapping of str to int
        Pairs by relation.
    failed : int
        Pairs without a result.

    Examples
    --------
    >>> verdict_of({"no_evidence": 3}, 0, []), verdict_of({"lineage": 1}, 0, [])
    (('nothing', 0), ('as_declared', 0))
    >>> verdict_of({"lineage": 1}, 0, [Disagreement("undeclared", 0, 1)]), verdict_of({"lead": 1}, 0, [])
    (('undeclared', 10), ('unclear', 11))
    """
    codes = {each.code for each in disagreements}
    if codes & FOUND_AGAINST:
        return "undeclared", 10
    if failed or codes & OPEN or any(counts.get(word) for word in UNSURE):
        return "unclear", 11
    found = sum(count for word, count in counts.items() if word != "no_evidence")
    return ("as_declared" if found else "nothing"), 0


def schema() -> Mapping[str, Any]:
    """The JSON Schema of the document."""
    return load_schema("jokbo.lineage", "schemas/tree-1.json")


def check(document: Any, *, where: str) -> None:
    """Check a document against its schema, and that it speaks of no model that it does not list.

    Raises
    ------
    EvidenceError
        It does not follow them; the message names the first field that does not.

    Examples
    --------
    >>> check({"schema": "jokbo.tree/1"}, where="tree.json")
    Traceback (most recent call last):
    jokbo.errors.EvidenceError: tree.json: field 'among' is missing. It is damaged or edited.
    """
    check_against(document, schema(), where=where)
    count = len(document["models"])
    strange = sorted({k for k in _numbers(document) if k >= count})
    if strange:
        raise EvidenceError(
            f"{where}: it lists {count} models, and speaks of number {strange[0]}. It is damaged or edited."
        )
    _check_families(document, where)


def _check_families(document: Mapping[str, Any], where: str) -> None:
    """Refuse a model in two families, a family of one, and a drawing with a line from a model to itself."""
    inside = [k for cluster in document["clusters"] for k in cluster]
    lines = [(stroke["start"], stroke["end"]) for stroke in document["drawing"]]
    pairs = [(each["a"], each["b"]) for key in ("edges", "relations") for each in document[key]]
    if (
        len(set(inside)) != len(inside)
        or any(len(cluster) < 2 for cluster in document["clusters"])
        or any(a == b for a, b in lines)
        or any(a >= b for a, b in pairs)
    ):
        raise EvidenceError(
            f"{where}: its families and lines contradict each other. It is damaged or edited."
        )


def _numbers(document: Mapping[str, Any]) -> list[int]:
    found = [k for cluster in document["clusters"] for k in cluster]
    for key, fields in (
        ("edges", ("a", "b")),
        ("relations", ("a", "b", "parent", "first")),
        ("drawing", ("start", "end")),
        ("disagreements", ("a", "b")),
        ("failed", ("a", "b")),
    ):
        found += [row[name] for row in document[key] for name in fields if row[name] is not None]
    for relation in document["relations"]:
        found += relation["via"]
    for merge in document["merges"]:
        found += [merge["child"], *merge["parents"]]
    for link in document["declared"]:
        found += [link["child"], *link["parents"]]
    for frame in document["frames"]:
        found += frame["members"]
    return [*found, *document["left_out"]]


def parse_tree(data: bytes, *, where: str = "tree") -> Mapping[str, Any]:
    """Read a document that somebody else wrote.

    Raises
    ------
    EvidenceError
        It is not JSON, or does not follow the schema.
    """
    document = parse_document(data, where=where, limit=MAX_TREE_BYTES, command="jokbo tree --json")
    check(document, where=where)
    found: Mapping[str, Any] = document
    return found
