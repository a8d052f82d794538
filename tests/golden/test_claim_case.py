"""The worked case, byte for byte: what the linter finds of the claim by itself, in both languages."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from jokbo.formats.strict_yaml import parse_yaml
from jokbo.hearing.claims.lint import lint_claim
from jokbo.hearing.claims.schema import check_lint
from jokbo.hearing.claims.terminal import render_lint_terminal

HERE = Path(__file__).resolve().parent
CASES = HERE.parents[1] / "docs" / "cases"
CASE = CASES / "solar-open-glm"


def compare(file: Path, text: str, update: bool) -> None:
    if update:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")
    assert file.exists(), f"{file.name} is missing; run pytest with --update-golden and read the change"
    assert text == file.read_text(encoding="utf-8"), f"{file.name} differs; run pytest with --update-golden"


@pytest.mark.parametrize("name", ["claim", "rebuttal-shuffles", "rebuttal-layer-10"])
def test_result(name: str, request: pytest.FixtureRequest):
    result = lint_claim(CASE / f"{name}.yaml")
    check_lint(json.loads(result.to_json()), where=name)
    # Of the version of Jokbo only that it is told: it changes with every release.
    document = dict(result.document) | {"jokbo": "0"}
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    compare(HERE / "claims" / f"{name}.json", text, request.config.getoption("--update-golden"))


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_terminal(lang: str, request: pytest.FixtureRequest):
    from rich.console import Console

    out = io.StringIO()
    document = lint_claim(CASE / "claim.yaml").document
    render_lint_terminal(document, lang=lang, console=Console(file=out, width=80))
    update = request.config.getoption("--update-golden")
    compare(HERE / "claims" / f"claim.{lang}.txt", out.getvalue(), update)


def test_the_claim_has_the_faults_that_the_dispute_taught():
    result = lint_claim(CASE / "claim.yaml")
    found = {finding.code for finding in result.findings if finding.severity.value == "fault"}
    assert found == {
        "raw_cosine", "random_above_effect", "mislabelled_control", "centred_by_constant", "baseline_within_model",
        "outlier_baseline", "layer_left_out", "effect_called_sigma", "pvalue_beyond_sample", "either_way",
        "norms_alone", "script_disagrees", "failed_control", "sample_inflated", "unused_column", "figure_disagrees",
    }  # fmt: skip
    missing = {finding.code for finding in result.findings if finding.severity.value == "missing"}
    assert missing == {"nothing_against", "artefact_not_pinned"}
    notes = [finding.code for finding in result.findings if finding.severity.value == "note"]
    assert notes == ["few_of_many", "few_of_many", "direction_not_shown"]
    assert result.exit_status == 10


def test_the_numbers_are_the_published_ones():
    numbers = {f.code: f.numbers for f in reversed(lint_claim(CASE / "claim.yaml").findings)}
    assert numbers["random_above_effect"] == {"random": 0.9999, "value": 0.988988}
    assert round(numbers["layer_left_out"]["whole"], 3) == 0.817
    assert numbers["failed_control"] == {"measure": "other", "value": 0.258337, "baseline": 0.569929}
    assert numbers["sample_inflated"] == {"stated": 262144, "n": 4096}
    assert numbers["figure_disagrees"] == {"says": "0.38", "found": 0.945304}
    assert numbers["unused_column"] == {"measure": "pearson", "mean": 0.0129846, "n": 5}
    assert numbers["norms_alone"] == {"share": 4e-06}
    assert numbers["effect_called_sigma"]["stated"] == 182
    assert (numbers["either_way"]["low"], numbers["either_way"]["high"]) == (0.001, 0.004)
    assert 10 ** -numbers["pvalue_beyond_sample"]["log10_floor"] == pytest.approx(70, rel=1e-4)


TAUGHT = {
    "raw cosine on positive vectors": {"raw_cosine"},
    "no shuffle or centring control": {"no_control", "centred_by_constant"},
    "baseline from an outlier layer": {"outlier_baseline"},
    "a layer left out of the headline": {"layer_left_out"},
    "an effect size called sigma": {"effect_called_sigma"},
    "a random control above the effect": {"random_above_effect"},
    "sample size inflated": {"sample_inflated"},
    "a failed control": {"failed_control"},
    "evidence that would count either way": {"either_way"},
    "a contradicting column unused": {"unused_column"},
    "a conclusion from norm parameters alone": {"norms_alone"},
    "prose that disagrees with its own table": {"figure_disagrees"},
}
"""The twelve rules that the dispute taught, as the issue names them."""


@pytest.mark.parametrize("lesson", TAUGHT)
def test_each_lesson_is_found_by_the_linter_itself_and_told_in_the_page(lesson: str):
    found = {finding.code for finding in lint_claim(CASE / "claim.yaml").findings}
    told = [code for code in TAUGHT[lesson] if code in found]
    assert told
    for page in ("README.md", "README.ko.md"):
        assert f"`{told[0]}`" in (CASE / page).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["rebuttal-shuffles", "rebuttal-layer-10"])
def test_the_rebuttals_have_no_fault(name: str):
    result = lint_claim(CASE / f"{name}.yaml")
    assert [finding.code for finding in result.findings] == ["artefact_not_pinned"]
    assert result.exit_status == 11


@pytest.mark.parametrize("name", ["by-norms", "by-comparison"])
def test_the_sound_claims_have_nothing_to_find(name: str):
    result = lint_claim(CASES / "zoo-fine-tune" / f"{name}.yaml")
    assert (list(result.findings), result.exit_status) == ([], 0)


def test_every_figure_of_the_case_has_its_source():
    import csv

    for file in CASE.glob("*.csv"):
        with file.open(encoding="utf-8", newline="") as stream:
            assert all(row["source"] for row in csv.DictReader(stream)), file.name
    for file in CASE.glob("*.yaml"):
        document = parse_yaml(file.read_bytes(), where=file.name).value
        assert all(figure["source"] for figure in document["figures"]), file.name
        assert all(control["source"] for control in document.get("controls", ())), file.name
        assert document["measure"]["share_source"]
        assert document["source"]
