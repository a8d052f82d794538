"""Bounds: plants are what they claim, the search keeps its rule, and what is promised is found."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from jokbo.architectures.base import Role
from jokbo.independence.base import Alignment, Cluster
from jokbo.independence.betting import combine_clusters
from jokbo.independence.bounds import COSINES, SCRAMBLED, SHARES, Bound, Kind, plant_bounds
from jokbo.independence.bounds import matched as matched_module
from jokbo.independence.bounds.base import Axis, Goal, clusters_of, combine_plants, search, strengths
from jokbo.independence.bounds.matched import pair_blocks
from jokbo.independence.bounds.turns import Turns
from jokbo.independence.bounds.units import UnitPlants, planted_cosine
from jokbo.independence.examine import Examination, examine
from jokbo.independence.exams.units import UnitExam
from jokbo.independence.grams import normalise
from jokbo.independence.plan import ReadingPlan, parse_budget
from jokbo.testing.builders import gpt2, llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms.mix import splice_units
from jokbo.testing.transforms.permute import permute_units
from jokbo.testing.transforms.rotate import haar_rotation
from jokbo.testing.transforms.scale import flip_units
from jokbo.views.component import Component, ComponentKind
from jokbo.views.model import Model, open_model
from jokbo.views.samples import fetch_units

MLP = Component("text", ComponentKind.MLP)
ATTENTION = Component("text", ComponentKind.ATTENTION)
EMBEDDING = Component("text", ComponentKind.EMBEDDING)
NORMS = Component("text", ComponentKind.NORMS)
THRESHOLD = math.log(5e6)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def model(checkpoint: Checkpoint) -> Model:
    return open_model(checkpoint.to_source())


@cache
def independent(units: int = 64, layers: int = 2, budget: str | None = None) -> Examination:
    a, b = llama(rng(1), num_layers=layers), llama(rng(2), num_layers=layers)
    return examine(model(a), model(b), plan=ReadingPlan(units=units), budget=parse_budget(budget))


@cache
def bounds_of(component: Component, budget: str | None = None) -> tuple[Bound, ...]:
    return plant_bounds(independent(budget=budget), component, log_threshold=THRESHOLD)


def pick(bounds: tuple[Bound, ...], alignment: str, kind: Kind) -> Bound:
    (found,) = [b for b in bounds if b.alignment == alignment and b.kind is kind]
    return found


# What a plant is


def test_a_planted_cosine_is_that_of_the_mixed_row():
    a, b = normalise(rng(0).normal(size=(2, 7)))
    mixed = normalise((0.3 * a + math.sqrt(1 - 0.09) * b)[None])[0]
    assert planted_cosine(np.array(0.3), np.array(a @ b)) == pytest.approx(mixed @ a)


@pytest.mark.parametrize("kind", [Kind.COSINE, Kind.SCATTERED])
def test_planted_grams_are_those_of_planted_rows(kind: Kind):
    found = independent()
    exam = found.exams[MLP]
    assert isinstance(exam, UnitExam)
    assert exam.grams is not None
    plants = UnitPlants(exam, Goal(THRESHOLD, math.log(1e3), 2), rotated=True)
    draws = plants._draw(kind, 0.4, 3, rng(5))
    use = np.arange(len(plants.chosen))
    scores = plants._planted_scores(draws, np.arange(3), use)
    references, planted = plants._planted_grams(draws, np.arange(3), use)
    rows = [fetch_units(ledger, "text", exam.blocks[0], exam.grams.index) for ledger in found.bench.ledgers]
    case = 0
    for plant in range(3):
        for pair in use:
            expected, gram, own = 0.0, 0.0, 0.0
            for role in (Role.FFN_GATE, Role.FFN_UP):
                a, b = (normalise(side.rows[role][pair]) for side in rows)
                cluster = plants.clusters.number[pair]
                b = b[draws.labels[plant, cluster]]
                if role is Role.FFN_UP:
                    b = b * draws.signs[plant, cluster][:, None]
                c = draws.strengths[plant, pair][:, None]
                mixed = normalise(c * a + np.sqrt(1 - c**2) * b)
                size = np.abs if role is Role.FFN_UP else np.asarray
                expected = expected + size(mixed @ a.T)
                gram = gram + size(mixed @ mixed.T)
                own = own + size(a @ a.T)
            np.testing.assert_allclose(scores[case], expected, atol=1e-9)
            np.testing.assert_allclose(planted[case], gram, atol=1e-9)
            np.testing.assert_allclose(references[case], own, atol=1e-9)
            case += 1


def test_scattered_copies_are_the_share_asked_for():
    c = strengths(Axis(1000, np.arange(64)), Kind.SCATTERED, 0.2, plants=50, blocks=4, rng=rng())
    assert set(np.unique(c)) == {0.0, 0.99}
    assert (c > 0).mean() == pytest.approx(0.2, abs=0.02)


def test_a_run_of_copies_is_one_run_in_all_blocks_and_may_lie_outside_the_window():
    c = strengths(Axis(1000, np.arange(64)), Kind.CONTIGUOUS, 0.5, plants=400, blocks=3, rng=rng())
    copied = c > 0
    assert (copied == copied[:, :1]).all()
    assert (np.abs(np.diff(copied[:, 0].astype(int), axis=1)).sum(axis=1) <= 2).all()
    assert 0.05 < (~copied.any(axis=(1, 2))).mean() < 0.6


def test_a_run_over_the_whole_axis_is_always_seen():
    c = strengths(Axis(100, np.arange(64)), Kind.CONTIGUOUS, 1.0, plants=20, blocks=1, rng=rng())
    assert (c == 0.99).all()


def test_clusters_combine_as_in_the_exam():
    values = rng(3).normal(size=(5, 6)) * 10
    values[0, 2] = -np.inf
    np.testing.assert_allclose(combine_plants(values), [combine_clusters(row) for row in values])


def test_pairs_of_a_grid_that_are_not_planted_count_zero():
    pairs = np.array([(i, j) for i in range(2) for j in range(4)])
    chosen, clusters = clusters_of(pairs, [Cluster(int(i)) for i, _ in pairs])
    assert [tuple(pair) for pair in pairs[chosen]] == [(0, 0), (0, 1), (1, 2), (1, 3)]
    averaged = clusters.average(np.log(np.array([[4.0, 8.0, 2.0, 2.0]])))
    np.testing.assert_allclose(np.exp(averaged), [[3.0, 1.0]])


def test_a_sample_of_units_has_the_cosines_of_whole_matrices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(matched_module, "SAMPLE_CELLS", 0)
    monkeypatch.setattr(matched_module, "MIN_SAMPLE", 5)
    sides = [
        {role: normalise(rng(seed).normal(size=(n, 8))) for role in (Role.FFN_GATE, Role.FFN_UP)}
        for seed, n in ((0, 12), (1, 9))
    ]
    pairing = pair_blocks(sides[0], sides[1], None, rng(7))
    again = rng(7)
    mine, theirs = again.permutation(9), again.permutation(12)
    a, b = sides[0][Role.FFN_GATE][theirs], sides[1][Role.FFN_GATE][mine]
    c = np.where(np.arange(9) < 9, 0.6, 0)[:, None]
    whole = normalise(c * a[:9] + 0.8 * b) @ a.T
    np.testing.assert_allclose(
        pairing.strongest_rivals(Kind.COSINE, 0.6), whole[5:, :5].max(axis=0), atol=1e-6
    )
    np.testing.assert_allclose(pairing.gate.cross, b[:5] @ a.T, atol=1e-6)
    np.testing.assert_allclose(pairing.gate.base, a[:5] @ a.T, atol=1e-6)


def test_the_solved_rotation_follows_a_rotated_plant():
    a, b = rng(0).normal(size=(60, 6)), rng(1).normal(size=(60, 6))
    turn = haar_rotation(6, rng=rng(2))
    np.testing.assert_allclose(Turns(a, b)(0.6) @ turn, Turns(a @ np.eye(6), b)(0.6) @ turn)
    np.testing.assert_allclose(Turns(a, b)(1.0), np.eye(6), atol=1e-9)


# The search


def test_the_bound_is_the_last_value_before_the_first_miss():
    def plant(kind: Kind, value: float, plants: int, draws: np.random.Generator) -> np.ndarray:
        return np.full(plants, value >= 0.5 or value == 0.05)

    bound = search(plant, "same_basis", Kind.COSINE, n_plants=299, draw=rng)
    assert (bound.value, bound.tested, bound.n_plants, bound.misses, bound.reason) == (
        0.5,
        True,
        299,
        0,
        None,
    )


def test_one_miss_among_all_plants_is_enough():
    made = {0.99: 0, 0.9: 0}

    def plant(kind: Kind, value: float, plants: int, draws: np.random.Generator) -> np.ndarray:
        made[value] += plants
        found = np.ones(plants, dtype=bool)
        found[-1] = value > 0.9 or made[value] < 299
        return found

    assert search(plant, "same_basis", Kind.COSINE, n_plants=299, draw=rng).value == 0.99
    assert made == {0.99: 299, 0.9: 299}


def test_nothing_found_has_no_value_and_a_reason():
    bound = search(lambda k, v, n, r: np.zeros(n, bool), "same_basis", Kind.SCATTERED, n_plants=299, draw=rng)
    assert bound.value is None
    assert bound.tested
    assert bound.misses == bound.n_plants > 0
    assert bound.reason is not None
    assert bound.reason.code == "largest_plant_missed"


def test_what_a_heavier_disguise_shows_is_not_planted_again():
    tried = []

    def plant(kind: Kind, value: float, plants: int, draws: np.random.Generator) -> np.ndarray:
        tried.append(value)
        return np.full(plants, value >= 0.1)

    known = Bound("units_permuted", Kind.COSINE, 0.2, True, n_plants=299)
    bound = search(plant, "same_basis", Kind.COSINE, n_plants=20, draw=rng, known=known)
    assert (bound.alignment, bound.value, set(tried)) == ("same_basis", 0.1, {0.1, 0.05})
    missed = search(plant, "same_basis", Kind.COSINE, n_plants=20, draw=rng, known=replace(known, value=0.1))
    assert missed == Bound("same_basis", Kind.COSINE, 0.1, True, n_plants=299)


# Bounds of a pair


@pytest.mark.parametrize("component", [MLP, ATTENTION, EMBEDDING, NORMS])
def test_every_class_and_kind_has_an_answer(component: Component):
    bounds = bounds_of(component)
    assert [(b.alignment, b.kind) for b in bounds] == [(a, k) for a in (*Alignment, SCRAMBLED) for k in Kind]
    for bound in bounds:
        if bound.value is None:
            assert bound.reason is not None
            assert bound.tested == (bound.n_plants > 0)
        else:
            assert bound.value in (COSINES if bound.kind is Kind.COSINE else SHARES)
            assert (bound.tested, bound.n_plants, bound.misses) == (True, 299, 0)
    scrambled = pick(bounds, SCRAMBLED, Kind.COSINE)
    assert not scrambled.tested
    assert scrambled.reason is not None
    assert scrambled.reason.code == "no_exact_test"


def test_bounds_are_the_same_in_every_run():
    assert plant_bounds(independent(), MLP, log_threshold=THRESHOLD) == bounds_of(MLP)


def test_disguises_never_lower_a_bound():
    for component in (MLP, ATTENTION):
        for plain, disguised in (("same_basis", "units_permuted"), ("rotated", "rotated_and_permuted")):
            for kind in Kind:
                values = [pick(bounds_of(component), name, kind).value for name in (plain, disguised)]
                assert (values[0] or 2) <= (values[1] or 2)


def test_more_units_and_more_layers_lower_the_bound():
    values = []
    for units, layers in ((16, 1), (64, 1), (64, 4)):
        bounds = plant_bounds(independent(units, layers, "screen"), MLP, log_threshold=THRESHOLD, n_plants=60)
        values.append(pick(bounds, "same_basis", Kind.COSINE).value or 2)
    assert 1 > values[0] > values[1] > values[2]


def plant_model(a: Checkpoint, b: Checkpoint, cosine: float) -> Checkpoint:
    """Mix whole MLPs in the model itself, in rows folded with the norm before them."""
    changed = {}
    for name, values in b.tensors.items():
        if "mlp.gate_proj" in name or "mlp.up_proj" in name:
            norm = name.split("mlp.")[0] + "post_attention_layernorm.weight"
            rows = values.astype(float) * b[norm]
            mixed = cosine * normalise(a[name] * a[norm]) + math.sqrt(1 - cosine**2) * normalise(rows)
            changed[name] = np.linalg.norm(rows, axis=1, keepdims=True) * normalise(mixed) / b[norm]
    return b.with_tensors(changed)


@pytest.mark.parametrize(
    ("alignment", "kind"),
    [("same_basis", Kind.COSINE), ("units_permuted", Kind.COSINE), ("same_basis", Kind.SCATTERED)],
)
def test_what_the_bound_promises_the_whole_examination_finds(alignment: str, kind: Kind):
    value = pick(bounds_of(MLP), alignment, kind).value
    assert value is not None
    a, b = llama(rng(1)), llama(rng(2))
    reference, found = model(a.stored()), 0
    for seed in range(10):
        draws = rng(seed)
        fresh = flip_units(permute_units(b, rng=draws), rng=draws)
        if kind is Kind.COSINE:
            planted = plant_model(a, fresh, value)
        else:
            planted = splice_units(fresh, a, share=value, rng=draws)
        if alignment == "units_permuted":
            planted = permute_units(planted, rng=draws)
        evidence = examine(reference, model(planted), seed=seed).evidence(MLP)
        assert evidence is not None
        found += evidence.log_evalue >= THRESHOLD
    assert found == 10


def test_an_unreachable_threshold_leaves_no_value():
    bounds = plant_bounds(independent(), MLP, log_threshold=1e9, n_plants=20)
    assert all(bound.value is None for bound in bounds)
    assert pick(bounds, "same_basis", Kind.COSINE).misses == 20


def test_stages_not_read_are_named_with_the_bytes_they_need():
    found = independent(budget="screen")
    bound = pick(bounds_of(MLP, "screen"), "units_permuted", Kind.COSINE)
    assert (bound.tested, bound.value, bound.n_plants) == (False, None, 0)
    assert bound.reason is not None
    assert bound.reason.code == "not_tested_at_budget"
    assert bound.reason.values["bytes"] > found.bench.reference.spent_bytes
    value = pick(bounds_of(ATTENTION, "screen"), "units_permuted", Kind.COSINE)
    assert value.reason is not None
    assert value.reason.code == "not_tested_at_budget"


def test_measuring_enters_no_reads():
    found = examine(model(llama(rng(1))), model(llama(rng(2))))
    before = [(ledger.spent_bytes, ledger.rows_sha256) for ledger in found.bench.ledgers]
    for component in found.exams:
        plant_bounds(found, component, log_threshold=THRESHOLD, n_plants=20)
    assert before == [(ledger.spent_bytes, ledger.rows_sha256) for ledger in found.bench.ledgers]


def test_other_widths_have_no_bound():
    found = examine(model(llama(rng(1))), model(llama(rng(2), hidden_size=32)))
    for component in (MLP, ATTENTION, EMBEDDING):
        bounds = plant_bounds(found, component, log_threshold=THRESHOLD)
        assert not any(bound.tested for bound in bounds)
        codes = {bound.reason.code for bound in bounds if bound.reason}
        assert codes - {"no_exact_test"} <= {"hidden_sizes_differ", "value_rows_differ"}
        assert len(codes) == 2


def test_other_unit_counts_are_bounded_by_matching_alone():
    found = examine(model(llama(rng(1))), model(llama(rng(2), intermediate_size=160)))
    bounds = plant_bounds(found, MLP, log_threshold=THRESHOLD, n_plants=40)
    matched = pick(bounds, "units_permuted", Kind.COSINE)
    assert matched.value is not None
    assert pick(bounds, "same_basis", Kind.COSINE).value == matched.value


def test_other_depths_are_planted_along_the_depth():
    found = examine(model(llama(rng(1), num_layers=2)), model(llama(rng(2), num_layers=3)))
    bounds = plant_bounds(found, MLP, log_threshold=THRESHOLD, n_plants=40)
    assert pick(bounds, "same_basis", Kind.COSINE).value is not None
    refused = pick(bounds, "units_permuted", Kind.COSINE)
    assert refused.reason is not None
    assert refused.reason.code == "depths_differ"
    heads = plant_bounds(found, ATTENTION, log_threshold=THRESHOLD, n_plants=40)
    assert pick(heads, "units_permuted", Kind.COSINE).tested


def test_experts_are_bounded_like_mlps():
    found = examine(model(mixtral(rng(1))), model(mixtral(rng(2))))
    experts = Component("text", ComponentKind.EXPERTS)
    bounds = plant_bounds(found, experts, log_threshold=THRESHOLD, n_plants=40)
    assert pick(bounds, "same_basis", Kind.COSINE).value is not None
    assert pick(bounds, "units_permuted", Kind.COSINE).tested


def test_models_without_signs_are_bounded_by_order():
    found = examine(model(gpt2(rng(1))), model(gpt2(rng(2))))
    for component in (MLP, EMBEDDING):
        bounds = plant_bounds(found, component, log_threshold=THRESHOLD, n_plants=40)
        if found.exams[component].record.reason is None:
            assert pick(bounds, "same_basis", Kind.COSINE).tested
        else:
            assert not any(bound.tested for bound in bounds)


def test_a_component_that_one_model_lacks_has_reasons_only():
    found = examine(model(llama(rng(1))), model(llama(rng(2), tied=True)))
    bounds = plant_bounds(found, Component("text", ComponentKind.OUTPUT), log_threshold=THRESHOLD)
    assert not any(bound.tested for bound in bounds)
    assert {b.reason.code for b in bounds if b.reason} == {"absent_in_candidate", "no_exact_test"}
