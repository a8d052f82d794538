"""A small forward pass in NumPy float64: the referee of what keeps a model's function.

RMSNorm, rotary embedding in halves, grouped-query attention, SwiGLU, and a
softmax router that keeps its top k experts. Sources: Zhang and Sennrich 2019
(RMSNorm), Su et al. 2021 (RoFormer), Shazeer 2020 (GLU variants), Ainslie et al.
2023 (GQA), Jiang et al. 2024 (Mixtral).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int

from jokbo.errors import UsageError
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.skeleton import Layer, Mlp, Skeleton, describe


def forward(
    checkpoint: Checkpoint, tokens: Int[np.ndarray, " tokens"]
) -> Float64[np.ndarray, "tokens vocab"]:
    """Logits of a Llama-style checkpoint.

    Parameters
    ----------
    checkpoint : Checkpoint
        Llama, Qwen2, Qwen3 or Mixtral style.
    tokens : ndarray of int
        One sequence.

    Raises
    ------
    UsageError
        The configuration asks for something this pass does not compute.
    """
    skeleton = describe(checkpoint)
    config = checkpoint.text_config
    epsilon = float(config.get("rms_norm_eps", 1e-6))
    stream = _weight(checkpoint, skeleton.embed)[tokens]
    cosine, sine = _rotary_tables(checkpoint, skeleton.head_dim, len(tokens))
    for layer in skeleton.layers:
        normed = _rms_norm(stream, _weight(checkpoint, layer.attn_norm), epsilon)
        stream = stream + _attention(checkpoint, skeleton, layer, normed, cosine, sine)
        normed = _rms_norm(stream, _weight(checkpoint, layer.ffn_norm), epsilon)
        stream = stream + _feed_forward(checkpoint, layer, normed)
    normed = _rms_norm(stream, _weight(checkpoint, skeleton.norm), epsilon)
    return np.asarray(normed @ _weight(checkpoint, skeleton.head or skeleton.embed).T)


def _weight(checkpoint: Checkpoint, module: str) -> np.ndarray:
    return checkpoint[f"{module}.weight"].astype(np.float64)


def _linear(checkpoint: Checkpoint, module: str, inputs: np.ndarray) -> np.ndarray:
    outputs = inputs @ _weight(checkpoint, module).T
    return np.asarray(outputs + checkpoint[f"{module}.bias"]) if f"{module}.bias" in checkpoint else outputs


def _rms_norm(inputs: np.ndarray, gain: np.ndarray, epsilon: float) -> np.ndarray:
    return np.asarray(inputs / np.sqrt(np.mean(inputs**2, axis=-1, keepdims=True) + epsilon) * gain)


def _rotary_tables(checkpoint: Checkpoint, head_dim: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    config = checkpoint.text_config
    parameters = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = parameters.get("rope_type", parameters.get("type", "default"))
    if kind != "default":
        raise UsageError(f"rotary embedding of type {kind!r} is not computed here; only 'default' is.")
    theta = float(parameters.get("rope_theta", config.get("rope_theta", 10000.0)))
    angles = np.outer(np.arange(length), theta ** (-np.arange(0, head_dim, 2) / head_dim))
    return np.cos(angles)[:, None, :], np.sin(angles)[:, None, :]


def _rotate(heads: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> np.ndarray:
    first, second = np.split(heads, 2, axis=-1)
    return np.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


def _attention(
    checkpoint: Checkpoint,
    skeleton: Skeleton,
    layer: Layer,
    inputs: np.ndarray,
    cosine: np.ndarray,
    sine: np.ndarray,
) -> np.ndarray:
    length, epsilon = inputs.shape[0], float(checkpoint.text_config.get("rms_norm_eps", 1e-6))
    heads = {}
    for letter, module in (("q", layer.q), ("k", layer.k), ("v", layer.v)):
        heads[letter] = _linear(checkpoint, module, inputs).reshape(length, -1, skeleton.head_dim)
        norm = f"{module.removesuffix('_proj')}_norm"
        if f"{norm}.weight" in checkpoint:
            heads[letter] = _rms_norm(heads[letter], _weight(checkpoint, norm), epsilon)
    group = skeleton.num_heads // skeleton.num_kv_heads
    query = _rotate(heads["q"], cosine, sine)
    key = np.repeat(_rotate(heads["k"], cosine, sine), group, axis=1)
    value = np.repeat(heads["v"], group, axis=1)
    scores = np.einsum("ihd,jhd->hij", query, key) / np.sqrt(skeleton.head_dim)
    scores[:, np.triu(np.ones((length, length), dtype=bool), 1)] = -np.inf
    mixed = np.einsum("hij,jhd->ihd", _softmax(scores), value)
    return _linear(checkpoint, layer.o, mixed.reshape(length, -1))


def _softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def _feed_forward(checkpoint: Checkpoint, layer: Layer, inputs: np.ndarray) -> np.ndarray:
    if layer.router is None:
        return _gated(checkpoint, layer.mlps[0], inputs)
    config = checkpoint.text_config
    shares = _softmax(inputs @ _weight(checkpoint, layer.router).T)
    chosen = np.argsort(-shares, axis=-1, kind="stable")[:, : int(config["num_experts_per_tok"])]
    kept = np.zeros_like(shares)
    np.put_along_axis(kept, chosen, np.take_along_axis(shares, chosen, axis=-1), axis=-1)
    if config.get("norm_topk_prob", True):
        kept /= kept.sum(axis=-1, keepdims=True)
    outputs = [_gated(checkpoint, mlp, inputs) for mlp in layer.mlps]
    return np.asarray(sum(kept[:, [e]] * output for e, output in enumerate(outputs)))


def _gated(checkpoint: Checkpoint, mlp: Mlp, inputs: np.ndarray) -> np.ndarray:
    activation = checkpoint.text_config.get("hidden_act", "silu")
    if activation != "silu":
        raise UsageError(f"activation {activation!r} is not computed here; only 'silu' is.")
    gate = _linear(checkpoint, mlp.gate, inputs)
    return _linear(
        checkpoint, mlp.down, gate * (0.5 + 0.5 * np.tanh(gate / 2)) * _linear(checkpoint, mlp.up, inputs)
    )
