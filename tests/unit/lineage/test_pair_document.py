"""What `compare_pair` writes follows its schema; a kept result that does not is named and done again."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from jokbo.errors import FormatError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.evidence.findings import Status, VerdictKind
from jokbo.evidence.schema import KEYWORDS
from jokbo.independence.base import Alignment
from jokbo.independence.bounds import Kind
from jokbo.independence.bounds.base import SCRAMBLED
from jokbo.lineage.executors import run_tasks
from jokbo.lineage.fingerprint import SUFFIX, make_fingerprint
from jokbo.lineage.journal import Journal
from jokbo.lineage.pair_document import pair_problem, result_problem, schema
from jokbo.lineage.pairs import RELATIONS, SCHEMA, compare_pair
from jokbo.lineage.tasks import Task, make_task, plan_confirm, plan_fingerprints
from jokbo.lineage.work import run_task
from jokbo.sources.memory import MemorySource
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import fine_tune_noise, quantise

SIZES = {"hidden_size": 64, "num_layers": 2, "intermediate_size": 172, "vocab_size": 128}
VALIDATOR = Draft202012Validator(dict(schema()))


@cache
def model(name: str) -> Checkpoint:
    base = llama(np.random.default_rng(0), **SIZES)
    match name:
        case "base":
            return base
        case "other":
            return llama(np.random.default_rng(1), **SIZES)
        case "tuned":
            return fine_tune_noise(base, size=0.1, rng=np.random.default_rng(2))
        case "narrow":
            return llama(np.random.default_rng(3), hidden_size=48, intermediate_size=96, vocab_size=64)
    raise ValueError(name)


def source(name: str, *, fingerprint: bool) -> MemorySource:
    if not fingerprint:
        return model(name).to_source(name=name)
    made = make_fingerprint(model(name).to_source(name=name))
    return MemorySource({f"{name}{SUFFIX}": made.data}, name=name)


@cache
def pair(candidate: str, kind: str, **chosen: Any) -> dict[str, Any]:
    return compare_pair(
        source("base", fingerprint=kind == "fingerprint"),
        source(candidate, fingerprint=kind != "full"),
        full=kind == "full",
        **chosen,
    )


def rules(rule: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every subschema with its path."""
    if isinstance(rule, dict):
        yield path, rule
        yield from rules(rule.get("items"), f"{path}/items")
        for key in ("properties", "$defs"):
            for name, each in rule.get(key, {}).items():
                yield from rules(each, f"{path}/{key}/{name}")


def test_every_field_is_described_in_keywords_that_our_validator_knows():
    Draft202012Validator.check_schema(dict(schema()))
    for path, rule in rules(dict(schema())):
        assert set(rule) <= KEYWORDS, path
        if "properties" in path and not path.endswith("items"):
            assert rule["description"].endswith("."), path
        if rule.get("type") == "object":
            assert rule["additionalProperties"] is False, path
            assert rule["required"] == sorted(rule["properties"]), path


def test_its_words_are_the_codes():
    fields, component = schema()["properties"], schema()["$defs"]["component"]["properties"]
    bound = schema()["$defs"]["bound"]["properties"]
    assert fields["schema"]["const"] == SCHEMA
    assert fields["relation"]["enum"] == list(RELATIONS)
    assert fields["kind"]["enum"] == [str(each) for each in VerdictKind]
    assert component["status"]["enum"] == [str(each) for each in Status]
    assert set(component["alignment"]["enum"]) == {*map(str, Alignment), None}
    assert set(bound["alignment"]["enum"]) == {*map(str, Alignment), SCRAMBLED}
    assert set(bound["kind"]["enum"]) == set(map(str, Kind))


def test_its_marks_are_those_of_evidence():
    text = resources.files("jokbo.evidence").joinpath("schemas/evidence-2.json").read_text(encoding="utf-8")
    marks = json.loads(text)["$defs"]["mark"]["properties"]["mark"]["enum"]
    assert schema()["properties"]["marks"]["items"]["enum"] == marks


def test_a_search_holds_whole_pairs():
    text = resources.files("jokbo.lineage").joinpath("schemas/search-1.json").read_text(encoding="utf-8")
    inside = json.loads(text)["$defs"]
    mine, theirs = schema()["$defs"], inside["pair"]["properties"]
    assert set(theirs) == set(schema()["properties"])
    assert set(theirs["components"]["items"]["properties"]) == set(mine["component"]["properties"])
    assert set(inside["measured"]["properties"]) == set(mine["bound"]["properties"])
    assert set(inside["side"]["properties"]) == set(mine["side"]["properties"])
    for name in ("relation", "rows"):
        assert sorted(theirs[name]["enum"]) == sorted(schema()["properties"][name]["enum"])


@pytest.mark.parametrize(
    ("candidate", "kind", "chosen", "relation"),
    [
        ("base", "full", {}, "identical"),
        ("tuned", "full", {"reference_first": True}, "lineage"),
        ("tuned", "fingerprint", {"among": 45}, None),
        ("tuned", "one fingerprint", {"among": 45}, None),
        ("other", "full", {"among": 3, "seed": 7}, "no_evidence"),
        ("other", "fingerprint", {}, "no_evidence"),
        ("narrow", "fingerprint", {}, None),
    ],
)
def test_what_is_written_follows_it(candidate: str, kind: str, chosen: dict[str, Any], relation: str | None):
    found = pair(candidate, kind, **chosen)
    assert pair_problem(found) is None
    assert list(VALIDATOR.iter_errors(found)) == []
    assert pair_problem(json.loads(canonical_bytes(found))) is None
    assert found["rows"] == ("full" if kind == "full" else "fingerprint")
    if relation is not None:
        assert found["relation"] == relation


def test_bounds_follow_it():
    small = {"hidden_size": 32, "num_layers": 1, "intermediate_size": 64, "vocab_size": 64}
    one, other = (llama(np.random.default_rng(k), **small).to_source(name=str(k)) for k in (0, 1))
    found = compare_pair(one, other, bounds=True)
    assert {bound["tested"] for bound in found["bounds"]} >= {True}
    assert list(VALIDATOR.iter_errors(found)) == []
    assert pair_problem(found) is None


def test_marks_are_among_its_words():
    quantised = quantise(model("base"), "int8")
    found = compare_pair(model("base").to_source(name="a"), quantised.to_source(name="b"), full=True)
    assert found["marks"]
    assert pair_problem(found) is None


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("schema", "jokbo.pair/2", "at schema: expected 'jokbo.pair/1'"),
        ("relation", "copied", "at relation: expected one of"),
        ("log10_evalue", "9", "at log10_evalue: expected number or null"),
        ("log10_evalue", float("inf"), "at log10_evalue"),
        ("inherited_share", 1.5, "at inherited_share: expected 0 to 1"),
        ("among", 0, "at among"),
        ("among", True, "at among: expected integer"),
        ("marks", ["a_word"], "at marks/0"),
        ("components", {}, "at components: expected array"),
        ("evidence_sha256", "0" * 63, "at evidence_sha256: expected text like"),
        ("reference", {}, "at reference: field 'commit' is missing"),
        ("note", "", "unknown field 'note'"),
    ],
)
def test_what_is_no_pair_is_told_with_its_field(path: str, value: object, said: str):
    found = copy.deepcopy(pair("other", "full", among=3, seed=7)) | {path: value}
    problem = pair_problem(found)
    assert problem is not None
    assert problem.startswith("it is no comparison of a pair")
    assert said in problem


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Task, dict[str, Any]]:
    """A task, and what becomes of it."""
    folder = tmp_path_factory.mktemp("whole")
    for name in ("base", "other"):
        model(name).save(folder / name)
    (task,) = plan_confirm([(str(folder / "base"), str(folder / "other"))], among=3, seed=7)
    return task, run_task(task.to_document())


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("relation", "copied", "no comparison of a pair at relation"),
        ("among", 1, "its among is 1, and the task's 3"),
        ("seed", 8, "its seed is 8, and the task's 7"),
        ("reference_first", True, "its reference_first is True, and the task's False"),
        ("rows", "fingerprint", "its rows is 'fingerprint', and the task's 'full'"),
    ],
)
def test_a_result_that_cannot_be_the_tasks_is_named(
    confirmed: tuple[Task, dict[str, Any]], tmp_path: Path, field: str, value: object, said: str
):
    """Its digest holds and its key is the task's; what it says is another's."""
    task, good = confirmed
    journal = Journal(tmp_path, result_problem)
    journal.keep(task, good | {field: value})
    with pytest.raises(FormatError, match=f"{said}.*; it is done again"):
        journal.read(task)


def test_such_a_result_is_done_again(confirmed: tuple[Task, dict[str, Any]], tmp_path: Path):
    task, good = confirmed
    Journal(tmp_path).keep(task, good | {"among": 1})
    found = run_tasks([task], results=tmp_path)
    assert found.resumed == 0
    assert "its among is 1" in found.damaged[0]
    assert found.done == {task.key: good}
    assert Journal(tmp_path, result_problem).read(task) == good


def test_a_good_result_that_somebody_else_left_is_taken(
    confirmed: tuple[Task, dict[str, Any]], tmp_path: Path
):
    task, good = confirmed
    Journal(tmp_path).keep(task, good)
    found = run_tasks([task], results=tmp_path)
    assert (found.resumed, found.damaged, found.done) == (1, (), {task.key: good})


def test_pairs_of_fingerprints_need_not_be_full_and_fingerprints_are_no_pairs():
    found = pair("tuned", "fingerprint", among=45)
    spec = {"among": 45, "seed": 0, "reference_first": False, "full": False}
    assert result_problem(make_task("pair", spec), found) is None
    (made,) = plan_fingerprints(["org/a"], out="prints")
    assert result_problem(made, {"bytes": 3}) is None
