"""Record header-only catalogs of real architectures.

A catalog holds the names, types and shapes of a checkpoint and its configuration, no weights. Names come
from the classes in ``transformers`` on the meta device through ``revert_weight_conversion``, at real sizes;
where the classes are silent or differ from what was released (layers for further tokens, FP8 scales, old
buffers, prefixes), the corrections below put in what released files hold.

Run ``python scripts/make_catalogs.py`` with ``torch==2.13.0`` and ``transformers==5.23.0`` installed. A
catalog that was made from a released configuration keeps it; ``--config NAME FILE`` sets one.
"""

from __future__ import annotations

import argparse
import json
import lzma
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "tests" / "conformance" / "catalogs"

Tensors = dict[str, tuple[str, list[int]]]


def without_head(tensors: Tensors, config: dict[str, Any]) -> Tensors:
    """A tied head is not stored."""
    return {
        name: each
        for name, each in tensors.items()
        if not name.endswith(("lm_head.weight", "decoder.weight"))
    }


def renamed(*pairs: tuple[str, str]) -> Callable[[Tensors, dict[str, Any]], Tensors]:
    """Names as released: the first prefix or ending that fits is replaced."""

    def rename(tensors: Tensors, config: dict[str, Any]) -> Tensors:
        result: Tensors = {}
        for name, each in tensors.items():
            new = name
            for old, other in pairs:
                if name.startswith(old):
                    new = other + name[len(old) :]
                    break
                if name.endswith(old):
                    new = name[: len(name) - len(old)] + other
                    break
            result[new] = each
        return result

    return rename


def with_buffers(*buffers: tuple[str, str, list[int]]) -> Callable[[Tensors, dict[str, Any]], Tensors]:
    """Masks and rotary tables that old releases saved in every layer."""

    def add(tensors: Tensors, config: dict[str, Any]) -> Tensors:
        layers = config.get("num_hidden_layers") or config.get("n_layer")
        added = {
            pattern.format(layer): (dtype, shape)
            for layer in range(layers)
            for pattern, dtype, shape in buffers
        }
        return {**tensors, **added}

    return add


def with_mtp(tensors: Tensors, config: dict[str, Any]) -> Tensors:
    """The layer for further tokens: a sparse layer after the last, and its own projection, norms and head."""
    last, hidden, vocab = config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]
    stem = f"model.layers.{last - 1}."
    added: Tensors = {
        f"model.layers.{last}.{name[len(stem) :]}": each
        for name, each in tensors.items()
        if name.startswith(stem)
    }
    for name, shape in (
        ("embed_tokens.weight", [vocab, hidden]),
        ("enorm.weight", [hidden]),
        ("hnorm.weight", [hidden]),
        ("eh_proj.weight", [hidden, 2 * hidden]),
        ("shared_head.norm.weight", [hidden]),
        ("shared_head.head.weight", [vocab, hidden]),
    ):
        added[f"model.layers.{last}.{name}"] = ("BF16", shape)
    return {**tensors, **added}


def with_fp8_blocks(tensors: Tensors, config: dict[str, Any]) -> Tensors:
    """Matrices of attention and experts in FP8, with one scale a block beside each."""
    rows, cols = config["quantization_config"]["weight_block_size"]
    result: Tensors = {}
    for name, (dtype, shape) in tensors.items():
        quantised = name.endswith("_proj.weight") or "kv_a_proj_with_mqa" in name
        if not quantised or "eh_proj" in name:
            result[name] = (dtype, shape)
            continue
        result[name] = ("F8_E4M3", shape)
        result[name + "_scale_inv"] = ("F32", [math.ceil(shape[0] / rows), math.ceil(shape[1] / cols)])
    return result


def transposed_experts(tensors: Tensors, config: dict[str, Any]) -> Tensors:
    """Packed experts stored (expert, in, out), as released."""
    return {
        name: (
            dtype,
            [shape[0], shape[2], shape[1]] if ".mlp.experts." in name and len(shape) == 3 else shape,
        )
        for name, (dtype, shape) in tensors.items()
    }


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one catalog is made: the class, changes to its default configuration, corrections in order."""

    model: str
    config: str
    changes: dict[str, Any] = field(default_factory=dict)
    corrections: tuple[Callable[[Tensors, dict[str, Any]], Tensors], ...] = ()
    dtype: str = "BF16"


LLAVA_RELEASED = renamed(("vision_tower.", "vision_tower.vision_model."))
SIGLIP_SO400M = {
    "hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
    "image_size": 896, "patch_size": 14, "vision_use_head": False,
}  # fmt: skip
FALCON_40B = {
    "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128, "num_kv_heads": 8,
    "new_decoder_architecture": True, "tie_word_embeddings": False,
}  # fmt: skip
FALCON_RW = {
    "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "multi_query": False,
    "alibi": True, "bias": True, "parallel_attn": False, "vocab_size": 50304,
}  # fmt: skip
NEOX_BUFFERS = with_buffers(
    ("gpt_neox.layers.{}.attention.bias", "BOOL", [1, 1, 2048, 2048]),
    ("gpt_neox.layers.{}.attention.masked_bias", "F16", []),
    ("gpt_neox.layers.{}.attention.rotary_emb.inv_freq", "F16", [12]),
)

RECIPES: dict[str, Recipe] = {
    "llama": Recipe("LlamaForCausalLM", "LlamaConfig"),
    "llama-old-buffers": Recipe(
        "LlamaForCausalLM", "LlamaConfig",
        corrections=(with_buffers(("model.layers.{}.self_attn.rotary_emb.inv_freq", "F32", [64])),),
        dtype="F16",
    ),
    "mistral": Recipe("MistralForCausalLM", "MistralConfig"),
    "mixtral": Recipe("MixtralForCausalLM", "MixtralConfig"),
    "qwen2": Recipe("Qwen2ForCausalLM", "Qwen2Config"),
    "qwen2_moe": Recipe("Qwen2MoeForCausalLM", "Qwen2MoeConfig"),
    "qwen3": Recipe("Qwen3ForCausalLM", "Qwen3Config"),
    "qwen3_moe": Recipe("Qwen3MoeForCausalLM", "Qwen3MoeConfig"),
    "gemma": Recipe("GemmaForCausalLM", "GemmaConfig", corrections=(without_head,)),
    "gemma2": Recipe("Gemma2ForCausalLM", "Gemma2Config", corrections=(without_head,)),
    "gemma3_text": Recipe("Gemma3ForCausalLM", "Gemma3TextConfig", corrections=(without_head,)),
    "gemma3": Recipe(
        "Gemma3ForConditionalGeneration", "Gemma3Config",
        {"text_config": {"hidden_size": 2560, "intermediate_size": 10240, "num_hidden_layers": 34},
         "vision_config": SIGLIP_SO400M},
        (without_head, LLAVA_RELEASED),
    ),
    "phi3": Recipe("Phi3ForCausalLM", "Phi3Config"),
    "phimoe": Recipe("PhimoeForCausalLM", "PhimoeConfig", {"attention_bias": True, "lm_head_bias": True}),
    "olmo2": Recipe("Olmo2ForCausalLM", "Olmo2Config"),
    "glm": Recipe("GlmForCausalLM", "GlmConfig"),
    "glm4": Recipe("Glm4ForCausalLM", "Glm4Config", {"attention_bias": False}),
    "glm4_moe": Recipe(
        "Glm4MoeForCausalLM", "Glm4MoeConfig",
        {"attention_bias": True, "head_dim": 128, "num_nextn_predict_layers": 1}, (with_mtp,),
    ),
    "solar_open": Recipe("SolarOpenForCausalLM", "SolarOpenConfig"),
    "deepseek_v2": Recipe("DeepseekV2ForCausalLM", "DeepseekV2Config"),
    "deepseek_v3": Recipe(
        "DeepseekV3ForCausalLM", "DeepseekV3Config", corrections=(with_mtp, with_fp8_blocks)
    ),
    "deepseek_v32": Recipe("DeepseekV32ForCausalLM", "DeepseekV32Config", corrections=(with_mtp,)),
    "glm_moe_dsa": Recipe("GlmMoeDsaForCausalLM", "GlmMoeDsaConfig"),
    "exaone4": Recipe("Exaone4ForCausalLM", "Exaone4Config"),
    "minimax_m2": Recipe("MiniMaxM2ForCausalLM", "MiniMaxM2Config"),
    "falcon": Recipe("FalconForCausalLM", "FalconConfig", corrections=(without_head,)),
    "falcon-grouped": Recipe("FalconForCausalLM", "FalconConfig", FALCON_40B),
    "falcon-alibi": Recipe("FalconForCausalLM", "FalconConfig", FALCON_RW, (without_head,)),
    "gpt2": Recipe(
        "GPT2LMHeadModel", "GPT2Config", {},
        (without_head, renamed(("transformer.", "")),
         with_buffers(("h.{}.attn.bias", "F32", [1, 1, 1024, 1024]))),
        "F32",
    ),
    "gpt2-prefixed": Recipe(
        "GPT2LMHeadModel", "GPT2Config",
        corrections=(with_buffers(("transformer.h.{}.attn.masked_bias", "F32", [])),), dtype="F32",
    ),
    "gpt_neox": Recipe("GPTNeoXForCausalLM", "GPTNeoXConfig", {}, (NEOX_BUFFERS,), "F16"),
    "gpt_oss": Recipe("GptOssForCausalLM", "GptOssConfig"),
    "bert": Recipe("BertForPreTraining", "BertConfig", dtype="F32"),
    "bert-gamma": Recipe(
        "BertForPreTraining", "BertConfig", {},
        (without_head,
         renamed(("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))),
        "F32",
    ),
    "llava": Recipe(
        "LlavaForConditionalGeneration", "LlavaConfig", corrections=(LLAVA_RELEASED,), dtype="F16"
    ),
    "llava-new-prefix": Recipe(
        "LlavaForConditionalGeneration", "LlavaConfig", {},
        (renamed(("vision_tower.", "model.vision_tower."), ("multi_modal", "model.multi_modal"),
                 ("language_model.model.", "model.language_model."), ("language_model.lm_head", "lm_head")),),
    ),
    "llama4": Recipe("Llama4ForConditionalGeneration", "Llama4Config"),
    "qwen2_vl": Recipe("Qwen2VLForConditionalGeneration", "Qwen2VLConfig"),
    "qwen2_5_vl": Recipe("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLConfig"),
    "qwen3_vl": Recipe("Qwen3VLForConditionalGeneration", "Qwen3VLConfig"),
    "qwen3_vl_moe": Recipe("Qwen3VLMoeForConditionalGeneration", "Qwen3VLMoeConfig"),
    "qwen3_vl_moe-released": Recipe(
        "Qwen3VLMoeForConditionalGeneration", "Qwen3VLMoeConfig", corrections=(transposed_experts,)
    ),
    "qwen2_audio": Recipe("Qwen2AudioForConditionalGeneration", "Qwen2AudioConfig"),
}  # fmt: skip


def record(recipe: Recipe, given: dict[str, Any] | None) -> dict[str, Any]:
    """A catalog as a document: the configuration, and names grouped by type and shape."""
    import torch
    import transformers
    from transformers.core_model_loading import revert_weight_conversion

    kind = getattr(transformers, recipe.config)
    config = kind.from_dict(given) if given else kind(**recipe.changes)
    with torch.device("meta"):
        model = getattr(transformers, recipe.model)(config)
    state = revert_weight_conversion(model, dict(model.state_dict()))
    tensors: Tensors = {name: (recipe.dtype, list(value.shape)) for name, value in state.items()}
    document = given or json.loads(config.to_json_string(use_diff=True))
    full = {**json.loads(config.to_json_string(use_diff=False)), **document}
    for correct in recipe.corrections:
        tensors = correct(tensors, full)
    groups: dict[str, list[str]] = {}
    for name, (dtype, shape) in sorted(tensors.items()):
        groups.setdefault(f"{dtype} {'x'.join(map(str, shape))}", []).append(name)
    return {"config": document, "tensors": groups}


def main() -> None:
    """Write every catalog, or those named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="catalogs to write; all when none is named")
    parser.add_argument("--config", nargs=2, action="append", default=[], metavar=("NAME", "FILE"))
    options = parser.parse_args()
    given = {name: json.loads(Path(file).read_text(encoding="utf-8")) for name, file in options.config}
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in options.names or RECIPES:
        path = FOLDER / f"{name}.json.xz"
        config = given.get(name)
        if config is None and path.exists():
            kept = json.loads(lzma.decompress(path.read_bytes()))
            config = kept["config"] if kept.get("released") else None
        document = record(RECIPES[name], config)
        document["released"] = config is not None
        path.write_bytes(lzma.compress(json.dumps(document, separators=(",", ":")).encode(), preset=9))
        print(
            f"{name}: {sum(map(len, document['tensors'].values())):,} tensors, {path.stat().st_size:,} bytes"
        )


if __name__ == "__main__":
    main()
