"""The document of a search for parents: canonical JSON under ``schemas/parents-1.json``, checked at the edge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes
from jokbo.evidence.documents import check_against, load_schema, parse_document

SCHEMA = "jokbo.parents/1"
MAX_PARENTS_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class ParentsResult:
    """What :func:`~jokbo.lineage.parents.find_parents` returns.

    Attributes
    ----------
    document : mapping
        Valid under ``jokbo.parents/1``.
    exit_status : int
        10 where some parent takes part, 0 where none does, 11 where that is unclear.
    """

    document: Mapping[str, Any]
    exit_status: int

    def to_json(self) -> bytes:
        """Canonical JSON with a final newline."""
        return canonical_bytes(dict(self.document)) + b"\n"


def schema() -> Mapping[str, Any]:
    """The JSON Schema of the document."""
    return load_schema("jokbo.lineage", "schemas/parents-1.json")


def check(document: Any, *, where: str) -> None:
    """Check a document, and the evidence within, against their schemas.

    Raises
    ------
    EvidenceError
        It does not follow them; the message names the first field that does not.

    Examples
    --------
    >>> check({"schema": "jokbo.parents/1"}, where="parents.json")
    Traceback (most recent call last):
    jokbo.errors.EvidenceError: parents.json: field 'base' is missing. It is damaged or edited.
    """
    check_against(document, schema(), where=where)
    for k, each in enumerate(document["evidence"]):
        rules.check(each, where=f"{where} at evidence/{k}")
    _check_indices(document, where)


def _check_indices(document: Mapping[str, Any], where: str) -> None:
    """Refuse numbers of parents that are not there, and rows of weights of another length."""
    count = len(document["parents"])
    wrong = [
        k
        for k in (*document["verdict"]["participants"], *(s["parent"] for s in document["sparse"]))
        if k >= count
    ]
    lengths = {len(g[key]) for g in document["groups"] for key in ("weights", "errors")} - {count}
    if wrong or lengths or len(document["evidence"]) != count:
        raise EvidenceError(
            f"{where}: {count} parents, but parts of the document speak of another number. It is damaged or edited."
        )


def parse_parents(data: bytes, *, where: str = "parents") -> Mapping[str, Any]:
    """Read a document that somebody else wrote.

    Raises
    ------
    EvidenceError
        It is not JSON, or does not follow the schema.
    """
    document = parse_document(data, where=where, limit=MAX_PARENTS_BYTES, command="jokbo parents --json")
    check(document, where=where)
    found: Mapping[str, Any] = document
    return found
