"""C9: noise of honest batches, and noise that knows nothing of them."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.records.checks.base import CheckContext, Observation
from jokbo.records.checks.residual_noise import ResidualNoise, scatter
from jokbo.records.declaration import BatchPhase
from jokbo.records.statistics.detrend import local_scale, residuals, whitened
from jokbo.testing.records import honest_losses, honest_record, make_log, make_record

CONTEXT = CheckContext(0)
PLAIN = (BatchPhase(1, 16, 64),)
RAMP = tuple(BatchPhase(1 + 1000 * k, 8 * 2**k, 64) for k in range(4))


def run(losses, batch=PLAIN):
    log = make_log(np.arange(1, len(losses) + 1), columns={"loss": losses})
    return ResidualNoise().run(make_record(log, steps=len(losses), batch=batch), CONTEXT)


def codes(result):
    return [reason.code for reason in result.reasons]


def curve(n):
    return honest_losses(n, np.random.default_rng(0), noise=0.0)


def test_honest_noise_is_not_flagged():
    for seed in range(3):
        result = ResidualNoise().run(honest_record(300, seed=seed), CONTEXT)
        assert result.observation is not Observation.VIOLATED


def test_without_a_ramp_noise_of_the_right_size_would_pass_and_the_check_says_so():
    result = ResidualNoise().run(honest_record(600), CONTEXT)
    found = {p.variant: p.found for p in result.planted}
    assert result.observation is Observation.HOLDS
    assert (found["no_noise"], found["little_noise"]) == (59, 59)
    assert found["one_noise"] < 10


def test_a_long_ramp_gives_power():
    result = ResidualNoise().run(honest_record(4000, batch=RAMP), CONTEXT)
    assert result.observation is Observation.HOLDS
    assert [p.found for p in result.planted] == [59, 59, 59]
    assert result.details["exponent"] == pytest.approx(1, abs=4 * result.details["exponent_error"])


def test_a_curve_without_noise_is_flagged():
    # A law of its own leaves residuals that follow each other, as those of a smoothed log do: never a pass.
    assert codes(run(curve(400).astype(np.float32).astype(float))) == ["smoothed"]
    little = curve(400) + 1e-3 * np.random.default_rng(0).standard_normal(400)
    assert codes(run(little)) == ["too_smooth"]


def test_noise_of_one_size_through_a_ramp_is_flagged():
    noise = 0.06 * np.random.default_rng(1).standard_normal(4000)
    assert codes(run(curve(4000) + noise, RAMP)) == ["ramp_unseen"]


def test_a_smoothed_log_is_not_judged():
    from scipy.signal import lfilter

    rough = curve(2000) + 0.06 * np.random.default_rng(1).standard_normal(2000)
    smooth = lfilter([0.1], [1, -0.9], rough - rough[0]) + rough[0]
    assert codes(run(smooth)) == ["smoothed"]


def test_scatter_is_measured_in_nats_a_token():
    tokens = np.full(5000, 4096)
    noise = 3.0 / np.sqrt(4096) * np.random.default_rng(0).standard_normal(5000)
    found = scatter(curve(5000) + noise, tokens, 1.0)
    assert found.per_token == pytest.approx(3, rel=0.1)
    assert abs(found.neighbours) < 0.1


def test_missing_inputs_are_named():
    assert ResidualNoise().run(make_record(None, steps=3), CONTEXT).missing == ("log",)
    assert ResidualNoise().run(make_record(make_log([1, 2]), steps=3), CONTEXT).missing == ("loss",)
    assert run(curve(300), ()).missing == ("batch",)
    assert codes(run(curve(50))) == ["few_rows"]


def test_a_parabola_leaves_nothing_and_spikes_do_not_spread():
    place = np.arange(400.0)
    assert np.abs(residuals(5 - 1e-2 * place + 1e-5 * place**2)).max() < 1e-9
    noise = 0.05 * np.random.default_rng(0).standard_normal(400)
    spiked = 4 + noise.copy()
    spiked[200] += 20
    apart = np.abs(np.arange(400) - 200) > 2
    assert np.abs(residuals(spiked) - residuals(4 + noise))[apart].max() < 0.05
    assert np.abs(residuals(spiked)[200]) < 1


def test_whitening_takes_dependence_away():
    from scipy.signal import lfilter

    noise = lfilter([1], [1, -0.7], np.random.default_rng(0).standard_normal(5000))
    white = whitened(noise)
    before, after = (float(np.corrcoef(x[1:], x[:-1])[0, 1]) for x in (noise, white))
    assert before > 0.6
    assert abs(after) < 0.05
    assert np.median(local_scale(white)) == pytest.approx(1, abs=0.35)
