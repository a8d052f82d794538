"""Transforms that change the function do just what they say, in the places they say."""

from __future__ import annotations

import numpy as np
import pytest

from jokbo.errors import UsageError
from jokbo.testing.builders import llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.forward import forward
from jokbo.testing.transforms import (
    depth_up,
    derive,
    disguise,
    fine_tune_noise,
    flip_rotary,
    merge,
    prune_layers,
    prune_units,
    slerp,
    splice_units,
    take_layers,
    transplant_embedding,
    upcycle,
)

UP = "model.layers.{}.mlp.up_proj.weight"
DOWN = "model.layers.{}.mlp.down_proj.weight"
EMBED = "model.embed_tokens.weight"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def model():
    return llama(rng(0))


@pytest.fixture
def other():
    return llama(rng(1))


@pytest.mark.parametrize("contiguous", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_splicing_copies_exactly_that_share(model, other, share, contiguous):
    spliced = splice_units(model, other, share=share, contiguous=contiguous, rng=rng(2))
    for layer in (0, 1):
        copied = (spliced[UP.format(layer)] == other[UP.format(layer)]).all(axis=1)
        kept = (spliced[UP.format(layer)] == model[UP.format(layer)]).all(axis=1)
        columns = (spliced[DOWN.format(layer)] == other[DOWN.format(layer)]).all(axis=0)
        assert copied.sum() == round(share * 172)
        np.testing.assert_array_equal(kept, ~copied)
        np.testing.assert_array_equal(columns, copied)
        if contiguous and share == 0.25:
            places = np.flatnonzero(copied)
            assert places[-1] - places[0] == places.size - 1


def test_depth_up_repeats_the_middle_layers():
    model = llama(rng(), num_layers=4)
    deeper = depth_up(model)
    assert deeper.config["num_hidden_layers"] == 6
    for new, old in enumerate([0, 1, 2, 1, 2, 3]):
        np.testing.assert_array_equal(deeper[UP.format(new)], model[UP.format(old)])


def test_pruned_layers_close_the_gap():
    model = llama(rng(), num_layers=4)
    pruned = prune_layers(model, drop=[1])
    assert pruned.config["num_hidden_layers"] == 3
    np.testing.assert_array_equal(pruned[UP.format(1)], model[UP.format(2)])
    assert UP.format(3) not in pruned


@pytest.mark.parametrize("by", ["importance", "random"])
def test_pruned_units_keep_their_order(model, by):
    pruned = prune_units(model, keep=0.5, by=by, rng=rng())
    rows = {row.tobytes(): i for i, row in enumerate(model[UP.format(0)])}
    origin = [rows[row.tobytes()] for row in pruned[UP.format(0)]]
    assert len(origin) == 86 == pruned.config["intermediate_size"]
    assert origin == sorted(origin)
    assert pruned[DOWN.format(0)].shape == (64, 86)


def test_pruned_units_can_be_sorted_by_importance(model):
    kept = prune_units(model, keep=0.5, rng=rng())
    ordered = prune_units(model, keep=0.5, order="sorted", rng=rng())
    assert {r.tobytes() for r in kept[UP.format(0)]} == {r.tobytes() for r in ordered[UP.format(0)]}
    assert not np.array_equal(kept[UP.format(0)], ordered[UP.format(0)])


def test_upcycled_experts_start_from_the_dense_mlp(model):
    sparse = upcycle(model, num_experts=4, noise=0.1, rng=rng())
    for expert in range(4):
        values = sparse[f"model.layers.0.block_sparse_moe.experts.{expert}.w3.weight"]
        assert np.corrcoef(values.ravel(), model[UP.format(0)].ravel())[0, 1] > 0.98
    assert UP.format(0) not in sparse
    assert sparse.config["num_local_experts"] == 4
    assert sparse["model.layers.0.block_sparse_moe.gate.weight"].shape == (4, 64)


def test_merging_weighs_its_models(model, other):
    merged = merge([model, other], weights=[0.25, 0.75])
    np.testing.assert_allclose(merged[EMBED], 0.25 * model[EMBED] + 0.75 * other[EMBED], rtol=1e-5, atol=1e-8)


def test_slerp_ends_at_its_models_and_keeps_norms(model, other):
    np.testing.assert_allclose(slerp(model, other, share=0.0)[EMBED], model[EMBED], rtol=1e-5)
    np.testing.assert_allclose(slerp(model, other, share=1.0)[EMBED], other[EMBED], rtol=1e-5)
    half = np.linalg.norm(slerp(model, other, share=0.5)[EMBED])
    assert half == pytest.approx(np.linalg.norm(model[EMBED]), rel=0.02)


def test_only_the_embedding_is_transplanted(model, other):
    changed = transplant_embedding(model, other)
    np.testing.assert_array_equal(changed[EMBED], other[EMBED])
    assert all(np.array_equal(changed[n], model[n]) for n in model.tensors if n != EMBED)


def test_fine_tune_noise_has_the_size_asked_for(model):
    noisy = fine_tune_noise(model, size=0.2, rng=rng(3))
    difference = noisy[UP.format(0)] - model[UP.format(0)]
    assert difference.std() == pytest.approx(0.2 * model[UP.format(0)].std(), rel=0.05)


def test_interleaved_rotary_pairs_flip_together(model):
    flipped = flip_rotary(model, rope="interleaved", rng=rng())
    name = "model.layers.0.self_attn.{}_proj.weight"
    signs = {m: np.sign((flipped[name.format(m)] * model[name.format(m)]).sum(axis=1)) for m in "qk"}
    for values in signs.values():
        np.testing.assert_array_equal(values[0::2], values[1::2])
        assert set(values) == {-1.0, 1.0}
    keys = np.repeat(signs["k"].reshape(2, 16), 2, axis=0).reshape(-1)
    np.testing.assert_array_equal(signs["q"], keys)


def test_permuted_heads_stay_in_their_groups():
    model = llama(rng(), num_heads=8, num_kv_heads=4)
    hidden = disguise(model, ["permute_heads"], rng=rng(1))
    name = "model.layers.0.self_attn.{}_proj.weight"
    places = {}
    for letter in "qkv":
        old = {head.tobytes(): i for i, head in enumerate(model[name.format(letter)].reshape(-1, 8, 64))}
        places[letter] = np.array(
            [old[head.tobytes()] for head in hidden[name.format(letter)].reshape(-1, 8, 64)]
        )
    np.testing.assert_array_equal(places["k"], places["v"])
    np.testing.assert_array_equal(places["q"] // 2, np.repeat(places["k"], 2))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda m: disguise(m, ["hide"], rng=rng()), "no disguise 'hide'; known are permute_units"),
        (lambda m: flip_rotary(m, rope="full", rng=rng()), "rope is 'full'"),
        (lambda m: take_layers(m, [5]), r"layers \[5\] were asked for; this model has 0 to 1"),
        (lambda m: take_layers(m, []), "were asked for"),
        (lambda m: prune_layers(m, drop=[2]), r"layers \[2\] were to be dropped"),
        (lambda m: depth_up(m, cut=2), "cut is 2; expected 0 to 1"),
        (lambda m: prune_units(m, keep=0.0, rng=rng()), r"expected a share in \(0, 1\]"),
        (lambda m: splice_units(m, m, share=2, rng=rng()), "share is 2"),
        (lambda m: derive(m, rng(), cosine=-1), "cosine is -1"),
        (lambda m: merge([m], weights=[]), "1 models and 0 weights"),
        (lambda m: merge([m, llama(rng(), vocab_size=9)], weights=[1, 1]), "differs in shape"),
        (lambda m: transplant_embedding(m, llama(rng(), vocab_size=9)), "the donor's embedding"),
        (lambda m: upcycle(m, num_experts=2, top_k=3, rng=rng()), "top_k is 3"),
        (lambda m: upcycle(mixtral(rng()), rng=rng()), "has experts already"),
    ],
)
def test_calls_that_make_no_sense_are_refused(model, call, match):
    with pytest.raises(UsageError, match=match):
        call(model)


@pytest.mark.parametrize("name", ["rotate", "permute_channels", "flip_channels"])
def test_a_projector_follows_the_residual_stream_it_writes_to(name):
    """The image of a projector row is still the image of some token, in the disguised basis too."""
    text = llama(rng())
    tensors = {f"language_model.{n}": values.astype(np.float64) for n, values in text.tensors.items()}
    projector = "multi_modal_projector.linear_2"
    embedding = tensors["language_model.model.embed_tokens.weight"]
    tensors |= {f"{projector}.weight": embedding[:10].T.copy(), f"{projector}.bias": embedding[10].copy()}
    model = Checkpoint(config={"model_type": "llava", "text_config": text.config}, tensors=tensors)
    hidden = disguise(model, [name], rng=rng(1))
    moved = hidden["language_model.model.embed_tokens.weight"]
    assert not np.allclose(moved, embedding)
    np.testing.assert_allclose(hidden[f"{projector}.weight"], moved[:10].T, atol=1e-12)
    np.testing.assert_allclose(hidden[f"{projector}.bias"], moved[10], atol=1e-12)
    tokens = np.arange(8)
    np.testing.assert_allclose(forward(hidden, tokens), forward(model, tokens), atol=1e-8)


def test_a_zero_gain_cannot_be_folded(model):
    name = "model.layers.1.input_layernorm.weight"
    gains = model[name].copy()
    gains[3] = 0
    with pytest.raises(UsageError, match=f"{name}' holds a zero"):
        disguise(model.with_tensors({name: gains}), ["rotate"], rng=rng())
