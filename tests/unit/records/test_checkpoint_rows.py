"""The same rows of every checkpoint, chosen by seed and digest, within a budget."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from weight_runs import trained

from jokbo.errors import InputError, WeightsError
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import build_file, to_raw
from jokbo.records.checkpoint_rows import _rows
from jokbo.records.declaration import Model
from jokbo.records.trajectory import trajectory
from jokbo.testing.trainings import EMBED, HEAD, NORM, UNSEEN, UP, declared, disclose


def test_a_small_run_is_read_whole(tmp_path):
    run = trained()
    rows = disclose(run, tmp_path).rows
    assert {t.name for t in rows.tensors.values()} == set(run.weights[0])
    assert all(t.whole for t in rows.tensors.values())
    assert np.array_equal(rows.tensors[UP].at(2), run.weights[8][UP])
    assert rows.tensors[NORM].shape == (32, 1)
    assert rows.tensors[NORM].is_vector
    assert rows.tensors[EMBED].role == "token_embd"
    assert rows.bytes_read > 0


def big(path, record, seed: int, n: int = 3000) -> None:
    rng = np.random.default_rng(seed)
    tensors = {"a.weight": rng.standard_normal((n, 64)).astype(np.float32), "n": np.ones(64, np.float32)}
    path.write_bytes(build_file({k: to_raw(v, DType.F32) for k, v in tensors.items()}))


def test_a_budget_bounds_what_is_read_and_rows_are_the_same_everywhere(tmp_path):
    record = disclose(trained(), tmp_path)
    for entry in record.training_checkpoints():
        big(tmp_path / entry.path, record, entry.step)
    whole = 3000 * 64 * 4 * 7
    small = replace_budget(record, whole // 10)
    tensor = small.rows.tensors["a.weight"]
    assert tensor.values.shape[0] == 7
    assert MIN_SHARE < len(tensor.rows) / 3000 < 0.12
    assert small.rows.tensors["n"].whole
    for k, entry in enumerate(small.rows.entries[:7]):
        rng = np.random.default_rng(entry.step)
        assert np.array_equal(tensor.at(k), rng.standard_normal((3000, 64)).astype(np.float32)[tensor.rows])
    other = replace_budget(record, whole // 10)
    other.seed = 1
    assert not np.array_equal(other.rows.tensors["a.weight"].rows, tensor.rows)


MIN_SHARE = 0.05


def replace_budget(record, budget):
    made = declared(record)
    made.budget_bytes = budget
    return made


def test_windows_of_rows_are_few_and_extra_rows_are_kept():
    rows = _rows(np.arange(10_000), 0.1, np.random.default_rng(0), [9_999])
    assert 9_999 in rows
    assert len(rows) <= 1001
    assert np.count_nonzero(np.diff(rows) != 1) <= 9


def test_unseen_rows_are_read_whatever_the_budget(tmp_path):
    from jokbo.records import checkpoint_rows

    record = disclose(trained(), tmp_path)
    before, checkpoint_rows.MAX_ELEMENTS_WHOLE = checkpoint_rows.MAX_ELEMENTS_WHOLE, 16
    try:
        tensor = replace_budget(record, 4096).rows.tensors[EMBED]
    finally:
        checkpoint_rows.MAX_ELEMENTS_WHOLE = before
    assert not tensor.whole
    assert set(UNSEEN) <= set(tensor.rows.tolist())


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_weight_that_is_no_number_names_checkpoint_and_tensor(tmp_path, bad):
    run = trained()
    run.weights[8][UP][3, 4] = bad
    with pytest.raises(WeightsError, match=r"checkpoint 'step-8'.*up_proj"):
        _ = disclose(run, tmp_path).rows


def test_a_file_that_is_no_checkpoint_names_it(tmp_path):
    record = disclose(trained(), tmp_path)
    (tmp_path / "checkpoints/step-8.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="step-8"):
        _ = record.checkpoints


def test_checkpoints_that_are_not_there_are_left_out(tmp_path):
    record = disclose(trained(), tmp_path)
    (tmp_path / "checkpoints/step-8.safetensors").unlink()
    assert [m.entry.name for m in record.checkpoints.members if m.model is None] == ["step-8"]
    assert trajectory(record).steps == (0, 4, 16, 32, 48, 60)


def test_a_path_that_leads_out_is_refused(tmp_path):
    record = disclose(trained(), tmp_path / "pack")
    big(tmp_path / "other.safetensors", record, 0)
    entry = replace(record.declaration.checkpoint[1], path="../other.safetensors")
    outside = declared(record, checkpoint=(entry,))
    with pytest.raises(InputError, match="leads out of the pack"):
        _ = outside.checkpoints


def test_the_declared_configuration_stands_in_for_a_missing_one(tmp_path):
    from jokbo.testing.builders import llama

    made = llama(np.random.default_rng(0))
    files = made.to_files()
    record = disclose(trained(), tmp_path)
    (tmp_path / "checkpoints/step-0.safetensors").write_bytes(files["model.safetensors"])
    (tmp_path / "config.json").write_text(json.dumps(made.config))
    entry = record.declaration.checkpoint[0]
    known = declared(record, checkpoint=(entry,), model=Model(config="config.json"))
    member = known.checkpoints.members[0]
    assert member.model is not None
    assert member.model.anatomy.family == "llama"
    assert known.rows.tensors["model.layers.0.mlp.down_proj.weight"].role == "ffn_down"


def test_a_folder_with_an_optimizer_state_is_still_one_model(tmp_path):
    run = trained()
    record = disclose(run, tmp_path, states=True)
    folder = tmp_path / "both"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes((tmp_path / "checkpoints/step-8.safetensors").read_bytes())
    (folder / "state.safetensors").write_bytes((tmp_path / "optimizer/step-8.safetensors").read_bytes())
    entry = replace(record.declaration.checkpoint[2], path="both", optimizer="both/state.safetensors")
    together = declared(record, checkpoint=(entry,))
    assert {t.name for t in together.rows.tensors.values()} == set(run.weights[8])


def rows_file(path, tensors, index, *, names=None, shape=None) -> None:
    raw, metadata = {}, {}
    for name, values in tensors.items():
        table = values.reshape(len(values), -1)
        chosen = np.asarray(index if len(table) > max(index) else np.arange(len(table)), dtype=np.int64)
        raw[f"rows/{name}"] = to_raw(table[chosen], DType.F32)
        raw[f"index/{name}"] = to_raw(chosen, DType.I64)
        metadata[f"shape/{name}"] = shape or f"{table.shape[0]},{table.shape[1]}"
        metadata[f"dtype/{name}"] = "F32"
    path.write_bytes(build_file(raw, metadata))


def test_sampled_rows_take_part_with_the_rows_that_all_have(tmp_path):
    run = trained()
    record = disclose(run, tmp_path)
    entries = list(record.declaration.checkpoint)
    for place, index in ((1, [2, 5, 9]), (2, [5, 9, 11])):
        name = f"step.{place}.rows.safetensors"
        rows_file(tmp_path / name, run.weights[entries[place].step], index)
        entries[place] = replace(entries[place], path="", rows=name, digest="0" * 64)
    rows = declared(record, checkpoint=tuple(entries)).rows
    assert rows.tensors[HEAD].rows.tolist() == [5, 9]
    assert len(rows.tensors[HEAD].checkpoints) == 8
    assert np.array_equal(rows.tensors[HEAD].at(1), run.weights[4][HEAD][[5, 9]])
    assert np.array_equal(rows.tensors[HEAD].at(3), run.weights[16][HEAD][[5, 9]])


@pytest.mark.parametrize(
    ("index", "shape", "match"),
    [([5, 2], None, "must rise"), ([2, 5], "3,32", "must rise and lie in"), ([2, 5], "many", "rows,columns")],
)
def test_sampled_rows_that_lie_are_refused(tmp_path, index, shape, match):
    run = trained()
    record = disclose(run, tmp_path)
    rows_file(tmp_path / "x.rows.safetensors", {HEAD: run.weights[4][HEAD]}, index, shape=shape)
    entry = replace(record.declaration.checkpoint[1], path="", rows="x.rows.safetensors", digest="0" * 64)
    with pytest.raises(InputError, match=match):
        _ = declared(record, checkpoint=(entry,)).rows
