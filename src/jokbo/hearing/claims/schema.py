"""The schemas of a claim and of what the linter finds, and texts of a YAML file given the types of a schema."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from jokbo.evidence import schema as rules
from jokbo.evidence.documents import check_against, load_schema

CLAIM = "jokbo.claim/1"
LINT = "jokbo.claim-lint/1"

_FILES: Mapping[str, str] = {CLAIM: "schemas/claim-1.json", LINT: "schemas/claim-lint-1.json"}
_UNITS: Mapping[str, int] = {"": 0, "K": 3, "M": 6, "B": 9, "T": 12}
_INTEGER = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,12}))?([KMBT]?)")
_NUMBER = re.compile(r"[-+]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?")


def schema(name: str) -> Mapping[str, Any]:
    """The JSON Schema of claims (:data:`CLAIM`) or of results (:data:`LINT`)."""
    return load_schema("jokbo.hearing.claims", _FILES[name])


def claim_problems(document: Any) -> Iterator[rules.Problem]:
    """Everything in which a document is no claim, as (path, problem)."""
    return rules.problems(document, schema(CLAIM))


def check_lint(document: Any, *, where: str) -> None:
    """Check a result that somebody else wrote.

    Raises
    ------
    EvidenceError
        It does not follow its schema; the message names the first field that does not.

    Examples
    --------
    >>> check_lint({"schema": "jokbo.claim-lint/1"}, where="lint.json")
    Traceback (most recent call last):
    jokbo.errors.EvidenceError: lint.json: field 'jokbo' is missing. It is damaged or edited.
    """
    check_against(document, schema(LINT), where=where)


def typed(value: Any, rule: Mapping[str, Any], whole: Mapping[str, Any]) -> Any:
    """A tree of texts with numbers and truth values where the schema wants them; empty entries are left out.

    What does not read as the type wanted stays a text, and is a problem of the schema's.

    Examples
    --------
    >>> typed({"a": "1.5", "b": None}, {"properties": {"a": {"type": "number"}}}, {})
    {'a': 1.5}
    """
    if "$ref" in rule:
        return typed(value, whole["$defs"][rule["$ref"].removeprefix("#/$defs/")], whole)
    if isinstance(value, Mapping):
        known, rest = rule.get("properties", {}), rule.get("additionalProperties", {})
        return {
            key: typed(each, known.get(key, rest if isinstance(rest, Mapping) else {}), whole)
            for key, each in value.items()
            if each is not None
        }
    if isinstance(value, list):
        return [typed(each, rule.get("items", {}), whole) for each in value if each is not None]
    return _scalar(value, rule.get("type", ())) if isinstance(value, str) else value


def _scalar(text: str, wanted: str | list[str]) -> Any:
    kinds = [wanted] if isinstance(wanted, str) else wanted
    if "boolean" in kinds and text.lower() in ("true", "false", "yes", "no"):
        return text.lower() in ("true", "yes")
    if "integer" in kinds and (found := _INTEGER.fullmatch(text)):
        whole, decimals, unit = found[1], found[2] or "", found[3]
        shift = _UNITS[unit] - len(decimals)
        return int(whole + decimals) * 10**shift if shift >= 0 else text
    if "number" in kinds and _NUMBER.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text
