"""Sizes of the declared model, from its configuration or its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.errors import FormatError
from jokbo.records.record import Record

MAX_CONFIG_BYTES = 4 << 20

MAX_SIZE = 1 << 40
"""No width, depth or count of a model is larger."""


def model_config(record: Record) -> Mapping[str, Any] | None:
    """The declared configuration, else that beside the first opened checkpoint; None where there is none.

    Raises
    ------
    FormatError
        The declared file is too large, or no JSON object.
    """
    path = record.declaration.model.config
    if path:
        from jokbo.records.manifest import parse_json

        file = record.path(path)
        size = file.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise FormatError(
                f"{path}: a configuration of {size} bytes; expected at most {MAX_CONFIG_BYTES}. Check the file."
            )
        config = parse_json(file.read_bytes(), where=path)
        if not isinstance(config, dict):
            raise FormatError(
                f"{path}: expected an object, found another kind of JSON value. Check the file."
            )
        return config
    if not record.declaration.checkpoint:
        return None
    for member in record.checkpoints.members:
        if member.model is not None and member.model.config is not None:
            return member.model.config
    return None


def whole(config: Mapping[str, Any] | None, *names: str) -> int:
    """The first of these entries that is a positive whole number of credible size; 0 where none is.

    Examples
    --------
    >>> whole({"hidden_size": 64, "n_embd": 65}, "n_embd", "hidden_size")
    65
    """
    for name in names:
        value = (config or {}).get(name)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < MAX_SIZE:
            return value
    return 0


def text_part(config: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The language model's part of a configuration that holds several."""
    inner = (config or {}).get("text_config")
    return inner if isinstance(inner, dict) else config


@dataclass(frozen=True, slots=True)
class Sizes:
    """What compute follows from; 0 where not known.

    Attributes
    ----------
    parameters : int
        That multiply for each token: active ones, without an input embedding that is only looked up.
    counted : int
        Active ones, all of them, as the usual 6 N D counts.
    attention : int
        Multiplications for each token and each token it looks back to (scores and mixing):
        2 x layers x heads x head size.
    """

    parameters: int
    counted: int
    attention: int


def sizes(record: Record) -> Sizes:
    """Sizes that compute follows from."""
    declared = record.declaration.model
    config = text_part(model_config(record))
    counted = declared.active_parameters or declared.parameters or _stored_parameters(record)
    width = whole(config, "hidden_size", "n_embd", "d_model")
    vocabulary = declared.vocab_size or whole(config, "vocab_size")
    tied = (config or {}).get("tie_word_embeddings", True)
    looked_up = 0 if tied else width * vocabulary
    layers = whole(config, "num_hidden_layers", "n_layer", "n_layers")
    heads = whole(config, "num_attention_heads", "n_head", "n_heads")
    head = whole(config, "head_dim") or (width // heads if heads else 0)
    partly = any(name in (config or {}) for name in ("sliding_window", "layer_types", "layers_block_type"))
    attention = 0 if partly else 2 * layers * heads * head
    return Sizes(counted - looked_up if counted > 2 * looked_up else counted, counted, attention)


def _stored_parameters(record: Record) -> int:
    if not record.declaration.checkpoint:
        return 0
    config = model_config(record)
    if whole(text_part(config), "num_experts", "num_local_experts", "n_routed_experts"):
        return 0  # which share of them is active is not for the weights to say
    for member in reversed(record.checkpoints.members):
        if member.model is not None:
            return int(member.model.catalog.parameters)
    return 0
