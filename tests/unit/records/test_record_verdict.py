"""The verdict on a record: Holm, coverage, and that nothing is consistent by silence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jokbo.records.checks.base import Check, CheckContext, CheckKind, CheckResult, Observation, Planted
from jokbo.records.forgeries import VARIANTS, Forgery
from jokbo.records.record import Record
from jokbo.records.verdict import Outcome, RecordVerdict, holm, judge
from jokbo.views.component import Reason


def check(
    name: str = "probe", kind: CheckKind = CheckKind.EXACT, catches: tuple[Forgery, ...] = tuple(Forgery)
) -> Check:
    class Probe(Check):
        def run(self, record: Record, context: CheckContext) -> CheckResult:
            raise AssertionError

    Probe.number, Probe.name, Probe.kind, Probe.catches = 1, name, kind, catches
    return Probe()


def planted(*forgeries: Forgery, found: int = 59, tried: int = 59) -> tuple[Planted, ...]:
    return tuple(
        Planted(forgery, found, tried, variant=variant)
        for forgery in forgeries
        for variant in VARIANTS[forgery]
    )


ALL = planted(*Forgery)


def verdict_of(*rows: tuple[Check, CheckResult]) -> RecordVerdict:
    return judge(rows)


def test_one_check_that_would_have_found_everything_makes_a_record_consistent():
    verdict = verdict_of((check(), CheckResult(Observation.HOLDS, planted=ALL)))
    assert (verdict.kind, verdict.exit_status) == (Outcome.CONSISTENT, 0)


@pytest.mark.parametrize("forgery", list(Forgery))
def test_one_forgery_left_open_leaves_the_verdict_open(forgery: Forgery):
    rest = [f for f in Forgery if f is not forgery]
    verdict = verdict_of((check(), CheckResult(Observation.HOLDS, planted=planted(*rest))))
    assert (verdict.kind, verdict.exit_status) == (Outcome.CANNOT_TELL, 11)
    assert [c.forgery for c in verdict.coverage if not c.excluded] == [forgery]


def test_no_checks_are_no_pass():
    assert verdict_of().kind is Outcome.CANNOT_TELL


def test_a_pass_without_plants_says_nothing():
    verdict = verdict_of((check(), CheckResult(Observation.HOLDS)))
    assert verdict.checks[0].outcome is Outcome.CANNOT_TELL
    assert [r.code for r in verdict.checks[0].reasons] == ["policy.no_power"]


def test_a_way_of_which_some_plants_escape_is_not_excluded():
    mixed = (*ALL, Planted(Forgery.ANCHORED, 3, 59, variant="pulled"))
    verdict = verdict_of((check(), CheckResult(Observation.HOLDS, planted=mixed)))
    assert [c.forgery for c in verdict.coverage if not c.excluded] == [Forgery.ANCHORED]
    anchored = next(c for c in verdict.coverage if c.forgery is Forgery.ANCHORED)
    assert [(name, row.found) for name, row in anchored.partial] == [("probe", 59), ("probe", 3)]


def test_every_way_to_make_a_forgery_must_be_excluded_by_some_check():
    def finds(name: str, variant: str) -> tuple[Check, CheckResult]:
        rows = (Planted(Forgery.SPLICED_LOG, 59, 59, variant=variant),)
        return check(name), CheckResult(Observation.HOLDS, planted=rows)

    def spliced(*rows: tuple[Check, CheckResult]) -> bool:
        coverage = next(c for c in judge(rows).coverage if c.forgery is Forgery.SPLICED_LOG)
        return coverage.excluded

    cut, pasted, careless = finds("a", "cut"), finds("b", "pasted"), finds("c", "careless")
    assert spliced(cut, pasted)
    assert not spliced(cut, careless)
    assert not spliced(pasted)


def test_every_forgery_has_a_way_to_make_it():
    assert set(VARIANTS) == set(Forgery)
    assert all(VARIANTS.values())


def test_an_exact_violation_outweighs_every_pass():
    verdict = verdict_of(
        (check("good"), CheckResult(Observation.HOLDS, planted=ALL)),
        (check("bad"), CheckResult(Observation.VIOLATED)),
    )
    assert (verdict.kind, verdict.violated, verdict.exit_status) == (Outcome.INCONSISTENT, ("bad",), 10)


def test_a_soft_violation_is_a_question():
    verdict = verdict_of((check(kind=CheckKind.SOFT), CheckResult(Observation.VIOLATED, planted=ALL)))
    assert verdict.kind is Outcome.CANNOT_TELL
    assert verdict.checks[0].reasons == (Reason("policy.soft", {}),)


@pytest.mark.parametrize(
    ("pvalue", "outcome"),
    [(0.4, Outcome.CONSISTENT), (1e-4, Outcome.CANNOT_TELL), (1e-9, Outcome.INCONSISTENT)],
)
def test_a_calibrated_check_is_judged_by_its_pvalue(pvalue: float, outcome: Outcome):
    result = CheckResult(Observation.HOLDS, log_pvalue=math.log(pvalue), planted=ALL)
    assert verdict_of((check(kind=CheckKind.CALIBRATED), result)).checks[0].outcome is outcome


def test_many_calibrated_checks_share_one_error_rate():
    """Twenty checks at p = 2e-7 each are no surprise; one alone is."""
    result = CheckResult(Observation.VIOLATED, log_pvalue=math.log(2e-7))
    quiet = CheckResult(Observation.HOLDS, log_pvalue=math.log(0.5), planted=ALL)
    alone = verdict_of((check("a", CheckKind.CALIBRATED), result))
    among = verdict_of(
        (check("a", CheckKind.CALIBRATED), result),
        *((check(f"q{k}", CheckKind.CALIBRATED), quiet) for k in range(19)),
    )
    assert (alone.kind, among.kind) == (Outcome.INCONSISTENT, Outcome.CONSISTENT)
    assert among.checks[0].outcome is Outcome.CANNOT_TELL


def test_the_cheapest_missing_disclosure_is_named():
    def silent(name: str, *missing: str) -> tuple[Check, CheckResult]:
        return check(name), CheckResult(Observation.UNKNOWN, missing=missing)

    verdict = verdict_of(silent("a", "optimizer_state", "windows"), silent("b", "learning_rate"))
    assert verdict.next_disclosure == "learning_rate"
    assert verdict.coverage[0].would_need == ("learning_rate", "windows", "optimizer_state")


def by_definition(pvalues: Sequence[float], alpha: float) -> set[int]:
    """Holm (1979): reject while the k-th smallest is at most alpha / (m - k + 1)."""
    order = np.argsort(pvalues, kind="stable")
    kept: set[int] = set()
    for rank, index in enumerate(order):
        if pvalues[index] > alpha / (len(pvalues) - rank):
            break
        kept.add(int(index))
    return kept


@given(st.lists(st.floats(1e-12, 1), min_size=0, max_size=12), st.sampled_from([0.05, 1e-6]))
def test_holm_follows_its_definition(pvalues: list[float], alpha: float):
    found = holm({f"{k:02d}": math.log(p) for k, p in enumerate(pvalues)}, alpha)
    near = any(math.isclose(p * (len(pvalues) - k), alpha) for p in pvalues for k in range(len(pvalues)))
    assert near or {int(name) for name in found} == by_definition(pvalues, alpha)


def test_holm_keeps_its_error_rate():
    """20,000 families of 10 true hypotheses: any false rejection in at most about 5 %."""
    rng = np.random.default_rng(0)
    least = rng.uniform(size=(20_000, 10)).min(axis=1)
    first = [bool(holm({"a": math.log(p), **{str(k): 0.0 for k in range(9)}}, 0.05)) for p in least]
    assert abs(np.mean(first) - (1 - 0.995**10)) < 0.005


@pytest.mark.parametrize(
    ("found", "tried", "powered"),
    [(59, 59, True), (58, 59, False), (58, 58, False), (93, 93, True), (92, 93, True)],
)
def test_power_needs_a_bound_not_a_share(found: int, tried: int, powered: bool):
    assert Planted(Forgery.PADDING, found, tried).powered is powered


def test_a_costly_plant_counts_by_its_share():
    assert Planted(Forgery.ANCHORED, 6, 6, costly=True).powered
    assert not Planted(Forgery.ANCHORED, 5, 6, costly=True).powered
    assert not Planted(Forgery.ANCHORED, 0, 0, costly=True).powered


def test_the_lower_bound_is_clopper_pearson():
    from scipy.stats import binomtest

    for found, tried in ((59, 59), (55, 59), (3, 10), (0, 5)):
        exact = binomtest(found, tried, alternative="greater").proportion_ci(0.95, "exact").low
        assert math.isclose(Planted(Forgery.PADDING, found, tried).lower, exact, abs_tol=1e-9)


def test_a_pass_that_presumes_another_exclusion_waits_for_it():
    able = check("imprint")
    type(able).presumes = ((Forgery.ANCHORED, Forgery.PLANTED_START),)
    pulled = able, CheckResult(Observation.HOLDS, planted=planted(Forgery.ANCHORED))
    start = check("start"), CheckResult(Observation.HOLDS, planted=planted(Forgery.PLANTED_START))

    def excluded(*rows: tuple[Check, CheckResult]) -> set[Forgery]:
        return {c.forgery for c in judge(rows).coverage if c.excluded}

    assert excluded(pulled) == set()
    assert excluded(pulled, start) == {Forgery.ANCHORED, Forgery.PLANTED_START}
