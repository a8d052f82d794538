"""The rehearsal's claims: the false one shows the rules that the dispute taught, on numbers computed from models."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from benchmarks.hearing_claims import TRUE_CLAIM, cosine, tensors, write_false_claim

from jokbo.hearing.claims.lint import lint_claim


@pytest.fixture(scope="module")
def claim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_false_claim(tmp_path_factory.mktemp("claims") / "base1")


def test_the_false_claim_shows_the_rules(claim: Path):
    found = {(finding.code, finding.severity.value) for finding in lint_claim(claim).findings}
    assert {code for code, severity in found if severity == "fault"} == {
        "raw_cosine", "failed_control", "random_above_effect", "mislabelled_control", "centred_by_constant",
        "baseline_within_model", "outlier_baseline", "effect_called_sigma", "sample_inflated", "pvalue_beyond_sample",
        "either_way", "unused_column", "norms_alone", "figure_disagrees", "script_disagrees",
    }  # fmt: skip
    assert {code for code, severity in found if severity == "missing"} == {
        "nothing_against",
        "artefact_not_pinned",
    }
    # Layer 0 scores a little less here, which changes nothing: told as a note.
    assert ("layer_left_out", "note") in found


def test_its_table_is_that_of_the_models(claim: Path):
    with (claim.parent / "claim.csv").open(encoding="utf-8", newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream) if row["id"]}
    first, second = tensors("base0"), tensors("base1")
    for layer in range(4):
        name = f"model.layers.{layer}.input_layernorm.weight"
        assert float(rows[f"layer-{layer}"]["value"]) == pytest.approx(
            cosine(first[name], second[name]), abs=1e-5
        )
        assert abs(float(rows[f"layer-{layer}"]["pearson"])) < 0.3


def test_the_true_claim_has_nothing_to_find():
    assert lint_claim(TRUE_CLAIM).exit_status == 0


def test_it_says_of_itself_that_it_was_constructed(claim: Path):
    text = claim.read_text(encoding="utf-8")
    assert text.startswith("# Constructed for a rehearsal")
    assert "false, and argued badly on purpose" in text
