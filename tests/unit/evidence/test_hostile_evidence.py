"""Evidence that somebody else wrote: each way it can be wrong is one clear sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jokbo.errors import EvidenceError
from jokbo.evidence import evidence as module
from jokbo.evidence.evidence import parse_evidence
from jokbo.evidence.verify import read_evidence


def refuse(data: bytes, match: str) -> None:
    with pytest.raises(EvidenceError, match=match) as caught:
        parse_evidence(data, where="evidence.json")
    message = str(caught.value)
    assert message.startswith("evidence.json")
    assert "\n" not in message
    assert len(message) < 600


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"a":' * 100_000, "is not JSON"),
        (b"9" * 10_000, "is not JSON"),
        (b"[]", "expected the schema 'jokbo.evidence/2' or an older one, found 'None'"),
        (b"null", "expected the schema"),
        (b'"jokbo.evidence/1"', "expected the schema"),
        (b"{}", "expected the schema"),
        (
            b'{"schema": "jokbo.evidence/3"}',
            "found 'jokbo.evidence/3'. Use the version of Jokbo that wrote it",
        ),
        (b'{"schema": ["jokbo.evidence/1"]}', "expected the schema"),
        (b'{"schema": "jokbo.evidence/1", "schema": "jokbo.evidence/1"}', "is named twice"),
        (b'{"schema": "jokbo.evidence/1", "x": NaN}', "NaN is no JSON number"),
        (b'{"schema": "jokbo.evidence/1", "x": -Infinity}', "-Infinity is no JSON number"),
        (b'{"schema": "jokbo.evidence/1", "x": 1e999}', "is not JSON"),
        (b'{"schema": "jokbo.evidence/1", "x": "\\ud800"}', "is not JSON"),
        (b'{"schema": "jokbo.evidence/1"}', "is missing"),
        (b'{"schema": "jokbo.evidence/2"}', "is missing"),
    ],
    ids=range(19),
)
def test_bytes_that_are_no_evidence(data: bytes, match: str):
    refuse(data, match)


def set_in(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        for step in path[:-1]:
            document = document[step]
        document[path[-1]] = to

    return edit


def drop(*path: Any) -> Callable[[dict[str, Any]], None]:
    def edit(document: dict[str, Any]) -> None:
        for step in path[:-1]:
            document = document[step]
        del document[path[-1]]

    return edit


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (set_in("unheard", to=1), "unknown field 'unheard'"),
        (set_in("reference", "path", to="/etc/passwd"), "at reference: unknown field 'path'"),
        (drop("verdict"), "field 'verdict' is missing"),
        (drop("candidate", "digest"), "at candidate: field 'digest' is missing"),
        (set_in("parameters", "seed", to="0"), "at parameters/seed: expected integer, found '0'"),
        (set_in("parameters", "seed", to=-1), "at parameters/seed: expected 0 to any, found -1"),
        (set_in("parameters", "seed", to=True), "expected integer, found True"),
        (set_in("parameters", "plan", "units", to=10**30), "at parameters/plan/units: expected 1 to"),
        (
            set_in("verdict", "kind", to="guilty"),
            "at verdict/kind: expected one of 'identical'.*found 'guilty'",
        ),
        (set_in("verdict", "exit_status", to=0.0), "at verdict/exit_status: expected one of"),
        (
            set_in("verdict", "log10_evalue", to="12"),
            "at verdict/log10_evalue: expected number or null, found '12'",
        ),
        (set_in("reference", "digest", to="g" * 64), "at reference/digest: expected text like"),
        (set_in("reference", "digest", to="0" * 64 + "\n"), "at reference/digest: expected text like"),
        (set_in("components", to={}), "at components: expected array, found an object"),
        (set_in("components", 0, to=None), "at components/0: expected object, found None"),
        (
            set_in("components", 0, "parameters", to=[1]),
            "at components/0/parameters: expected 2 items, found 1",
        ),
        (set_in("components", 0, "status", to="x" * 10**6), "at components/0/status: expected one of"),
        (set_in("stages", to=["rows"] * 4), "at stages: expected 1 to 3 items, found 4"),
        (set_in("learning", to={"<script>": {}}), "at learning/<script>: expected text like"),
        (set_in("descriptive", "vocabulary", to=[]), "at descriptive/vocabulary: expected object"),
    ],
    ids=range(20),
)
def test_documents_that_do_not_follow_the_schema(
    edit: Callable[[dict[str, Any]], None], match: str, document: dict[str, Any]
):
    edit(document)
    refuse(json.dumps(document).encode(), match)


def test_evidence_of_absurd_size_is_not_parsed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(module, "MAX_EVIDENCE_BYTES", 10)
    refuse(b" " * 11, "is 11 bytes; evidence has at most 10")


def test_a_file_of_absurd_size_is_not_even_read(tmp_path: Path):
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(module.MAX_EVIDENCE_BYTES + 1)  # sparse
    with pytest.raises(EvidenceError, match=r"huge\.json is larger than any evidence"):
        read_evidence(path)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(EvidenceError, match=r"cannot read .*none\.json: No such file or directory"):
        read_evidence(tmp_path / "none.json")


def test_a_folder_is_no_evidence(tmp_path: Path):
    with pytest.raises(EvidenceError, match="Is a directory"):
        read_evidence(tmp_path)
