"""What a search or a tree wrote is shown again and, where it can be, repeated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Run


@pytest.fixture
def register(run: Run, models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JOKBO_REGISTRY", str(tmp_path / "default"))
    assert run("registry", "add", models["reference"], "--registry", tmp_path / "register").status == 0
    return tmp_path / "register"


def test_a_search_is_verified_with_its_register_and_shown_again(
    run: Run, models: dict[str, Path], register: Path, tmp_path: Path
):
    result, page = tmp_path / "search.json", tmp_path / "search.html"
    asked = ("search", models["derived"], "--registry", register, "--no-bounds")
    assert run(*asked, "--json", result, "--html", page, "-q").status == 10
    verified = run("verify", result, "--registry", register, "--candidate", models["derived"])
    assert (verified.status, "The search holds" in verified.out) == (0, True)
    assert run("verify", result, "--registry", register, "--candidate", models["apart"]).status == 11
    assert "JOKBO_REGISTRY" not in run("verify", result, "--candidate", models["derived"]).err
    again = tmp_path / "again.html"
    assert run("report", result, "--html", again).status == 0
    assert again.read_bytes() == page.read_bytes()
    assert run("report", result, "--json").out.encode() == result.read_bytes()
    assert "reference" in run("report", result).out


def test_a_tree_is_shown_again_and_verify_says_how_it_is_repeated(
    run: Run, models: dict[str, Path], tmp_path: Path
):
    result, page, again = (tmp_path / name for name in ("tree.json", "tree.html", "again.html"))
    run("tree", *models.values(), "--json", result, "--html", page, "--no-confirm", "-q", "--seed", 7)
    assert run("report", result, "--html", again).status == 0
    assert again.read_bytes() == page.read_bytes()
    said = run("verify", result)
    assert (said.status, "jokbo tree" in said.err, "--seed 7" in said.err) == (2, True, True)


@pytest.mark.parametrize("schema", ["jokbo.search/1", "jokbo.tree/1"])
@pytest.mark.parametrize("command", ["verify", "report"])
def test_an_edited_document_is_a_sentence(run: Run, tmp_path: Path, schema: str, command: str):
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps({"schema": schema, "models": [[]] * 5, "rows": "\ud800"}))
    said = run(command, edited, "--candidate", "x") if command == "verify" else run(command, edited)
    assert said.status == 2
    assert said.err.startswith("jokbo: ")
