"""The model of the record runs: at most 0.2 million parameters, real Transformers classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedModel, Qwen3Config, Qwen3ForCausalLM
from zoo.record.recipes import TORCH_PROCEDURE
from zoo.record.text import CONTEXT, VOCAB_SIZE

from jokbo.records.declaration import Initialisation
from jokbo.records.initialise import initial_weights

SIZES = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 172,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": CONTEXT,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def build(*, tied: bool = False, query_norms: bool = False) -> PreTrainedModel:
    """A model with whatever weights its class begins with; :func:`initialise` draws the run's own."""
    if query_norms:
        return Qwen3ForCausalLM(Qwen3Config(**SIZES, tie_word_embeddings=tied)).float()
    return LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied)).float()


def initialise(model: torch.nn.Module, law: Initialisation) -> None:
    """Draw step 0 by the declared procedure: ours, or one PyTorch generator in the order of the parameters."""
    if law.seed is None:
        raise ValueError("a procedure needs a seed")
    parameters = dict(model.named_parameters())
    if law.procedure == TORCH_PROCEDURE:
        _draw_with_torch(parameters.values(), law.seed, law.std)
        return
    shapes = {name: tuple(parameter.shape) for name, parameter in parameters.items()}
    with torch.no_grad():
        for name, values in initial_weights(shapes, seed=law.seed, law=replace(law, stored="F32")).items():
            parameters[name].copy_(torch.from_numpy(values))


def _draw_with_torch(parameters: Iterable[torch.nn.Parameter], seed: int, std: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in parameters:
            if parameter.ndim >= 2:
                parameter.normal_(0.0, std, generator=generator)
            else:
                parameter.fill_(1.0)
