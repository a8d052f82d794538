"""``jokbo tree``: the exit status is the answer, four kinds of file are written, errors are sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Run

from jokbo.lineage.graph.document import parse_tree


def test_a_tree_exits_10_and_is_written_in_four_forms(run: Run, models: dict[str, Path], tmp_path: Path):
    files = {kind: tmp_path / f"tree.{kind}" for kind in ("json", "html", "dot", "mermaid")}
    options = [part for kind, file in files.items() for part in (f"--{kind}", file)]
    outcome = run("tree", *models.values(), *options, "--results", tmp_path / "results")
    assert outcome.status == 10
    shown = " ".join(outcome.out.replace("│", " ").split())
    assert "Among these 3 models, dependence was found that nobody declared (1)." in shown
    document = parse_tree(files["json"].read_bytes())
    assert [model["name"] for model in document["models"]] == ["apart", "derived", "reference"]
    assert document["clusters"] == [[1, 2]]
    assert "<svg" in files["html"].read_text(encoding="utf-8")
    assert "m1 -> m2" in files["dot"].read_text(encoding="utf-8")
    assert "m1 --- m2" in files["mermaid"].read_text(encoding="utf-8")


def test_quiet_says_nothing_and_the_same_again_in_korean(run: Run, models: dict[str, Path], tmp_path: Path):
    quiet = run("tree", *models.values(), "--results", tmp_path, "-q")
    assert (quiet.status, quiet.out, quiet.err) == (10, "", "")
    korean = run("tree", *models.values(), "--results", tmp_path, "--lang", "ko")
    assert "아무도 밝히지 않은 의존" in korean.out


def test_the_seed_is_drawn_and_a_run_that_goes_on_keeps_it(run: Run, models: dict[str, Path], tmp_path: Path):
    """Rows of whole models that anybody could foresee could be made to match."""
    pair, seeds = (models["reference"], models["apart"]), []
    for folder in ("one", "one", "other"):
        file = tmp_path / "tree.json"
        assert run("tree", *pair, "--results", tmp_path / folder, "--json", file, "-q").status == 0
        seeds.append(json.loads(file.read_bytes())["parameters"]["seed"])
    assert seeds[0] == seeds[1] != seeds[2]
    (tmp_path / "one" / "seed").write_text("none")
    assert "holds no seed" in run("tree", *pair, "--results", tmp_path / "one").err


def test_unrelated_models_exit_0(run: Run, models: dict[str, Path], tmp_path: Path):
    file = tmp_path / "tree.json"
    outcome = run("tree", models["reference"], models["apart"], "--json", file, "--no-confirm")
    assert outcome.status == 0
    assert json.loads(file.read_bytes())["parameters"]["confirm"] is False


def test_without_models_the_register_is_needed(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: dict[str, Path]
):
    monkeypatch.setenv("JOKBO_REGISTRY", str(tmp_path / "none"))
    outcome = run("tree")
    assert outcome.status == 2
    assert "there is no register" in outcome.err
    named = run("tree", models["reference"], models["apart"], "--registry", tmp_path / "none")
    assert named.status == 2


@pytest.mark.parametrize("kind", ["json", "html", "dot", "mermaid"])
def test_a_place_that_cannot_be_written_is_told_first(
    run: Run, models: dict[str, Path], tmp_path: Path, kind: str
):
    outcome = run("tree", *models.values(), f"--{kind}", tmp_path)
    assert outcome.status == 2
    assert "cannot write" in outcome.err


def test_an_unknown_executor_is_refused(run: Run, models: dict[str, Path]):
    outcome = run("tree", *models.values(), "--executor", "clay")
    assert outcome.status == 2
    assert "'clay'" in outcome.err
