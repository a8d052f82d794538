"""An audit of a training record is evidence, too: checked on entry, shown, reproduced, run again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import EvidenceError, FormatError, InputError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing import intake
from jokbo.hearing.archive.export import export
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.kinds import check_payload
from jokbo.hearing.exhibits import count_differences, describe_evidence
from jokbo.report.texts import LANGUAGES
from jokbo.testing.hearings import Stage, open_stage, words

ROOT = Path(__file__).resolve().parents[3]
AUDIT = ROOT / "tests/compat/audits/0.4.0-small.json"
COMPARISON = ROOT / "tests/compat/evidence/0.4.0-base0-base1.json"
RECORD = ROOT / "zoo/records/small"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = open_stage(tmp_path / "case")
    made.say("lab", "claim", {"title": "t", **words("x")}, name="claim")
    stored = made.case.exhibits.add(AUDIT)
    given = {"title": "Audit", "command": "jokbo record audit small --json audit.json"}
    payload = intake.with_evidence(given, stored, AUDIT.name, made.case.exhibits)
    made.say("maker", "exhibit", payload, about=made.numbers["claim"], name="exhibit")
    yield made
    made.case.close()


def changed(path: Path, **more: Any) -> bytes:
    document = json.loads(path.read_bytes())
    document |= more
    return canonical_bytes(document) + b"\n"


def test_it_says_what_the_audit_says():
    document = json.loads(AUDIT.read_bytes())
    found = describe_evidence(AUDIT.read_bytes(), where="audit")
    assert found["record"] == {"name": document["record"]["name"], "digest": document["record"]["digest"]}
    assert found["verdict"] == document["verdict"]["kind"]
    assert found["schema"] == "jokbo.record-audit/1"
    assert "reference" not in found


def test_it_is_shown_and_verifies(stage: Stage, tmp_path: Path):
    export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    found = verify_folder(tmp_path / "archive")
    assert (found.problems, found.unchecked) == ((), ())
    named = describe_evidence(AUDIT.read_bytes(), where="audit")["record"]
    for lang in LANGUAGES:
        page = tmp_path / "archive" / lang / f"exhibit-{stage.numbers['exhibit']}.html"
        text = page.read_text(encoding="utf-8")
        assert named["digest"] in text
        assert named["name"] in text


def test_it_is_run_again_on_the_record(stage: Stage, tmp_path: Path):
    named = describe_evidence(AUDIT.read_bytes(), where="audit")["record"]
    found = verify_folder(tmp_path / "case", rerun=True)
    assert [each.code for each in found.unchecked] == ["not_rerun"]
    found = verify_folder(tmp_path / "case", rerun=True, models={named["name"]: str(RECORD)})
    assert (found.problems, found.unchecked, found.reruns) == ((), (), 1)


def test_a_reproduction_agrees_or_differs(stage: Stage, tmp_path: Path):
    again = tmp_path / "again.json"
    again.write_bytes(changed(AUDIT, software={"python": "3.13"}))
    assert count_differences(AUDIT.read_bytes(), again.read_bytes()) == 0
    stored = stage.case.exhibits.add(again)
    data = again.read_bytes()
    payload = intake.reproduction({}, data, stored, again.name, AUDIT.read_bytes())
    assert payload["agrees"]
    stage.say("ahn", "reproduction", payload, about=stage.numbers["exhibit"], signed=True)
    other = json.loads(AUDIT.read_bytes())["record"] | {"bytes": 7}
    assert count_differences(AUDIT.read_bytes(), changed(AUDIT, record=other)) == 1
    assert count_differences(AUDIT.read_bytes(), COMPARISON.read_bytes()) > 1


def test_an_audit_that_contradicts_itself_is_refused():
    document = json.loads(AUDIT.read_bytes())
    verdict = document["verdict"] | {"kind": "consistent", "exit_status": 0}
    with pytest.raises(EvidenceError):
        describe_evidence(changed(AUDIT, verdict=verdict), where="audit")
    with pytest.raises(EvidenceError):
        describe_evidence(changed(AUDIT, schema="jokbo.record-audit/9"), where="audit")


def test_an_entry_cannot_say_something_else_of_it(stage: Stage):
    item = stage.case.state.items[stage.numbers["exhibit"]]
    payload = dict(item.payload or {})
    payload["evidence"] = payload["evidence"] | {"verdict": "consistent"}
    with pytest.raises(InputError, match="something else of itself"):
        stage.say("maker", "exhibit", payload, about=stage.numbers["claim"])
    for change in ({"reference": {"name": "a", "commit": None, "digest": "0" * 64}}, {"record": None}):
        evidence = {k: v for k, v in {**payload["evidence"], **change}.items() if v is not None}
        with pytest.raises(FormatError, match="or about a record"):
            check_payload("exhibit", {**payload, "evidence": evidence}, where="it")
