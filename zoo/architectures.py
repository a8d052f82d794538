"""The zoo's shapes: real Transformers classes, one generator a model, stored under released names."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.core_model_loading import revert_weight_conversion

from corpus import CONTEXT, VOCAB_SIZE

INIT_STD = 0.02
TOWER_EXTRA = ("<image>", "<pad>")
IMAGE_SIZE = 48
PATCH_SIZE = 6

CLASSES: dict[str, type[PreTrainedModel]] = {
    "llama": LlamaForCausalLM,
    "gpt2": GPT2LMHeadModel,
    "mixtral": MixtralForCausalLM,
    "llava": LlavaForConditionalGeneration,
}


def llama_config(
    *, hidden_size: int = 128, intermediate_size: int = 344, layers: int = 4, vocab_size: int = VOCAB_SIZE
) -> LlamaConfig:
    """A Llama decoder with grouped queries and an untied head."""
    return LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=hidden_size // 4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )


def gpt2_config() -> GPT2Config:
    """GPT-2 with its tied head. Dropout is off: a run of minutes never overfits."""
    return GPT2Config(
        vocab_size=VOCAB_SIZE,
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )


def mixtral_config() -> MixtralConfig:
    """Four experts, two of them used for each token."""
    return MixtralConfig(
        vocab_size=VOCAB_SIZE,
        hidden_size=96,
        intermediate_size=160,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        num_local_experts=4,
        num_experts_per_tok=2,
        output_router_logits=True,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )


def llava_config() -> LlavaConfig:
    """A small CLIP vision encoder in front of a small Llama decoder."""
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=64,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=llama_config(
            hidden_size=96, intermediate_size=256, layers=3, vocab_size=VOCAB_SIZE + len(TOWER_EXTRA)
        ),
        image_token_id=VOCAB_SIZE,
        image_token_index=VOCAB_SIZE,
        image_seq_length=(IMAGE_SIZE // PATCH_SIZE) ** 2 + 1,
        # The last layer and the class token take part, so that every encoder layer is trained.
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        tie_word_embeddings=False,
    )


CONFIGS = {"llama": llama_config, "gpt2": gpt2_config, "mixtral": mixtral_config, "llava": llava_config}


def initialise(model: torch.nn.Module, *, seed: int) -> None:
    """Draw every matrix from one generator of its own, so that models of different seeds share nothing.

    Matrices and embeddings: normal, standard deviation 0.02. Norm gains: one. Biases: zero.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim >= 2 or name.endswith("class_embedding"):
                parameter.normal_(0.0, INIT_STD, generator=generator)
            else:
                parameter.fill_(1.0 if name.endswith("weight") else 0.0)


def build(family: str, *, seed: int) -> PreTrainedModel:
    """A freshly initialised float32 model of one family."""
    model = CLASSES[family](CONFIGS[family]()).float()
    initialise(model, seed=seed)
    return model


def load(directory: Path, family: str) -> PreTrainedModel:
    """Load a stored model through its released class, as anybody else would."""
    return CLASSES[family].from_pretrained(directory, dtype=torch.float32)


def released_name(name: str, family: str) -> str | None:
    """The name a released checkpoint uses where Transformers 5 writes another; None drops the tensor."""
    if family == "gpt2":
        # The released GPT-2 has no prefix and no copy of the tied head.
        return None if name == "lm_head.weight" else name.removeprefix("transformer.")
    if family == "llava" and name.startswith("vision_tower."):
        return "vision_tower.vision_model." + name.removeprefix("vision_tower.")
    return name


def released_tensors(model: PreTrainedModel, family: str) -> dict[str, torch.Tensor]:
    """The model's tensors in bfloat16 under their released names."""
    tensors = revert_weight_conversion(model, dict(model.state_dict()))
    renamed = {released_name(name, family): tensor for name, tensor in tensors.items()}
    renamed.pop(None, None)
    return {name: tensor.detach().to(torch.bfloat16).contiguous().clone() for name, tensor in renamed.items()}


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, directory: Path, *, family: str) -> None:
    """Write `model.safetensors`, `config.json` and the tokenizer files."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "model.safetensors"
    save_file(released_tensors(model, family), path, metadata={"format": "pt"})
    # safetensors creates files readable by their owner alone.
    path.chmod(0o644)
    model.config.architectures = [type(model).__name__]
    model.config.dtype = torch.bfloat16
    model.config.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
