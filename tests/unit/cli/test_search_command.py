"""``jokbo search``: the exit status is the answer, files are written, errors are sentences."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from jokbo.cli.search import command
from jokbo.cli.verify_search import verify_search_file
from jokbo.errors import UsageError
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.register import open_register
from jokbo.sources.base import OpenOptions
from jokbo.testing.builders import llama
from jokbo.testing.transforms import derive

SIZES = {"hidden_size": 64, "num_layers": 2, "intermediate_size": 172, "vocab_size": 128}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("search")
    base = llama(np.random.default_rng(0), **SIZES)
    register = open_register(root / "register", create=True)
    register.add(make_fingerprint(base.to_source(name="org/base")), public_since="2024-01-01")
    register.add(make_fingerprint(llama(np.random.default_rng(1), **SIZES).to_source(name="org/other")))
    derive(base, np.random.default_rng(5), cosine=0.95).save(root / "tuned")
    llama(np.random.default_rng(6), **SIZES).save(root / "fresh")
    return root


def run(*given: object) -> tuple[int, str]:
    """Exit status and standard output; the group outside turns errors into sentences."""
    runner = CliRunner()
    done = runner.invoke(command, [str(each) for each in given], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return int(done.return_value), done.output


def test_a_relative_exits_10_and_writes_what_it_found(place: Path, tmp_path: Path):
    result, page = tmp_path / "search.json", tmp_path / "search.html"
    status, shown = run(
        place / "tuned", "--registry", place / "register", "--json", result, "--html", page,
        "--seed", 1, "--no-bounds", "--candidate-since", "2025-02-03", "--lang", "en",
    )  # fmt: skip
    assert status == 10
    assert "org/base" in shown
    document = json.loads(result.read_bytes())
    assert document["rows"][0]["name"] == "org/base"
    assert "<html" in page.read_text(encoding="utf-8")


def test_a_stranger_exits_0_and_the_sentence_says_of_how_many(place: Path):
    status, shown = run(place / "fresh", "--registry", place / "register", "--seed", 1, "--lang", "en")
    assert status == 0
    assert "No registered model of 2 shows dependence" in shown


def test_a_declared_parent_exits_0(place: Path):
    status, _ = run(
        place / "tuned", "--registry", place / "register", "--declare", "org/base", "--seed", 1,
        "--no-bounds", "--candidate-since", "2025-02-03", "--quiet",
    )  # fmt: skip
    assert status == 0


def test_quiet_prints_nothing_and_korean_is_korean(place: Path):
    given = (place / "fresh", "--registry", place / "register", "--seed", 1, "--no-bounds")
    assert run(*given, "--quiet") == (0, "")
    assert "등록된 2개 모델" in run(*given, "--lang", "ko")[1]


def test_a_place_that_cannot_be_written_is_told_before_the_work(place: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="cannot write"):
        run(place / "fresh", "--registry", place / "register", "--json", tmp_path / "no" / "file.json")


def test_a_search_is_verified_and_an_edited_one_is_not(place: Path, tmp_path: Path):
    result = tmp_path / "search.json"
    run(place / "tuned", "--registry", place / "register", "--json", result, "--no-bounds", "--top", 0, "-q")
    given = {
        "registry": place / "register",
        "candidate": str(place / "tuned"),
        "options": OpenOptions(),
        "tell": None,
        "lang": "en",
    }
    said, holds = verify_search_file(result, as_json=False, **given)
    assert (holds, said.startswith("The search holds")) == (True, True)
    document = json.loads(result.read_bytes())
    document["rows"][0]["score"] += 1
    result.write_text(json.dumps(document))
    said, holds = verify_search_file(result, as_json=True, **given)
    assert not holds
    assert [d["path"] for d in json.loads(said)["differences"]] == ["rows/0/score"]
    with pytest.raises(UsageError, match="--candidate"):
        verify_search_file(result, as_json=True, **(given | {"candidate": None}))


def test_no_register_is_a_sentence(place: Path, tmp_path: Path):
    with pytest.raises(Exception, match="no register"):
        run(place / "fresh", "--registry", tmp_path / "nowhere")


def test_a_registered_model_is_searched_by_its_name_and_said_to_be_there_itself(place: Path):
    status, shown = run(
        "base2", "--registry", own_register(place), "--seed", 1, "--no-bounds", "--lang", "en"
    )
    assert (status, "The candidate itself is registered" in " ".join(shown.split())) == (0, True)
    status, shown = run(place / "fresh", "--registry", place / "register", "--no-bounds", "--lang", "en")
    assert "The candidate itself" not in shown


def own_register(place: Path) -> Path:
    register = open_register(place / "named", create=True)
    for k in (1, 2):
        model = llama(np.random.default_rng(k), **SIZES).to_source(name=f"base{k}")
        register.add(make_fingerprint(model))
    return register.folder


def test_a_name_that_two_models_have_is_a_sentence(place: Path):
    register = open_register(own_register(place))
    register.add(make_fingerprint(llama(np.random.default_rng(3), **SIZES).to_source(name="base2")))
    with pytest.raises(UsageError, match="holds 2 models 'base2'"):
        run("base2", "--registry", register.folder)


@pytest.mark.parametrize("date", ["tomorrow", "2024-W01-1", "20240101", "2024-01-01ish"])
def test_a_date_that_is_none_is_refused_even_where_nothing_is_dated(place: Path, date: str):
    with pytest.raises(UsageError, match="expected a date such as"):
        run(place / "fresh", "--registry", place / "register", "--candidate-since", date)


def test_results_that_cannot_be_kept_are_a_sentence(place: Path, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the results folder"):
        run(place / "fresh", "--registry", place / "register", "--results", tmp_path / "file")
