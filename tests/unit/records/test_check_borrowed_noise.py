"""C10: the log's noise found elsewhere, and p-values of honest logs."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from jokbo.records.checks.base import FOUND_LOG_PVALUE, CheckContext, Observation
from jokbo.records.checks.borrowed_noise import BorrowedNoise
from jokbo.records.declaration import Data, Event, EventKind
from jokbo.records.forgeries import Forgery
from jokbo.records.series import Segment
from jokbo.records.statistics.detrend import residuals, whitened
from jokbo.records.statistics.matching import BLOCK, Shifts, best_match, log_tail, normal_scores
from jokbo.records.statistics.references import read_references
from jokbo.testing.records import honest_losses, honest_record, make_log, make_record

CONTEXT = CheckContext(0)


def run(losses, context=CONTEXT, **declared):
    log = make_log(np.arange(1, len(losses) + 1), columns={"loss": losses})
    return BorrowedNoise().run(make_record(log, steps=len(losses), **declared), context)


def losses(n=600, seed=0):
    return honest_losses(n, np.random.default_rng(seed))


def codes(result):
    return [reason.code for reason in result.reasons]


def write(path, values):
    rows = [json.dumps({"step": k + 1, "loss": float(v)}) for k, v in enumerate(values)]
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_an_honest_log_repeats_nothing_and_needs_a_reference_to_pass():
    result = run(losses())
    assert (result.observation, codes(result), result.missing) == (
        Observation.UNKNOWN,
        ["no_reference"],
        ("against",),
    )
    assert result.log_pvalue > np.log(1e-3)


def repeated(scale=1.0, fresh=0.0):
    x = losses()
    noise = residuals(x)
    piece = noise[100:250] * scale + fresh * 0.06 * np.random.default_rng(9).standard_normal(150)
    x[400:550] += piece - noise[400:550]
    return x


@pytest.mark.parametrize(("scale", "fresh"), [(1.0, 0.0), (0.5, 0.1), (2.0, 0.3)])
def test_a_rescaled_piece_of_itself_is_found_at_its_place(scale, fresh):
    result = run(repeated(scale, fresh))
    assert (result.observation, codes(result)) == (Observation.VIOLATED, ["repeats_itself"])
    values = result.reasons[0].values
    assert abs(values["first"] - values["source"]) == 300


def test_data_that_come_again_by_declaration_are_no_repetition():
    x = repeated()
    assert run(x, data=Data(epochs=2.0)).observation is not Observation.VIOLATED
    assert run(x, data=Data(epochs=1.3)).observation is Observation.VIOLATED
    assert run(x, event=(Event(EventKind.RESTART, 300),)).observation is not Observation.VIOLATED


def test_batches_that_share_windows_are_no_repetition():
    order = np.arange(600 * 4).reshape(600, 4)
    order[400:550] = order[100:250]
    log = make_log(np.arange(1, 601), columns={"loss": repeated()})
    record = make_record(log, steps=600)
    record.__dict__["order"] = order
    assert BorrowedNoise().run(record, CONTEXT).observation is not Observation.VIOLATED
    record.__dict__["order"] = np.arange(600 * 4).reshape(600, 4)
    assert BorrowedNoise().run(record, CONTEXT).observation is Observation.VIOLATED


def test_another_runs_log_is_found_whatever_its_scale_and_trend(tmp_path):
    theirs = losses(seed=7)
    mine = losses(seed=1)
    mine += 0.8 * np.r_[np.zeros(60), (residuals(theirs) - residuals(mine) / 0.8)[60:]]
    result = run(mine, CheckContext(0, against=(write(tmp_path / "theirs.jsonl", theirs),)))
    assert codes(result) == ["repeats_reference"]
    assert result.reasons[0].values["name"] == "theirs.jsonl"
    assert result.reasons[0].values["first"] == result.reasons[0].values["source"]


def test_an_unrelated_reference_gives_a_pass(tmp_path):
    result = run(losses(), CheckContext(0, against=(write(tmp_path / "other.jsonl", losses(seed=5)),)))
    assert result.observation is Observation.HOLDS
    assert [(p.forgery, p.variant, p.found) for p in result.planted] == [
        (Forgery.RECYCLED_LOG, "own_piece", 59),
        (Forgery.RECYCLED_LOG, "given_log", 59),
    ]


def test_a_shared_data_order_is_expected_where_declared(tmp_path):
    rng = np.random.default_rng(3)
    batches = 0.06 * rng.standard_normal(600)
    bare = honest_losses(600, rng, noise=0.0)
    mine, theirs = (bare + batches + 0.02 * rng.standard_normal(600) for _ in range(2))
    context = CheckContext(0, against=(write(tmp_path / "twin.jsonl", theirs),))
    assert run(mine, context).observation is Observation.VIOLATED
    declared = run(mine, context, data=Data(shared_order_with="twin"))
    assert declared.observation is Observation.UNKNOWN
    assert codes(declared) == ["no_reference", "shared_order"]
    shifted = np.r_[mine[:200], mine[200] + (bare + batches)[60:460] - bare[60]]
    assert run(shifted, context, data=Data(shared_order_with="twin")).observation is Observation.VIOLATED


def test_what_is_no_log_is_left_to_other_checks(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 64)
    (tmp_path / "notes.txt").write_text("nothing here\n")
    names = ("hf:someone/model", str(tmp_path), str(tmp_path / "model.safetensors"), str(tmp_path / "none"),
             str(tmp_path / "notes.txt"))  # fmt: skip
    assert read_references(names) == ()
    assert codes(run(losses(), CheckContext(0, against=names))) == ["no_reference"]


def test_missing_coarse_and_sampled_logs_are_unknown():
    assert BorrowedNoise().run(make_record(None, steps=3), CONTEXT).missing == ("log",)
    assert codes(run(losses(100))) == ["few_rows"]
    assert codes(run(losses().round(0))) == ["no_noise"]
    record = honest_record(300)
    record.__dict__["log"] = dataclasses.replace(
        record.log, segments=(Segment("l", "x", 0, 300, sampled="declared"),)
    )
    assert codes(BorrowedNoise().run(record, CONTEXT)) == ["sampled"]


@pytest.mark.parametrize("autocorrelation", [0.0, 0.6])
def test_pvalues_of_honest_logs_are_not_too_small(autocorrelation):
    rng = np.random.default_rng(5)
    alone, pairs = [], []
    before = None
    for _ in range(250):
        noise = whitened(residuals(honest_losses(260, rng, autocorrelation=autocorrelation)))
        alone.append(
            best_match(noise, noise, lambda start, places: np.abs(places - start) >= BLOCK).log_pvalue
        )
        if before is not None:
            pairs.append(best_match(noise[30:], before[30:]).log_pvalue)
        before = noise
    for found in (np.array(alone), np.array(pairs)):
        for level in (0.3, 0.1, 0.03, 0.01):
            allowed = level * len(found) + 3 * np.sqrt(level * len(found))
            assert (found < np.log(level)).sum() <= allowed, level
        assert found.min() > FOUND_LOG_PVALUE / 2


def test_tail_and_scores_against_a_second_implementation():
    from scipy.stats import norm, t

    r, free = 0.4, 0.85 * 64 - 2
    assert np.exp(log_tail(np.array([r]), 64))[0] == pytest.approx(
        t.sf(r * np.sqrt(free / (1 - r * r)), free)
    )
    values = np.random.default_rng(0).standard_normal(50)
    expected = norm.ppf((values.argsort().argsort() + 0.5) / 50)
    assert np.allclose(normal_scores(values), expected / np.linalg.norm(expected))


def test_all_shifts_at_once_are_those_one_by_one():
    noise = np.random.default_rng(0).standard_normal(300)
    stretch = np.random.default_rng(1).standard_normal(64)
    one_by_one = [np.corrcoef(normal_scores(stretch), noise[k : k + 64])[0, 1] for k in range(237)]
    assert np.allclose(Shifts(noise, 64).correlations(stretch), one_by_one)
