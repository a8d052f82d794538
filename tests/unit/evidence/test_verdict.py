"""The verdict policy, rule by rule (section 7 of the specification)."""

from __future__ import annotations

import dataclasses
import math
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
from hypothesis import given
from hypothesis import strategies as st

from jokbo.evidence.verdict import DEPENDENCE, Policy, Status, VerdictKind
from jokbo.independence.base import Alignment, Family
from jokbo.independence.exams.base import AxisSize
from jokbo.independence.learned import SharedLearning
from jokbo.views.component import Component, ComponentKind

U, S, V, C = Family.UNITS, Family.SIGNS, Family.ATTENTION, Family.CHANNELS
QUIET = {U: -0.6, S: -0.6}


def test_threshold_is_a_million_times_the_components_tested():
    assert Policy().log_threshold(5) == pytest.approx(math.log(5e6))
    assert Policy().log_threshold(0) == pytest.approx(math.log(1e6))


@pytest.mark.parametrize(("power", "status"), [(6.69, "inconclusive"), (6.71, "inherited")], ids=str)
def test_evidence_is_held_against_the_threshold_of_all_components(power: float, status: str):
    """With five tested, one needs 10^6.7."""
    others = [case(c, {V: -0.6}) for c in (TEXT_ATTENTION, TEXT_NORMS, TEXT_EMBEDDING, VISION_MLP)]
    verdict = judge(case(TEXT_MLP, {S: power}), *others)
    assert statuses(verdict)["text.mlp"] == status
    assert verdict.hypotheses == 5


def test_untested_components_are_no_hypotheses():
    verdict = judge(case(TEXT_MLP, {S: 6.1}), untested(TEXT_ATTENTION), untested(TEXT_NORMS))
    assert verdict.hypotheses == 1
    assert statuses(verdict)["text.mlp"] == "inherited"


def test_a_family_that_fires_does_not_lift_a_component_whose_mean_stays_below():
    """E is the mean over families: one family at 10^6.1 among two gives 10^5.8."""
    verdict = judge(case(TEXT_MLP, {S: 6.1, U: -0.6}))
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


# The whole: kinds, shares, exit statuses.


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


POWERS = st.floats(-3, 300)
FAMILIES = st.dictionaries(st.sampled_from(Family), POWERS, min_size=1)


@given(
    FAMILIES,
    st.one_of(st.none(), POWERS),
    st.floats(-1, 1),
    st.booleans(),
    st.sampled_from([None, True, False]),
)
def test_nothing_below_the_threshold_is_ever_inherited(families, local, effect, refused, older):
    """The stated rate of false accusation rests on this one line."""
    made = case(TEXT_MLP, families, local=local, effect=effect, signs_refused=refused)
    verdict = judge(made, case(TEXT_ATTENTION, {V: -0.6}), older=older)
    (mlp, attention) = verdict.findings
    assert attention.status is Status.NO_EVIDENCE
    if made.evidence.log_evalue < Policy().log_threshold(2):
        assert mlp.status not in (Status.INHERITED, Status.DEPENDENT)
    if verdict.kind in DEPENDENCE:
        assert max(e.log_evalue for e in made.evidence.families.values()) >= Policy().log_threshold(2)


ORDER = [Status.NO_EVIDENCE, Status.INCONCLUSIVE, Status.INHERITED]


@given(
    st.dictionaries(st.sampled_from([U, S, V]), POWERS, min_size=1),
    POWERS,
    st.sampled_from([U, S, V]),
    st.floats(0, 50),
)
def test_more_evidence_never_weakens_a_finding(families, local, raised, by):
    more = families | ({raised: families[raised] + by} if raised in families else {})
    before, after = (
        judge(case(TEXT_MLP, each, local=local, effect=0.9)).findings[0].status for each in (families, more)
    )
    assert ORDER.index(after) >= ORDER.index(before)


@given(POWERS, st.integers(1, 5))
def test_more_hypotheses_never_strengthen_a_finding(power, extra):
    others = [case(c, {V: -0.6}) for c in (TEXT_ATTENTION, TEXT_NORMS, TEXT_EMBEDDING, VISION_MLP)][:extra]
    alone, among = (judge(case(TEXT_MLP, {S: power}), *rest).findings[0].status for rest in ([], others))
    assert ORDER.index(among) <= ORDER.index(alone)
