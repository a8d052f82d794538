"""From a hostile ``config.json`` to a Transformers configuration that runs nothing but Transformers' own code.

Only types that the installed Transformers ships as causal language models are built. What could name
code elsewhere (``auto_map``, kernels and attention functions from a hub, quantisers) is refused or left
out, and what decides how many modules there will be is held against the tensors that are really there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.records.replay.gate import CannotRun

MAX_NUMBER = 1 << 24
"""Largest whole number of a configuration: vocabularies and contexts stay below it."""

MAX_DEPTH = 1024
MAX_NESTING = 8
REFUSED = ("auto_map", "quantization_config", "custom_pipelines", "backbone", "backbone_config")
LEFT_OUT = (
    "attn_implementation",
    "experts_implementation",
    "use_kernels",
    "kernel_config",
    "architectures",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "use_cache",
    "gradient_checkpointing",
)
COUNTS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "num_local_experts", "num_experts")


def checked_config(document: Mapping[str, Any] | None, *, n_tensors: int) -> Any:
    """A configuration of Transformers, without weights, hub or foreign code.

    Parameters
    ----------
    document : mapping or None
        Parsed ``config.json``.
    n_tensors : int
        Tensors that the checkpoint holds: a model of more layers than that cannot be filled.

    Raises
    ------
    CannotRun
        There is none, or it asks for more than sizes.
    """
    if document is None:
        raise CannotRun("no_config", missing=["config"])
    _walk(document, 0)
    kind = document.get("model_type")
    if not isinstance(kind, str) or kind not in shipped_types():
        raise CannotRun("unknown_architecture", type=str(kind)[:40])
    for name in COUNTS:
        count = document.get(name)
        if isinstance(count, int) and not 0 <= count <= min(MAX_DEPTH, max(n_tensors, 1)):
            raise CannotRun("config_refused", field=name)
    plain = {
        key: value
        for key, value in document.items()
        if not key.startswith("_") and key not in LEFT_OUT and key != "model_type"
    }
    from transformers import AutoConfig

    try:
        config = AutoConfig.for_model(kind, **plain)
    except Exception as error:
        # Whatever a hostile document makes a configuration class raise: it is then no configuration.
        raise CannotRun("config_refused", field=type(error).__name__) from None
    return config


def shipped_types() -> frozenset[str]:
    """Model types that the installed Transformers itself builds as causal language models."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def _walk(value: Any, depth: int) -> None:
    """Refuse what names code and numbers that no model has, at any depth."""
    if depth > MAX_NESTING:
        raise CannotRun("config_refused", field="nesting")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in REFUSED and inner not in (None, {}, []):
                raise CannotRun("config_refused", field=str(key)[:40])
            if isinstance(key, str) and not key.startswith("_"):
                _walk_named(key, inner, depth)
    elif isinstance(value, list):
        for inner in value:
            _walk(inner, depth + 1)


def _walk_named(key: str, value: Any, depth: int) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_NUMBER:
        raise CannotRun("config_refused", field=key[:40])
    _walk(value, depth + 1)
