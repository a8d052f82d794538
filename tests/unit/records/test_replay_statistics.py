"""Numbers of the replay checks that need no model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from jokbo.records.checks.base import FOUND_LOG_PVALUE
from jokbo.records.checks.batch_echo import Echo, correlation
from jokbo.records.checks.memorisation import Effect, joined_log_pvalue, separation
from jokbo.records.checks.palimpsest import trace_log_pvalue
from jokbo.records.checks.re_evaluation import Points, _other_convention, deviation_log_pvalue
from jokbo.records.replay.compare import Yardstick, compare, judge, relative_distance, roughened, shuffled
from jokbo.records.replay.material import spread


def test_deviations_of_rounding_are_never_found():
    rng = np.random.default_rng(0)
    logs = [deviation_log_pvalue(rng.normal(size=12), np.ones(12)) for _ in range(2000)]
    assert min(logs) > math.log(1e-3)


def test_one_wrong_loss_among_many_is_found():
    deviation = np.zeros(20)
    deviation[7] = 1e4
    assert deviation_log_pvalue(deviation, np.ones(20)) <= FOUND_LOG_PVALUE


def test_many_small_deviations_are_found_together_and_one_is_not():
    assert deviation_log_pvalue(np.full(12, 7.0), np.ones(12)) <= FOUND_LOG_PVALUE
    single = np.zeros(12)
    single[0] = 7.0
    assert deviation_log_pvalue(single, np.ones(12)) > FOUND_LOG_PVALUE


@pytest.mark.parametrize(("logged", "is_convention"), [(lambda x: 1.4427 * x + 0.1, True), (np.sqrt, False)])
def test_another_convention_is_a_line(logged, is_convention: bool):
    x = np.linspace(3, 6, 12)
    points = Points(np.arange(12), logged(x), x, np.full(12, 1e-4), x, np.tile(x[:, None], 4))
    assert _other_convention(points) is is_convention


def test_separation_is_that_of_scipy():
    from scipy.stats import mannwhitneyu

    rng = np.random.default_rng(1)
    a, b = np.round(rng.normal(0.3, 1, 50), 1), np.round(rng.normal(0, 1, 70), 1)
    assert separation(a, b) == pytest.approx(mannwhitneyu(a, b).statistic / (50 * 70))


def effect(expected: float, rng: np.random.Generator, shift: float) -> Effect:
    return Effect(0, 8, rng.normal(shift, 1, 256), rng.normal(0, 1, 256), expected, ())


def test_a_trained_segment_passes_and_an_untrained_one_is_found():
    rng = np.random.default_rng(2)
    true, false = effect(0.85, rng, 1.4), effect(0.85, rng, 0.0)
    assert joined_log_pvalue(np.array([true.z(true.trained, true.untrained)])) == 0.0
    assert joined_log_pvalue(np.array([false.z(false.trained, false.untrained)])) <= FOUND_LOG_PVALUE


def test_an_honest_trace_passes_and_none_is_found():
    assert trace_log_pvalue(0.3, 0.35, 2000) == 0.0
    assert trace_log_pvalue(0.0, 0.35, 2000) <= FOUND_LOG_PVALUE
    assert trace_log_pvalue(0.0, 0.02, 2000) > math.log(0.1)


def echo(rng: np.random.Generator, share: float, second: bool) -> Echo:
    hard = [rng.normal(size=70) for _ in range(4)]
    noisy = [tuple(share * h + math.sqrt(1 - share**2) * rng.normal(size=70) for h in hard) for _ in range(2)]
    return Echo(noisy[0], tuple(hard), noisy[1] if second else ())


def test_an_echo_is_honest_and_silence_is_found():
    rng = np.random.default_rng(3)
    loud = echo(rng, 0.9, True)
    silent = tuple(rng.normal(size=70) for _ in range(4))
    assert loud.honest_log_pvalue(loud.logged) > math.log(0.1)
    assert loud.honest_log_pvalue(silent) <= FOUND_LOG_PVALUE
    assert echo(rng, 0.9, False).honest_log_pvalue(silent) is None


def test_correlation_of_what_does_not_vary_is_none():
    assert correlation(np.ones(5), np.arange(5.0)) == 0.0


def yardstick(honest: float, wrong: float, exact: bool, noise: float = 1e-4) -> Yardstick:
    return Yardstick(np.array([1.0, 0.0]), honest, wrong, noise, exact)


def turned(cosine: float) -> np.ndarray:
    return np.array([cosine, math.sqrt(1 - cosine**2)])


def test_the_replay_itself_is_honest_and_wrong_data_are_found():
    made = yardstick(1.0, 0.7, exact=True)
    assert compare(made, turned(1.0)).log_pvalue == 0.0
    assert compare(made, turned(0.7)).log_pvalue <= FOUND_LOG_PVALUE
    assert compare(made, turned(0.7)).share == pytest.approx(0.0)


def test_a_known_state_finds_what_cosines_do_not():
    near = turned(0.98)
    assert compare(yardstick(1.0, 0.7, exact=False), near).log_pvalue > FOUND_LOG_PVALUE
    assert compare(yardstick(1.0, 0.7, exact=True), near).log_pvalue <= FOUND_LOG_PVALUE


def test_chaotic_training_is_granted_its_own_noise():
    assert judge(yardstick(0.8, 0.6, exact=False), 0.6, math.inf) > FOUND_LOG_PVALUE
    assert not yardstick(0.8, 0.6, exact=False).powered
    assert not yardstick(0.71, 0.70, exact=False).powered


def test_lengths_may_differ_by_a_tenth():
    assert relative_distance(np.array([1.0, 0.0]), np.array([1.09, 0.0])) == pytest.approx(0.0)
    assert relative_distance(np.array([1.0, 0.0]), np.array([2.0, 0.0])) == pytest.approx(0.9)


def test_roughening_stays_within_the_rounding_and_shuffling_keeps_the_numbers():
    rng = np.random.default_rng(4)
    weights = {"w": rng.normal(size=(20, 30)).astype(np.float32)}
    moved = roughened(weights, 2.0**-9, rng)["w"]
    assert np.all(np.abs(moved / weights["w"] - 1) <= 2.0**-9 * 1.001)
    assert np.any(moved != weights["w"])
    other = shuffled(weights, rng)["w"]
    assert np.array_equal(np.sort(other.ravel()), np.sort(weights["w"].ravel()))
    assert abs(np.corrcoef(other.ravel(), weights["w"].ravel())[0, 1]) < 0.2


def test_a_spread_takes_one_from_each_stretch():
    chosen = spread(range(100), 10, np.random.default_rng(0))
    assert [k // 10 for k in chosen] == list(range(10))
    assert spread([3, 4], 10, np.random.default_rng(0)) == [3, 4]


@pytest.mark.parametrize("n", [5, 7, 10])
def test_a_term_that_follows_the_batch_is_another_convention_and_noise_is_none(n: int):
    """Label smoothing bends the losses of a run a little; an invented log has noise of its own."""
    rng = np.random.default_rng(n)
    noise = 0.1 * rng.standard_normal((n, 6))
    level = np.linspace(6.2, 3.0, n)
    true = level + noise[:, 0]
    others = level[:, None] + noise[:, 2:]
    smoothed = 0.016 * true**2 + 0.72 * true + 1.1 + 0.008 * rng.standard_normal(n)
    points = Points(np.arange(n), smoothed, true, np.full(n, 1e-6), true, others)
    assert _other_convention(points)
    assert not _other_convention(replace(points, logged=level + noise[:, 1]))


def test_few_checkpoints_exclude_no_convention():
    x = np.linspace(3, 6, 4)
    points = Points(np.arange(4), x + 0.3, x, np.full(4, 1e-6), x, np.tile(x[:, None], 4))
    assert _other_convention(points)
