"""``jokbo league check --verify-evidence``: the gate's evidence run again, with the models or without some."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from runs import Run

from jokbo.evidence.canonical import canonical_bytes
from jokbo.evidence.documents import check_against, load_schema

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "league"))
write_round = import_module("league_rounds").write_round


@pytest.fixture
def bundle(run: Run, models: dict[str, Path], evidence: Path, tmp_path: Path) -> Path:
    """A scored round in which team ara's model was held against the gate's one reference."""
    document = json.loads(evidence.read_bytes())
    return scored(run, tmp_path, document)


def scored(run: Run, tmp_path: Path, document: dict[str, Any]) -> Path:
    reference, candidate = (document[side]["digest"] for side in ("reference", "candidate"))
    rules = {
        "model: {name: ara-1}": f"model: {{name: ara-1, digest: {candidate}}}",
        "gate: {required: no}": f"gate: {{required: yes, references: [{{name: known, digest: {reference}}}]}}",
    }
    round_file, results = write_round(tmp_path / "files", rules=rules)
    (tmp_path / "files/ara.json").write_bytes(canonical_bytes(document))
    with results.open("a", encoding="utf-8") as stream:
        stream.write("evidence:\n  - {team: ara, files: [ara.json]}\n")
    assert run("league", "score", round_file, results, "-o", tmp_path / "out", "-q").status in (0, 11)
    return tmp_path / "out"


def check(run: Run, bundle: Path, *more: object) -> tuple[int, dict[str, Any], str]:
    place = bundle.parent / "check.json"
    place.unlink(missing_ok=True)
    found = run("league", "check", bundle, "--json", place, *more)
    if not place.exists():
        return found.status, {}, found.err
    document = json.loads(place.read_bytes())
    check_against(document, load_schema("jokbo.league", "schemas/check-1.json"), where="check")
    return found.status, document, " ".join(found.out.split())


def given(models: dict[str, Path], **names: str) -> list[object]:
    return [
        "--verify-evidence",
        *(part for name, model in names.items() for part in ("--model", f"{name}={models[model]}")),
    ]


def test_without_the_option_evidence_is_read_and_the_answer_says_so(run, bundle):
    status, document, said = check(run, bundle)
    assert (status, document["evidence"]) == (0, None)
    assert "read, not run again" in said


@pytest.mark.parametrize("name", ["ara", "ara-1", "derived"])
def test_evidence_that_holds(run, bundle, models, name):
    status, document, said = check(run, bundle, *given(models, known="reference", **{name: "derived"}))
    assert (status, document["problems"]) == (0, [])
    assert {key: document["evidence"][key] for key in ("held", "failed", "not_run")} == {
        "held": 1,
        "failed": 0,
        "not_run": 0,
    }
    assert "1 of 1 documents hold" in said


def test_evidence_that_does_not_hold_is_a_problem_and_says_whose_standing_it_changes(
    run, models, evidence, tmp_path
):
    document = json.loads(evidence.read_bytes())
    row = next(row for row in document["components"] if row["status"] in ("inherited", "dependent"))
    row["log10_evalue"] += 1
    bundle = scored(run, tmp_path, document)
    status, found, said = check(run, bundle, *given(models, known="reference", ara="derived"))
    assert status == 10
    assert "ara.json: run again with the models, it does not hold: components/" in found["problems"][0]
    assert found["problems"][1] == (
        "gate: ara is not_eligible on the board, and would be untestable without the evidence that does not hold."
    )
    assert (found["evidence"]["failed"], found["evidence"]["documents"][0]["holds"]) == (1, False)
    assert "0 of 1 documents hold" in said


def test_a_model_that_is_not_given_leaves_the_document_a_claim(run, bundle, models):
    status, document, said = check(run, bundle, *given(models, known="reference"))
    assert (status, document["recomputed"], document["evidence"]["not_run"]) == (11, True, 1)
    assert (
        (document["evidence"]["documents"][0]["why"])
        == "ara.json was not run again: its candidate ara was not given. Add --model ara=PATH."
    )
    assert "Evidence not all run again" in said
    korean = run("league", "check", bundle, "--lang", "ko", *given(models, known="reference")).out
    assert "다시 계산하지 않은 증거(1)" in korean


def test_the_wrong_model_is_no_evidence_against_the_document(run, bundle, models):
    status, _, said = check(run, bundle, *given(models, known="apart", ara="derived"))
    assert status == 2
    assert "ara.json cannot be run again: the reference is not the model that the evidence names" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            ["--verify-evidence", "--model", "knwon=x"],
            "no model of the gate's evidence has this name; expected",
        ),
        (["--verify-evidence", "--model", "known"], "'known': expected NAME=PATH"),
        (["--verify-evidence", "--model", "known=a", "--model", "known=b"], "known is given twice"),
        (["--model", "known=a"], "Add --verify-evidence"),
    ],
)
def test_options_that_make_no_sense(run, bundle, more, said):
    status, document, err = check(run, bundle, *more)
    assert (status, document) == (2, {})
    assert said in err


def test_a_board_that_names_evidence_elsewhere_is_not_followed(run, models, evidence, tmp_path):
    """Where inputs are withheld the board is not computed again, so what it names is not believed."""
    bundle = scored(run, tmp_path, json.loads(evidence.read_bytes()))
    shutil.copy(bundle / "inputs/ara.json", tmp_path / "elsewhere.json")
    board = json.loads((bundle / "board.json").read_bytes())
    next(row for row in board["inputs"] if row["role"] == "evidence")["name"] = "../../elsewhere.json"
    rebind(bundle, "board.json", canonical_bytes(board) + b"\n", withhold="inputs/expert.csv")
    status, found, _ = check(run, bundle, *given(models, known="reference", ara="derived"))
    assert (status, found["recomputed"]) == (10, False)
    assert found["problems"] == [
        "board.json: its evidence '../../elsewhere.json' is not in manifest.json with this digest."
    ]


def rebind(folder: Path, path: str, data: bytes, *, withhold: str) -> None:
    """What a forger does who also writes the manifest again."""
    import hashlib

    (folder / path).write_bytes(data)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][path] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    manifest["withheld"][withhold.removeprefix("inputs/")] = manifest["files"].pop(withhold)
    (folder / withhold).unlink()
    (folder / "manifest.json").write_bytes(canonical_bytes(manifest) + b"\n")


@pytest.mark.parametrize("command", ["verify", "report"])
def test_a_board_alone_is_told_what_shows_and_repeats_it(run, bundle, command):
    outcome = run(command, bundle / "board.json")
    assert outcome.status == 2
    assert "is the board of a league's round. `jokbo league check` computes it again" in outcome.err
