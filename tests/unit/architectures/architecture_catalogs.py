"""Small catalogs made from names and shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from jokbo.formats.base import TensorCatalog, TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.sources.base import ByteRange

CONFIG: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "intermediate_size": 12,
    "vocab_size": 20,
    "tie_word_embeddings": False,
}


def catalog(shapes: Mapping[str, tuple[int, ...]], **dtypes: str) -> TensorCatalog:
    """Tensors by name and shape, BF16 but where an ending of the name is given another type."""
    entries: dict[str, TensorEntry] = {}
    for name, shape in shapes.items():
        dtype = next((DType[value] for ending, value in dtypes.items() if name.endswith(ending)), DType.BF16)
        span = ByteRange(0, math.prod(shape) * dtype.itemsize)
        entries[name] = TensorEntry(name, dtype, shape, "model.safetensors", span)
    return TensorCatalog(entries)


def llama(prefix: str = "model.", head: str = "lm_head.weight") -> dict[str, tuple[int, ...]]:
    """Names and shapes that `CONFIG` implies."""
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}embed_tokens.weight": (20, 8)}
    for layer in range(2):
        stem = f"{prefix}layers.{layer}."
        shapes |= {
            f"{stem}input_layernorm.weight": (8,),
            f"{stem}self_attn.q_proj.weight": (8, 8),
            f"{stem}self_attn.k_proj.weight": (4, 8),
            f"{stem}self_attn.v_proj.weight": (4, 8),
            f"{stem}self_attn.o_proj.weight": (8, 8),
            f"{stem}post_attention_layernorm.weight": (8,),
            f"{stem}mlp.gate_proj.weight": (12, 8),
            f"{stem}mlp.up_proj.weight": (12, 8),
            f"{stem}mlp.down_proj.weight": (8, 12),
        }
    shapes[f"{prefix}norm.weight"] = (8,)
    if head:
        shapes[head] = (20, 8)
    return shapes
