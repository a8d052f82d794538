"""The document of a search: canonical JSON under ``schemas/search-1.json``, checked at the edge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes, digest

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


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of the document."""
    text = resources.files("jokbo.lineage").joinpath("schemas/search-1.json").read_text(encoding="utf-8")
    document: Mapping[str, Any] = json.loads(text)
    return document


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
    found = next(rules.problems(document, schema()), None)
    if found is not None:
        path, problem = found
        raise EvidenceError(f"{where}{f' at {path}' if path else ''}: {problem}. It is damaged or edited.")
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
    if len(data) > MAX_SEARCH_BYTES:
        raise EvidenceError(f"{where} is {len(data):,} bytes; expected at most {MAX_SEARCH_BYTES:,}.")
    try:
        document = json.loads(data)
        canonical_bytes(document)  # refuses infinities and lone surrogates, which no output can hold
    except (ValueError, RecursionError) as error:
        raise EvidenceError(
            f"{where} is not JSON ({error}). Write it again with `jokbo search --json`."
        ) from None
    check(document, where=where)
    found: Mapping[str, Any] = document
    return found
