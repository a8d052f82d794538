"""The model that is run is the one declared: same losses as Transformers', every parameter once, nothing foreign."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import tiny_run
import torch
from safetensors.numpy import load_file, save_file

from jokbo.errors import WeightsError
from jokbo.records.replay.architecture import checked_config
from jokbo.records.replay.gate import CannotRun
from jokbo.records.replay.model import Loader, build
from jokbo.views.model import Model, open_model

pytestmark = pytest.mark.torch


def saved(folder: Path, *, tied: bool = False) -> tuple[Path, torch.nn.Module]:
    net = tiny_run.model(tied=tied)
    tiny_run.save(net, folder / "m")
    return folder / "m", net


def edited(folder: Path, **changes: object) -> Model:
    """An opened model whose configuration says something else: what opening refuses itself does not come here."""
    path, _ = saved(folder)
    opened = open_model(str(path))
    opened.config = dict(opened.config) | changes
    return opened


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("split", [1, 3, 32])
def test_losses_are_those_of_transformers(tmp_path: Path, tied: bool, split: int):
    path, net = saved(tmp_path, tied=tied)
    windows = tiny_run.text(7, np.random.default_rng(0)).astype(np.int64)
    loaded = Loader(None).load(open_model(str(path)), 0)
    with torch.no_grad():
        for window, found in zip(windows, loaded.losses(windows, split=split), strict=True):
            ids = torch.from_numpy(window[None])
            assert found == pytest.approx(net(input_ids=ids, labels=ids).loss.item(), abs=1e-6)
    assert loaded.network.size == sum(p.numel() for p in net.parameters())


def test_a_gradient_is_that_of_the_mean_loss_whatever_the_split(tmp_path: Path):
    path, net = saved(tmp_path)
    windows = tiny_run.text(7, np.random.default_rng(0)).astype(np.int64)
    loaded = Loader(None).load(open_model(str(path)), 0)
    loaded.network.fill(loaded.weights)
    net(input_ids=torch.from_numpy(windows), labels=torch.from_numpy(windows)).loss.backward()
    for split in (2, 100):
        found = {n: g.clone() for n, g in loaded.network.gradient(windows, split=split).items()}
        for name, parameter in net.named_parameters():
            assert torch.allclose(found[name], parameter.grad, atol=1e-7)


def test_names_without_the_usual_prefix_are_mapped(tmp_path: Path):
    path, _ = saved(tmp_path, tied=True)
    tensors = {n.removeprefix("model."): v for n, v in load_file(path / "model.safetensors").items()}
    save_file(tensors, path / "model.safetensors")
    assert Loader(None).load(open_model(str(path)), 0).network.size > 0


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"auto_map": {"AutoModelForCausalLM": "evil--x.Model"}}, "config_refused"),
        ({"rope_parameters": {"auto_map": {"x": "y"}}}, "config_refused"),
        ({"quantization_config": {"quant_method": "bitsandbytes"}}, "config_refused"),
        ({"model_type": "evil"}, "unknown_architecture"),
        ({"model_type": 7}, "unknown_architecture"),
        ({"num_hidden_layers": 10**6}, "config_refused"),
        ({"hidden_size": 10**12}, "config_refused"),
        ({"hidden_size": 32}, "tensor_shape"),
        ({"num_hidden_layers": 2}, "tensor_missing"),
        ({"num_hidden_layers": 0}, "tensor_left"),
        ({"hidden_act": "no_such"}, "config_refused"),
        ({"head_dim": -4}, "config_refused"),
    ],
)
def test_a_hostile_configuration_is_refused_with_its_reason(tmp_path: Path, change: dict, code: str):
    with pytest.raises(CannotRun) as caught:
        Loader(None).load(edited(tmp_path, **change), 0)
    assert caught.value.code == code


def test_kernels_from_a_hub_are_left_out(tmp_path: Path):
    opened = edited(tmp_path, _attn_implementation="someone/kernel", attn_implementation="someone/kernel")
    loaded = Loader(None).load(opened, 0)
    assert loaded.network.module.config._attn_implementation == "eager"


def test_a_configuration_without_end_is_refused():
    deep: dict = {"model_type": "llama"}
    for _ in range(50):
        deep = {"model_type": "llama", "x": deep}
    with pytest.raises(CannotRun, match="config_refused"):
        checked_config(deep, n_tensors=10)
    with pytest.raises(CannotRun, match="no_config"):
        checked_config(None, n_tensors=10)


def test_tied_tensors_must_agree_where_both_are_stored(tmp_path: Path):
    path, _ = saved(tmp_path, tied=True)
    tensors = load_file(path / "model.safetensors")
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].copy()
    save_file(tensors, path / "model.safetensors")
    loaded = Loader(None).load(open_model(str(path)), 0)
    loaded.network.fill(loaded.weights)
    forged = dict(loaded.weights) | {"lm_head.weight": loaded.weights["lm_head.weight"] + 1}
    with pytest.raises(CannotRun, match="tied_differ"):
        loaded.network.fill(forged)


def test_a_token_outside_the_vocabulary_is_named(tmp_path: Path):
    path, _ = saved(tmp_path)
    loaded = Loader(None).load(open_model(str(path)), 0)
    with pytest.raises(CannotRun, match="token_outside"):
        loaded.losses(np.full((1, 8), tiny_run.VOCAB))
    with pytest.raises(CannotRun, match="bad_windows"):
        loaded.losses(np.zeros((3, 1), dtype=np.int64))


def test_weights_that_are_no_numbers_are_an_error(tmp_path: Path):
    path, _ = saved(tmp_path)
    tensors = {n: v.copy() for n, v in load_file(path / "model.safetensors").items()}
    tensors["model.norm.weight"][3] = np.nan
    save_file(tensors, path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"model\.norm\.weight"):
        Loader(None).load(open_model(str(path)), 0)


def test_building_leaves_the_random_state_alone(tmp_path: Path):
    path, _ = saved(tmp_path)
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    build(open_model(str(path)))
    assert torch.equal(before, torch.random.get_rng_state())
