"""``jokbo registry``: every command in both languages and as JSON; the exit status tells whether all went well."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from runs import Run

from jokbo.lineage.register import open_register
from jokbo.lineage.register.lists import known_models
from jokbo.testing.registers import flipped, small_fingerprint
from jokbo.views.fingerprint import SUFFIX


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A register of two models."""
    register = open_register(tmp_path / "register", create=True)
    register.add(small_fingerprint(1), parents=("org/a", "org/b"), license="mit", public_since="2023-01-02")
    register.add(small_fingerprint(2))
    return register.folder


@pytest.fixture
def prints(tmp_path: Path) -> list[Path]:
    """Two fingerprint files."""
    paths = [tmp_path / f"{k}{SUFFIX}" for k in (3, 4)]
    for k, path in zip((3, 4), paths, strict=True):
        path.write_bytes(small_fingerprint(k).data)
    return paths


def korean(text: str) -> bool:
    return re.search(r"[가-힣]", text) is not None


def test_add_models_and_files_and_list_them(
    run: Run, tmp_path: Path, models: dict[str, Path], prints: list[Path]
):
    where = ("--registry", tmp_path / "new")
    outcome = run("registry", "add", *prints, models["reference"], *where)
    assert outcome.status == 0
    assert "Registered: 3." in outcome.out
    listed = run("registry", "list", *where)
    assert listed.status == 0
    assert all(name in listed.out for name in ("model-3", "model-4", "reference"))
    assert "Models: 3." in listed.out


def test_what_is_declared_of_one_model_is_kept(run: Run, tmp_path: Path, prints: list[Path]):
    where = ("--registry", tmp_path / "new")
    facts = (
        "--name",
        "mine",
        "--parent",
        "org/a",
        "--parent",
        "org/b",
        "--relation",
        "merge",
        "--license",
        "mit",
    )
    since = ("--public-since", "2023-01-02", "--public-since-source", "its announcement")
    outcome = run("registry", "add", prints[0], *facts, *since, "--json", *where)
    document = json.loads(outcome.out)
    (entry,) = document["added"]
    assert (document["schema"], document["failed"]) == ("jokbo.registry_add/1", [])
    assert (entry["name"], entry["parents"], entry["relation"]) == ("mine", ["org/a", "org/b"], "merge")
    assert (entry["public_since"], entry["public_since_source"]) == ("2023-01-02", "its announcement")
    assert open_register(tmp_path / "new").get("mine").license == "mit"


def test_a_failure_exits_2_and_the_rest_stands(run: Run, tmp_path: Path, prints: list[Path]):
    prints[0].write_bytes(flipped(prints[0].read_bytes(), 3000))
    where = ("--registry", tmp_path / "new")
    outcome = run("registry", "add", *prints, *where)
    assert outcome.status == 2
    assert "Registered: 1." in outcome.out
    assert "Not registered: 1. All others stand." in outcome.out
    assert prints[0].name in outcome.out
    again = run("registry", "add", *prints, "--keep-going", "--lang", "ko", *where)
    assert again.status == 0
    assert "등록하지 못한 모델: 1개" in again.out
    assert "이미 등록되어" in again.out


def test_add_from_a_list(run: Run, tmp_path: Path, models: dict[str, Path]):
    (tmp_path / "list.toml").write_text(
        'schema = "jokbo.models/1"\n'
        f'[[model]]\npath = "{models["reference"]}"\ngroup = "mine"\nlicense = "mit"\n'
        f'[[model]]\npath = "{models["apart"]}"\nparents = ["reference"]\n'
    )
    where = ("--registry", tmp_path / "new")
    assert run("registry", "add", "--from", tmp_path / "list.toml", "--group", "mine", *where).status == 0
    register = open_register(tmp_path / "new")
    assert [entry.name for entry in register.entries()] == ["reference"]
    assert run("registry", "add", "--from", tmp_path / "list.toml", "--json", *where).status == 0
    assert register.get("apart").parents == ("reference",)
    assert len(register) == 2


def test_a_list_with_mistakes_adds_nothing(run: Run, tmp_path: Path):
    (tmp_path / "list.toml").write_text(
        'schema = "jokbo.models/1"\n[[model]]\nid = "one"\n[[model]]\nidd = "a/b"\n'
    )
    outcome = run("registry", "add", "--from", tmp_path / "list.toml", "--registry", tmp_path / "new")
    assert outcome.status == 2
    assert "list.toml: line 3: id is 'one'" in outcome.err
    assert "list.toml: line 5: unknown key 'idd'; did you mean 'id'?" in outcome.err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name the models to register, or a list"),
        (("a/b", "--from", "known"), "one of the two"),
        (("a/b", "c/d", "--license", "mit"), "2 models are named, and what is declared is of one"),
        (("--from", "known", "--license", "mit"), "stands in the list"),
        (("--from", "known", "--group", "nobody"), "the list has no group 'nobody'"),
        (("a/b", "--group", "x"), "--group chooses from a list"),
        (("a/b", "--public-since", "soon"), "public_since is 'soon'"),
        (("a/b", "--relation", "stolen"), "relation is 'stolen'"),
        (("--from", "none.toml"), "the list none.toml cannot be read"),
        (("a/b", "--workers", "0"), "--workers"),
    ],
)
def test_bad_usage_of_add(run: Run, tmp_path: Path, arguments: tuple[str, ...], message: str):
    outcome = run("registry", "add", *arguments, "--registry", tmp_path / "new")
    assert outcome.status == 2
    assert message in outcome.err
    assert not (tmp_path / "new").exists()


def test_a_register_with_a_salt_of_its_own(run: Run, tmp_path: Path, models: dict[str, Path]):
    where = ("--registry", tmp_path / "new")
    assert run("registry", "add", models["apart"], "--random-salt", *where).status == 0
    assert re.fullmatch(r"[0-9a-f]{32}", open_register(tmp_path / "new").salt)
    outcome = run("registry", "add", models["apart"], "--random-salt", *where)
    assert outcome.status == 2
    assert "is there and keeps its salt" in outcome.err


def test_list_shows_what_is_declared_and_who_says_it(run: Run, folder: Path, tmp_path: Path):
    register = open_register(folder)
    outcome = run("registry", "list", "--registry", folder, "--lang", "en")
    assert all(text in outcome.out for text in ("mit", "2023-01-02", register.get("model-1").key[:12]))
    run("registry", "export", "-o", tmp_path / "a.tar", "--registry", folder)
    run("registry", "import", tmp_path / "a.tar", "--exporter", "them", "--registry", tmp_path / "other")
    listed = " ".join(run("registry", "list", "--registry", tmp_path / "other").out.split())
    assert "(says" in listed
    document = json.loads(run("registry", "list", "--json", "--registry", folder).out)
    assert document["digest"] == register.digest
    assert document["salt"] == register.salt
    assert [entry["key"] for entry in document["entries"]] == [entry.key for entry in register.entries()]


def test_the_register_comes_from_the_environment(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JOKBO_REGISTRY", str(folder))
    outcome = run("registry", "list", "--lang", "ko")
    assert outcome.status == 0
    assert "모델 2개" in outcome.out


def test_no_register(run: Run, tmp_path: Path):
    outcome = run("registry", "list", "--registry", tmp_path / "none")
    assert outcome.status == 2
    assert "there is no register in" in outcome.err
    open_register(tmp_path / "empty", create=True)
    assert "holds no models yet" in run("registry", "list", "--registry", tmp_path / "empty").out


def test_the_known_models_are_shown(run: Run):
    outcome = run("registry", "list", "--known", "--lang", "en")
    assert outcome.status == 0
    assert all(listed.spec in outcome.out for listed in known_models())
    assert korean(run("registry", "list", "--known", "--lang", "ko").out)
    document = json.loads(run("registry", "list", "--known", "--json").out)
    assert sum(map(len, document["known"].values())) == len(known_models())


def test_remove(run: Run, folder: Path):
    outcome = run("registry", "remove", "model-1", "nobody", "--registry", folder)
    assert outcome.status == 2
    assert "holds no model 'nobody'" in outcome.err
    assert len(open_register(folder)) == 2
    outcome = run("registry", "remove", "model-1", "model-1", "--registry", folder)
    assert outcome.status == 0
    assert "Removed from the register: model-1" in outcome.out
    document = json.loads(run("registry", "remove", "model-2", "--json", "--registry", folder).out)
    assert [entry["name"] for entry in document["removed"]] == ["model-2"]
    assert len(open_register(folder)) == 0


def test_check(run: Run, folder: Path):
    outcome = run("registry", "check", "--registry", folder)
    assert outcome.status == 0
    assert "Models: 2." in outcome.out
    register = open_register(folder)
    path = register.path(register.get("model-1"))
    path.write_bytes(flipped(path.read_bytes(), 99))
    outcome = run("registry", "check", "--registry", folder)
    assert outcome.status == 2
    assert "The fingerprint of model-1 does not have the digest" in outcome.out
    outcome = run("registry", "check", "--registry", folder, "--lang", "ko")
    assert "model-1 모델의 핑거프린트 다이제스트가 등록할 때와 다릅니다" in outcome.out
    document = json.loads(run("registry", "check", "--json", "--registry", folder).out)
    assert (document["sound"], [problem["code"] for problem in document["problems"]]) == (False, ["damaged"])


def test_check_repairs(run: Run, folder: Path):
    (folder / "incoming" / f"{'0' * 32}.lock").touch()
    assert run("registry", "check", "--registry", folder).status == 2
    outcome = run("registry", "check", "--repair", "--registry", folder)
    assert outcome.status == 0
    assert "Removed: 1." in outcome.out
    assert run("registry", "check", "--registry", folder).status == 0


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_every_problem_has_words(lang: str):
    from jokbo.report.texts import Texts

    codes = (
        "missing",
        "damaged",
        "unreadable",
        "unreadable_format",
        "disagrees",
        "orphan",
        "leftover",
        "foreign",
    )
    for code in codes:
        text = Texts(lang).code("register.problem", code, name="N", path="/p", sentence="S.")
        assert korean(text) is (lang == "ko")


def test_export_and_import(run: Run, folder: Path, tmp_path: Path):
    archive, other = tmp_path / "archive.tar", tmp_path / "other"
    outcome = run("registry", "export", "-o", archive, "--registry", folder)
    assert outcome.status == 0
    assert "Models: 2." in outcome.out
    outcome = run("registry", "import", archive, "--registry", other)
    assert outcome.status == 0
    assert "Models entered: 2; there already: 0." in outcome.out
    assert "claims of archive.tar" in outcome.out
    outcome = run("registry", "import", archive, "--registry", other, "--json")
    assert json.loads(outcome.out)["known"] == 2
    document = json.loads(
        run("registry", "export", "model-2", "-o", archive, "--json", "--registry", other).out
    )
    assert document["models"] == 1
    assert document["size"] == archive.stat().st_size


def test_export_leaves_damaged_models_out_only_when_asked(run: Run, folder: Path, tmp_path: Path):
    register = open_register(folder)
    register.path(register.get("model-1")).unlink()
    outcome = run("registry", "export", "-o", tmp_path / "a.tar", "--registry", folder)
    assert outcome.status == 2
    assert "the fingerprint of model-1" in outcome.err
    assert not (tmp_path / "a.tar").exists()
    outcome = run("registry", "export", "-o", tmp_path / "a.tar", "--keep-going", "--registry", folder)
    assert outcome.status == 0
    assert "Models: 1." in outcome.out
    assert "Left out, because they are damaged: 1." in outcome.out
    assert "the fingerprint of model-1" in outcome.err


@pytest.mark.parametrize("place", ["", "none/a.tar"])
def test_an_archive_that_cannot_be_written_is_told_first(run: Run, folder: Path, tmp_path: Path, place: str):
    outcome = run("registry", "export", "-o", tmp_path / place, "--registry", folder)
    assert outcome.status == 2
    assert "cannot write" in outcome.err


def test_strange_names_reach_no_terminal(run: Run, folder: Path):
    import sqlite3

    with sqlite3.connect(folder / "index.sqlite") as connection:
        connection.execute("UPDATE entries SET name = 'a' || char(27) || '[2Jb' || char(8238)")
    connection.close()
    out = run("registry", "list", "--registry", folder).out
    assert "\x1b" not in out
    assert "\u202e" not in out


def test_a_name_that_nobody_or_more_than_one_has_is_told_as_a_name(
    run: Run, models: dict[str, Path], tmp_path: Path
):
    place = ("--registry", tmp_path / "register")
    assert run("registry", "add", models["reference"], "--name", "twin", *place).status == 0
    assert run("registry", "add", models["apart"], "--name", "twin", *place).status == 0
    said = run("registry", "add", "twin", "other", "--lang", "en", *place)
    assert said.status == 2
    assert "holds 2 models 'twin'. Name one by its key" in said.out
    assert "holds no model 'other'" in said.out
