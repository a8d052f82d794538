"""Optimizer states by parameter and slot: as safetensors, and as the real PyTorch saved them."""

from __future__ import annotations

import dataclasses
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jokbo.errors import FormatError
from jokbo.records.declaration import CheckpointEntry, Declaration, Optimizer
from jokbo.records.optimizer_state import OptimizerState, UnnamedParametersError, read_optimizer_state
from jokbo.records.pack import write_pack
from jokbo.records.record import Record
from jokbo.testing.packs import tiny_weights, write_tiny_run

DATA = Path(__file__).parent / "data"
SHAPES = {"0.weight": (6, 4), "0.bias": (6,), "1.weight": (6,), "1.bias": (6,), "2.weight": (4, 6)}
MOMENT = 0.9 * (0.9 * 0.1 * 1 + 0.1 * 2) + 0.1 * 3
"""First moment after gradients of 1, 2 and 3 with beta 0.9."""


def read(file: str, tmp_path: Path, *, weights: str = "ordered.bin", **optimizer: object) -> OptimizerState:
    """The state in one of the fixtures, beside weights that are in the pack or not."""
    shutil.copy(DATA / file, tmp_path / "optimizer.pt")
    if weights:
        (tmp_path / "weights").mkdir()
        shutil.copy(DATA / weights, tmp_path / "weights" / weights)
    entry = CheckpointEntry("a", 3, path="weights" if weights else "", optimizer="optimizer.pt")
    declared = Optimizer(**({"name": "adamw"} | optimizer))  # type: ignore[arg-type]
    return read_optimizer_state(Record(tmp_path, Declaration("made", 3, optimizer=declared), {}, ""), entry)


def test_a_safetensors_state_names_everything(tmp_path: Path):
    record = write_pack(write_tiny_run(tmp_path / "run"), tmp_path / "pack")
    state = read_optimizer_state(record, record.declaration.checkpoint[1])
    assert state.step == 2
    assert set(state.slot("exp_avg")) == set(state.slot("exp_avg_sq")) == {"embed.weight", "norm.weight"}
    expected = tiny_weights(2)["embed.weight"] * np.float32(0.1)
    tensor = state.tensors["embed.weight", "exp_avg"]
    assert tensor.sides == (10, 4)
    np.testing.assert_array_equal(tensor.rows(np.arange(10)), expected)
    np.testing.assert_array_equal(tensor.rows(np.array([7, 2])), expected[[7, 2]])
    assert state.tensors["norm.weight", "exp_avg_sq"].rows(np.array([1])).shape == (1, 1)
    state.close()


@pytest.mark.parametrize(
    ("name", "declared"),
    [("adamw-named.pt", {}), ("adamw-numbered.pt", {}), ("adamw-groups.pt", {"decays": "matrices"})],
)
def test_what_pytorch_saved_is_read_by_name(name: str, declared: dict[str, object], tmp_path: Path):
    state = read(name, tmp_path, **declared)
    assert state.step == 3
    assert set(state.steps.values()) == {3}
    assert {parameter: tensor.shape for parameter, tensor in state.slot("exp_avg").items()} == SHAPES
    for tensor in state.slot("exp_avg").values():
        rows = tensor.rows(np.arange(tensor.sides[0]))
        assert rows.shape == tensor.sides
        np.testing.assert_allclose(rows, MOMENT, rtol=1e-6)
    assert set(state.slot("exp_avg_sq")) == set(SHAPES)


def test_momentum_is_called_momentum(tmp_path: Path):
    state = read("sgd-named.pt", tmp_path, name="sgd", betas=(0.9,))
    assert set(state.slot("momentum")) == set(SHAPES)
    assert state.step is None
    np.testing.assert_allclose(
        state.tensors["0.bias", "momentum"].rows(np.array([0])), 0.81 + 1.8 + 3, rtol=1e-6
    )


def test_the_moment_of_lion_is_its_momentum(tmp_path: Path):
    assert set(read("adamw-named.pt", tmp_path, name="lion").slot("momentum")) == set(SHAPES)


def test_names_need_no_checkpoint_where_the_file_has_them(tmp_path: Path):
    assert set(read("adamw-named.pt", tmp_path, weights="").slot("exp_avg")) == set(SHAPES)


def test_numbers_without_an_order_are_an_error_and_no_guess(tmp_path: Path):
    with pytest.raises(
        UnnamedParametersError,
        match=r"the checkpoint whose order names them is not disclosed.*named_parameters",
    ):
        read("adamw-numbered.pt", tmp_path, weights="")


def test_groups_that_the_declaration_does_not_explain_are_an_error(tmp_path: Path):
    with pytest.raises(
        UnnamedParametersError, match="numbered in 2 groups, and nothing says which is in which"
    ):
        read("adamw-groups.pt", tmp_path, decays="all")


def test_a_checkpoint_sorted_by_name_gives_no_order(tmp_path: Path):
    declaration = write_tiny_run(tmp_path / "run")
    shutil.copy(DATA / "adamw-numbered.pt", tmp_path / "run" / "optimizer.pt")
    declaration.write_text(declaration.read_text().replace("optimizer/step-2.safetensors", "optimizer.pt"))
    record = write_pack(declaration, tmp_path / "pack")
    with pytest.raises(
        UnnamedParametersError, match="does not keep the model's order, so that their names would have to be"
    ):
        read_optimizer_state(record, record.declaration.checkpoint[1])


def test_shapes_that_do_not_agree_with_the_order_are_an_error(tmp_path: Path):
    """The same file of weights, its first matrix described as (4, 6) instead of (6, 4)."""
    data = (DATA / "ordered.bin").read_bytes()
    turned = re.sub(
        rb"K\x06K\x04\x86(q.)K\x04K\x01\x86",
        lambda found: b"K\x04K\x06\x86" + found[1] + b"K\x06K\x01\x86",
        data,
        flags=re.DOTALL,
    )
    assert turned != data
    (tmp_path / "ordered.bin").write_bytes(turned)
    shutil.copy(DATA / "adamw-numbered.pt", tmp_path / "optimizer.pt")
    entry = CheckpointEntry("a", 3, path="ordered.bin", optimizer="optimizer.pt")
    record = Record(tmp_path, Declaration("made", 3, optimizer=Optimizer("adamw")), {}, "")
    with pytest.raises(
        FormatError, match=r"parameter 0 has shape \[6, 4\]; in .* it would be '0\.weight' of shape \[4, 6\]"
    ):
        read_optimizer_state(record, entry)


def test_a_checkpoint_of_more_tensors_than_parameters_is_an_error(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "optimizer.pt", "w") as out:
        out.writestr("o/data.pkl", pickle.dumps({"state": {}, "param_groups": [{"params": [0, 1]}]}, 2))
    shutil.copy(DATA / "ordered.bin", tmp_path / "ordered.bin")
    entry = CheckpointEntry("a", 3, path="ordered.bin", optimizer="optimizer.pt")
    record = Record(tmp_path, Declaration("made", 3, optimizer=Optimizer("adamw")), {}, "")
    with pytest.raises(FormatError, match="a group has 2 parameters where the checkpoint has 5"):
        read_optimizer_state(record, entry)


def test_the_error_names_the_state_and_not_only_its_kind(tmp_path: Path):
    record = write_pack(write_tiny_run(tmp_path / "run"), tmp_path / "pack")
    record.path("optimizer/step-2.safetensors").write_bytes(b"GIF89a" * 40)
    entry = dataclasses.replace(record.declaration.checkpoint[1])
    with pytest.raises(FormatError, match=r"^optimizer/step-2\.safetensors: "):
        read_optimizer_state(record, entry)
