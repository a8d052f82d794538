"""Small models made on the spot: independent by construction, with released names and configurations.

They have the shapes and statistics of trained models, not their function; the
zoo holds really trained ones. Transforms (:mod:`jokbo.testing.transforms`) make
relatives of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.draws import Recipe
from jokbo.testing.skeleton import Use, describe
from jokbo.testing.transforms.depth import unit_importance
from jokbo.testing.transforms.permute import reorder_channels, reorder_units

DUPLICATE_NOISE = 0.1
"""Noise on duplicated layers and upcycled experts, as a share of a matrix's own deviation."""


def llama(
    rng: np.random.Generator,
    *,
    hidden_size: int = 64,
    num_layers: int = 2,
    intermediate_size: int = 172,
    num_heads: int = 4,
    num_kv_heads: int = 2,
    vocab_size: int = 256,
    tied: bool = False,
    qkv_bias: bool = False,
    qk_norm: bool = False,
    reserved_tokens: int | None = None,
    duplicated_layers: bool = False,
    heavy_tailed: float | None = None,
    massive_channels: int = 0,
    structure: str = "none",
    std: float = 0.02,
) -> Checkpoint:
    """Make a random Llama-style checkpoint.

    Parameters
    ----------
    rng : numpy Generator
        Two models from different generators are independent.
    hidden_size, num_layers, intermediate_size, num_heads, num_kv_heads, vocab_size : int
    tied : bool
        No output head of its own.
    qkv_bias, qk_norm : bool
        Biases as in Qwen2; norms of query and key as in Qwen3.
    reserved_tokens : int, optional
        Adds a tokenizer whose first tokens are that many special ones; no tokenizer without it.
    duplicated_layers : bool
        Odd layers are noisy copies of the even ones before them.
    heavy_tailed, massive_channels, structure, std
        See :class:`~jokbo.testing.draws.Recipe`.

    Examples
    --------
    >>> model = llama(np.random.default_rng(0), num_layers=1)
    >>> model["model.layers.0.mlp.down_proj.weight"].shape
    (64, 172)
    """
    recipe = Recipe(
        std=std, heavy_tailed=heavy_tailed, massive_channels=massive_channels, structure=structure
    )
    head_dim = hidden_size // num_heads
    tensors = {"model.embed_tokens.weight": recipe.matrix(rng, vocab_size, hidden_size)}
    for number in range(num_layers):
        prefix = f"model.layers.{number}."
        tensors |= _attention(
            rng, recipe, prefix, hidden_size, (num_heads, num_kv_heads, head_dim), qkv_bias, qk_norm
        )
        for module, (rows, cols) in _mlp_shapes(hidden_size, intermediate_size).items():
            tensors[f"{prefix}mlp.{module}.weight"] = recipe.matrix(rng, rows, cols)
    tensors["model.norm.weight"] = recipe.gains(rng, hidden_size)
    if not tied:
        tensors["lm_head.weight"] = recipe.matrix(rng, vocab_size, hidden_size)
    config = _llama_config(
        "llama", "LlamaForCausalLM", hidden_size, num_heads, num_kv_heads, vocab_size, num_layers
    )
    config |= {
        "intermediate_size": intermediate_size,
        "tie_word_embeddings": tied,
        "attention_bias": qkv_bias,
    }
    if qkv_bias or qk_norm:
        config["model_type"] = "qwen3" if qk_norm else "qwen2"
        config["architectures"] = ["Qwen3ForCausalLM" if qk_norm else "Qwen2ForCausalLM"]
    tokenizer = None if reserved_tokens is None else tiny_tokenizer(vocab_size, reserved_tokens)
    made = Checkpoint(config=config, tensors=tensors, tokenizer=tokenizer)
    if duplicated_layers:
        made = _duplicate_layers(made, rng)
    return _finish(made, recipe, rng)


def mixtral(
    rng: np.random.Generator,
    *,
    hidden_size: int = 64,
    num_layers: int = 2,
    intermediate_size: int = 112,
    num_experts: int = 4,
    top_k: int = 2,
    num_heads: int = 4,
    num_kv_heads: int = 2,
    vocab_size: int = 256,
    upcycled: bool = False,
    heavy_tailed: float | None = None,
    massive_channels: int = 0,
    structure: str = "none",
    std: float = 0.02,
) -> Checkpoint:
    """Make a random Mixtral-style checkpoint.

    Parameters
    ----------
    num_experts, top_k : int
        Routed experts a layer, and how many a token visits.
    upcycled : bool
        All experts of a layer are noisy copies of one.
    rng, hidden_size, num_layers, intermediate_size, num_heads, num_kv_heads, vocab_size
        As in :func:`llama`.
    heavy_tailed, massive_channels, structure, std
        See :class:`~jokbo.testing.draws.Recipe`.
    """
    recipe = Recipe(
        std=std, heavy_tailed=heavy_tailed, massive_channels=massive_channels, structure=structure
    )
    head_dim = hidden_size // num_heads
    tensors = {"model.embed_tokens.weight": recipe.matrix(rng, vocab_size, hidden_size)}
    for number in range(num_layers):
        prefix = f"model.layers.{number}."
        tensors |= _attention(
            rng, recipe, prefix, hidden_size, (num_heads, num_kv_heads, head_dim), False, False
        )
        sparse = f"{prefix}block_sparse_moe."
        tensors[f"{sparse}gate.weight"] = recipe.matrix(rng, num_experts, hidden_size)
        shapes = zip(("w1", "w3", "w2"), _mlp_shapes(hidden_size, intermediate_size).values(), strict=True)
        for short, (rows, cols) in shapes:
            first = recipe.matrix(rng, rows, cols)
            for expert in range(num_experts):
                fresh = first if expert == 0 else recipe.matrix(rng, rows, cols)
                values = first + DUPLICATE_NOISE * fresh if upcycled else fresh
                tensors[f"{sparse}experts.{expert}.{short}.weight"] = values.astype(np.float32)
    tensors["model.norm.weight"] = recipe.gains(rng, hidden_size)
    tensors["lm_head.weight"] = recipe.matrix(rng, vocab_size, hidden_size)
    config = _llama_config(
        "mixtral", "MixtralForCausalLM", hidden_size, num_heads, num_kv_heads, vocab_size, num_layers
    )
    config |= {"intermediate_size": intermediate_size, "tie_word_embeddings": False, "sliding_window": None}
    config |= {"num_local_experts": num_experts, "num_experts_per_tok": top_k}
    return _finish(Checkpoint(config=config, tensors=tensors), recipe, rng)


def gpt2(
    rng: np.random.Generator,
    *,
    hidden_size: int = 64,
    num_layers: int = 2,
    num_heads: int = 4,
    vocab_size: int = 256,
    n_positions: int = 64,
    prefix: str = "transformer.",
    heavy_tailed: float | None = None,
    structure: str = "none",
    std: float = 0.02,
) -> Checkpoint:
    """Make a random GPT-2-style checkpoint: LayerNorm, fused QKV stored (in, out), biases, tied head.

    Parameters
    ----------
    n_positions : int
        Rows of the position table.
    prefix : str
        What names start with: ``"transformer."``, or nothing as in the first releases.
    rng, hidden_size, num_layers, num_heads, vocab_size
        As in :func:`llama`.
    heavy_tailed, structure, std
        See :class:`~jokbo.testing.draws.Recipe`; ``sorted`` draws sizes that differ and sorts nothing here.
    """
    recipe = Recipe(std=std, heavy_tailed=heavy_tailed, structure=structure)
    tensors = {
        f"{prefix}wte.weight": recipe.matrix(rng, vocab_size, hidden_size),
        f"{prefix}wpe.weight": recipe.matrix(rng, n_positions, hidden_size),
    }
    shapes = {"attn.c_attn": (1, 3), "attn.c_proj": (1, 1), "mlp.c_fc": (1, 4), "mlp.c_proj": (4, 1)}
    for number in range(num_layers):
        for module, (inputs, outputs) in shapes.items():
            name = f"{prefix}h.{number}.{module}"
            tensors[f"{name}.weight"] = recipe.matrix(rng, inputs * hidden_size, outputs * hidden_size)
            tensors[f"{name}.bias"] = recipe.matrix(rng, 1, outputs * hidden_size)[0]
        for norm in ("ln_1", "ln_2"):
            tensors |= _layer_norm(rng, recipe, f"{prefix}h.{number}.{norm}", hidden_size)
    tensors |= _layer_norm(rng, recipe, f"{prefix}ln_f", hidden_size)
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "n_embd": hidden_size,
        "n_head": num_heads,
        "n_layer": num_layers,
        "n_positions": n_positions,
        "n_ctx": n_positions,
        "n_inner": None,
        "vocab_size": vocab_size,
        "tie_word_embeddings": True,
    }
    return Checkpoint(config=config, tensors=tensors)


def tiny_tokenizer(vocab_size: int, reserved: int) -> dict[str, Any]:
    """A tokenizer document whose first `reserved` tokens are special and stand in no text."""
    special = [f"<|reserved_{i}|>" for i in range(reserved)]
    tokens = special + [f"token{i}" for i in range(reserved, vocab_size)]
    return {
        "version": "1.0",
        "added_tokens": [{"id": i, "content": token, "special": True} for i, token in enumerate(special)],
        "model": {
            "type": "WordLevel",
            "vocab": {token: i for i, token in enumerate(tokens)},
            "unk_token": tokens[0],
        },
    }


def _attention(
    rng: np.random.Generator,
    recipe: Recipe,
    prefix: str,
    hidden_size: int,
    heads: tuple[int, int, int],
    bias: bool,
    norm: bool,
) -> dict[str, np.ndarray]:
    """One attention block and the two norms of its layer."""
    num_heads, num_kv_heads, head_dim = heads
    rows = {
        "q_proj": num_heads * head_dim,
        "k_proj": num_kv_heads * head_dim,
        "v_proj": num_kv_heads * head_dim,
    }
    tensors = {f"{prefix}input_layernorm.weight": recipe.gains(rng, hidden_size)}
    tensors[f"{prefix}post_attention_layernorm.weight"] = recipe.gains(rng, hidden_size)
    for module, count in rows.items():
        tensors[f"{prefix}self_attn.{module}.weight"] = recipe.matrix(rng, count, hidden_size)
        if bias:
            tensors[f"{prefix}self_attn.{module}.bias"] = recipe.matrix(rng, 1, count)[0]
    tensors[f"{prefix}self_attn.o_proj.weight"] = recipe.matrix(rng, hidden_size, num_heads * head_dim)
    if norm:
        for letter in "qk":
            tensors[f"{prefix}self_attn.{letter}_norm.weight"] = recipe.gains(rng, head_dim)
    return tensors


def _mlp_shapes(hidden_size: int, intermediate_size: int) -> dict[str, tuple[int, int]]:
    wide = (intermediate_size, hidden_size)
    return {"gate_proj": wide, "up_proj": wide, "down_proj": (hidden_size, intermediate_size)}


def _layer_norm(rng: np.random.Generator, recipe: Recipe, name: str, size: int) -> dict[str, np.ndarray]:
    return {f"{name}.weight": recipe.gains(rng, size), f"{name}.bias": recipe.matrix(rng, 1, size)[0]}


def _llama_config(
    model_type: str,
    architecture: str,
    hidden_size: int,
    num_heads: int,
    num_kv_heads: int,
    vocab_size: int,
    layers: int,
) -> dict[str, Any]:
    return {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_act": "silu",
        "hidden_size": hidden_size,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads,
        "head_dim": hidden_size // num_heads,
        "num_hidden_layers": layers,
        "vocab_size": vocab_size,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
    }


def _duplicate_layers(checkpoint: Checkpoint, rng: np.random.Generator) -> Checkpoint:
    changed = {}
    for number in range(1, len(describe(checkpoint).layers), 2):
        target, origin = f"model.layers.{number}.", f"model.layers.{number - 1}."
        for name in (n for n in checkpoint.tensors if n.startswith(target)):
            values = checkpoint[origin + name.removeprefix(target)]
            changed[name] = values + DUPLICATE_NOISE * values.std() * rng.standard_normal(values.shape)
    return checkpoint.with_tensors(changed)


def _finish(checkpoint: Checkpoint, recipe: Recipe, rng: np.random.Generator) -> Checkpoint:
    """Plant what concerns the whole model: massive channels, and sorted units and channels."""
    skeleton = describe(checkpoint)
    if recipe.massive_channels:
        factors = recipe.massive(rng, skeleton.hidden_size)
        changed = {}
        for name, axis, use in skeleton.residual(checkpoint):
            if use is Use.WRITE:
                values = checkpoint[name]
                changed[name] = values * (factors[:, None] if axis == 0 and values.ndim == 2 else factors)
        checkpoint = checkpoint.with_tensors(changed)
    if recipe.structure == "sorted":
        units: dict[str, np.ndarray] = {}
        for layer in skeleton.layers:
            for mlp in layer.mlps:
                units |= reorder_units(
                    checkpoint, mlp, np.argsort(-unit_importance(checkpoint, mlp), kind="stable")
                )
        checkpoint = checkpoint.with_tensors(units)
        norms = np.linalg.norm(checkpoint[f"{skeleton.embed}.weight"], axis=0)
        checkpoint = reorder_channels(checkpoint, np.argsort(-norms, kind="stable"))
    return checkpoint
