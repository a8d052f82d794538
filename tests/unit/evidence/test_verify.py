"""Verify: honest evidence holds, edited evidence does not and says where, and other models are refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from jokbo.errors import EvidenceError
from jokbo.evidence.compare import Comparison, compare
from jokbo.evidence.evidence import Evidence
from jokbo.evidence.verify import Verification, verify


def repeat(document: dict[str, Any], folders: dict[str, Path]) -> Verification:
    return verify(Evidence(document), reference=folders["reference"], candidate=folders["derived"])


def paths(outcome: Verification) -> list[str]:
    return [difference.path for difference in outcome.differences]


def test_honest_evidence_holds(document: dict[str, Any], folders: dict[str, Path]):
    outcome = repeat(document, folders)
    assert outcome.holds
    assert outcome.differences == ()


def test_evidence_holds_from_a_file_and_elsewhere(
    derived: Comparison, folders: dict[str, Path], tmp_path: Path
):
    """Names and places are not part of what is claimed."""
    moved = {
        name: shutil.copytree(folders[name], tmp_path / f"moved-{name}") for name in ("reference", "derived")
    }
    file = tmp_path / "evidence.json"
    file.write_bytes(derived.evidence.to_json())
    assert verify(file, reference=moved["reference"], candidate=moved["derived"]).holds


@pytest.mark.parametrize(
    ("seed", "budget", "declared"), [(7, None, ()), (0, "screen", ()), (0, "50%", ("text.mlp",))], ids=str
)
def test_evidence_made_with_other_options_holds(
    seed: int, budget: str | None, declared: tuple[str, ...], folders: dict[str, Path]
):
    made = compare(
        folders["reference"], folders["derived"], seed=seed, budget=budget, declared=declared,
        bounds=False, descriptive=False,
    )  # fmt: skip
    assert repeat(dict(made.evidence.document), folders).holds


def test_an_edited_number_is_named(document: dict[str, Any], folders: dict[str, Path]):
    document["components"][0]["log10_evalue"] = 99.9
    outcome = repeat(document, folders)
    assert not outcome.holds
    assert paths(outcome) == ["components/0/log10_evalue"]
    assert outcome.differences[0].claimed == "99.9"
    assert outcome.differences[0].found != "99.9"


def test_a_flipped_verdict_is_named(document: dict[str, Any], folders: dict[str, Path]):
    document["verdict"] |= {"kind": "no_evidence", "exit_status": 0}
    assert paths(repeat(document, folders)) == ["verdict/exit_status", "verdict/kind"]


def test_a_hidden_component_is_named(document: dict[str, Any], folders: dict[str, Path]):
    document["components"].pop()
    assert paths(repeat(document, folders)) == ["components"]


def test_another_seed_is_noticed(document: dict[str, Any], folders: dict[str, Path]):
    document["parameters"]["seed"] = 12345
    found = paths(repeat(document, folders))
    assert any(path.endswith("log10_evalue") for path in found)
    assert "parameters/seed" not in found  # the repetition took the seed that was claimed


def test_another_policy_is_noticed(document: dict[str, Any], folders: dict[str, Path]):
    document["verdict"]["policy"]["min_evalue"] = 10.0
    assert paths(repeat(document, folders)) == ["verdict/policy/min_evalue"]


def test_an_edited_plan_is_noticed(document: dict[str, Any], folders: dict[str, Path]):
    document["parameters"]["plan"]["units"] = 63
    assert paths(repeat(document, folders)) == ["parameters/plan/units"]


def test_a_false_declaration_is_noticed(document: dict[str, Any], folders: dict[str, Path]):
    document["parameters"]["declared"] = ["all"]
    assert set(paths(repeat(document, folders))) == {"verdict/declared", "verdict/exit_status"}


@pytest.mark.parametrize("side", ["reference", "candidate"])
def test_another_model_is_refused(side: str, document: dict[str, Any], folders: dict[str, Path]):
    given = {"reference": folders["reference"], "candidate": folders["derived"]} | {side: folders["apart"]}
    with pytest.raises(
        EvidenceError, match=f"the {side} is not the model that the evidence names: expected digest"
    ):
        verify(Evidence(document), **given)


def test_one_changed_weight_is_another_model(
    document: dict[str, Any], folders: dict[str, Path], tmp_path: Path
):
    copied = shutil.copytree(folders["derived"], tmp_path / "copy")
    weights = next(copied.glob("*.safetensors"))
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(bytes(data))
    with pytest.raises(EvidenceError, match="the candidate is not the model"):
        verify(Evidence(document), reference=folders["reference"], candidate=copied)


def test_local_models_must_be_pointed_at(document: dict[str, Any], folders: dict[str, Path]):
    with pytest.raises(
        EvidenceError, match="the reference 'reference', a local model; say where it is with --reference"
    ):
        verify(Evidence(document), candidate=folders["derived"])


def test_at_most_a_hundred_differences_are_listed(document: dict[str, Any], folders: dict[str, Path]):
    for component in document["components"]:
        for result in component["results"]:
            for row in result["clusters"]:
                row[2], row[3], row[4] = 1.0, 1.0, 1
    assert len(repeat(document, folders).differences) <= 100
    assert json.dumps(document)


def test_evidence_made_by_hand_is_checked_first(document: dict[str, Any], folders: dict[str, Path]):
    del document["parameters"]["plan"]
    with pytest.raises(EvidenceError, match="at parameters: field 'plan' is missing"):
        repeat(document, folders)


def test_a_bug_is_not_mistaken_for_bad_evidence(
    document: dict[str, Any], folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
):
    """An unexpected failure must stay one: the command line then exits with 1, not 2."""
    from jokbo.evidence import verify as module

    def broken(*_: object, **__: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(module, "compare", broken)
    with pytest.raises(KeyError, match="a bug"):
        repeat(document, folders)
