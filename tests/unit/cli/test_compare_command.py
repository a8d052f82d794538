"""``jokbo compare``: the exit status is the answer, files are written, errors are sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Run

from jokbo.evidence.evidence import parse_evidence

FAST = ("--no-bounds", "--no-scores")


def test_dependence_exits_10(run: Run, models: dict[str, Path]):
    outcome = run("compare", models["reference"], models["derived"], *FAST)
    assert outcome.status == 10
    assert "reference" in outcome.out
    assert outcome.err == ""


def test_no_evidence_exits_0(run: Run, models: dict[str, Path]):
    assert run("compare", models["reference"], models["apart"], *FAST).status == 0


def test_declared_dependence_exits_0(run: Run, models: dict[str, Path]):
    assert run("compare", models["reference"], models["derived"], *FAST, "--declare", "all").status == 0


def test_undeclared_dependence_exits_10(run: Run, models: dict[str, Path]):
    outcome = run("compare", models["reference"], models["derived"], *FAST, "--declare", "text.mlp")
    assert outcome.status == 10


def test_untestable_exits_11(run: Run, models: dict[str, Path], tmp_path: Path):
    """Nothing is comparable where the hidden sizes differ."""
    import numpy as np

    from jokbo.testing.builders import llama

    other = llama(np.random.default_rng(3), hidden_size=64, intermediate_size=128, vocab_size=64)
    assert run("compare", models["reference"], other.save(tmp_path / "wide"), *FAST).status == 11


def test_identical_exits_10(run: Run, models: dict[str, Path]):
    assert run("compare", models["reference"], models["reference"], *FAST, "-q").status == 10


def test_quiet_prints_nothing(run: Run, models: dict[str, Path]):
    outcome = run("compare", models["reference"], models["derived"], *FAST, "-q")
    assert (outcome.status, outcome.out, outcome.err) == (10, "", "")


def test_the_json_file_is_evidence(run: Run, models: dict[str, Path], tmp_path: Path):
    path = tmp_path / "evidence.json"
    run("compare", models["reference"], models["derived"], "--json", path, "--seed", 7, "-q")
    evidence = parse_evidence(path.read_bytes())
    assert evidence.document["parameters"]["seed"] == 7
    assert evidence.document["verdict"]["exit_status"] == 10
    assert evidence.document["descriptive"] is not None
    assert path.read_bytes() == evidence.to_json()


@pytest.mark.parametrize(("lang", "marker"), [("en", 'lang="en"'), ("ko", 'lang="ko"')])
def test_the_page_is_written(run: Run, models: dict[str, Path], tmp_path: Path, lang: str, marker: str):
    path = tmp_path / "report.html"
    run(
        "compare", models["reference"], models["derived"], "--html", path, "--lang", lang, "-q", "--no-bounds"
    )
    page = path.read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    assert marker in page
    assert "<script src" not in page


def test_korean_by_locale(run: Run, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LC_ALL", "ko_KR.UTF-8")
    out = run("compare", models["reference"], models["apart"], *FAST).out
    assert any("\uac00" <= letter <= "\ud7a3" for letter in out)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seed", "-1"), "Invalid value for '--seed'"),
        (("--seed", "x"), "Invalid value for '--seed'"),
        (("--budget", "lots"), "--budget 'lots': expected 'screen', 'full', a share such as 2%, or a size"),
        (("--budget", "0MB"), "--budget '0MB'"),
        (("--budget", "-5%"), "--budget '-5%'"),
        (("--lang", "fr"), "Invalid value for '--lang': 'fr' is not one of 'en', 'ko'"),
        (
            ("--declare", "text.soul"),
            "declared component 'text.soul' is in neither model; expected 'all' or one of",
        ),
        (("--cache-size", "2%"), "--cache-size '2%': expected a size such as 4GB"),
        (("--cache-size", "much"), "much"),
        (
            ("--json", "/no/such/folder/x.json"),
            "cannot write /no/such/folder/x.json: No such file or directory",
        ),
        (("--nonsense",), "No such option"),
        (("one-more",), "Got unexpected extra argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_bad_usage_exits_2(run: Run, models: dict[str, Path], arguments: tuple[str, ...], message: str):
    outcome = run("compare", models["reference"], models["apart"], *FAST, *arguments)
    assert outcome.status == 2
    assert message in outcome.err
    assert outcome.out == ""


def test_deliberate_errors_are_one_line(run: Run, models: dict[str, Path]):
    outcome = run("compare", models["reference"], models["apart"], "--budget", "lots")
    assert outcome.err.startswith("jokbo: ")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("missing", ["reference", "candidate"])
def test_a_missing_model_exits_2(run: Run, models: dict[str, Path], missing: str):
    pair = {"reference": str(models["reference"]), "candidate": str(models["apart"])} | {
        missing: "./no-model"
    }
    outcome = run("compare", pair["reference"], pair["candidate"], *FAST)
    assert outcome.status == 2
    assert "no-model" in outcome.err
    assert outcome.out == ""


def test_a_name_that_is_nothing_exits_2(run: Run, models: dict[str, Path]):
    outcome = run("compare", "llama", models["apart"], *FAST)
    assert outcome.status == 2
    assert "'llama' is no path that exists, and not a hub id, which has two parts: org/name" in outcome.err


def test_a_hub_model_offline_exits_2(run: Run, models: dict[str, Path], tmp_path: Path):
    outcome = run("compare", "org/name", models["apart"], "--offline", "--cache-dir", tmp_path, *FAST)
    assert outcome.status == 2
    assert "org/name" in outcome.err


def test_no_partial_files_are_left_by_an_error(run: Run, models: dict[str, Path], tmp_path: Path):
    path = tmp_path / "evidence.json"
    assert run("compare", models["reference"], "./no-model", "--json", path).status == 2
    assert not path.exists()


def test_evidence_of_one_pair_is_the_same_by_command_and_by_library(
    run: Run, models: dict[str, Path], tmp_path: Path
):
    import jokbo

    path = tmp_path / "evidence.json"
    run("compare", models["reference"], models["derived"], "--seed", "5", "--json", path, "-q")
    found = jokbo.compare(models["reference"], models["derived"], seed=5)
    assert json.loads(path.read_bytes()) == json.loads(found.evidence.to_json())
