"""C7: runs that fit into their machines, and such that cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.records.checks.base import CheckContext, Observation
from jokbo.records.checks.compute import Compute, known_peaks, usable_peak, worked
from jokbo.records.declaration import BatchPhase, Event, EventKind, Hardware, Model
from jokbo.records.series import Segment
from jokbo.records.statistics.sizes import sizes
from jokbo.testing.records import honest_record, make_log, make_record

CONTEXT = CheckContext(0)
A100 = Hardware("NVIDIA A100-SXM4-80GB", 8, 312e12, "bf16")


def run(parameters, *, hardware=A100, steps=1000, **more):
    record = honest_record(
        steps,
        seconds=1.0,
        batch=[BatchPhase(1, 1, 1024)],
        hardware=hardware,
        model=Model(parameters=parameters),
        **more,
    )
    return Compute().run(record, CONTEXT)


def codes(result):
    return [reason.code for reason in result.reasons]


def test_the_share_is_six_n_d_over_what_the_machines_could_do():
    result = run(10**11)
    assert result.statistic == pytest.approx(6e11 * 1024 / (8 * 312e12), rel=0.03)
    assert (result.observation, result.planted[0].found) == (Observation.HOLDS, 59)


def test_a_published_figure_is_found_again():
    # 6 x 12e9 active x 19.7e12 tokens on 480 devices of 2.25e15 take 15.2 days at full use.
    flops = 6 * 12e9 * 19.7e12
    assert flops / (480 * known_peaks("B200")["half"] * 1e12) / 86400 == pytest.approx(15.2, abs=0.05)


def test_more_than_the_machines_can_do_is_impossible():
    result = run(10**12)
    assert (result.observation, codes(result)) == (Observation.VIOLATED, ["impossible"])


def test_a_share_that_few_reach_is_told_and_nothing_more():
    result = run(int(3.3e11))
    assert 0.65 < result.statistic < 1
    assert (result.observation, "high" in codes(result)) == (Observation.HOLDS, True)


def test_a_small_model_has_no_power():
    result = run(10**8)
    assert (result.observation, codes(result)) == (Observation.UNKNOWN, ["no_power"])


def test_a_peak_above_the_known_one_is_noticed_and_not_used():
    peak, notes = usable_peak(Hardware("H100", 1, 1979e12, "bf16"))
    assert (peak, [n.code for n in notes]) == (989.5e12, ["peak_above_known"])


def test_a_peak_declared_too_low_makes_nothing_impossible():
    assert usable_peak(Hardware("H100", 1, 100e12, "bf16"))[0] == 989.5e12


@pytest.mark.parametrize(
    ("precision", "peak"),
    [
        ("bf16", 989.5),
        ("bf16-mixed", 989.5),
        ("fp8", 1979),
        ("", 1979),
        ("bf16/fp8 hybrid", 1979),
        ("tf32", 495),
    ],
)
def test_precision_decides_which_peak(precision, peak):
    assert usable_peak(Hardware("NVIDIA H100 80GB HBM3", 1, 0.0, precision))[0] == peak * 1e12


@pytest.mark.parametrize(
    ("device", "half"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 PCIe", 756.5),
        ("TPU v5p-128", 459),
        ("tpu v5e", 197),
        ("AMD Instinct MI250X", 383),
        ("Tesla V100-SXM2-32GB", 125),
        ("GB200 NVL72", 2500),
    ],
)
def test_devices_are_known_by_the_names_that_logs_give(device, half):
    assert known_peaks(device)["half"] == half


@pytest.mark.parametrize("device", ["", "x86-64 core", "A1000", "Apple M2", "B2000"])
def test_other_devices_are_not_mistaken_for_known_ones(device):
    assert known_peaks(device) is None


def test_an_unknown_device_is_taken_at_its_word():
    result = run(10**11, hardware=Hardware("abacus", 8, 312e12, "bf16"))
    assert "unknown_device" in codes(result)
    assert codes(run(10**11, hardware=Hardware("abacus", 8))) == ["no_peak"]


def test_the_same_run_in_two_formats_counts_once():
    record = honest_record(300)
    log = record.log
    twice = make_log(
        np.r_[log.steps, log.steps],
        times=np.r_[log.times, log.times],
        segments=[Segment("a", "x", 0, 300), Segment("b", "y", 300, 600)],
    )
    assert worked(twice, record) == worked(log, record)


def test_an_embedding_that_is_only_looked_up_does_not_count(tmp_path):
    config = {"hidden_size": 64, "vocab_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
              "tie_word_embeddings": False}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    record = make_record(None, steps=1, model=Model("config.json", parameters=150_000))
    record.folder = tmp_path
    assert sizes(record).parameters == 150_000 - 64 * 512
    assert sizes(record).attention == 2 * 2 * 64
    (tmp_path / "config.json").write_text(
        json.dumps({**config, "sliding_window": 8, "tie_word_embeddings": True})
    )
    assert (sizes(record).parameters, sizes(record).attention) == (150_000, 0)


def test_a_configuration_that_is_no_object_is_an_error(tmp_path):
    (tmp_path / "config.json").write_text("[1]")
    record = honest_record(300, model=Model("config.json", parameters=10), hardware=A100)
    record.folder = tmp_path
    with pytest.raises(FormatError, match="expected an object"):
        Compute().run(record, CONTEXT)


def test_what_is_missing_is_named():
    assert Compute().run(make_record(None, steps=3), CONTEXT).missing == ("log",)
    assert run(10**9, hardware=None).missing == ("hardware",)
    assert run(0).missing == ("config",)
    record = make_record(make_log(np.arange(1, 301)), steps=300, batch=(BatchPhase(1, 1, 9),), hardware=A100,
                         model=Model(parameters=9))  # fmt: skip
    assert Compute().run(record, CONTEXT).missing == ("timestamps",)
    assert codes(run(10**12, events=[Event(EventKind.LOG_EDIT, 1, 1000)])) == ["edited"]
