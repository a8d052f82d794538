"""The verdict policy, rule by rule (section 7 of the specification)."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace

import pytest
from cases import (
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

from jokbo.evidence.findings import VerdictKind
from jokbo.evidence.policy import Policy
from jokbo.independence.base import Alignment, Family
from jokbo.independence.exams.base import AxisSize
from jokbo.independence.learned import SharedLearning
from jokbo.views.component import Component, ComponentKind

U, S, V, C = Family.UNITS, Family.SIGNS, Family.ATTENTION, Family.CHANNELS
QUIET = {U: -0.6, S: -0.6}


def test_threshold_is_two_million_times_the_components_tested():
    assert Policy().log_threshold(5) == pytest.approx(math.log(1e7))
    assert Policy().log_threshold(0) == pytest.approx(math.log(2e6))


@pytest.mark.parametrize(("power", "status"), [(6.99, "inconclusive"), (7.01, "inherited")], ids=str)
def test_evidence_is_held_against_the_threshold_of_all_components(power: float, status: str):
    """With five tested, one needs 10^7."""
    others = [case(c, {V: -0.6}) for c in (TEXT_ATTENTION, TEXT_NORMS, TEXT_EMBEDDING, VISION_MLP)]
    verdict = judge(case(TEXT_MLP, {S: power}), *others)
    assert statuses(verdict)["text.mlp"] == status
    assert verdict.hypotheses == 5


def test_untested_components_are_no_hypotheses():
    verdict = judge(case(TEXT_MLP, {S: 6.4}), untested(TEXT_ATTENTION), untested(TEXT_NORMS))
    assert verdict.hypotheses == 1
    assert statuses(verdict)["text.mlp"] == "inherited"


def test_a_family_that_fires_does_not_lift_a_component_whose_mean_stays_below():
    """E is the mean over families: one family at 10^6.4 among two gives 10^6.1."""
    verdict = judge(case(TEXT_MLP, {S: 6.4, U: -0.6}))
    assert statuses(verdict) == {"text.mlp": "inconclusive"}


def test_order_alone_is_not_believed_without_a_witness():
    verdict = judge(case(TEXT_MLP, {U: 80.0, S: -0.6}, local=0.4))
    assert statuses(verdict) == {"text.mlp": "inconclusive"}
    assert codes(verdict) == {"text.mlp": ["order_without_witness"]}
    assert verdict.exit_status == 11


def test_order_without_any_local_form_is_not_believed():
    assert statuses(judge(case(TEXT_MLP, {U: 80.0}))) == {"text.mlp": "inconclusive"}


def test_the_local_form_is_a_witness_of_order():
    assert statuses(judge(case(TEXT_MLP, {U: 80.0, S: -0.6}, local=3.1))) == {"text.mlp": "inherited"}


def test_another_family_is_a_witness_of_order():
    assert statuses(judge(case(TEXT_MLP, {U: 80.0, S: 3.1}, local=0.4))) == {"text.mlp": "inherited"}


def test_channels_are_a_witness_of_order():
    assert statuses(judge(case(TEXT_MLP, {U: 80.0, C: 20.0}, local=0.4))) == {"text.mlp": "inherited"}


def test_a_witness_needs_a_thousand():
    assert statuses(judge(case(TEXT_MLP, {U: 80.0, S: 2.9}, local=2.9))) == {"text.mlp": "inconclusive"}


def test_signs_are_refused_where_the_flip_check_failed():
    verdict = judge(case(TEXT_MLP, {S: 80.0}, signs_refused=True))
    assert statuses(verdict) == {"text.mlp": "inconclusive"}
    assert codes(verdict) == {"text.mlp": ["signs_refused"]}


def test_attention_signs_are_refused_alike():
    assert codes(judge(case(TEXT_ATTENTION, {V: 80.0}, signs_refused=True))) == {
        "text.attention": ["signs_refused"]
    }


def test_refused_signs_do_not_hide_order_with_a_witness():
    verdict = judge(case(TEXT_MLP, {U: 80.0, S: 80.0}, local=20.0, signs_refused=True))
    assert statuses(verdict) == {"text.mlp": "inherited"}
    assert codes(verdict) == {"text.mlp": ["signs_refused"]}


def test_channels_alone_never_accuse_a_body():
    verdict = judge(case(TEXT_MLP, {U: -0.6, S: -0.6, C: 200.0}), older=True)
    assert statuses(verdict) == {"text.mlp": "shared_basis"}
    assert verdict.kind is VerdictKind.SHARED_BASIS
    assert verdict.inherited_share == 0


def test_norms_alone_read_shared_basis_at_most():
    verdict = judge(case(TEXT_NORMS, {C: 200.0}, local=100.0, effect=0.9), case(TEXT_MLP, QUIET), older=True)
    assert statuses(verdict) == {"text.norms": "shared_basis", "text.mlp": "no_evidence"}
    assert verdict.kind is VerdictKind.SHARED_BASIS


def test_norms_settle_with_an_inherited_body():
    verdict = judge(case(TEXT_NORMS, {C: 200.0}, local=100.0), case(TEXT_MLP, {S: 200.0}))
    assert statuses(verdict) == {"text.norms": "inherited", "text.mlp": "inherited"}
    assert codes(verdict)["text.norms"] == ["with_body"]
    assert verdict.inherited_share == 1


def test_norms_do_not_settle_with_the_body_of_another_tower():
    verdict = judge(
        case(TEXT_NORMS, {C: 200.0}, local=100.0),
        case(TEXT_MLP, QUIET),
        case(VISION_MLP, {S: 200.0}),
        older=True,
    )
    assert statuses(verdict)["text.norms"] == "shared_basis"


def test_norms_whose_values_disagree_do_not_settle_with_the_body():
    learning = {"text": SharedLearning(norm_correlation=0.2, subspace_overlap=0.6)}
    verdict = judge(case(TEXT_NORMS, {C: 200.0}, local=100.0), case(TEXT_MLP, {S: 200.0}), learning=learning)
    assert statuses(verdict)["text.norms"] == "shared_basis"


def test_routers_settle_with_an_inherited_body():
    router = Component("text", ComponentKind.ROUTER)
    experts = case(Component("text", ComponentKind.EXPERTS), {S: 200.0})
    verdict = judge(case(router, {C: 200.0}, effect=0.6, axis=AxisSize(64, 8)), experts)
    assert statuses(verdict) == {"text.router": "inherited", "text.experts": "inherited"}
    assert codes(verdict)["text.router"] == ["with_body"]


def test_an_embedding_with_a_high_row_cosine_is_reused():
    verdict = judge(case(TEXT_EMBEDDING, {C: 200.0}, effect=0.8, learned=True), case(TEXT_MLP, QUIET))
    assert statuses(verdict)["text.embedding"] == "inherited"
    assert verdict.kind is VerdictKind.COMPONENT_REUSE
    assert verdict.inherited_share == 0.5


def test_an_embedding_with_a_low_row_cosine_shares_a_basis_only():
    verdict = judge(
        case(TEXT_EMBEDDING, {C: 200.0}, effect=0.2, learned=True), case(TEXT_MLP, QUIET), older=True
    )
    assert statuses(verdict)["text.embedding"] == "shared_basis"
    assert verdict.kind is VerdictKind.SHARED_BASIS


def test_an_embedding_needs_more_than_relabelling_reaches():
    """Few rows: an accuser who relabels channels reaches a high cosine, so .5 does not say reuse."""
    short = AxisSize(n=4096, d=32)
    made = case(TEXT_EMBEDDING, {C: 200.0}, effect=0.5, axis=short)
    assert statuses(judge(made, case(TEXT_MLP, QUIET), older=True))["text.embedding"] == "shared_basis"


@pytest.mark.parametrize("component", [TEXT_EMBEDDING, TEXT_NORMS, TEXT_MLP], ids=str)
def test_a_basis_that_relabelling_makes_is_doubted_without_a_date(component: Component):
    """Whoever accuses may reorder and flip its own channels until they look like another model's."""
    made = case(component, {C: 200.0}, local=100.0, effect=0.2), case(TEXT_ATTENTION, {V: -0.6})
    assert statuses(judge(*made))[str(component)] == "inconclusive"
    assert codes(judge(*made))[str(component)] == ["relabelling_guard"]
    assert judge(*made).exit_status == 11
    assert statuses(judge(*made, older=True))[str(component)] == "shared_basis"


def test_a_basis_above_what_relabelling_reaches_stands_without_a_date():
    verdict = judge(case(TEXT_MLP, {U: -0.6, C: 200.0}, effect=0.4))
    assert statuses(verdict) == {"text.mlp": "shared_basis"}
    assert verdict.exit_status == 10


def test_a_basis_stands_beside_an_inherited_component_of_its_tower():
    verdict = judge(case(TEXT_EMBEDDING, {C: 200.0}, effect=0.03), case(TEXT_MLP, {S: 200.0}))
    assert statuses(verdict) == {"text.embedding": "shared_basis", "text.mlp": "inherited"}


def test_the_relabelling_level_is_that_of_the_specification():
    level = Policy().relabelling_level(AxisSize(n=11008, d=4096))
    assert level == pytest.approx(1.5 * 0.85 * math.sqrt(2 * math.log(11008) / 4096))
    assert Policy().relabelling_level(AxisSize(n=1, d=4096)) == 1.0
    assert Policy().relabelling_level(AxisSize(n=4096, d=0)) == 1.0
    assert Policy().relabelling_level(AxisSize(n=10**6, d=1)) == 1.0


@pytest.mark.parametrize(
    ("older", "status"), [(None, "inconclusive"), (False, "inconclusive"), (True, "inherited")]
)
def test_a_cosine_that_relabelling_reaches_needs_a_public_date(older: bool | None, status: str):
    verdict = judge(case(TEXT_MLP, {U: 80.0}, local=40.0, effect=0.05), older=older)
    assert statuses(verdict) == {"text.mlp": status}
    assert codes(verdict) == {"text.mlp": [] if older else ["relabelling_guard"]}


def test_the_relabelling_guard_says_both_numbers():
    (finding,) = judge(case(TEXT_MLP, {U: 80.0}, local=40.0, effect=0.05)).findings
    assert finding.reasons[0].values == {"effect": 0.05, "level": 0.086}
    assert finding.relabelling_level == pytest.approx(0.0859, abs=1e-3)


def test_a_rotation_of_ones_own_model_raises_the_level():
    """As the specification's level, plus what a Procrustes fit adds: channels a row."""
    free = AxisSize(n=11008, d=4096, rotation=0.1)
    level = Policy().relabelling_level(free)
    assert level == pytest.approx(1.5 * 0.85 * math.sqrt(2 * math.log(11008) / 4096 + 0.1))
    assert Policy().relabelling_level(free, rotated=False) == pytest.approx(0.0859, abs=1e-3)
    made = case(TEXT_MLP, {U: 80.0}, local=40.0, effect=0.2, axis=free)
    assert codes(judge(made)) == {"text.mlp": ["relabelling_guard"]}


def test_one_rotation_cannot_be_spent_twice():
    """What no rotation explains pins the basis; the others of its tower need no more than usual."""
    free = AxisSize(n=11008, d=4096, rotation=0.1)
    weak = case(TEXT_ATTENTION, {V: 80.0}, effect=0.2, axis=free)
    pinning = case(TEXT_MLP, {S: 80.0}, effect=0.9, axis=free)
    elsewhere = case(VISION_MLP, {S: 80.0}, effect=0.9, axis=free)
    assert statuses(judge(weak))["text.attention"] == "inconclusive"
    assert statuses(judge(weak, pinning))["text.attention"] == "inherited"
    assert statuses(judge(weak, elsewhere))["text.attention"] == "inconclusive"


def test_a_table_needs_more_while_the_basis_is_free():
    table = replace(case(TEXT_EMBEDDING, {C: 200.0}, effect=0.5, learned=True), min_cosine=0.75)
    quiet = case(TEXT_MLP, QUIET)
    assert statuses(judge(table, quiet))["text.embedding"] == "inconclusive"
    assert statuses(judge(table, quiet, older=True))["text.embedding"] == "inherited"
    assert statuses(judge(table, case(TEXT_MLP, {S: 80.0})))["text.embedding"] == "inherited"


def test_a_cosine_above_what_relabelling_reaches_needs_no_date():
    assert statuses(judge(case(TEXT_MLP, {U: 80.0}, local=40.0, effect=0.1))) == {"text.mlp": "inherited"}


def test_the_plainest_alignment_that_explains_the_agreement_is_named():
    made = case(TEXT_MLP, {S: 80.0}, effect=0.9)
    turned = replace(made.results[0], alignment=Alignment.ROTATED)
    (finding,) = judge(dataclasses.replace(made, results=(turned, *made.results))).findings
    assert finding.alignment is Alignment.SAME_BASIS
    (finding,) = judge(dataclasses.replace(made, results=(turned,))).findings
    assert finding.alignment is Alignment.ROTATED


def test_weak_evidence_is_inconclusive_and_none_is_none():
    assert codes(judge(case(TEXT_MLP, {S: 3.1}))) == {"text.mlp": ["below_threshold"]}
    assert statuses(judge(case(TEXT_MLP, {S: 2.9}))) == {"text.mlp": "no_evidence"}
