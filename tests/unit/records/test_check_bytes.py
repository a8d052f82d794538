"""C1: files are those of the manifest, and the published weights are the end of the run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from weight_runs import HOLDS, UNKNOWN, VIOLATED, codes, see, trained

from jokbo.formats.dtypes import DType
from jokbo.records.checks.bytes import Bytes
from jokbo.records.declaration import CheckpointRole
from jokbo.testing.trainings import UP, declared, disclose


def test_an_honest_record_holds_and_its_plants_are_found(tmp_path):
    result = see(Bytes(), disclose(trained(), tmp_path), plants=59)
    assert result.observation is HOLDS
    assert codes(result) == ["digests", "same_weights"]
    assert all(planted.powered for planted in result.planted)


def test_a_flipped_bit_is_named(tmp_path):
    record = disclose(trained(), tmp_path)
    path = tmp_path / "checkpoints/step-8.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    result = see(Bytes(), record)
    assert result.observation is VIOLATED
    assert result.reasons[0].values["file"] == "checkpoints/step-8.safetensors"


def test_an_absent_file_is_named_and_is_no_violation(tmp_path):
    record = disclose(trained(), tmp_path)
    (tmp_path / "checkpoints/step-8.safetensors").unlink()
    result = see(Bytes(), record)
    assert result.observation is not VIOLATED
    assert result.reasons[0].code == "absent"


@pytest.mark.parametrize("kind", ["earlier", "other", "touched"])
def test_other_published_weights_are_found(tmp_path, kind):
    run, published = trained(), None
    if kind == "earlier":
        published = run.weights[48]
    elif kind == "other":
        published = trained(1).weights[60]
    else:
        published = {name: values.copy() for name, values in run.weights[60].items()}
        published[UP][3, 3] = np.nextafter(published[UP][3, 3], np.float32(1))
    result = see(Bytes(), disclose(run, tmp_path, published=published))
    assert result.observation is VIOLATED
    assert codes(result) == ["other_weights"]


def test_a_cast_is_allowed_its_rounding_and_no_more(tmp_path):
    run = trained()
    assert see(Bytes(), disclose(run, tmp_path / "a", published_dtype=DType.BF16)).observation is not VIOLATED
    moved = {name: values * np.float32(1.02) for name, values in run.weights[60].items()}
    forged = disclose(run, tmp_path / "b", published=moved, published_dtype=DType.BF16)
    assert see(Bytes(), forged).observation is VIOLATED


def test_a_declared_average_is_computed_again(tmp_path):
    run = trained()
    mean = {
        n: np.mean([run.weights[k][n] for k in (48, 60)], axis=0).astype(np.float32) for n in run.weights[0]
    }
    honest = disclose(run, tmp_path / "a", published=mean, average_of=(48, 60))
    assert see(Bytes(), honest).observation is not VIOLATED
    wrong = disclose(run, tmp_path / "b", published=mean, average_of=(32, 60))
    assert see(Bytes(), wrong).observation is VIOLATED
    undeclared = disclose(run, tmp_path / "c", published=mean)
    assert see(Bytes(), undeclared).observation is VIOLATED


def test_an_average_of_states_that_are_not_there_cannot_be_told(tmp_path):
    record = disclose(trained(), tmp_path, average_of=(50, 60))
    result = see(Bytes(), record)
    assert result.observation is UNKNOWN
    assert "final" in result.missing


def test_without_published_weights_or_the_last_state_nothing_is_told(tmp_path):
    record = disclose(trained(), tmp_path)
    entries = record.declaration.checkpoint
    training = tuple(e for e in entries if e.role is CheckpointRole.TRAINING)
    assert codes(see(Bytes(), declared(record, checkpoint=training))) == ["no_published"]
    hidden = replace(training[-1], path="", digest="0" * 64)
    last_hidden = declared(record, checkpoint=(*training[:-1], hidden, entries[-1]))
    assert codes(see(Bytes(), last_hidden)) == ["not_comparable"]


@pytest.mark.parametrize("kind", ["renamed", "packed", "another_of_nothing"])
def test_published_tensors_that_were_compared_with_nothing_are_no_pass(tmp_path, kind):
    run, other = trained(), trained(1).weights[60]
    published = {(name if name == UP else f"m.{name}"): values for name, values in other.items()}
    published[UP] = run.weights[60][UP]
    if kind == "packed":
        published = {n: v if n == UP else np.round(100 * v).astype(np.int8) for n, v in published.items()}
    record = disclose(run, tmp_path, published=run.weights[60] if kind == "another_of_nothing" else published)
    if kind == "another_of_nothing":
        last = next(c for c in record.declaration.checkpoint if c.role is CheckpointRole.PUBLISHED)
        second = replace(last, name="second", average_of=(59,))
        record = declared(record, checkpoint=(*record.declaration.checkpoint, second))
    result = see(Bytes(), record)
    assert result.observation is UNKNOWN
    assert {"not_compared", "said_to_be_nothing"} & set(codes(result))


def test_the_end_of_a_run_that_went_on_is_not_its_end(tmp_path):
    record = disclose(trained(), tmp_path)
    result = see(Bytes(), declared(record, steps=record.declaration.steps + 40))
    assert result.observation is UNKNOWN
    assert "not_the_end" in codes(result)
