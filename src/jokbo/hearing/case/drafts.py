"""Drafts that an author signed elsewhere, as files: how somebody with a key of their own speaks on another's server."""

from __future__ import annotations

from typing import Any

from jokbo.errors import FormatError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads
from jokbo.hearing.case.entry import MAX_LINE_BYTES, ROLES, Author, Draft

SCHEMA = "jokbo.hearing-draft/1"

_NUMBER = {"anyOf": [{"type": "null"}, {"type": "integer", "minimum": 0, "maximum": 1 << 40}]}
_HEX = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_RULE: Any = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        *("schema", "case", "kind", "payload", "author", "about", "supersedes", "salt", "statement")
    ],
    "properties": {
        "schema": {"const": SCHEMA},
        "case": _HEX,
        "kind": {"type": "string", "pattern": "^[a-z_]{1,32}$"},
        "payload": {"type": "object"},
        "author": {
            "type": "object",
            "additionalProperties": False,
            "required": ["account", "role", "key"],
            "properties": {
                "account": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,63}$"},
                "role": {"enum": list(ROLES)},
                "key": _HEX,
            },
        },
        "about": _NUMBER,
        "supersedes": _NUMBER,
        "salt": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "statement": {"type": "string", "pattern": "^[A-Za-z0-9+/]{86}==$"},
    },
}


def draft_to_bytes(draft: Draft, case: str) -> bytes:
    """A signed draft as a file."""
    document = {
        "schema": SCHEMA,
        "case": case,
        "kind": draft.kind,
        "payload": draft.payload,
        "author": draft.author.to_document(),
        "about": draft.about,
        "supersedes": draft.supersedes,
        "salt": draft.salt,
        "statement": draft.statement,
    }
    return canonical_bytes(document) + b"\n"


def parse_draft(data: bytes, *, case: str, where: str) -> Draft:
    """Read a signed draft that somebody else wrote; its signature is checked when it is entered.

    Parameters
    ----------
    case : str
        Digest of the case that it is to be entered in.

    Raises
    ------
    FormatError
        It is no draft, or one for another case.
    """
    if len(data) > MAX_LINE_BYTES:
        raise FormatError(f"{where} is larger than {MAX_LINE_BYTES:,} bytes; no draft is.")
    try:
        document = strict_loads(data)
        canonical_bytes(document)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({str(error)[:120]}). Sign it again.") from None
    problem = next(rules.problems(document, _RULE), None)
    if problem is not None:
        raise FormatError(f"{where}{f' at {problem[0]}' if problem[0] else ''}: {problem[1]}. Sign it again.")
    if document["case"] != case:
        raise FormatError(f"{where} is signed for case {document['case'][:16]}…, and this is {case[:16]}….")
    author = document["author"]
    return Draft(
        document["kind"],
        document["payload"],
        Author(author["account"], author["role"], author["key"]),
        document["about"],
        document["supersedes"],
        document["salt"],
        document["statement"],
    )
