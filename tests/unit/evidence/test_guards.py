"""What an accuser could make of its own model is not believed: one test a guard."""

from __future__ import annotations

import dataclasses
import math

import pytest
from cases import TEXT_ATTENTION, TEXT_EMBEDDING, TEXT_MLP, case, codes, judge, statuses, untested

from jokbo.evidence.policy import Policy
from jokbo.independence.base import Alignment, Family
from jokbo.independence.exams.base import AxisSize

U, S, V, C = Family.UNITS, Family.SIGNS, Family.ATTENTION, Family.CHANNELS
LOUD = AxisSize(n=512, d=256, effective=4.0)
FREE = AxisSize(n=64, d=128, rotation=2.0, basis=0.25)


def test_a_few_loud_channels_make_chance_cosines_large():
    assert Policy().relabelling_level(LOUD) == 1.0
    assert statuses(judge(case(TEXT_MLP, {U: 80.0}, local=40.0, effect=0.8, axis=LOUD))) == {
        "text.mlp": "inconclusive"
    }


def test_a_rotation_is_shared_by_the_clusters_that_fired():
    axis = AxisSize(n=344, d=128, rotation=0.37)
    one, four = (Policy().relabelling_level(axis, clusters=k) for k in (1, 4))
    assert one > four > Policy().relabelling_level(axis, rotated=False)
    assert four == pytest.approx(1.5 * 0.85 * math.sqrt(2 * math.log(344) / 128 + 0.37 / 4))


def test_a_head_has_a_basis_of_its_own_even_when_the_residual_one_is_pinned():
    free = dataclasses.replace(FREE, basis=0.0)
    pinned = Policy().relabelling_level(FREE, rotated=False)
    assert pinned > Policy().relabelling_level(free, rotated=False)
    attention = case(TEXT_ATTENTION, {V: 80.0}, effect=0.6, axis=FREE)
    found = judge(attention, case(TEXT_MLP, {U: 80.0}, local=40.0))
    assert statuses(found) == {"text.attention": "inconclusive", "text.mlp": "inherited"}


def test_an_inherited_mlp_pins_the_basis_for_its_tower():
    attention = case(TEXT_ATTENTION, {V: 80.0}, effect=0.8, axis=FREE)
    assert statuses(judge(attention)) == {"text.attention": "inconclusive"}
    found = judge(attention, case(TEXT_MLP, {U: 80.0}, local=40.0))
    assert statuses(found) == {"text.attention": "inherited", "text.mlp": "inherited"}


def test_value_rows_pin_nothing():
    embedding = dataclasses.replace(case(TEXT_EMBEDDING, {C: 80.0}, effect=0.6), min_cosine=0.75)
    found = judge(embedding, case(TEXT_ATTENTION, {V: 80.0}, effect=0.99))
    assert statuses(found)["text.attention"] == "inherited"
    assert statuses(found)["text.embedding"] == "inconclusive"


def test_a_table_that_learned_like_things_needs_its_own_level():
    embedding = dataclasses.replace(case(TEXT_EMBEDDING, {C: 80.0}, effect=0.6), min_cosine=0.75)
    quiet = case(TEXT_MLP, {U: -0.6})
    assert codes(judge(embedding, quiet))["text.embedding"] == ["relabelling_guard"]
    assert statuses(judge(embedding, quiet, older=True))["text.embedding"] == "inherited"


def test_agreement_that_only_gram_matrices_imply_is_not_seen():
    made = case(TEXT_MLP, {U: 80.0}, local=40.0)
    turned = tuple(dataclasses.replace(r, alignment=Alignment.ROTATED) for r in made.results)
    implied = dataclasses.replace(made, results=turned)
    assert codes(judge(implied)) == {"text.mlp": ["agreement_not_seen"]}
    assert statuses(judge(implied, older=True)) == {"text.mlp": "inherited"}


def test_nothing_found_in_half_a_body_is_not_no_evidence():
    found = judge(case(TEXT_MLP, {U: -0.6}), untested(TEXT_ATTENTION))
    assert found.kind.value == "inconclusive"
    assert found.exit_status == 11
    assert [reason.code for reason in found.reasons] == ["parts_not_compared"]


def test_dependence_in_half_a_body_is_still_dependence():
    found = judge(case(TEXT_MLP, {U: 80.0}, local=40.0), untested(TEXT_ATTENTION))
    assert found.kind.value == "common_lineage"
