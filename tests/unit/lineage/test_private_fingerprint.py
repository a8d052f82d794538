"""Private fingerprints: no row stays, what is left decides as rows do, and the file is bound to the weights."""

from __future__ import annotations

import hashlib
import json
import math
from contextlib import closing
from functools import cache

import numpy as np
import pytest

from jokbo.architectures.base import Role
from jokbo.errors import RowsAbsentError, UsageError
from jokbo.evidence.compare import compare
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import encode
from jokbo.independence.base import Family
from jokbo.independence.examine import Examination, examine
from jokbo.independence.plan import Lot
from jokbo.lineage.fingerprint import Fingerprint, make_fingerprint, read_sketch
from jokbo.lineage.pairs import compare_pair
from jokbo.lineage.sketch_format import parse_sketch
from jokbo.sources.memory import MemorySource
from jokbo.testing.builders import gpt2, llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import (
    fine_tune_noise,
    flip_units,
    permute_experts,
    permute_units,
    rotate,
    upcycle,
)
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model, open_model
from jokbo.views.private_grams import Axis, Place, fetch_grams
from jokbo.views.samples import fetch_units

FILE = "m.fingerprint.safetensors"
LAYERS = 4


@cache
def base(seed: int = 0) -> Checkpoint:
    return llama(np.random.default_rng(seed), num_layers=LAYERS, reserved_tokens=20)


def child(model: Checkpoint, seed: int = 9, size: float = 0.2) -> Checkpoint:
    return fine_tune_noise(model, size=size, rng=np.random.default_rng(seed))


def made(model: Checkpoint, name: str = "m", *, private: bool = True) -> Fingerprint:
    return make_fingerprint(model.to_source(name=name), private=private)


def opened(model: Checkpoint, name: str = "m", *, private: bool = True) -> Model:
    return open_model(MemorySource({FILE: made(model, name, private=private).data}))


def pair(a: Checkpoint, b: Checkpoint, **choices: object) -> dict[str, object]:
    return compare_pair(opened(a, "a"), opened(b, "b"), **choices)  # type: ignore[arg-type]


def statuses(document: dict[str, object]) -> dict[str, str]:
    return {row["component"]: row["status"] for row in document["components"]}  # type: ignore[attr-defined]


def results(found: Examination, score: str) -> dict[tuple[str, bool], list[float]]:
    return {
        (str(component), result.local): [row.log_evalue / math.log(10) for row in result.rows]
        for component, exam in found.exams.items()
        for result in exam.record.results
        if result.parameters.get("score") == score and result.family is Family.UNITS
    }


# What is in the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", [llama, mixtral, gpt2])
def test_no_row_can_be_read_off_the_file(maker):
    model = maker(np.random.default_rng(3))
    data, whole = made(model).data, made(model, private=False).data
    pieces, known = ({side[k : k + 16] for k in range(len(side))} for side in (data, whole))
    seen = 0
    for name, tensor in model.tensors.items():
        rows = tensor if tensor.ndim > 1 else tensor[None]
        for row in (*rows, *rows.T):
            # Sixteen bytes in a row are there by chance in one of 2^100 files.
            parts = {
                encode(np.ascontiguousarray(row), kind)[:16] for kind in (DType.F32, DType.F16, DType.BF16)
            }
            parts = {part for part in parts if len(set(part)) > 4}
            assert not parts & pieces, name
            seen += bool(parts & known)
    assert seen > 100  # the fingerprint with rows has them, so the search can find some


def test_no_token_and_no_sign_of_a_row_stays():
    model = base()
    blocks = opened(model)
    assert blocks.vocabulary is None or not blocks.vocabulary.ids
    whole = parse_sketch(read_sketch(made(model, private=False).data) or b"")
    kept = parse_sketch(read_sketch(made(model).data) or b"")
    assert {section.kind for section in kept.sections} == {"unit_gram"}
    assert len(whole.sections) > len(kept.sections)
    (mine,) = kept.sections
    (theirs,) = [section for section in whole.sections if section.kind == "unit_gram"]
    assert mine.places == theirs.places
    assert mine.data.tobytes() == theirs.data.tobytes()


def test_layers_are_apart_and_only_windows_are_held():
    model = opened(base())
    assert model.grams is not None
    names = [str(place) for place in model.grams]
    units = [f"text/units/{layer}" for layer in range(LAYERS)]
    assert names == [*units, *(f"text/values/{layer}" for layer in range(LAYERS))]
    assert {held.count for place, held in model.grams.items() if place.axis is Axis.UNITS} == {64}
    assert {held.count for place, held in model.grams.items() if place.axis is Axis.VALUES} == {32}
    numbers = sum(len(held.data) // 2 for held in model.grams.values())
    assert numbers == LAYERS * (2 * 64 * 65 // 2 + 3 * 64 + 32 * 33 // 2)


def test_the_same_weights_give_the_same_file():
    assert made(base()).data == made(base()).data
    assert made(base()).data != made(child(base(), size=1e-3)).data


def test_a_folder_of_another_name_changes_the_header_alone():
    ours, theirs = made(base(), "ours"), made(base(), "theirs")
    assert ours.data != theirs.data
    assert ours.header.files == theirs.header.files
    assert ours.header.blocks == theirs.header.blocks


def test_large_local_files_are_read_whole_to_bind_the_file_to_them(tmp_path, monkeypatch):
    """Local files over a limit have no digest as a rule: a claim on their headers alone would bind nothing."""
    folders = [base().save(tmp_path / place / "model") for place in ("ours", "theirs")]
    at_hand = make_fingerprint(folders[0], private=True)
    monkeypatch.setattr("jokbo.sources.local.DIGEST_LIMIT_BYTES", 0)
    assert make_fingerprint(folders[0]).header.digest_covers == "headers"
    told: list[tuple[str, str]] = []
    expert = make_fingerprint(folders[1], private=True, progress=lambda *what: told.append(what))
    assert expert.data == at_hand.data
    assert expert.header.digest_covers == "weights"
    weights = (folders[1] / "model.safetensors").read_bytes()
    assert expert.header.files[0].sha256 == hashlib.sha256(weights).hexdigest()
    assert told == [("fingerprint", ""), ("digest", "model.safetensors")]


def test_a_model_given_open_stays_open(tmp_path, monkeypatch):
    monkeypatch.setattr("jokbo.sources.local.DIGEST_LIMIT_BYTES", 0)
    with closing(open_model(base().save(tmp_path / "model"))) as model:
        assert make_fingerprint(model, private=True).data == make_fingerprint(model, private=True).data
        assert model.digest_covers == "headers"


def test_the_header_is_that_of_the_fingerprint_with_rows():
    private, whole = made(base()).header, made(base(), private=False).header
    assert (private.private, whole.private) == (True, False)
    assert private.digest == whole.digest
    assert private.files == whole.files
    assert private.files[0].sha256 is not None
    assert set(private.blocks) == {"catalog", "tokens", "gram_index", "grams", "sketch"}


def test_it_is_smaller_than_rows_by_far_at_width():
    model = llama(np.random.default_rng(0), hidden_size=256, num_layers=2, num_heads=4)
    assert len(made(model).data) * 5 < len(made(model, private=False).data)


def test_a_private_fingerprint_is_no_model_to_make_another_of():
    with pytest.raises(UsageError, match="is a fingerprint already"):
        make_fingerprint(opened(base()), private=True)


def test_rows_are_refused_with_a_word():
    model = opened(base())
    ledger = Ledger(model, budget_bytes=1 << 40)
    blocks = [place.block for place in model.grams or {} if place.axis is Axis.UNITS]
    index = Lot(0, "", "", "jokbo-1").window("text.mlp/units", 172, 64)
    with pytest.raises(RowsAbsentError, match="does not hold all the rows"):
        fetch_units(ledger, "text", blocks, index)
    with pytest.raises(RowsAbsentError, match="no Gram matrix of rows"):
        fetch_grams(ledger, "text", Axis.UNITS, blocks, index + 1)
    assert fetch_grams(ledger, "text", Axis.UNITS, blocks, index[:48]).grams[Role.FFN_UP].shape == (
        LAYERS,
        48,
        48,
    )


def test_what_was_used_is_digested():
    first, second = (
        compare(opened(base(), "a"), opened(base(1), "b"), seed=seed, bounds=False).evidence.document[
            "reference"
        ]["read"]
        for seed in (0, 1)
    )
    assert first == second
    assert first["bytes"] == sum(len(held.data) for held in (opened(base()).grams or {}).values())
    assert first["tensors"] == []
    other = compare(opened(base(2), "a"), opened(base(1), "b"), seed=0, bounds=False)
    assert other.evidence.document["reference"]["read"]["sha256"] != first["sha256"]


# What it decides --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("maker", [llama, mixtral, gpt2])
@pytest.mark.parametrize("related", [True, False])
def test_rows_and_gram_matrices_say_the_same(maker, related: bool):
    """Anchored evidence of rows and of rounded Gram matrices: near ties may change their order."""
    a = maker(np.random.default_rng(4), num_layers=3)
    b = child(a) if related else maker(np.random.default_rng(5), num_layers=3)
    rows = results(examine(opened(a, private=False), opened(b, "n", private=False)), "anchored")
    grams = results(examine(opened(a), opened(b, "n")), "anchored")
    assert set(grams) <= set(rows)
    assert len(grams) == 2
    for key, values in grams.items():
        assert np.abs(np.array(values) - np.array(rows[key])).max() < 0.1
        assert (max(values) > 3) == related


def test_it_does_not_matter_which_side_shows_rows():
    a, b = base(), child(base())
    sides = [
        (opened(a, "a"), opened(b, "b")),
        (opened(a, "a"), opened(b, "b", private=False)),
        (opened(a, "a", private=False), opened(b, "b")),
        (opened(a, "a"), open_model(b.to_source(name="b"))),
    ]
    found = [compare(*models, seed=0, bounds=False).evidence.document["components"] for models in sides]
    assert all(each == found[0] for each in found)
    assert [row["component"] for row in found[0] if row["log10_evalue"] is not None] == [
        "text.mlp",
        "text.attention",
    ]


@pytest.mark.parametrize("disguise", [rotate, flip_units])
def test_derived_models_are_a_lead_and_with_a_date_dependent(disguise):
    a, b = base(), disguise(child(base()), rng=np.random.default_rng(2))
    found = pair(a, b, among=100)
    assert found["relation"] == "lead"
    assert found["log10_evalue"] > 40
    said = {row["component"]: (row["status"], row["reasons"]) for row in found["components"]}
    assert said["text.mlp"] == ("inconclusive", ["agreement_not_seen"])
    assert said["text.embedding"] == ("not_comparable", ["private_fingerprint"])
    dated = pair(a, b, reference_first=True)
    assert dated["relation"] == "shared_initialisation"
    assert statuses(dated)["text.mlp"] == "dependent"


def test_each_symmetry_is_erased_by_its_own_group_alone():
    a, b = base(), child(base(), size=0.05)
    rng = np.random.default_rng(6)
    by_family = {}
    for name, disguised in (("flipped", flip_units(b, rng=rng)), ("permuted", permute_units(b, rng=rng))):
        found = examine(opened(a, "a"), opened(disguised, "b"))
        (mlp,) = [c for c in found.exams if str(c) == "text.mlp"]
        evidence = found.evidence(mlp)
        by_family[name] = {
            str(family): e.log_evalue / math.log(10) for family, e in evidence.families.items()
        }
    assert by_family["flipped"]["U"] > 30
    assert by_family["flipped"]["S"] < 2
    assert by_family["permuted"]["U"] < 2
    assert by_family["permuted"]["S"] < 2


def test_independent_models_are_clean_with_bounds_of_the_right_classes():
    found = compare(opened(base(), "a"), opened(base(1), "b"), seed=0)
    assert str(found.verdict.kind) == "no_evidence"
    for row in found.evidence.document["components"]:
        if row["component"] not in ("text.mlp", "text.attention"):
            assert row["status"] == "not_comparable"
            continue
        by_class = {bound["alignment"]: bound for bound in row["bounds"] if bound["kind"] == "cosine"}
        assert 0 < by_class["rotated"]["value"] <= 0.99
        assert by_class["same_basis"]["value"] == by_class["rotated"]["value"]
        assert by_class["units_permuted"]["reason"]["code"] == "private_fingerprint"
        assert by_class["scrambled"]["reason"]["code"] == "no_exact_test"


def test_a_model_of_which_the_larger_half_is_not_shown_is_never_called_clean():
    models = [llama(np.random.default_rng(k), num_layers=2, vocab_size=4096) for k in (0, 1)]
    found = compare(opened(models[0], "a"), opened(models[1], "b"), seed=0, bounds=False)
    assert str(found.verdict.kind) == "inconclusive"
    (reason,) = found.verdict.reasons
    assert reason.code == "parts_not_compared"
    assert "text.embedding" in reason.values["parts"]


def test_neighbouring_depths_meet_layer_by_layer():
    deep = llama(np.random.default_rng(7), num_layers=5)
    shallow = deep.with_tensors({})
    from jokbo.testing.transforms import take_layers

    shallow = child(take_layers(deep, [0, 2, 4]))
    found = pair(deep, shallow)
    assert found["relation"] == "lead"
    other = pair(deep, llama(np.random.default_rng(8), num_layers=3))
    assert other["relation"] == "no_evidence"


def test_moved_layers_are_found_by_the_grid():
    deep = llama(np.random.default_rng(7), num_layers=4)
    from jokbo.testing.transforms import take_layers

    found = examine(opened(deep, "a"), opened(child(take_layers(deep, [1, 2, 3, 0])), "b"))
    said = results(found, "grid, anchored")
    assert min(said["text.mlp", False]) > 15
    assert max(results(found, "anchored")["text.mlp", False]) < 2


def test_copied_layers_are_one_witness():
    models = [llama(np.random.default_rng(k), num_layers=4, duplicated_layers=True) for k in (0, 1)]
    found = examine(opened(models[0], "a"), opened(models[1], "b"))
    exam = next(exam for component, exam in found.exams.items() if str(component) == "text.mlp")
    assert {block.layer: head.layer for block, head in exam.heads.items()} == {0: 0, 1: 0, 2: 2, 3: 2}
    assert {row.cluster.layer for result in exam.record.results for row in result.rows} == {0, 2}


def test_sorted_units_are_tested_locally_or_by_sign_alone():
    models = [
        llama(np.random.default_rng(k), num_layers=2, structure="sorted", intermediate_size=64)
        for k in (0, 1)
    ]
    found = examine(opened(models[0], "a"), opened(models[1], "b"))
    exam = next(exam for component, exam in found.exams.items() if str(component) == "text.mlp")
    assert Family.UNITS in exam.record.local_only
    assert (
        str(compare(opened(models[0], "a"), opened(models[1], "b"), bounds=False).verdict.kind)
        == "no_evidence"
    )


def test_experts_pair_by_number_and_with_a_dense_parent():
    mixture = mixtral(np.random.default_rng(1), num_layers=3)
    same = pair(mixture, child(mixture))
    assert same["relation"] == "lead"
    moved = permute_experts(child(mixture), rng=np.random.default_rng(4))
    assert pair(mixture, moved)["log10_evalue"] < same["log10_evalue"]
    dense = llama(np.random.default_rng(2), num_layers=3)
    raised = upcycle(dense, num_experts=4, noise=0.1, rng=np.random.default_rng(3))
    assert pair(dense, raised)["relation"] == "lead"


def test_models_of_different_widths_are_compared_without_bounds_of_rows():
    a, b = llama(np.random.default_rng(0), hidden_size=64), llama(np.random.default_rng(1), hidden_size=96)
    found = compare(opened(a, "a"), opened(b, "b"), seed=0)
    row = next(r for r in found.evidence.document["components"] if r["component"] == "text.mlp")
    assert row["status"] == "no_evidence"
    assert {bound["reason"]["code"] for bound in row["bounds"]} == {"hidden_sizes_differ", "no_exact_test"}


def test_different_numbers_of_units_are_said_to_differ():
    a, b = llama(np.random.default_rng(0)), llama(np.random.default_rng(1), intermediate_size=168)
    row = next(r for r in pair(a, b)["components"] if r["component"] == "text.mlp")
    assert (row["status"], row["reasons"]) == ("not_comparable", ["unit_counts_differ"])


def test_a_small_budget_of_the_model_that_shows_rows_is_said():
    a, b = opened(base(), "a"), open_model(child(base()).to_source(name="b"))
    found = compare(a, b, seed=0, budget="60kB", bounds=False).evidence.document["components"]
    mlp = next(row for row in found if row["component"] == "text.mlp")
    assert [note["code"] for note in mlp["notes"]] == ["budget_covers_layers"]
    assert mlp["log10_evalue"] > 3
    nothing = compare(a, b, seed=0, budget="1kB", bounds=False).evidence.document["components"]
    assert (
        next(row for row in nothing if row["component"] == "text.mlp")["reasons"][0]["code"]
        == "budget_excludes_rows"
    )


def test_the_tokens_block_keeps_the_size_alone():
    data = made(base()).data
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + length])["tokens"]
    block = data[8 + length + entry["data_offsets"][0] : 8 + length + entry["data_offsets"][1]]
    document = json.loads(block)
    assert document["tokens"] == document["reserved"] == []
    assert document["size"] > 0


def test_places_have_names():
    from jokbo.architectures.base import Expert
    from jokbo.views.component import Block

    assert str(Place("text", Axis.UNITS, Block(3, Expert(7)))) == "text/units/3/7"
    assert str(Place("text", Axis.VALUES, Block(0))) == "text/values/0"
