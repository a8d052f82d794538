"""Audits of training records that somebody else wrote: damaged, edited, or made to do harm."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from jokbo.errors import EvidenceError
from jokbo.evidence.schema import KEYWORDS
from jokbo.records.document import MAX_AUDIT_BYTES, check, parse_audit, read_audit, schema

AUDITS = Path(__file__).resolve().parents[1] / "golden" / "audits"


def frozen(name: str) -> dict[str, Any]:
    """A frozen audit, the caller's to change."""
    found: dict[str, Any] = json.loads((AUDITS / f"{name}.json").read_bytes())
    return found


def changed(name: str, path: str, value: Any) -> dict[str, Any]:
    """A frozen audit with one field changed; numbers in the path are indices."""
    document = frozen(name)
    *above, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    place: Any = document
    for part in above:
        place = place[part]
    place[last] = value
    return document


def test_documents_of_the_contract_pass() -> None:
    names = {path.stem for path in AUDITS.glob("*.json")}
    assert names >= {"consistent", "cannot_tell", "inconsistent", "logs_only"}
    for name in names:
        document = frozen(name)
        assert parse_audit(json.dumps(document).encode(), "audit.json") == document


def test_the_schema_uses_only_keywords_that_are_checked() -> None:
    def walk(rule: Any) -> None:
        assert set(rule) <= KEYWORDS
        for key in ("properties", "$defs"):
            for each in rule.get(key, {}).values():
                walk(each)
        for key in ("items", "additionalProperties"):
            if isinstance(rule.get(key), dict):
                walk(rule[key])
        for each in rule.get("anyOf", ()):
            walk(each)

    walk(schema())


def test_every_field_is_described() -> None:
    for name, rule in {"": schema(), **schema()["$defs"]}.items():
        for field, each in rule.get("properties", {}).items():
            assert "$ref" in each or each["description"], f"{name}.{field}"


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        ("schema", "jokbo.record-audit/2", r"schema: expected 'jokbo.record-audit/1'"),
        ("extra", 1, r"unknown field 'extra'"),
        ("record/digest", "C0FFEE", r"record/digest: expected text like"),
        ("parameters/seed", -1, r"parameters/seed: expected 0 to"),
        ("parameters/replay", 1, r"parameters/replay: expected boolean, found 1"),
        ("checks/0/outcome", "proven", r"checks/0/outcome: expected one of 'consistent'"),
        ("checks/0/log10_pvalue", 3.0, r"checks/0/log10_pvalue: expected -1000000000000.0 to 0, found 3.0"),
        ("checks/0/check", "../evil", r"checks/0/check: expected text like"),
        ("checks/0/planted/0/lower", 1.5, r"planted/0/lower: expected 0 to 1"),
        ("events/0/step", "160", r"events/0/step: expected integer"),
        ("history/loss/spread", -1.0, r"history/loss/spread: expected 0 to"),
        ("history/loss/curve/values/3", 1e99, r"curve/values/3: expected"),
        ("checkpoints/0/role", "stolen", r"checkpoints/0/role: expected one of 'training'"),
        ("software/python", 3, r"software/python: expected string"),
        ("verdict/exit_status", 1, r"verdict/exit_status: expected one of 0, 10, 11"),
    ],
)
def test_fields_that_hold_something_else(path: str, value: Any, match: str) -> None:
    with pytest.raises(EvidenceError, match=rf"audit\.json.*{match}.*It is damaged or edited"):
        check(changed("consistent", path, value), "audit.json")


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        ("verdict/kind", "consistent", r"verdict/kind: expected 'cannot_tell', found 'consistent'"),
        ("verdict/exit_status", 0, r"verdict/exit_status: expected 11, found 0"),
        ("verdict/violated", ["bytes"], r"verdict/violated: expected \[\], found \['bytes'\]"),
        ("verdict/excluded", [], r"verdict/excluded: expected \['padding'"),
        ("coverage/2/excluded", True, r"verdict/excluded: expected"),
        ("checks/0/outcome", "cannot_tell", r"coverage/0/variants/0/by: expected checks that passed"),
        ("checks/0/outcome", "inconsistent", r"verdict/violated: expected \['bytes'\]"),
        ("checks/0/planted/0/found", 60, r"checks/0/planted: expected no more found than tried"),
        ("checks/0/planted/0/powered", False, r"coverage/0/variants/0/by: expected checks that passed"),
        ("coverage/1/by", ["bytes"], r"coverage/1/by: expected \['duplicates'\], found"),
        ("coverage/1/variants/0/by", [], r"coverage/1/excluded: expected False"),
        ("checks/0/events", [0, 7], r"checks/0/events: expected indices below 2, found 7"),
        ("checks/1/check", "bytes", r"parameters/checks: expected"),
        ("history/loss/trend/values", [1.0], r"history/loss/trend/values: expected 300 values"),
        ("history/learning_rate/logged/steps", [1], r"learning_rate/logged/values: expected 1 values"),
    ],
)
def test_documents_that_contradict_themselves(path: str, value: Any, match: str) -> None:
    with pytest.raises(EvidenceError, match=match):
        check(changed("cannot_tell", path, value), "audit.json")


def test_a_soft_check_alone_makes_nothing_inconsistent() -> None:
    document = frozen("cannot_tell")
    row = next(row for row in document["checks"] if row["kind"] == "soft")
    row["outcome"] = "inconsistent"
    document["verdict"] |= {"violated": [row["check"]], "kind": "inconsistent", "exit_status": 10}
    with pytest.raises(EvidenceError, match="number_grid"):
        check(document, "audit.json")


def test_every_missing_field_is_named() -> None:
    document = frozen("consistent")
    for field in document:
        rest = {key: value for key, value in document.items() if key != field}
        with pytest.raises(EvidenceError, match=rf"audit\.json: field '{field}' is missing"):
            check(rest, "audit.json")


DEEP = b'{"schema":"jokbo.record-audit/1","x":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe{}", "is not JSON"),
        (b'{"schema": NaN}', "is not JSON"),
        (b'{"schema": 1e999}', "is not JSON"),
        (b'{"schema": "\\ud800"}', "is not JSON"),
        (b"[]", "expected object"),
        (b"null", "expected object"),
        (b'"jokbo.record-audit/1"', "expected object"),
        (DEEP, "is not JSON"),
    ],
    ids=["empty", "not-text", "nan", "infinite", "surrogate", "list", "null", "string", "a-million-deep"],
)
def test_bytes_that_are_no_audit(data: bytes, match: str) -> None:
    with pytest.raises(EvidenceError, match=match):
        parse_audit(data, "audit.json")


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match=re.escape(f"expected at most {MAX_AUDIT_BYTES:,}")):
        parse_audit(b" " * (MAX_AUDIT_BYTES + 1), "audit.json")
    huge = tmp_path / "huge.json"
    with huge.open("wb") as file:
        file.truncate(MAX_AUDIT_BYTES + 1)
    assert read_audit(huge) is None


def test_files_of_another_kind_are_left_to_their_readers(tmp_path: Path) -> None:
    for k, data in enumerate(
        (b"{}", b"[1]", b"\x80", b'{"schema": "jokbo.evidence/2"}', b'{"schema": 7}', DEEP)
    ):
        file = tmp_path / f"{k}.json"
        file.write_bytes(data)
        assert read_audit(file) is None
    assert read_audit(tmp_path / "absent.json") is None
    assert read_audit(tmp_path) is None


def test_an_audit_of_a_later_schema_is_an_error_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "later.json"
    file.write_text(json.dumps(changed("consistent", "schema", "jokbo.record-audit/9")))
    with pytest.raises(EvidenceError, match=r"later\.json at schema: expected 'jokbo\.record-audit/1'"):
        read_audit(file)
