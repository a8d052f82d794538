"""The run of a family tree: what is compared, kept, confirmed, dropped, and what fails alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jokbo.errors import FormatError, UsageError
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.lineage.graph.document import check
from jokbo.lineage.register import Facts, Register, open_register
from jokbo.lineage.tree import find_tree
from jokbo.lineage.tree_models import Execution
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import derive, permute_units

SIZES = {"hidden_size": 32, "num_layers": 2, "intermediate_size": 64, "vocab_size": 64}
NAMES = ("apart", "base", "sparse", "tuned")


def pruned(model: Checkpoint) -> Checkpoint:
    """The smallest fifth of every matrix set to zero: an edit that leaves a mark."""
    cut = {n: np.quantile(np.abs(v), 0.2) for n, v in model.tensors.items() if v.ndim == 2}
    return model.with_tensors({n: np.where(np.abs(model[n]) < c, 0, model[n]) for n, c in cut.items()})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base, a training of it, its pruned copy, and a stranger."""
    root = tmp_path_factory.mktemp("models")
    base = llama(np.random.default_rng(0), **SIZES)
    made = {
        "base": base,
        "tuned": derive(base, np.random.default_rng(5), cosine=0.95),
        "sparse": pruned(base),
        "apart": llama(np.random.default_rng(1), **SIZES),
    }
    return {name: made[name].save(root / name) for name in NAMES}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def tree(folders: dict[str, Path], results: Path) -> Mapping[str, Any]:
    found = find_tree([str(f) for f in folders.values()], execution=Execution(results))
    check(json.loads(found.to_json()), where="the tree")
    return found.document


def relations(document: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    names = [model["name"] for model in document["models"]]
    return {(names[r["a"]], names[r["b"]]): r for r in document["relations"]}


def test_whole_models_decide_where_they_can_be_opened(tree: Mapping[str, Any]):
    assert [model["name"] for model in tree["models"]] == list(NAMES)
    assert tree["clusters"] == [[1, 2, 3]]
    assert {edge["rows"] for edge in tree["edges"]} == {"full"}
    assert tree["pairs"]["compared"] == tree["among"] == 6
    assert tree["pairs"]["confirmed"] == 3
    told = relations(tree)
    assert (told["base", "sparse"]["kind"], told["base", "sparse"]["parent"]) == ("parent_child", 1)
    assert tree["verdict"] == {"kind": "undeclared", "exit_status": 10}


def test_a_rerun_compares_nothing_again(folders: dict[str, Path], results: Path, tree: Mapping[str, Any]):
    told = []
    again = find_tree(
        [str(f) for f in reversed(folders.values())],
        execution=Execution(results, progress=lambda stage, state: told.append((stage, state))),
    )
    assert again.document == tree
    assert all(state.resumed == state.total for _, state in told)
    assert {stage for stage, _ in told} == {"fingerprint", "pair", "confirm"}


def test_processes_give_the_same_bytes(folders: dict[str, Path], tree: Mapping[str, Any], tmp_path: Path):
    """Of fingerprints; whole models are tasks of the same kind."""
    execution = Execution(tmp_path, executor="processes", workers=2)
    found = find_tree([str(f) for f in folders.values()], execution=execution, confirm=False).document
    assert [e["seen"] for e in found["edges"]] == [e["seen"] for e in tree["edges"]]
    alone = find_tree([str(f) for f in folders.values()], execution=Execution(tmp_path / "b"), confirm=False)
    assert alone.document == found


def test_fingerprints_alone_are_never_confirmed(folders: dict[str, Path], tmp_path: Path):
    files = []
    for name, folder in folders.items():
        files.append(tmp_path / f"{name}.fingerprint.safetensors")
        make_fingerprint(folder).write(files[-1])
    found = find_tree([str(f) for f in files], execution=Execution(tmp_path / "results")).document
    assert found["pairs"]["confirmed"] == 0
    assert {edge["rows"] for edge in found["edges"]} == {"fingerprint"}
    assert {(e["a"], e["b"]) for e in found["edges"]} == {(1, 2), (1, 3), (2, 3)}


def register(folders: dict[str, Path], place: Path, **facts: Facts) -> Register:
    """All models, with what is said of each; sources too."""
    made = open_register(place, create=True)
    for name, folder in folders.items():
        made.add_bytes(make_fingerprint(folder).data, facts.get(name, Facts(name=name, source=str(folder))))
    return made


def said(name: str, folder: Path, *parents: str, since: str | None = None) -> Facts:
    return Facts(name=name, parents=parents, source=str(folder), public_since=since)


def test_all_as_declared(folders: dict[str, Path], tmp_path: Path):
    held = register(
        folders,
        tmp_path / "register",
        tuned=said("tuned", folders["tuned"], "base"),
        sparse=said("sparse", folders["sparse"], "base"),
    )
    found = find_tree(register=held, execution=Execution(tmp_path / "results"))
    assert (found.document["verdict"]["kind"], found.exit_status) == ("as_declared", 0)
    assert {link["status"] for link in found.document["declared"]} == {"as_found", "consistent"}
    assert found.document["disagreements"] == []


def test_declared_the_wrong_way_round_and_without_evidence(folders: dict[str, Path], tmp_path: Path):
    held = register(
        folders,
        tmp_path / "register",
        base=said("base", folders["base"], "sparse"),
        apart=said("apart", folders["apart"], "base"),
    )
    found = find_tree(register=held, execution=Execution(tmp_path / "results"))
    codes = {d["code"] for d in found.document["disagreements"]}
    assert codes == {"reversed", "no_evidence", "undeclared"}
    assert found.exit_status == 10


def test_dates_of_the_register_say_who_was_first(folders: dict[str, Path], tmp_path: Path):
    held = register(
        folders,
        tmp_path / "register",
        base=said("base", folders["base"], since="2023-01-01"),
        tuned=said("tuned", folders["tuned"], since="2024-01-01"),
    )
    found = find_tree(["base", "tuned", "apart"], register=held, execution=Execution(tmp_path / "results"))
    told = relations(found.document)["base", "tuned"]
    assert (told["first"], told["parent"]) == (1, None)


def test_dates_lift_the_guard_from_fingerprints(folders: dict[str, Path], tmp_path: Path):
    """Nobody makes a model match one that was published later."""
    base = llama(np.random.default_rng(0), **SIZES)
    far = derive(base, np.random.default_rng(5), cosine=0.75).save(tmp_path / "far")
    both = {"base": folders["base"], "far": far}
    relation = {}
    for since in ("2023-01-01", None, "2025-01-01"):
        held = register(
            both,
            tmp_path / f"register {since}",
            base=said("base", folders["base"], since=since),
            far=said("far", far, since="2024-01-01"),
        )
        execution = Execution(tmp_path / "results")
        found = find_tree(register=held, execution=execution, confirm=False).document
        relation[since] = found["edges"][0]["relation"]
    assert relation == {"2023-01-01": "lineage", None: "lead", "2025-01-01": "lineage"}


def test_a_source_that_changed_since_confirms_nothing(folders: dict[str, Path], tmp_path: Path):
    moved = derive(llama(np.random.default_rng(0), **SIZES), np.random.default_rng(9), cosine=0.9)
    place = moved.save(tmp_path / "tuned")
    held = register(folders, tmp_path / "register", tuned=said("tuned", place))
    found = find_tree(["base", "tuned"], register=held, execution=Execution(tmp_path / "results"))
    (failure,) = found.document["failed"]
    assert failure["whole"]
    assert "no longer the model" in failure["error"]
    assert found.document["pairs"]["confirmed"] == 0
    assert found.document["edges"][0]["rows"] == "fingerprint"


def test_a_model_that_cannot_be_opened_costs_only_itself(folders: dict[str, Path], tmp_path: Path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0no header at all")
    specs = [str(folders["base"]), str(folders["apart"]), str(broken)]
    found = find_tree(specs, execution=Execution(tmp_path / "results"))
    assert [row["model"] for row in found.document["unmade"]] == [str(broken)]
    assert found.document["pairs"]["compared"] == 1
    assert found.exit_status == 11


def test_sketches_drop_pairs_and_the_document_counts_them(folders: dict[str, Path], tmp_path: Path):
    specs = [str(f) for f in folders.values()]
    found = find_tree(specs, execution=Execution(tmp_path), prefilter_from=2).document
    pairs = found["pairs"]
    assert pairs["dropped"] > 0
    assert pairs["compared"] + pairs["dropped"] == found["among"] == 6
    assert found["clusters"] == [[1, 2, 3]]
    assert all(relation["kind"] != "adjacent" for relation in found["relations"])


def test_a_model_in_another_basis_is_a_relative_whose_place_is_not_told(
    folders: dict[str, Path], tmp_path: Path
):
    base = llama(np.random.default_rng(0), **SIZES)
    shuffled = permute_units(base, rng=np.random.default_rng(3)).save(tmp_path / "shuffled")
    specs = [str(folders["base"]), str(folders["tuned"]), str(shuffled)]
    found = find_tree(specs, execution=Execution(tmp_path / "results")).document
    assert found["clusters"] == [[0, 1, 2]]
    told = relations(found)
    assert told["base", "shuffled"]["kind"] == told["shuffled", "tuned"]["kind"] == "undetermined"
    assert found["left_out"] == [1]


@pytest.mark.parametrize("count", [0, 1])
def test_a_tree_needs_two_models(folders: dict[str, Path], tmp_path: Path, count: int):
    with pytest.raises(UsageError, match="two models at least"):
        find_tree([str(folders["base"])] * count, execution=Execution(tmp_path))


def test_fingerprints_of_two_salts_share_no_rows(folders: dict[str, Path], tmp_path: Path):
    files = [tmp_path / f"{k}.fingerprint.safetensors" for k in range(2)]
    make_fingerprint(folders["base"]).write(files[0])
    make_fingerprint(folders["tuned"], salt="another").write(files[1])
    with pytest.raises(UsageError, match="different salts"):
        find_tree([str(f) for f in files], execution=Execution(tmp_path / "results"))


def test_a_damaged_fingerprint_is_named_and_left_out_only_where_asked(
    folders: dict[str, Path], tmp_path: Path
):
    files = [tmp_path / f"{name}.fingerprint.safetensors" for name in ("apart", "base", "tuned")]
    for file in files:
        make_fingerprint(folders[file.name.partition(".")[0]]).write(file)
    data = bytearray(files[2].read_bytes())
    data[-1] ^= 1
    files[2].write_bytes(bytes(data))
    execution, specs = Execution(tmp_path / "results"), [str(f) for f in files]
    with pytest.raises(FormatError, match=r"tuned\.fingerprint\.safetensors"):
        find_tree(specs, execution=execution)
    found = find_tree(specs, execution=execution, keep_going=True)
    assert [row["model"] for row in found.document["unmade"]] == [specs[2]]
    assert found.exit_status == 11
