"""A plan is pure data: canonical order, keys that name what is computed, and a document that is checked when read."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from jokbo.errors import EvidenceError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.lineage import tasks as plans
from jokbo.lineage.plan_document import parse_plan, plan_to_json, schema
from jokbo.lineage.tasks import (
    End,
    needed_fingerprints,
    plan_confirm,
    plan_fingerprints,
    plan_search,
    plan_tree,
    plan_tree_of_models,
    stages,
    task_key,
)

NAMES = st.lists(st.text("abcdef/", min_size=1, max_size=6), min_size=1, max_size=9)


def prints(count: int) -> list[End]:
    return [End.of_fingerprint(f"/prints/{k}", f"{k:064x}") for k in range(count)]


@given(NAMES, st.randoms())
def test_the_order_of_naming_changes_nothing(names: list[str], rng):
    shuffled = names.copy()
    rng.shuffle(shuffled)
    assert plan_tree_of_models(names, out="o") == plan_tree_of_models(shuffled, out="o")


@given(st.integers(0, 12))
def test_all_pairs_once_each_paying_for_all(count: int):
    tasks = plan_tree(prints(count))
    pairs = count * (count - 1) // 2
    assert len({task.key for task in tasks}) == len(tasks) == pairs
    assert {task.spec["among"] for task in tasks} <= {pairs}
    assert all(task.spec["reference_id"] < task.spec["candidate_id"] for task in tasks)


@given(NAMES)
def test_a_plan_survives_being_written_and_read(names: list[str]):
    tasks = (*plan_tree_of_models(names, out="o", private=True, seed=3), *plan_confirm([("a", "b")], among=7))
    data = plan_to_json(tasks)
    assert parse_plan(data) == tasks
    assert plan_to_json(parse_plan(data)) == data


def test_where_a_file_lies_is_no_part_of_the_key():
    here, there = (plan_tree([End.of_fingerprint(f"{f}/{k}", f"{k:064x}") for k in range(3)]) for f in "ab")
    assert [t.key for t in here] == [t.key for t in there]
    assert here != there
    made_here, made_there = (plan_tree_of_models(["x", "y"], out=out) for out in ("a", "b"))
    assert [t.key for t in made_here] == [t.key for t in made_there]


@pytest.mark.parametrize("change", [{"seed": 1}, {"bounds": True}, {"among": 9}, {"reference_id": "task:x"}])
def test_what_changes_a_number_changes_the_key(change: dict):
    (task,) = plan_tree(prints(2))
    assert task_key("pair", {**task.spec, **change}) != task.key
    assert task_key("confirm", task.spec) != task.key


def test_keys_of_version_1_are_for_ever():
    """A journal of last year is found again, or its tasks are done twice."""
    (made,) = plan_fingerprints(["org/a"], out="x", salt="s")
    assert made.key == "340fefed66e8a5b489441cb2b3807f9fb65fa5989ce5a7a5da1570b463b7e16c"
    (pair,) = plan_tree(prints(2))
    assert pair.key == "a9dff6d5d51d5cde4b99d267971646e9d27cd4274aa7de694c414ce4b24aa7de"


def test_fingerprints_come_before_the_pairs_that_read_them():
    tasks = plan_tree_of_models(["b", "a", "c"], out="prints")
    first, second = stages(tuple(reversed(tasks)))
    made = {task.key: task.spec["out"] for task in first}
    assert len(first) == len(second) == 3
    for task in second:
        wanted = list(needed_fingerprints(task))
        assert [made[key] for key in wanted] == [task.spec["reference"], task.spec["candidate"]]


def test_a_search_leaves_the_candidate_itself_out_and_pays_for_the_register():
    references = prints(5)
    tasks = plan_search(references[2], references, reference_first=True)
    assert len(tasks) == 4
    assert {t.spec["among"] for t in tasks} == {4}
    assert {t.spec["candidate_id"] for t in tasks} == {references[2].id}


def test_too_many_pairs_are_refused_before_they_are_made(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(plans, "MAX_TASKS", 5)
    with pytest.raises(UsageError, match=r"all pairs would make 6 comparisons; expected at most 5"):
        plan_tree(prints(4))


def test_a_plan_grows_with_the_number_of_pairs_and_no_faster():
    """Seconds a pair for 4 times the models, 16 times the pairs; a quadratic plan would take 16 times as long."""

    def seconds_a_pair(count: int) -> float:
        started = time.process_time()
        plan_tree(prints(count))
        return (time.process_time() - started) / (count * (count - 1) / 2)

    small, large = (min(seconds_a_pair(n) for _ in range(3)) for n in (40, 160))
    assert large < 4 * small


def edited(change) -> bytes:
    document = json.loads(plan_to_json(plan_tree_of_models(["a", "b"], out="o")))
    change(document)
    return canonical_bytes(document)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(schema="jokbo.tasks/9"), r"plan at schema: expected 'jokbo\.tasks/1'"),
        (lambda d: d["tasks"].append(7), r"plan at tasks/3: expected object, found 7"),
        (lambda d: d["tasks"][0].update(kind="shell"), r"tasks/0 at kind: expected one of .*found 'shell'"),
        (lambda d: d["tasks"][0].update(kind=["pair"]), r"tasks/0 at kind"),
        (lambda d: d["tasks"][0]["spec"].update(run="rm"), r"tasks/0 at spec: unknown field 'run'"),
        (
            lambda d: d["tasks"][0]["spec"].update(out="/etc/passwd"),
            r"tasks/0 at spec/out: expected text like",
        ),
        (lambda d: d["tasks"][2]["spec"].pop("among"), r"tasks/2 at spec: field 'among' is missing"),
        (
            lambda d: d["tasks"][2]["spec"].update(among=0),
            r"tasks/2 at spec/among: expected 1 to any, found 0",
        ),
        (lambda d: d["tasks"][2]["spec"].update(seed=1), r"tasks/2: the key is [0-9a-f]{64}; expected"),
        (
            lambda d: d["tasks"].pop(0),
            r"tasks/1: it needs the fingerprint of task [0-9a-f]{64}, which is not",
        ),
    ],
)
def test_a_plan_that_was_edited_is_refused_by_name(change, said: str):
    with pytest.raises(EvidenceError, match=said):
        parse_plan(edited(change))


@pytest.mark.parametrize("data", [b"", b"[", b"\xff", b"[" * 100_000, b"null", b"[]", b"3"])
def test_what_is_no_plan_is_refused(data: bytes):
    with pytest.raises(EvidenceError, match=r"^plan"):
        parse_plan(data)


def test_the_small_validator_agrees_with_a_full_one():
    whole = schema()
    Draft202012Validator.check_schema(whole)
    for task in json.loads(plan_to_json(plan_tree_of_models(["a", "b"], out="o")))["tasks"]:
        Draft202012Validator({**whole["$defs"][task["kind"]], "$defs": whole["$defs"]}).validate(task)
