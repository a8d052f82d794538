"""The family tree of really trained models and their edits: families exact, nothing told that is false.

Null: two models without a common ancestor; none is joined, and none is called a relative.
Why valid: each pair pays for all pairs; angles are read only beyond the likeness that trained siblings show.
What fools it: models in another basis, and those of which only a fingerprint is there, stay undetermined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from benchmarks.family_models import families, write_models
from benchmarks.family_tree import judge

from jokbo.lineage.tree import find_tree
from jokbo.lineage.tree_models import Execution

NAMES = (
    *("base0", "base1", "sft0", "cpt0", "lora0", "embx0", "sameinit0", "distil0"),
    *("int8 sft0", "deepened base0", "rotate base0", "soup sft0 cpt0", "soup sft0 lora0"),
    *("gpt2-0", "gpt2-0-sft", "gpt2-1"),
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    root = tmp_path_factory.mktemp("tree")
    places = write_models(root / "models", NAMES)
    execution = Execution(root / "results", executor="processes", workers=2)
    return find_tree([str(place) for place in places.values()], execution=execution).document


@pytest.fixture(scope="module")
def judged(tree: Mapping[str, Any]) -> dict[str, Any]:
    return judge(tree)


def told(tree: Mapping[str, Any], a: str, b: str) -> dict[str, Any]:
    names = [model["name"] for model in tree["models"]]
    pair = sorted((names.index(a), names.index(b)))
    (found,) = (r for r in tree["relations"] if [r["a"], r["b"]] == pair)
    return found | {
        "parent": None if found["parent"] is None else names[found["parent"]],
        "via": [names[k] for k in found["via"]],
    }


def test_families_are_exact_and_nothing_is_invented(judged: dict[str, Any]):
    assert judged["families"] == sorted(sorted(family) for family in families(NAMES))
    assert judged["families_exact"]
    assert judged["invented"] == []


def test_nothing_told_is_false(judged: dict[str, Any]):
    assert judged["wrong"] == []


def test_every_model_is_joined_to_one_that_it_was_made_from(judged: dict[str, Any]):
    assert judged["edges_alone"] == []


def test_edits_name_their_parent(tree: Mapping[str, Any]):
    for child, parent in (("int8 sft0", "sft0"), ("deepened base0", "base0")):
        found = told(tree, child, parent)
        assert (found["kind"], found["parent"], found["basis"]) == ("parent_child", parent, "marks")


def test_mixtures_name_their_parents(tree: Mapping[str, Any]):
    names = [model["name"] for model in tree["models"]]
    merges = {names[m["child"]]: m for m in tree["merges"]}
    assert set(merges) == {"soup sft0 cpt0", "soup sft0 lora0"}
    for child, parents, weights in (
        ("soup sft0 cpt0", ["cpt0", "sft0"], [0.4, 0.6]),
        ("soup sft0 lora0", ["lora0", "sft0"], [0.5, 0.5]),
    ):
        assert [names[k] for k in merges[child]["parents"]] == parents
        assert merges[child]["weights"] == pytest.approx(weights, abs=0.01)


def test_a_start_or_an_embedding_in_common_joins_nobody(tree: Mapping[str, Any]):
    names = [model["name"] for model in tree["models"]]
    joined = {names[k] for cluster in tree["clusters"] for k in cluster}
    assert not joined & {"sameinit0", "embx0", "distil0", "base1", "gpt2-1"}
    ties = {
        names[s["end"]] for s in tree["drawing"] if s["kind"] in ("lead", "reuse", "shared_initialisation")
    }
    ties |= {names[s["start"]] for s in tree["drawing"] if s["kind"] in ("lead", "reuse")}
    assert {"embx0", "sameinit0"} <= ties


def test_training_leaves_no_mark_so_no_fine_tune_has_a_parent(tree: Mapping[str, Any]):
    for child in ("sft0", "cpt0", "lora0"):
        assert told(tree, "base0", child)["parent"] is None
