"""Tensor tables of very large models: names, shapes and configuration, and no weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jokbo.formats.dtypes import DType

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorTable:
    """What a checkpoint holds, without its weights.

    Attributes
    ----------
    config : dict
        For ``config.json``.
    shapes : dict of str to tuple of int
        In the order of release.
    dtypes : dict of str to DType
        Of the tensors that are not stored in the checkpoint's main type.
    """

    config: dict[str, Any]
    shapes: dict[str, Shape]
    dtypes: dict[str, DType] = field(default_factory=dict)


def llama_table(
    *,
    hidden_size: int = 4096,
    num_layers: int = 32,
    intermediate_size: int = 11008,
    num_heads: int = 32,
    num_kv_heads: int = 32,
    vocab_size: int = 32000,
) -> TensorTable:
    """The table of a Llama; the defaults are those of Llama 2 7B (Touvron et al. 2023)."""
    head_dim = hidden_size // num_heads
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (vocab_size, hidden_size)}
    for number in range(num_layers):
        prefix = f"model.layers.{number}."
        shapes |= _attention(prefix, hidden_size, num_heads * head_dim, num_kv_heads * head_dim)
        shapes |= _mlp(f"{prefix}mlp.", hidden_size, intermediate_size)
    shapes |= {"model.norm.weight": (hidden_size,), "lm_head.weight": (vocab_size, hidden_size)}
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "intermediate_size": intermediate_size,
    }
    return TensorTable(
        config | _common(hidden_size, num_layers, num_heads, num_kv_heads, head_dim, vocab_size), shapes
    )


def moe_table(
    *,
    hidden_size: int = 4096,
    num_layers: int = 48,
    moe_intermediate_size: int = 1280,
    num_experts: int = 128,
    top_k: int = 8,
    num_shared_experts: int = 1,
    num_heads: int = 64,
    num_kv_heads: int = 8,
    head_dim: int = 128,
    vocab_size: int = 196608,
) -> TensorTable:
    """The table of a mixture of experts, in released, unpacked names.

    The defaults are those of Solar Open 100B. The router's bias is stored in float32.
    """
    shapes: dict[str, Shape] = {"model.embed_tokens.weight": (vocab_size, hidden_size)}
    dtypes: dict[str, DType] = {}
    for number in range(num_layers):
        prefix = f"model.layers.{number}."
        shapes |= _attention(prefix, hidden_size, num_heads * head_dim, num_kv_heads * head_dim)
        shapes |= {
            f"{prefix}mlp.gate.weight": (num_experts, hidden_size),
            f"{prefix}mlp.gate.e_score_correction_bias": (num_experts,),
        }
        dtypes[f"{prefix}mlp.gate.e_score_correction_bias"] = DType.F32
        for expert in range(num_experts):
            shapes |= _mlp(f"{prefix}mlp.experts.{expert}.", hidden_size, moe_intermediate_size)
        shapes |= _mlp(
            f"{prefix}mlp.shared_experts.", hidden_size, num_shared_experts * moe_intermediate_size
        )
    shapes |= {"model.norm.weight": (hidden_size,), "lm_head.weight": (vocab_size, hidden_size)}
    config = {
        "architectures": ["SolarOpenForCausalLM"],
        "model_type": "solar_open",
        "moe_intermediate_size": moe_intermediate_size,
        "n_routed_experts": num_experts,
        "n_shared_experts": num_shared_experts,
        "num_experts_per_tok": top_k,
        "n_group": 1,
        "topk_group": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
    }
    common = _common(hidden_size, num_layers, num_heads, num_kv_heads, head_dim, vocab_size)
    return TensorTable(config | common, shapes, dtypes)


def _attention(prefix: str, hidden_size: int, q_rows: int, kv_rows: int) -> dict[str, Shape]:
    return {
        f"{prefix}input_layernorm.weight": (hidden_size,),
        f"{prefix}self_attn.q_proj.weight": (q_rows, hidden_size),
        f"{prefix}self_attn.k_proj.weight": (kv_rows, hidden_size),
        f"{prefix}self_attn.v_proj.weight": (kv_rows, hidden_size),
        f"{prefix}self_attn.o_proj.weight": (hidden_size, q_rows),
        f"{prefix}post_attention_layernorm.weight": (hidden_size,),
    }


def _mlp(prefix: str, hidden_size: int, intermediate_size: int) -> dict[str, Shape]:
    wide = (intermediate_size, hidden_size)
    return {
        f"{prefix}gate_proj.weight": wide,
        f"{prefix}up_proj.weight": wide,
        f"{prefix}down_proj.weight": (hidden_size, intermediate_size),
    }


def _common(
    hidden_size: int, layers: int, num_heads: int, num_kv_heads: int, head_dim: int, vocab_size: int
) -> dict[str, Any]:
    return {
        "hidden_act": "silu",
        "hidden_size": hidden_size,
        "num_attention_heads": num_heads,
        "num_key_value_heads": num_kv_heads,
        "head_dim": head_dim,
        "num_hidden_layers": layers,
        "vocab_size": vocab_size,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
    }
