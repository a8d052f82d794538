"""The document of a search: canonical JSON under ``schemas/search-1.json``, checked at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes, digest
from jokbo.evidence.documents import check_against, load_schema, parse_document

SCHEMA = "jokbo.search/1"
MAX_SEARCH_BYTES = 256 << 20

OUTCOMES = ("found", "as_declared", "leads", "unclear", "clean", "nothing_comparable")


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What :func:`~jokbo.lineage.search.search` returns.

    Attributes
    ----------
    document : mapping
        Valid under ``jokbo.search/1``.
    """

    document: Mapping[str, Any]

    @property
    def exit_status(self) -> int:
        """0 no evidence, or dependence exactly as declared; 10 dependence; 11 leads, unclear, nothing comparable."""
        return exit_status(self.document)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical document."""
        return digest(dict(self.document))

    def to_json(self) -> bytes:
        """Canonical JSON with a final newline."""
        return canonical_bytes(dict(self.document)) + b"\n"


def exit_status(document: Mapping[str, Any]) -> int:
    """Exit status of the command line for an outcome."""
    outcome = document["answer"]["outcome"]
    return {"found": 10, "as_declared": 0, "clean": 0}.get(outcome, 11)


def schema() -> Mapping[str, Any]:
    """The JSON Schema of the document."""
    return load_schema("jokbo.lineage", "schemas/search-1.json")


def check(document: Any, *, where: str) -> None:
    """Check a document against its schema, and its counts against each other.

    Raises
    ------
    EvidenceError
        It does not follow them; the message names the first field that does not.

    Examples
    --------
    >>> check({"schema": "jokbo.search/1"}, where="search.json")
    Traceback (most recent call last):
    jokbo.errors.EvidenceError: search.json: field 'answer' is missing. It is damaged or edited.
    """
    check_against(document, schema(), where=where)
    rows, rest = document["rows"], document["rest"]
    others = sum(group["models"] for group in rest["not_comparable"])
    told = len(rows) + rest["clean"] + others + len(rest["failed"])
    if told != document["answer"]["registered"]:
        raise EvidenceError(
            f"{where}: it speaks of {told} models, and the register has {document['answer']['registered']}. "
            "It is damaged or edited."
        )
    if len({row["key"] for row in rows}) != len(rows):
        raise EvidenceError(f"{where}: a model has two rows. It is damaged or edited.")


def parse_search(data: bytes, *, where: str = "search") -> Mapping[str, Any]:
    """Read a document that somebody else wrote.

    Raises
    ------
    EvidenceError
        It is not JSON, or does not follow the schema.
    """
    document = parse_document(data, where=where, limit=MAX_SEARCH_BYTES, command="jokbo search --json")
    check(document, where=where)
    found: Mapping[str, Any] = document
    return found
