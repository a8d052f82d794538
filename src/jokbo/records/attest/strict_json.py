"""JSON that somebody else wrote: bounded, every field once, no NaN, an object at the top."""

from __future__ import annotations

from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads

MAX_DEPTH = 64
"""Deeper than any document of ours; the reader of JSON itself gives up somewhere beyond 1,000."""


def parse_object(data: bytes, where: str, *, limit: int) -> dict[str, Any]:
    """Read one JSON object.

    Parameters
    ----------
    data : bytes
    where : str
        What to call it in messages.
    limit : int
        Bytes allowed; more are refused unread.

    Raises
    ------
    EvidenceError
        It is too long, no JSON, no object, nested too deeply, or names a field twice.

    Examples
    --------
    >>> parse_object(b'{"a": NaN}', "line 3", limit=100)
    Traceback (most recent call last):
    jokbo.errors.EvidenceError: line 3 is not JSON (NaN is no JSON number). It is damaged or edited.
    """
    if len(data) > limit:
        raise EvidenceError(f"{where} is {len(data):,} bytes; expected at most {limit:,}.")
    try:
        document = strict_loads(data)
        canonical_bytes(document)  # refuses lone surrogates and infinities, which no output can hold
    except (ValueError, RecursionError) as error:
        raise EvidenceError(f"{where} is not JSON ({brief(error)}). It is damaged or edited.") from None
    if not isinstance(document, dict):
        raise EvidenceError(f"{where}: expected a JSON object, found {brief(document)}.")
    if _depth(document) > MAX_DEPTH:
        raise EvidenceError(f"{where} is nested more than {MAX_DEPTH} levels deep; no document of ours is.")
    return document


def field(document: dict[str, Any], name: str, kind: type | tuple[type, ...], where: str) -> Any:
    """One field of the type that it has to have.

    Raises
    ------
    EvidenceError
        It is missing or has another type.
    """
    if name not in document:
        raise EvidenceError(f"{where}: the field {name!r} is missing. It is damaged or edited.")
    value = document[name]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        names = " or ".join("null" if k is type(None) else k.__name__ for k in kinds)
        raise EvidenceError(f"{where}: {name!r} is {brief(value)}; expected {names}.")
    return value


def brief(value: object) -> str:
    """A foreign value, short and harmless enough for a message."""
    text = ascii(value) if not isinstance(value, Exception) else ascii(str(value))[1:-1]
    return text if len(text) <= 60 else f"{text[:57]}..."


def _depth(document: Any) -> int:
    level, depth = [document], 0
    while level:
        depth += 1
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
    return depth
