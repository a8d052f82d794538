"""One candidate against a register: who is found, who is not, and what the document says of both."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jokbo.errors import EvidenceError, FormatError, UsageError
from jokbo.lineage.fingerprint import Fingerprint, make_fingerprint
from jokbo.lineage.register import Register, open_register
from jokbo.lineage.search import search
from jokbo.lineage.search_document import check, parse_search
from jokbo.lineage.search_relations import declared_relations, plain_name
from jokbo.lineage.verify_search import is_search, verify_search
from jokbo.testing.builders import llama
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import derive

SIZES = {"hidden_size": 64, "num_layers": 2, "intermediate_size": 172, "vocab_size": 128}


def stranger(number: int) -> Checkpoint:
    return llama(np.random.default_rng(number), **SIZES)


def fingerprint(model: Checkpoint, name: str, **given: Any) -> Fingerprint:
    return make_fingerprint(model.to_source(name=name), **given)


@dataclass
class Shelf:
    """A register of a base, its child, two strangers, and a model of another shape."""

    register: Register
    base: Checkpoint
    child: Checkpoint


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    """Shared: tests that change it take :func:`own`."""
    return fill(open_register(tmp_path_factory.mktemp("shelf") / "register", create=True))


@pytest.fixture
def own(shelf: Shelf, tmp_path: Path) -> Shelf:
    """A copy to change."""
    shutil.copytree(shelf.register.folder, tmp_path / "register")
    return Shelf(open_register(tmp_path / "register"), shelf.base, shelf.child)


@cache
def tuned(cosine: float = 0.95) -> Fingerprint:
    return fingerprint(derive(stranger(0), np.random.default_rng(10), cosine=cosine), "tuned")


@cache
def new() -> Fingerprint:
    return fingerprint(stranger(50), "new")


def fill(register: Register) -> Shelf:
    base = stranger(0)
    child = derive(base, np.random.default_rng(9), cosine=0.95)
    other = llama(np.random.default_rng(3), hidden_size=48, intermediate_size=96, vocab_size=64)
    register.add(fingerprint(base, "org/base"), public_since="2024-03-01")
    register.add(fingerprint(child, "org/child"), parents=("org/base@main",))
    for k in (1, 2):
        register.add(fingerprint(stranger(k), f"org/stranger{k}"))
    register.add(fingerprint(other, "org/narrow"))
    return Shelf(register, base, child)


def relations(document: Any) -> dict[str, str]:
    return {row["name"]: row["pair"]["relation"] for row in document["rows"]}


def test_relatives_are_found_most_evidence_first_and_the_rest_is_told(shelf: Shelf):
    found = search(tuned(), shelf.register, top=3, measured=0)
    document = found.document
    check(document, where="result")
    names = [row["name"] for row in document["rows"]]
    assert set(names[:2]) == {"org/base", "org/child"}
    assert [row["passed"] for row in document["rows"][:3]] == [True, True, False]
    assert [row["named"] for row in document["rows"][:3]] == [True, True, False]
    assert document["answer"]["outcome"] in ("found", "leads")
    assert document["answer"]["registered"] == 5
    assert document["answer"]["comparable"] == 4
    assert document["rest"]["not_comparable"][0]["names"] == ["org/narrow"]
    assert document["rest"]["clean"] == 1
    assert {row["pair"]["among"] for row in document["rows"]} == {5}
    evalues = [row["log10_evalue"] for row in document["rows"]]
    assert evalues == sorted(evalues, reverse=True)


def test_a_stranger_is_clean_with_bounds_that_count_both_stages(shelf: Shelf):
    found = search(new(), shelf.register)
    answer = found.document["answer"]
    assert (found.exit_status, answer["outcome"], answer["found"]) == (0, "clean", 0)
    shape = found.document["shapes"][0]
    assert shape["models"] == answer["seen_models"] == 4
    assert shape["measured"] is not None
    prefilter = {
        (b["component"], b["alignment"]): b["cosine"]
        for b in shape["prefilter"]
        if b["scope"] == "all_layers"
    }
    for seen in answer["seen"]:
        assert seen["measured"]
        least = prefilter[seen["component"], seen["alignment"]]
        assert seen["cosine"] is None or seen["cosine"] >= least


def test_the_same_search_gives_the_same_bytes_with_any_executor(shelf: Shelf, tmp_path: Path):
    made = tuned()
    plain = search(made, shelf.register, seed=5, measured=0, top=0).to_json()
    assert search(made, shelf.register, seed=5, measured=0, top=0).to_json() == plain
    kept = tmp_path / "results"
    again = search(
        made, shelf.register, seed=5, measured=0, top=0, executor="processes", workers=2, results=kept
    )
    assert again.to_json() == plain
    assert search(made, shelf.register, seed=5, measured=0, top=0, results=kept).to_json() == plain


def test_a_registered_candidate_is_not_held_against_itself(shelf: Shelf):
    found = search(fingerprint(shelf.base, "org/base"), shelf.register, measured=0, top=0).document
    assert found["candidate"]["registered"]
    assert found["answer"]["registered"] == 4
    assert found["register"]["models"] == 5
    assert "org/base" not in relations(found)


def test_what_is_declared_is_found_as_declared(shelf: Shelf):
    made = tuned()
    plain = search(made, shelf.register, measured=0, top=0, candidate_since="2025-01-01")
    assert plain.exit_status == 10
    told = search(made, shelf.register, measured=0, top=0, declare=["org/base"], candidate_since="2025-01-01")
    declared = {row["name"]: row["declared"] for row in told.document["rows"]}
    assert declared["org/base"] == "parent"
    assert declared["org/child"] == "relative"
    assert (told.exit_status, told.document["answer"]["outcome"]) == (0, "as_declared")
    other = search(
        made, shelf.register, measured=0, top=0, declare=["org/stranger1"], candidate_since="2025-01-01"
    )
    assert other.exit_status == 10


def test_a_declared_name_must_be_registered(shelf: Shelf):
    with pytest.raises(UsageError, match="no registered model"):
        search(new(), shelf.register, declare=["org/bsae"])


def test_dates_that_the_owner_vouches_for_put_a_model_first(shelf: Shelf):
    made = tuned()
    for since, first in (("2025-01-01", True), ("2024-03-01", False), ("2023-01-01", False), (None, False)):
        rows = search(made, shelf.register, measured=0, top=0, candidate_since=since).document["rows"]
        assert {row["name"]: row["reference_first"] for row in rows} == {
            "org/base": first,
            "org/child": False,
        }
        assert all(row["pair"]["reference_first"] == row["reference_first"] for row in rows)
    with pytest.raises(UsageError, match="expected a date"):
        search(made, shelf.register, candidate_since="last year")


def test_a_damaged_fingerprint_ends_the_search_or_is_named(own: Shelf):
    entry = own.register.get("org/stranger1")
    place = own.register.path(entry)
    data = bytearray(place.read_bytes())
    data[-100:] = bytes(100)
    data[len(data) // 2] ^= 1
    place.write_bytes(bytes(data))
    made = new()
    with pytest.raises(FormatError, match="stranger1"):
        search(made, own.register, top=4, measured=0)
    found = search(made, own.register, top=4, measured=0, keep_going=True).document
    assert [row["name"] for row in found["rest"]["failed"]] == ["org/stranger1"]
    assert found["answer"]["outcome"] == "unclear"
    assert "org/stranger1" not in relations(found)


def test_another_salt_is_refused(shelf: Shelf):
    with pytest.raises(UsageError, match="salt"):
        search(fingerprint(stranger(50), "new", salt="other"), shelf.register)


def test_an_empty_register_is_refused(tmp_path: Path):
    with pytest.raises(UsageError, match="holds no model"):
        search(new(), open_register(tmp_path / "r", create=True))


def test_nothing_comparable_is_no_clean_result(shelf: Shelf):
    odd = llama(np.random.default_rng(3), hidden_size=40, intermediate_size=88, num_heads=2, num_kv_heads=1)
    found = search(fingerprint(odd, "odd"), shelf.register)
    assert (found.exit_status, found.document["answer"]["outcome"]) == (11, "nothing_comparable")
    assert found.document["answer"]["not_comparable"] == 5
    assert found.document["rest"]["clean"] == 0


def test_findings_are_confirmed_on_the_models_where_they_can_be_opened(tmp_path: Path):
    base = stranger(0)
    register = open_register(tmp_path / "register", create=True)
    place = base.save(tmp_path / "base")
    register.add(make_fingerprint(place), source=str(place))
    register.add(fingerprint(derive(base, np.random.default_rng(9), cosine=0.95), "child"))
    child = derive(base, np.random.default_rng(10), cosine=0.95).save(tmp_path / "tuned")
    rows = search(str(child), register, measured=0, top=0, confirm=True).document["rows"]
    told = {row["name"]: row["confirmation"] for row in rows}
    assert told["base"]["pair"]["rows"] == "full"
    assert told["base"]["pair"]["relation"] in ("lineage", "shared_initialisation")
    assert told["child"] == {"pair": None, "reason": "no_model"}


def test_a_source_that_is_no_longer_the_registered_model_confirms_nothing(tmp_path: Path):
    base = stranger(0)
    register = open_register(tmp_path / "register", create=True)
    place = base.save(tmp_path / "base")
    register.add(make_fingerprint(place), source=str(place))
    child = derive(base, np.random.default_rng(10), cosine=0.95).save(tmp_path / "tuned")
    stranger(1).save(place)
    (row,) = search(str(child), register, measured=0, top=0, confirm=True).document["rows"]
    assert row["confirmation"]["pair"] is None
    assert "is not the model that the fingerprint base names" in row["confirmation"]["reason"]


def test_a_search_is_repeated_and_an_edited_one_is_told(own: Shelf, tmp_path: Path):
    made = tuned()
    found = search(made, own.register, seed=3, measured=0, top=0)
    place = tmp_path / "search.json"
    place.write_bytes(found.to_json())
    assert is_search(place)
    assert verify_search(place, register=own.register, candidate=made).holds
    edited = json.loads(found.to_json())
    edited["rows"][0]["log10_evalue"] = 999.0
    place.write_text(json.dumps(edited))
    outcome = verify_search(place, register=own.register, candidate=made)
    assert [d.path for d in outcome.differences] == ["rows/0/log10_evalue"]
    own.register.remove("org/stranger2")
    with pytest.raises(UsageError, match="another one"):
        verify_search(place, register=own.register, candidate=made)


def test_a_document_that_contradicts_itself_is_refused(shelf: Shelf):
    found = search(new(), shelf.register, measured=0, top=1)
    for change, said in (
        (lambda d: d["rest"].update(clean=7), "speaks of"),
        (lambda d: d["rows"].append(d["rows"][0]), "speaks of"),
        (lambda d: d["answer"].update(outcome="proven"), "expected one of"),
        (lambda d: d.update(more=1), "more"),
    ):
        document = json.loads(found.to_json())
        change(document)
        with pytest.raises(EvidenceError, match=said):
            parse_search(json.dumps(document).encode())
    with pytest.raises(EvidenceError, match="not JSON"):
        parse_search(b"{")


def test_names_are_compared_without_revision_and_case():
    assert plain_name("Org/M@main") == plain_name("org/m")


def test_declared_circles_end():
    class E:
        def __init__(self, name: str, *parents: str) -> None:
            self.key, self.name, self.parents = name * 20, name, parents

    entries: list[Any] = [E("a", "b"), E("b", "a"), E("c", "b"), E("d")]
    found = declared_relations(entries, ["a"])
    assert found == {"a" * 20: "parent", "b" * 20: "parent", "c" * 20: "relative"}
