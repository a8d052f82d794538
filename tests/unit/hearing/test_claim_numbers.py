"""Numbers as people write them, and statistics against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from jokbo.hearing.claims.groups import (
    difference,
    effect_size,
    group,
    log10_permutation_floor,
    log10_t_pvalue,
    standard_errors,
    t_of_effect_size,
)  # fmt: skip
from jokbo.hearing.claims.numbers import numbers_in, parse_stated, step_of
from jokbo.hearing.claims.rules.base import layers_text
from jokbo.hearing.claims.table import Row


def rows(values: list[float], **more: object) -> list[Row]:
    return [Row("effect", "a", "b", value, 1, **more) for value in values]


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.989", 0.989, 1e-3),
        ("a cosine of 0.50", 0.5, 1e-2),
        ("96.8 %", 0.968, 1e-3),
        ("0.0004%", 4e-6, 1e-6),
        ("182 sigma", 182.0, 1.0),
        ("80,339", 80339.0, 1.0),
        ("\u22120.05", -0.05, 1e-2),
        ("p = 3.2e-8", 3.2e-8, 1e-9),
        ("3.2 \u00d7 10^-8", 3.2e-8, 1e-9),
        ("10**6", 1e6, 1e6),
    ],
)
def test_a_stated_number_and_its_last_digit(text: str, value: float, unit: float):
    found = parse_stated(text)
    assert found is not None
    assert found.value == pytest.approx(value, rel=1e-12)
    assert found.unit == pytest.approx(unit, rel=1e-9)


def test_what_no_float_holds_is_kept_as_a_logarithm():
    found = parse_stated("p < 10^-1000")
    assert found is not None
    assert (found.log10, found.value) == (-1000, 0.0)
    assert parse_stated("no number") is None
    assert parse_stated("10^999999999").value == math.inf  # type: ignore[union-attr]


def test_numbers_in_names_dates_and_words_are_none():
    text = "On 2026-01-02 Model-4.5-Air and Qwen2.5-VL at v1.5 (layer 10) had 0.989, 96.8 % and 10^-9; 3rd."
    assert [stated.text for stated in numbers_in(text)] == ["10", "0.989", "96.8 %", "10^-9"]


def test_how_exactly_a_table_gives_a_number():
    assert [step_of(v) for v in (0.989, 0.5, 1e-7, 120.0, 1.25e-5)] == pytest.approx(
        [1e-3, 0.1, 1e-7, 1.0, 1e-7]
    )


def test_statistics_are_those_of_scipy():
    rng = np.random.default_rng(0)
    a, b = rng.normal(1, 0.3, 9).tolist(), rng.normal(0.2, 0.5, 6).tolist()
    one, two = group(rows(a)), group(rows(b))
    assert one is not None
    assert two is not None
    assert one.sd == pytest.approx(np.std(a, ddof=1))
    welch = scipy.stats.ttest_ind(a, b, equal_var=False)
    assert standard_errors(one, two).middle == pytest.approx(welch.statistic, rel=1e-6)  # type: ignore[union-attr]
    student = scipy.stats.ttest_ind(a, b)
    d = effect_size(one, two).middle  # type: ignore[union-attr]
    assert t_of_effect_size(d, 9, 6) == pytest.approx(student.statistic, rel=1e-6)
    assert 10 ** log10_t_pvalue(student.statistic, 13) == pytest.approx(student.pvalue, rel=1e-9)


def test_rows_that_are_means_are_pooled_as_their_values():
    rng = np.random.default_rng(1)
    parts = [rng.normal(k, 1.0, 5 + k) for k in range(3)]
    made = [Row("effect", "a", "b", float(p.mean()), 1, count=p.size, sd=float(p.std(ddof=1))) for p in parts]
    found, whole = group(made), np.concatenate(parts)
    assert found is not None
    assert (found.n, found.mean) == (18, pytest.approx(whole.mean()))
    assert found.sd == pytest.approx(whole.std(ddof=1))
    assert group([made[0], Row("effect", "a", "b", 1.0, 1, count=4)]).sd is None  # type: ignore[union-attr]
    assert group([]) is None


def test_rounding_of_the_table_widens_what_a_statistic_can_be():
    one, two = group(rows([0.989, 0.990])), group(rows([0.5, 0.6]))
    assert one is not None
    assert two is not None
    gap = difference(one, two)
    assert gap.low < 0.4395 < gap.high
    size = effect_size(one, two)
    assert size is not None
    assert size.low < size.high
    equal = effect_size(group(rows([0.9, 0.9])), group(rows([0.1, 0.1])))  # type: ignore[arg-type]
    assert equal is not None
    assert equal.high == math.inf


def test_the_least_pvalue_of_a_relabelling():
    assert 10 ** -log10_permutation_floor(4, 4) == pytest.approx(math.comb(8, 4))
    assert 10 ** -log10_permutation_floor(3, 7) == pytest.approx(math.comb(10, 3))


@pytest.mark.parametrize(
    ("t", "free", "log10"),
    [
        # mpmath 1.3 with 60 digits: log10(betainc(free / 2, 1 / 2, 0, free / (free + t**2), regularized=True)).
        (1e6, 5_000, -20754.5225612),
        (60, 5_000, -590.579706455),
        (45, 2_000, -305.335561823),
        (1e60, 6, -358.170696227),
        (1e200, 3, -599.656529254),
    ],
)
def test_a_tail_beyond_floats_is_computed_by_its_logarithm(t: float, free: int, log10: float):
    assert log10_t_pvalue(t, free) == pytest.approx(log10, rel=1e-11)


def test_both_ways_to_compute_a_tail_agree_where_they_meet():
    from jokbo.hearing.claims import groups

    for t, free in ((2.5, 6), (40.0, 30), (37.5, 3_000), (1e40, 6)):
        direct = log10_t_pvalue(t, free)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(groups, "SMALL", 2.0)
            assert log10_t_pvalue(t, free) == pytest.approx(direct, rel=1e-9)


def test_layers_in_words():
    both = [Row("effect", "a", "b", 1.0, 1, reference_layers=frozenset(s)) for s in ({0, 1, 2}, {7}, {9, 10})]
    assert layers_text(both) == "0-2, 7, 9, 10"
