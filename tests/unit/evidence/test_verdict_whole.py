"""The verdict on the whole pair: kinds, shares, declarations and exit statuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cases import (
    NOT_LEARNED,
    TEXT_ATTENTION,
    TEXT_EMBEDDING,
    TEXT_MLP,
    TEXT_NORMS,
    VISION_MLP,
    case,
    codes,
    judge,
    statuses,
    untested,
)

from jokbo.evidence.findings import DEPENDENCE, VerdictKind
from jokbo.independence.base import Family

U, S, V, C = Family.UNITS, Family.SIGNS, Family.ATTENTION, Family.CHANNELS
QUIET = {U: -0.6, S: -0.6}


def test_an_inherited_body_that_shares_learning_is_of_common_lineage():
    verdict = judge(case(TEXT_MLP, {S: 80.0}), case(TEXT_ATTENTION, {V: -0.6}))
    assert verdict.kind is VerdictKind.COMMON_LINEAGE
    assert verdict.direction == "undetermined"
    assert verdict.inherited_share == 0.5
    assert verdict.exit_status == 10


def test_a_shared_start_without_shared_learning_is_not_called_inheritance():
    verdict = judge(case(TEXT_MLP, {S: 80.0}), case(TEXT_ATTENTION, {V: -0.6}), learning=NOT_LEARNED)
    assert verdict.kind is VerdictKind.SHARED_INITIALISATION_OR_LINEAGE
    assert statuses(verdict) == {"text.mlp": "dependent", "text.attention": "no_evidence"}
    assert verdict.inherited_share is None
    assert verdict.exit_status == 10


def test_an_embedding_alike_only_by_its_start_is_not_called_reuse():
    made = case(TEXT_EMBEDDING, {C: 80.0}, learned=False)
    verdict = judge(made, case(TEXT_MLP, QUIET), learning=NOT_LEARNED)
    assert verdict.kind is VerdictKind.SHARED_INITIALISATION_OR_LINEAGE
    assert verdict.inherited_share is None


def test_a_tower_beside_the_main_one_is_reused():
    """The main tower is the one with most of the candidate's body."""
    verdict = judge(case(TEXT_MLP, QUIET, parameters=9000), case(VISION_MLP, {S: 80.0}, parameters=1000))
    assert verdict.kind is VerdictKind.COMPONENT_REUSE
    assert verdict.inherited_share == pytest.approx(0.1)


def test_a_doubt_about_one_component_outweighs_silence_of_the_others():
    verdict = judge(case(TEXT_MLP, {S: 4.0}), case(TEXT_ATTENTION, {V: -0.6}))
    assert verdict.kind is VerdictKind.INCONCLUSIVE
    assert verdict.exit_status == 11


def test_no_evidence_needs_a_tested_body():
    assert judge(case(TEXT_MLP, QUIET)).kind is VerdictKind.NO_EVIDENCE
    assert judge(case(TEXT_MLP, QUIET)).exit_status == 0
    only_norms = judge(case(TEXT_NORMS, {C: -0.6}), untested(TEXT_MLP))
    assert only_norms.kind is VerdictKind.UNTESTABLE
    assert only_norms.exit_status == 11


def test_nothing_tested_is_untestable():
    verdict = judge(untested(TEXT_MLP), untested(TEXT_NORMS))
    assert verdict.kind is VerdictKind.UNTESTABLE
    assert verdict.log_evalue is None
    assert verdict.hypotheses == 0
    assert codes(verdict)["text.mlp"] == ["hidden_sizes_differ"]
    assert set(statuses(verdict).values()) == {"not_comparable"}


def test_equal_files_are_identical_whatever_was_tested():
    verdict = judge(untested(TEXT_MLP), identical=True)
    assert verdict.kind is VerdictKind.IDENTICAL
    assert verdict.inherited_share == 1.0
    assert verdict.exit_status == 10


@pytest.mark.parametrize(
    ("declared", "outcome", "status"),
    [
        ((), "none", 10),
        (("text.embedding",), "exactly", 0),
        (("all",), "exactly", 0),
        (("text.mlp",), "exceeded", 10),
        (("text.embedding", "text.mlp"), "exactly", 0),
    ],
    ids=str,
)
def test_declared_dependence(declared: tuple[str, ...], outcome: str, status: int):
    reuse = case(TEXT_EMBEDDING, {C: 200.0}, effect=0.8, learned=True)
    verdict = judge(reuse, case(TEXT_MLP, QUIET), declared=declared)
    assert (verdict.declared, verdict.exit_status) == (outcome, status)
    assert verdict.kind is VerdictKind.COMPONENT_REUSE


def test_a_declaration_of_the_body_does_not_cover_its_embedding():
    pair = case(TEXT_EMBEDDING, {C: 200.0}, effect=0.8), case(TEXT_MLP, {S: 200.0})
    assert judge(*pair, declared=("text.mlp",)).declared == "exceeded"


def test_identical_models_are_declared_only_as_all():
    assert judge(case(TEXT_MLP, QUIET), identical=True, declared=("text.mlp",)).exit_status == 10
    assert judge(case(TEXT_MLP, QUIET), identical=True, declared=("all",)).exit_status == 0


def test_declaring_does_not_excuse_an_inconclusive_result():
    assert judge(case(TEXT_MLP, {S: 4.0}), declared=("all",)).exit_status == 11


def test_every_kind_has_an_exit_status():
    base = judge(case(TEXT_MLP, QUIET))
    statuses_by_kind = {kind: replace(base, kind=kind).exit_status for kind in VerdictKind}
    assert {kind for kind, status in statuses_by_kind.items() if status == 10} == DEPENDENCE
    assert statuses_by_kind[VerdictKind.NO_EVIDENCE] == 0
    assert statuses_by_kind[VerdictKind.INCONCLUSIVE] == statuses_by_kind[VerdictKind.UNTESTABLE] == 11
