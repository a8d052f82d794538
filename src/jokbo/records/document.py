"""An audit that somebody else wrote, checked where it comes in.

``schemas/record-audit-1.json`` says what each field holds; this file adds what a schema cannot say:
that indices lead somewhere, and that the verdict is that of its own checks and coverage. What passes
can be shown and repeated; nothing else is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.evidence import schema as rules
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.strict_json import strict_loads
from jokbo.records import rejudge

FAMILY = "jokbo.record-audit/"
SCHEMA = f"{FAMILY}1"
MAX_AUDIT_BYTES = 64 << 20
"""A thousand times what an audit is."""

EXIT_STATUS: Mapping[str, int] = {"consistent": 0, "inconsistent": 10, "cannot_tell": 11}


@cache
def schema() -> Mapping[str, Any]:
    """The JSON Schema of the document."""
    text = (
        resources.files("jokbo.records").joinpath("schemas/record-audit-1.json").read_text(encoding="utf-8")
    )
    document: Mapping[str, Any] = json.loads(text)
    return document


def parse_audit(data: bytes, where: str = "audit") -> dict[str, Any]:
    """Read an audit that somebody else wrote.

    Parameters
    ----------
    data : bytes
        JSON.
    where : str
        What to call it in messages.

    Raises
    ------
    EvidenceError
        It is not JSON, does not follow the schema, or contradicts itself.
    """
    if len(data) > MAX_AUDIT_BYTES:
        raise EvidenceError(f"{where} is {len(data):,} bytes; expected at most {MAX_AUDIT_BYTES:,}.")
    try:
        document = strict_loads(data)
        canonical_bytes(document)  # refuses infinities and lone surrogates, which no output can hold
    except (ValueError, RecursionError) as error:
        raise EvidenceError(
            f"{where} is not JSON ({error}). Write it again with `jokbo record audit --json`."
        ) from None
    check(document, where)
    found: dict[str, Any] = document
    return found


def read_audit(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Read a file that may hold an audit.

    Returns
    -------
    dict or None
        None where the file cannot be read, is no JSON, or is a document of another kind: whoever reads that
        kind says what is wrong with it.

    Raises
    ------
    EvidenceError
        It is an audit, and does not follow the schema or contradicts itself.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MAX_AUDIT_BYTES:
            return None
        data = file.read_bytes()
        document = json.loads(data)
    except (OSError, ValueError, RecursionError):
        return None
    named = document.get("schema") if isinstance(document, dict) else None
    return parse_audit(data, file.name) if isinstance(named, str) and named.startswith(FAMILY) else None


def check(document: Any, where: str = "audit") -> None:
    """Check a document against its schema and against itself.

    Raises
    ------
    EvidenceError
        The message names the first field that does not hold.

    Examples
    --------
    >>> check({"schema": "jokbo.record-audit/1"}, "audit.json")
    Traceback (most recent call last):
    jokbo.errors.EvidenceError: audit.json: field 'checkpoints' is missing. It is damaged or edited.
    """
    found = next(rules.problems(document, schema()), None)
    if found is not None:
        path, problem = found
        raise EvidenceError(f"{where}{f' at {path}' if path else ''}: {problem}. It is damaged or edited.")
    for path, expected, value in _contradictions(document) or rejudge.contradictions(document):
        raise EvidenceError(
            f"{where} at {path}: expected {expected}, found {_brief(value)}. It is damaged or edited."
        )


def _contradictions(document: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """Where a document contradicts itself: path, what would agree, what stands there."""
    verdict, checks, coverage = document["verdict"], document["checks"], document["coverage"]
    found: list[tuple[str, str, Any]] = []
    _same(found, "parameters/checks", [c["check"] for c in checks], document["parameters"]["checks"])
    violated = [c["check"] for c in checks if c["outcome"] == "inconsistent"]
    _same(found, "verdict/violated", violated, verdict["violated"])
    for key, wanted in (("excluded", True), ("not_excluded", False)):
        named = [row["forgery"] for row in coverage if row["excluded"] is wanted]
        _same(found, f"verdict/{key}", named, verdict[key])
    consistent = not verdict["not_excluded"]
    kind = "inconsistent" if violated else "consistent" if consistent else "cannot_tell"
    _same(found, "verdict/kind", kind, verdict["kind"])
    _same(found, "verdict/exit_status", EXIT_STATUS[kind], verdict["exit_status"])
    soft = [c["check"] for c in checks if c["kind"] == "soft" and c["outcome"] == "inconsistent"]
    _same(found, "checks", [], soft)
    _same(found, "checks", len({c["check"] for c in checks}), len(checks))
    found += _rows(document)
    return found


def _rows(document: Mapping[str, Any]) -> list[tuple[str, str, Any]]:
    """The same of single rows."""
    found: list[tuple[str, str, Any]] = []
    events, passed = len(document["events"]), set()
    for k, row in enumerate(document["checks"]):
        for index in row["events"]:
            if index >= events:
                found.append((f"checks/{k}/events", f"indices below {events}", index))
        for planted in row["planted"]:
            if planted["found"] > planted["tried"]:
                found.append((f"checks/{k}/planted", "no more found than tried", planted["found"]))
        if row["outcome"] == "consistent":
            # A pass excludes what it would have found: of each way every plant.
            ways = {(p["forgery"], p["variant"]) for p in row["planted"]}
            ways -= {(p["forgery"], p["variant"]) for p in row["planted"] if not p["powered"]}
            passed |= {(row["check"], *way) for way in ways}
    for k, row in enumerate(document["coverage"]):
        for v, way in enumerate(row["variants"]):
            wrong = [name for name in way["by"] if (name, row["forgery"], way["variant"]) not in passed]
            if wrong:
                place = f"coverage/{k}/variants/{v}/by"
                found.append((place, "checks that passed and would have found it", wrong[0]))
        whole = all(way["by"] for way in row["variants"])
        _same(found, f"coverage/{k}/excluded", whole, row["excluded"])
        named = dict.fromkeys(name for way in row["variants"] for name in way["by"] if whole)
        _same(found, f"coverage/{k}/by", list(named), row["by"])
    found += _curves(document["history"], "history")
    return found


def _curves(part: Any, path: str) -> list[tuple[str, str, Any]]:
    """Curves whose steps and values are not as many."""
    if not isinstance(part, Mapping):
        return []
    if set(part) == {"steps", "values"}:
        steps, values = len(part["steps"]), len(part["values"])
        return [] if steps == values else [(f"{path}/values", f"{steps} values, one a step", values)]
    return [row for key, each in part.items() for row in _curves(each, f"{path}/{key}")]


def _same(found: list[tuple[str, str, Any]], path: str, expected: Any, value: Any) -> None:
    if expected != value:
        found.append((path, _brief(expected), value))


def _brief(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
