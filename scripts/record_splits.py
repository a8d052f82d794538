"""Record which rows of a fused tensor become query, key, value, gate and up, as the real classes split it.

The fused layer's output is replaced by its own row numbers; what then reaches attention or the activation
spells out the rows it came from. Rotations are switched off, since they mix neighbours. Written to
``splits.json`` beside the catalogs and compared with Jokbo's layouts by the conformance tests.

Run ``python scripts/record_splits.py`` with ``torch==2.13.0`` and ``transformers==5.23.0`` installed.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
import transformers
from torch import nn
from transformers.core_model_loading import revert_weight_conversion

TARGET = Path(__file__).parent.parent / "tests" / "conformance" / "catalogs" / "splits.json"

Rows = dict[str, list[int]]

SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 11,
    "intermediate_size": 10,
}
FALCON = {
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "vocab_size": 11,
    "ffn_hidden_size": 10,
}
LATENT = {
    **SMALL, "n_routed_experts": 2, "num_experts_per_tok": 1, "n_group": 1, "topk_group": 1,
    "moe_intermediate_size": 6, "q_lora_rank": 8, "kv_lora_rank": 8, "qk_nope_head_dim": 6,
    "qk_rope_head_dim": 4, "v_head_dim": 5, "num_key_value_heads": 4, "first_k_dense_replace": 1,
    "num_nextn_predict_layers": 0,
}  # fmt: skip


def numbered(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> torch.Tensor:
    """Forward hook: every output feature is its own number."""
    return torch.arange(output.shape[-1], dtype=output.dtype).expand_as(output).clone()


def flat(heads: torch.Tensor) -> list[int]:
    """Rows of a (batch, head, token, dim) tensor at the first token, in order."""
    return [round(value) for value in heads[0, :, 0, :].flatten().tolist()]


@contextmanager
def caught_attention(family: str) -> Iterator[Rows]:
    """Queries, keys and values as they reach attention, unrotated."""
    module = importlib.import_module(f"transformers.models.{family}.modeling_{family}")
    rows: Rows = {}

    def attend(
        layer: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any, **more: Any
    ):
        rows.update(attn_q=flat(query), attn_k=flat(key), attn_v=flat(value))
        heads = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
        return heads.transpose(1, 2).contiguous(), None

    names = [name for name in vars(module) if name.startswith("apply_rotary_pos_emb")]
    with mock.patch.object(module, "eager_attention_forward", attend):
        patches = [mock.patch.object(module, name, lambda q, k, *a, **b: (q, k)) for name in names]
        for patch in patches:
            patch.start()
        try:
            yield rows
        finally:
            for patch in patches:
                patch.stop()


def build(model: str, config: str, sizes: dict[str, Any]) -> nn.Module:
    """A tiny model of a class, in float32."""
    made = getattr(transformers, config)(**sizes, attn_implementation="eager")
    return getattr(transformers, model)(made).eval()


def case(
    name: str, model: nn.Module, tensor: str, rows: Rows, state: dict[str, Any] | None = None
) -> dict[str, Any]:
    """One recorded split with all that Jokbo needs to read it."""
    state = revert_weight_conversion(model, dict(model.state_dict())) if state is None else state
    groups: dict[str, list[str]] = {}
    for key, value in sorted(state.items()):
        groups.setdefault(f"F32 {'x'.join(map(str, value.shape))}", []).append(key)
    if tensor not in state:
        raise KeyError(f"{name}: no tensor {tensor}")
    config = json.loads(model.config.to_json_string(use_diff=False))
    return {"name": name, "tensor": tensor, "rows": rows, "config": config, "tensors": groups}


def attention_case(
    name: str, family: str, model: nn.Module, layer: nn.Module, tensor: str, roles: tuple[str, ...]
) -> dict[str, Any]:
    """Run the model with one fused layer numbered."""
    with caught_attention(family) as rows, torch.no_grad():
        handle = layer.register_forward_hook(numbered)
        model(torch.zeros((1, 3), dtype=torch.long), use_cache=False)
        handle.remove()
    return case(name, model, tensor, {role: rows[role] for role in roles})


def falcon_case(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Falcon splits in a method of its own, and repeats keys and values for every query head."""
    model = build("FalconForCausalLM", "FalconConfig", {**FALCON, **changes})
    attention = model.transformer.h[0].self_attention
    width = attention.query_key_value.weight.shape[0]
    split = attention._split_heads(torch.arange(width, dtype=torch.float32).expand(1, 2, width))
    rows = {
        role: list(dict.fromkeys(flat(heads.transpose(1, 2))))
        for role, heads in zip(("attn_q", "attn_k", "attn_v"), split, strict=True)
    }
    return case(name, model, "transformer.h.0.self_attention.query_key_value.weight", rows)


def latent_cases() -> Iterator[dict[str, Any]]:
    """DeepSeek-V3: keys and values per head behind the bottleneck, and the rotary key beside it."""
    model = build("DeepseekV3ForCausalLM", "DeepseekV3Config", LATENT)
    attention = model.model.layers[0].self_attn
    nope, stem = LATENT["qk_nope_head_dim"], "model.layers.0.self_attn."
    with caught_attention("deepseek_v3") as rows, torch.no_grad():
        handle = attention.kv_b_proj.register_forward_hook(numbered)
        model(torch.zeros((1, 3), dtype=torch.long), use_cache=False)
        handle.remove()
    heads = LATENT["num_attention_heads"]
    keys = torch.tensor(rows["attn_k"]).view(heads, -1)[:, :nope].flatten().tolist() if rows["attn_k"] else []
    yield case(
        "deepseek_v3-kv_b", model, stem + "kv_b_proj.weight", {"attn_k": keys, "attn_v": rows["attn_v"]}
    )
    seen: list[torch.Tensor] = []
    with caught_attention("deepseek_v3") as rows, torch.no_grad():
        handles = [
            attention.kv_a_proj_with_mqa.register_forward_hook(numbered),
            attention.kv_a_layernorm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0])),
        ]
        model(torch.zeros((1, 3), dtype=torch.long), use_cache=False)
        for handle in handles:
            handle.remove()
    latent = [round(value) for value in seen[0].reshape(-1, seen[0].shape[-1])[0].tolist()]
    turned = torch.tensor(rows["attn_k"]).view(heads, -1)[0, nope:].tolist()
    yield case(
        "deepseek_v3-kv_a",
        model,
        stem + "kv_a_proj_with_mqa.weight",
        {"attn_kv_a": latent, "attn_k_rope": turned},
    )


def gate_case(name: str, model: nn.Module, mlp: nn.Module, tensor: str) -> dict[str, Any]:
    """A fused gate and up: the gate is what the activation sees, up is what is left when it answers one."""
    seen: dict[str, list[int]] = {}

    class Watch(nn.Module):
        def forward(self, gate: torch.Tensor) -> torch.Tensor:
            seen["ffn_gate"] = [round(value) for value in gate.reshape(-1, gate.shape[-1])[0].tolist()]
            return torch.ones_like(gate)

    def up(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        seen["ffn_up"] = [round(value) for value in inputs[0].reshape(-1, inputs[0].shape[-1])[0].tolist()]

    mlp.activation_fn = Watch()
    handles = [mlp.gate_up_proj.register_forward_hook(numbered), mlp.down_proj.register_forward_pre_hook(up)]
    with torch.no_grad():
        mlp(torch.zeros(1, 2, model.config.hidden_size))
    for handle in handles:
        handle.remove()
    return case(name, model, tensor, seen)


def shifted_case() -> dict[str, Any]:
    """gpt-oss: up enters linearly, the gate does not, which tells the alternating columns apart."""
    sizes = {
        **SMALL,
        "num_local_experts": 2,
        "num_experts_per_tok": 1,
        "num_key_value_heads": 2,
        "head_dim": 6,
    }
    model = build("GptOssForCausalLM", "GptOssConfig", sizes)
    experts = model.model.layers[0].mlp.experts
    rows: Rows = {"ffn_gate": [], "ffn_up": []}
    slopes = []
    for level in (0.25, 0.75):
        point = torch.full((2 * SMALL["intermediate_size"],), 0.5)
        slopes.append([])
        for column in range(len(point)):
            moved = point.clone()
            moved[column] = level
            further = moved.clone()
            further[column] += 0.125
            slopes[-1].append((experts._apply_gate(further) - experts._apply_gate(moved)) / 0.125)
    for unit in range(SMALL["intermediate_size"]):
        for column in range(2 * SMALL["intermediate_size"]):
            low, high = slopes[0][column][unit], slopes[1][column][unit]
            if low.abs() > 1e-6:
                rows["ffn_up" if torch.isclose(low, high, atol=1e-6) else "ffn_gate"].append(column)
    return case("gpt_oss-experts", model, "model.layers.0.mlp.experts.gate_up_proj", rows)


def packed_case(name: str, model: nn.Module, released: tuple[str, str]) -> dict[str, Any]:
    """Packed experts in memory against the same weights as released, one tensor an expert."""
    packed = "model.layers.0.mlp.experts.gate_up_proj"
    state = dict(model.state_dict())
    weight = state[packed]
    state[packed] = (
        torch.arange(weight.shape[1], dtype=torch.float32)[None, :, None].expand_as(weight).clone()
    )
    back = revert_weight_conversion(model, dict(state))
    rows = {
        role: [round(value) for value in back[key][:, 0].tolist()]
        for role, key in zip(("ffn_gate", "ffn_up"), released, strict=True)
    }
    return case(name, model, packed, rows, state)


def cases() -> Iterator[dict[str, Any]]:
    """Every recorded split."""
    qkv = ("attn_q", "attn_k", "attn_v")
    gpt2 = build("GPT2LMHeadModel", "GPT2Config", {"n_embd": 24, "n_layer": 1, "n_head": 4, "vocab_size": 11})
    yield attention_case(
        "gpt2", "gpt2", gpt2, gpt2.transformer.h[0].attn.c_attn, "transformer.h.0.attn.c_attn.weight", qkv
    )
    neox = build("GPTNeoXForCausalLM", "GPTNeoXConfig", SMALL)
    fused = neox.gpt_neox.layers[0].attention.query_key_value
    for end in ("weight", "bias"):
        tensor = f"gpt_neox.layers.0.attention.query_key_value.{end}"
        yield attention_case(f"gpt_neox-{end}", "gpt_neox", neox, fused, tensor, qkv)
    phi3 = build("Phi3ForCausalLM", "Phi3Config", {**SMALL, "num_key_value_heads": 2, "pad_token_id": 0})
    layer = phi3.model.layers[0]
    yield attention_case(
        "phi3", "phi3", phi3, layer.self_attn.qkv_proj, "model.layers.0.self_attn.qkv_proj.weight", qkv
    )
    yield gate_case("phi3-mlp", phi3, layer.mlp, "model.layers.0.mlp.gate_up_proj.weight")
    glm = build(
        "Glm4ForCausalLM", "Glm4Config", {**SMALL, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0}
    )
    yield gate_case("glm4-mlp", glm, glm.model.layers[0].mlp, "model.layers.0.mlp.gate_up_proj.weight")
    yield falcon_case("falcon-multi-query", {"multi_query": True})
    yield falcon_case("falcon-grouped", {"new_decoder_architecture": True, "num_kv_heads": 2})
    yield falcon_case(
        "falcon-per-head", {"multi_query": False, "alibi": True, "parallel_attn": False, "bias": True}
    )
    yield from latent_cases()
    yield shifted_case()
    experts = {"num_local_experts": 2, "num_experts_per_tok": 1, "num_key_value_heads": 2}
    mixtral = build("MixtralForCausalLM", "MixtralConfig", {**SMALL, **experts})
    stem = "model.layers.0.block_sparse_moe.experts.0."
    yield packed_case("mixtral-packed", mixtral, (stem + "w1.weight", stem + "w3.weight"))
    sizes = {
        **SMALL,
        "num_experts": 2,
        "num_experts_per_tok": 1,
        "num_key_value_heads": 2,
        "moe_intermediate_size": 6,
    }
    qwen = build("Qwen3MoeForCausalLM", "Qwen3MoeConfig", {**sizes, "head_dim": 6})
    stem = "model.layers.0.mlp.experts.0."
    yield packed_case("qwen3_moe-packed", qwen, (stem + "gate_proj.weight", stem + "up_proj.weight"))


def main() -> None:
    """Write the record."""
    recorded = list(cases())
    TARGET.write_text(json.dumps(recorded, separators=(",", ":")) + "\n", encoding="utf-8")
    for each in recorded:
        print(each["name"], {role: rows[:8] for role, rows in each["rows"].items()})


if __name__ == "__main__":
    main()
