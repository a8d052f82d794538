"""Made-up models hold what they claim: names, shapes, statistics and planted structure."""

from __future__ import annotations

import json

import numpy as np
import pytest

from jokbo.errors import ArchitectureError, UsageError
from jokbo.formats.dtypes import DType
from jokbo.testing.builders import gpt2, llama, mixtral, tiny_tokenizer
from jokbo.testing.checkpoint import Checkpoint, load_checkpoint
from jokbo.testing.draws import Recipe
from jokbo.testing.forward import forward
from jokbo.testing.skeleton import describe
from jokbo.testing.transforms import quantise, store_fp8

GATE = "model.layers.0.mlp.gate_proj.weight"
EMBED = "model.embed_tokens.weight"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def excess_kurtosis(values: np.ndarray) -> float:
    centred = values.astype(np.float64).ravel() - values.mean()
    return float(np.mean(centred**4) / np.mean(centred**2) ** 2 - 3)


def test_gaussian_models_have_the_spread_asked_for():
    values = llama(rng(), std=0.05)[GATE]
    assert values.dtype == np.float32
    assert values.std() == pytest.approx(0.05, rel=0.03)
    assert abs(excess_kurtosis(values)) < 0.3


def test_models_of_different_seeds_share_nothing():
    a, b = llama(rng(0))[GATE], llama(rng(1))[GATE]
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert abs(cosines.mean()) < 0.05


def test_heavy_tails_are_heavy_and_keep_the_spread():
    values = llama(rng(), heavy_tailed=5.0, std=0.05, hidden_size=128)[GATE]
    assert values.std() == pytest.approx(0.05, rel=0.06)
    assert excess_kurtosis(values) > 1


def test_massive_channels_are_few_and_large():
    embedding = llama(rng(), massive_channels=3)[EMBED]
    norms = np.linalg.norm(embedding, axis=0)
    assert (norms > 10 * np.median(norms)).sum() == 3


def test_sorted_structure_sorts_units_and_channels():
    checkpoint = llama(rng(), structure="sorted")
    down = "model.layers.0.mlp.down_proj.weight"
    up = "model.layers.0.mlp.up_proj.weight"
    weight = sum((checkpoint[n].astype(float) ** 2).sum(axis=a) for n, a in ((GATE, 1), (up, 1), (down, 0)))
    assert (np.diff(weight) <= 1e-6 * weight[0]).all()
    assert (np.diff(np.linalg.norm(checkpoint[EMBED], axis=0)) <= 1e-6).all()


def test_tiled_structure_repeats_rows():
    values = llama(rng(), structure="tiled", intermediate_size=160)[GATE].astype(float)
    rows = values / np.linalg.norm(values, axis=1, keepdims=True)
    assert (rows[:40] * rows[40:80]).sum(axis=1).mean() > 0.6
    assert abs((rows[:40] * rows[41:81]).sum(axis=1).mean()) < 0.1


def test_trend_structure_rises_along_both_axes():
    values = llama(rng(), structure="trend")[GATE]
    assert np.linalg.norm(values[-40:]) > 2 * np.linalg.norm(values[:40])
    assert np.linalg.norm(values[:, -16:]) > 1.5 * np.linalg.norm(values[:, :16])


def test_duplicated_layers_resemble_the_one_before():
    checkpoint = llama(rng(), num_layers=4, duplicated_layers=True)
    layers = [checkpoint[f"model.layers.{i}.mlp.up_proj.weight"].ravel() for i in range(4)]
    assert np.corrcoef(layers[0], layers[1])[0, 1] > 0.98
    assert np.corrcoef(layers[2], layers[3])[0, 1] > 0.98
    assert abs(np.corrcoef(layers[0], layers[2])[0, 1]) < 0.05


def test_upcycled_experts_resemble_each_other():
    upcycled, fresh = mixtral(rng(), upcycled=True), mixtral(rng())
    name = "model.layers.0.block_sparse_moe.experts.{}.w1.weight"
    for checkpoint, low, high in ((upcycled, 0.98, 1.0), (fresh, -0.1, 0.1)):
        experts = [checkpoint[name.format(e)].ravel() for e in (1, 2)]
        assert low < np.corrcoef(*experts)[0, 1] < high


@pytest.mark.parametrize(
    ("options", "match"),
    [({"structure": "spiral"}, "structure is 'spiral'"), ({"heavy_tailed": 2.0}, "more than 2 degrees")],
)
def test_recipes_that_make_no_sense_are_refused(options, match):
    with pytest.raises(UsageError, match=match):
        Recipe(**options)


def test_gpt2_stores_fused_tensors_transposed():
    checkpoint = gpt2(rng(), hidden_size=32, num_layers=1)
    assert checkpoint["transformer.h.0.attn.c_attn.weight"].shape == (32, 96)
    assert checkpoint["transformer.h.0.mlp.c_proj.weight"].shape == (128, 32)
    assert "h.0.ln_1.bias" in gpt2(rng(), prefix="")


def test_qwen_styles_have_their_tensors():
    checkpoint = llama(rng(), qkv_bias=True, qk_norm=True)
    assert checkpoint["model.layers.0.self_attn.q_proj.bias"].shape == (64,)
    assert checkpoint["model.layers.0.self_attn.k_norm.weight"].shape == (16,)


def test_saving_and_loading_gives_the_stored_numbers_back(tmp_path):
    checkpoint = llama(rng(), reserved_tokens=5)
    loaded = load_checkpoint(checkpoint.save(tmp_path / "model", shard_bytes=100_000))
    assert (tmp_path / "model" / "model.safetensors.index.json").exists()
    assert loaded.config == checkpoint.config
    assert loaded.tokenizer == checkpoint.tokenizer
    assert set(loaded.tensors) == set(checkpoint.tensors)
    for name, values in checkpoint.tensors.items():
        np.testing.assert_allclose(loaded[name], values, rtol=2**-8)
    again = loaded.stored()
    for name, values in loaded.tensors.items():
        np.testing.assert_array_equal(again[name], values)


def test_the_same_checkpoint_gives_the_same_files():
    assert llama(rng(3)).to_files() == llama(rng(3)).to_files()


def test_files_can_be_read_by_the_reference_library(tmp_path):
    from safetensors import safe_open

    llama(rng()).save(tmp_path)
    with safe_open(tmp_path / "model.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}
        assert EMBED in file.keys()  # noqa: SIM118  (not a mapping)


def test_tokenizer_declares_its_reserved_tokens():
    tokenizer = tiny_tokenizer(20, 4)
    assert [token["id"] for token in tokenizer["added_tokens"] if token["special"]] == [0, 1, 2, 3]
    assert sorted(tokenizer["model"]["vocab"].values()) == list(range(20))


def test_fp8_storage_keeps_codes_and_block_scales():
    checkpoint = llama(rng(), hidden_size=64, intermediate_size=100)
    source = store_fp8(checkpoint, block=32).to_source()
    loaded = load_checkpoint(source)
    codes, scale = loaded[GATE], loaded[f"{GATE}_scale_inv"]
    assert (loaded.dtypes[GATE], loaded.dtypes[f"{GATE}_scale_inv"]) == (DType.F8_E4M3, DType.F32)
    assert scale.shape == (4, 2)
    values = codes * np.repeat(np.repeat(scale, 32, axis=0), 32, axis=1)[:100]
    assert np.abs(values - checkpoint[GATE]).max() <= np.abs(checkpoint[GATE]).max() / 28
    assert (
        json.loads(source.read_file("config.json", max_bytes=10_000))["quantization_config"]["fmt"] == "e4m3"
    )


def test_quantising_refuses_a_scheme_it_does_not_know():
    with pytest.raises(UsageError, match="scheme is 'int3'"):
        quantise(llama(rng()), "int3")


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("model.layers.0.pre_feedforward_layernorm.weight", "not part of a Llama-style block"),
        ("model.layers.7.mlp.up_proj.weight", "without holes"),
        ("other.embed_tokens.weight", "found 2 tensors named embed_tokens"),
    ],
)
def test_checkpoints_that_are_not_understood_are_refused(name, match):
    checkpoint = llama(rng()).with_tensors({name: np.ones(3)})
    with pytest.raises(UsageError, match=match):
        describe(checkpoint)


def test_a_missing_tensor_is_named():
    checkpoint = llama(rng())
    tensors = {n: v for n, v in checkpoint.tensors.items() if n != GATE}
    with pytest.raises(UsageError, match="gate_proj"):
        describe(Checkpoint(config=checkpoint.config, tensors=tensors))


def test_heads_that_contradict_the_shapes_are_refused():
    with pytest.raises(ArchitectureError, match="64 rows; the configuration says 8 heads of 16"):
        describe(llama(rng()).with_config(num_attention_heads=8))


@pytest.mark.parametrize(
    ("change", "match"),
    [({"hidden_act": "gelu"}, "activation 'gelu'"), ({"rope_scaling": {"rope_type": "yarn"}}, "type 'yarn'")],
)
def test_the_forward_pass_refuses_what_it_does_not_compute(change, match):
    with pytest.raises(UsageError, match=match):
        forward(llama(rng()).with_config(**change), np.arange(4))


@pytest.mark.torch
@pytest.mark.parametrize("style", ["llama", "tied", "qwen2", "qwen3", "mixtral"])
def test_the_forward_pass_agrees_with_transformers(tmp_path, style):
    import torch
    from transformers import AutoModelForCausalLM

    options = {"tied": {"tied": True}, "qwen2": {"qkv_bias": True}, "qwen3": {"qk_norm": True}}
    checkpoint = (
        mixtral(rng(), std=0.1) if style == "mixtral" else llama(rng(), std=0.1, **options.get(style, {}))
    )
    checkpoint = checkpoint.stored()
    model = AutoModelForCausalLM.from_pretrained(
        checkpoint.save(tmp_path), dtype=torch.float32, attn_implementation="eager"
    )
    tokens = np.arange(20) * 7 % 256
    with torch.no_grad():
        expected = model(torch.tensor(tokens)[None]).logits[0].double().numpy()
    np.testing.assert_allclose(forward(checkpoint, tokens), expected, atol=1e-4 * np.abs(expected).max())
