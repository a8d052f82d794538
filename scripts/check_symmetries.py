"""Apply each symmetry that a family file claims to a tiny real model, and see whether its output stays.

Weights are saved under released names, transformed through Jokbo's own anatomy (roles, axes, layouts, heads,
rotary pairs) and loaded again: a claimed symmetry must leave the logits alone, a refused one must not.

Run ``PYTHONPATH=src python scripts/check_symmetries.py`` with ``torch==2.13.0`` and ``transformers==5.23.0``
installed beside Jokbo's own dependencies.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file

from jokbo.architectures import Anatomy, Kind, Part, Role, match
from jokbo.formats.base import TensorCatalog, TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.sources.base import ByteRange

State = dict[str, np.ndarray]
Change = Callable[[np.ndarray], np.ndarray]

TOLERANCE = 1e-5  # norms are computed in float32
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
DENSE = {**SMALL, **ENDS, "num_key_value_heads": 2, "intermediate_size": 24}
HEADS = {**DENSE, "head_dim": 8}
EXPERTS = {**DENSE, "num_local_experts": 4, "num_experts_per_tok": 2}
SPARSE = {**DENSE, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
ROUTED = {**HEADS, "n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12, "n_group": 1,
          "topk_group": 1}  # fmt: skip
LATENT = {**{key: size for key, size in ROUTED.items() if key != "head_dim"},
          "num_key_value_heads": 4, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 6,
          "qk_rope_head_dim": 4, "v_head_dim": 5, "first_k_dense_replace": 1}  # fmt: skip
GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 50, "n_positions": 64, **ENDS}

MODELS: list[tuple[str, str, dict[str, Any]]] = [
    ("LlamaForCausalLM", "LlamaConfig", {**DENSE, "mlp_bias": True, "attention_bias": True}),
    ("MistralForCausalLM", "MistralConfig", DENSE),
    ("Qwen2ForCausalLM", "Qwen2Config", DENSE),
    ("Qwen3ForCausalLM", "Qwen3Config", HEADS),
    ("GemmaForCausalLM", "GemmaConfig", HEADS),
    ("Gemma2ForCausalLM", "Gemma2Config", HEADS),
    ("Gemma3ForCausalLM", "Gemma3TextConfig", HEADS),
    ("Phi3ForCausalLM", "Phi3Config", DENSE),
    ("Olmo2ForCausalLM", "Olmo2Config", DENSE),
    ("GlmForCausalLM", "GlmConfig", HEADS),
    ("Glm4ForCausalLM", "Glm4Config", HEADS),
    ("Exaone4ForCausalLM", "Exaone4Config", HEADS),
    ("MixtralForCausalLM", "MixtralConfig", EXPERTS),
    ("PhimoeForCausalLM", "PhimoeConfig", {**EXPERTS, "attention_bias": True, "lm_head_bias": True}),
    ("GptOssForCausalLM", "GptOssConfig", {**EXPERTS, "head_dim": 8}),
    ("MiniMaxM2ForCausalLM", "MiniMaxM2Config", {**EXPERTS, "head_dim": 8}),
    ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", {**SPARSE, "shared_expert_intermediate_size": 20}),
    ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {**SPARSE, "head_dim": 8}),
    ("Glm4MoeForCausalLM", "Glm4MoeConfig", {**ROUTED, "use_qk_norm": True, "attention_bias": True}),
    ("SolarOpenForCausalLM", "SolarOpenConfig",
     {key: size for key, size in ROUTED.items() if key != "intermediate_size"}),
    ("DeepseekV3ForCausalLM", "DeepseekV3Config", LATENT),
    ("FalconForCausalLM", "FalconConfig", {**SMALL, **ENDS}),
    ("FalconForCausalLM", "FalconConfig",
     {**SMALL, **ENDS, "new_decoder_architecture": True, "num_kv_heads": 2}),
    ("FalconForCausalLM", "FalconConfig",
     {**SMALL, **ENDS, "multi_query": False, "alibi": True, "bias": True, "parallel_attn": False}),
    ("GPT2LMHeadModel", "GPT2Config", GPT2),
    ("GPTNeoXForCausalLM", "GPTNeoXConfig", {**SMALL, **ENDS, "intermediate_size": 24}),
    ("BertForMaskedLM", "BertConfig", {**SMALL, "pad_token_id": 0, "intermediate_size": 24}),
    ("Llama4ForCausalLM", "Llama4TextConfig",
     {**EXPERTS, "head_dim": 8, "intermediate_size_mlp": 20, "interleave_moe_layer_step": 2}),
]  # fmt: skip


def along(state: State, part: Part, axis: int, change: Change) -> None:
    """Change the rows (axis 0) or columns (axis 1) of a logical matrix in place."""
    layout = part.layout
    plane = state[part.entry.name].reshape(-1, layout.plane_rows, layout.plane_cols)[layout.plane]
    plane = plane.T if layout.transposed else plane
    rows = np.array([layout.stored_index(row) for row in range(part.shape[0])])
    plane[rows] = change(plane[rows]) if axis == 0 else change(plane[rows].T).T


def signs(values: np.ndarray) -> Change:
    """Multiply each row by its sign."""
    return lambda matrix: matrix * values[:, None]


def order(permutation: np.ndarray) -> Change:
    """Reorder rows."""
    return lambda matrix: matrix[permutation]


def units(state: State, anatomy: Anatomy, parts: list[Part], rng: np.random.Generator, *, flip: bool) -> None:
    """Permute the units of every MLP, or flip up and down together."""
    drawn: dict[object, tuple[np.ndarray, np.ndarray]] = {}
    for part in parts:
        if part.role not in (Role.FFN_GATE, Role.FFN_UP, Role.FFN_DOWN) or "ffn" not in part.axes:
            continue
        axis = part.axes.index("ffn")
        size = part.shape[axis]
        place = (part.layer, part.expert)
        if place not in drawn:
            drawn[place] = (rng.choice([-1.0, 1.0], size), rng.permutation(size))
        if not flip:
            along(state, part, axis, order(drawn[place][1]))
        elif part.role is not Role.FFN_GATE:
            along(state, part, axis, signs(drawn[place][0]))


def heads(
    state: State, anatomy: Anatomy, parts: list[Part], rng: np.random.Generator, *, rotary: bool
) -> None:
    """Flip value channels with their output columns, or rotary pairs of queries and keys, by KV head."""
    tower = anatomy.towers["text"]
    group = tower.num_heads // tower.num_kv_heads
    for layer in range(tower.num_layers):
        drawn = rng.choice([-1.0, 1.0], (tower.num_kv_heads, tower.head_dim if rotary else tower.v_head_dim))
        first, turned = tower.rotary_start, tower.rotary_dim
        if rotary and tower.rope == "half":
            drawn[:, first + turned // 2 : first + turned] = drawn[:, first : first + turned // 2]
        if rotary and tower.rope == "interleaved":
            drawn[:, first + 1 : first + turned : 2] = drawn[:, first : first + turned : 2]
        each, repeated = drawn.ravel(), np.repeat(drawn, group, 0).ravel()
        for part in (part for part in parts if part.layer == layer):
            if part.role is (Role.ATTN_K if rotary else Role.ATTN_V):
                along(state, part, 0, signs(each))
            if rotary and part.role is Role.ATTN_Q:
                along(state, part, 0, signs(repeated))
            if not rotary and part.role is Role.ATTN_OUTPUT and part.kind is Kind.WEIGHT:
                along(state, part, 1, signs(repeated))


def channels(
    state: State, anatomy: Anatomy, parts: list[Part], rng: np.random.Generator, *, flip: bool
) -> None:
    """Permute or flip the residual stream in every tensor that touches it."""
    size = anatomy.towers["text"].hidden_size
    change = signs(rng.choice([-1.0, 1.0], size)) if flip else order(rng.permutation(size))
    for part in parts:
        for axis, name in enumerate(part.axes):
            gain = len(part.shape) == 1 and part.kind is Kind.WEIGHT
            if name == "hidden" and not (flip and gain):
                along(state, part, axis, change)


CHANGES: dict[str, Callable[[State, Anatomy, list[Part], np.random.Generator], None]] = {
    "unit_permutation": lambda *given: units(*given, flip=False),
    "unit_sign": lambda *given: units(*given, flip=True),
    "value_sign": lambda *given: heads(*given, rotary=False),
    "rotary_sign": lambda *given: heads(*given, rotary=True),
    "channel_permutation": lambda *given: channels(*given, flip=False),
    "channel_sign": lambda *given: channels(*given, flip=True),
}


def randomised(model_name: str, config_name: str, sizes: dict[str, Any]) -> torch.nn.Module:
    """A tiny model in float64 with every parameter random, norms and biases too."""
    torch.manual_seed(0)
    model = getattr(transformers, model_name)(getattr(transformers, config_name)(**sizes)).eval().double()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            gain = weight.dim() == 1 and name.endswith("weight")
            weight.copy_(torch.randn_like(weight) * (0.3 if weight.dim() > 1 else 0.2) + float(gain))
    return model


def check(model_name: str, config_name: str, sizes: dict[str, Any], folder: Path) -> dict[str, str]:
    """Symmetries of one model whose claim the model contradicts, with the change of its output."""
    kind = getattr(transformers, model_name)
    tokens = torch.randint(3, 50, (2, 9), generator=torch.Generator().manual_seed(1))
    randomised(model_name, config_name, sizes).save_pretrained(folder)
    state = load_file(folder / "model.safetensors")

    def logits() -> torch.Tensor:
        loaded = kind.from_pretrained(folder, dtype=torch.float64, experts_implementation="eager").eval()
        with torch.no_grad():
            return loaded(input_ids=tokens).logits

    before = logits()
    entries = {
        name: TensorEntry(name, DType.F64, value.shape, "model.safetensors", ByteRange(0, value.nbytes))
        for name, value in state.items()
    }
    anatomy = match(TensorCatalog(entries), json.loads((folder / "config.json").read_text(encoding="utf-8")))
    if anatomy.unrecognised or anatomy.missing:
        return {"names": f"unrecognised {anatomy.unrecognised}, missing {anatomy.missing}"}
    parts = [part for part in anatomy.parts if part.tower == "text" and part.kind in (Kind.WEIGHT, Kind.BIAS)]
    wrong: dict[str, str] = {}
    for axis, symmetry in anatomy.towers["text"].symmetries.items():
        if axis == "rotary_sign" and not symmetry.holds:
            continue  # refused because no pair belongs to one KV head: there is no such change to make
        changed = {name: value.copy() for name, value in state.items()}
        CHANGES[axis](changed, anatomy, parts, np.random.default_rng(0))
        moved = any((changed[name] != state[name]).any() for name in state)
        save_file(changed, folder / "model.safetensors", metadata={"format": "pt"})
        error = float((logits() - before).abs().max() / before.abs().max())
        if not moved or symmetry.holds is not (error < TOLERANCE):
            wrong[axis] = f"claimed {symmetry.holds}, output changed by {error:.0e}, weights changed: {moved}"
    return wrong


def main() -> int:
    """Check every model; 1 when a claim is wrong."""
    transformers.logging.set_verbosity_error()
    failed = 0
    for model_name, config_name, sizes in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            wrong = check(model_name, config_name, sizes, Path(folder))
        failed += bool(wrong)
        print(f"{model_name}: {wrong or 'every claim holds'}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
