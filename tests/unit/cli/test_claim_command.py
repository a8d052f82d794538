"""``jokbo claim``: the exit status is the answer, files are written, errors are sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Run

from jokbo.testing.claims import raw_claim, sound_claim, write_claim

CASES = Path(__file__).resolve().parents[3] / "docs" / "cases"


@pytest.fixture(autouse=True)
def entered(monkeypatch: pytest.MonkeyPatch) -> None:
    from jokbo.cli import main

    monkeypatch.setitem(main.COMMANDS, "claim", "Write and check a claim on two models.")


def test_exit_statuses(run: Run, tmp_path: Path):
    claim, rows = sound_claim()
    path = write_claim(tmp_path, claim, rows)
    assert run("claim", "lint", path).status == 0
    claim["would_count_against"] = []
    write_claim(tmp_path, claim, rows)
    assert run("claim", "lint", path).status == 11
    claim["controls"][1]["subtracted"] = 1.0
    write_claim(tmp_path, claim, rows)
    assert run("claim", "lint", path).status == 10
    path.write_text("a: &b 1")
    outcome = run("claim", "lint", path)
    assert outcome.status == 2
    assert outcome.err.startswith("jokbo: claim.yaml:1 holds an anchor")


def test_result_and_quiet(run: Run, tmp_path: Path):
    result = tmp_path / "lint.json"
    outcome = run("claim", "lint", CASES / "solar-open-glm/claim.yaml", "-q", "--json", result)
    assert (outcome.status, outcome.out, outcome.err) == (10, "", "")
    document = json.loads(result.read_bytes())
    assert document["schema"] == "jokbo.claim-lint/1"
    assert document["faults"] == 16
    assert result.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "An effect size is called sigma"), ("ko", "시그마라고 부른 효과 크기")]
)
def test_languages(run: Run, lang: str, words: str):
    outcome = run("claim", "lint", CASES / "solar-open-glm/claim.yaml", "--lang", lang)
    assert words in outcome.out


def test_models_are_opened_with_rerun_alone(run: Run, tmp_path: Path):
    claim, rows = raw_claim()
    claim["models"]["a"] = {"repository": "./nowhere/a"}
    path = write_claim(tmp_path, claim, rows)
    assert run("claim", "lint", path, "-q").status == 11
    outcome = run("claim", "lint", path, "-q", "--rerun", "--offline")
    assert outcome.status == 2
    assert "nowhere/a" in outcome.err


def test_a_claim_on_the_zoo_is_rerun(run: Run):
    outcome = run("claim", "lint", CASES / "zoo-fine-tune/by-norms.yaml", "--rerun", "--offline")
    assert outcome.status == 0
    assert "Both models were opened" in outcome.out


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_new_writes_a_claim_that_lints_clean(run: Run, lang: str, tmp_path: Path):
    path = tmp_path / "mine.yaml"
    outcome = run("claim", "new", path, "--lang", lang)
    assert outcome.status == 0
    assert "mine.csv" in outcome.out
    assert run("claim", "lint", path, "-q").status == 0
    again = run("claim", "new", path)
    assert again.status == 2
    assert "is there already" in again.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lint",), "Missing argument 'FILE'"),
        (("lint", "/no/such.yaml"), "/no/such.yaml is not there"),
        (("lint", "/no/such.yaml", "--json", "/no/such/place"), "cannot write"),
        (("new", "claim.txt"), "ends in .yaml"),
        (("new", "/no/such/folder/claim.yaml"), "cannot write"),
    ],
)
def test_bad_usage_exits_2_with_a_sentence(run: Run, arguments: tuple[str, ...], message: str):
    outcome = run("claim", *arguments)
    assert outcome.status == 2
    assert message in outcome.err
