"""Documents that somebody else wrote: read from bytes, and held against the schema of their kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads


@cache
def load_schema(package: str, file: str) -> Mapping[str, Any]:
    """The JSON Schema in a file of a package, such as ``("jokbo.lineage", "schemas/tree-1.json")``."""
    document: Mapping[str, Any] = json.loads(
        resources.files(package).joinpath(file).read_text(encoding="utf-8")
    )
    return document


def check_against(document: Any, whole: Mapping[str, Any], *, where: str) -> None:
    """Check a document against a schema.

    Raises
    ------
    EvidenceError
        It does not follow it; the message names the first field that does not.
    """
    found = next(rules.problems(document, whole), None)
    if found is not None:
        path, problem = found
        raise EvidenceError(f"{where}{f' at {path}' if path else ''}: {problem}. It is damaged or edited.")


def parse_document(data: bytes, *, where: str, limit: int, command: str) -> Any:
    """Read JSON that somebody else wrote.

    Parameters
    ----------
    limit : int
        Bytes allowed; more are refused unread.
    command : str
        What writes such a document, for the message.

    Raises
    ------
    EvidenceError
        It is too long, is not JSON, names a field twice, or holds what no output can.

    Examples
    --------
    >>> parse_document(b'{"a": 1, "a": 2}', where="tree.json", limit=100, command="jokbo tree --json")
    Traceback (most recent call last):
    jokbo.errors.EvidenceError: tree.json is not JSON (the field 'a' is named twice in one object). Write it again with `jokbo tree --json`.
    """  # noqa: E501  (a message is one line)
    if len(data) > limit:
        raise EvidenceError(f"{where} is {len(data):,} bytes; expected at most {limit:,}.")
    try:
        document = strict_loads(data)
        canonical_bytes(document)  # refuses infinities and lone surrogates, which no output can hold
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{where} is not JSON ({error}). Write it again with `{command}`.") from None
    return document
