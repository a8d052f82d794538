"""``jokbo league inspect`` and ``jokbo league convert``."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs import Run

from jokbo.report.texts import catalogue
from jokbo.testing.results import read_folder

RUNS = Path(__file__).resolve().parents[1] / "league" / "written"


def test_inspect_in_both_languages(run: Run):
    folder = RUNS / "lm_harness" / "jokbo__one"
    english = run("league", "inspect", folder)
    korean = run("league", "inspect", folder, "--lang", "ko")
    assert (english.status, korean.status) == (0, 0)
    for said in ("mini_number · strict-match", "Mean of the rows", "0.2500", "is the mean of its tasks"):
        assert said in " ".join(english.out.split())
    for said in ("행의 평균", "0.2500", "과제별 평균의"):
        assert said in korean.out


def test_runs_of_the_same_file_names_are_told_apart(run: Run, tmp_path: Path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "exam.csv").write_text("item,acc\n1,1\n")
    out = tmp_path / "found.json"
    found = run(
        "league", "inspect", tmp_path / "a" / "exam.csv", tmp_path / "b" / "exam.csv", "--json", out, "-q"
    )
    assert found.status == 0
    names = [each["files"][0] for each in json.loads(out.read_text())["results"]]
    assert names == [f"{tmp_path}/a/exam.csv", f"{tmp_path}/b/exam.csv"]


def test_inspect_as_json(run: Run, tmp_path: Path):
    out = tmp_path / "found.json"
    found = run(
        "league", "inspect", RUNS / "inspect_ai" / "one.eval", "--json", out, "-q", "--field", "subject"
    )
    assert (found.status, found.out) == (0, "")
    (result,) = json.loads(out.read_text())["results"]
    assert result["rows"] == {"columns": ["subject"], "count": 16, "hashed": True, "items": 8}
    assert result["metrics"][0] == {
        "metric": "match",
        "mean": 0.1875,
        "published": 0.1875,
        "published_error": 0.091491,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no file or folder nowhere"),
        (["--reader", "helm", RUNS / "llm_eval"], "there is no reader 'helm'"),
        (["--reader", "csv_items", RUNS / "llm_eval" / "one.json"], "one.json"),
    ],
)
def test_inspect_refuses_what_it_cannot_read(run: Run, arguments: list[object], said: str):
    found = run("league", "inspect", *arguments)
    assert (found.status, said in found.err) == (2, True)


def test_convert_and_read_back(run: Run, tmp_path: Path):
    source, out = RUNS / "llm_eval" / "one.json", tmp_path / "out"
    arguments = ("league", "convert", source, "--to", "every-eval-ever", "-o", out)
    found = run(*arguments, "--lang", "ko", "--evaluator", "first_party", "--organization", "A house")
    assert (found.status, "과제 1개" in found.out) == (0, True)
    (back,) = read_folder(out).values()
    assert back.task == "mini/law"
    assert back.rows is not None
    assert back.rows.scores["accuracy"].mean() == pytest.approx(0.75)
    again = run(*arguments)
    assert (again.status, "is not empty" in again.err) == (2, True)


SOURCE = Path(__file__).resolve().parents[3] / "src" / "jokbo" / "league"
FILES = [
    *(SOURCE / "results").glob("*.py"),
    *(
        SOURCE / f"{n}.py"
        for n in ("assemble", "pairing", "event_tables", "whose_files", "standings", "statistics/shared")
    ),
]
BY_VARIABLE = {
    "error_zero": {"task", "metric", "value"},
    "error_absent": {"task", "metric", "value"},
    "group_mean_micro": {"group", "metric", "published", "micro", "macro"},
    "group_mean_macro": {"group", "metric", "published", "micro", "macro"},
}
"""Codes that reach their note through a variable."""


def notes_of_the_source() -> Iterator[tuple[str, set[str] | None]]:
    """Every code that a note can have, and its values where they are written beside it."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Reason":
                code, given = node.args[0], node.args[1] if len(node.args) > 1 else ast.Dict([], [])
                plain = isinstance(given, ast.Dict) and None not in given.keys
                if isinstance(code, ast.Constant):
                    yield code.value, {key.value for key in given.keys} if plain else None
    yield from BY_VARIABLE.items()


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_note_has_a_sentence_that_asks_only_for_what_is_given(lang: str):
    texts = {
        key.rpartition(".")[2]: text
        for key, text in catalogue(lang).items()
        if key.startswith("league.note.")
    }
    found = list(notes_of_the_source())
    assert {code for code, _ in found} == set(texts)
    for code, values in found:
        asked = set(re.findall(r"{(\w+)}", texts[code]))
        assert values is None or asked <= {*values, "who"}, code
