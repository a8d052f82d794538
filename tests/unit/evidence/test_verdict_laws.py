"""Laws of the verdict policy, over any evidence."""

from __future__ import annotations

from cases import (
    TEXT_ATTENTION,
    TEXT_EMBEDDING,
    TEXT_MLP,
    TEXT_NORMS,
    VISION_MLP,
    case,
    judge,
)
from hypothesis import given
from hypothesis import strategies as st

from jokbo.evidence.findings import DEPENDENCE, Status
from jokbo.evidence.policy import Policy
from jokbo.independence.base import Family

U, S, V, C = Family.UNITS, Family.SIGNS, Family.ATTENTION, Family.CHANNELS

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
