"""Which tensor of a Llama-style checkpoint does what, for builders and transforms.

This is a second, independent reading of tensor names, on purpose: the transforms
that test the product do not go through the product's own architecture rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from jokbo.errors import ArchitectureError, UsageError
from jokbo.testing.checkpoint import Checkpoint


class Mlp(NamedTuple):
    """Module names of one gated MLP (one expert, or the only one)."""

    gate: str
    up: str
    down: str


class Layer(NamedTuple):
    """Module names of one transformer block; `router` is None in a dense one."""

    attn_norm: str
    q: str
    k: str
    v: str
    o: str
    ffn_norm: str
    mlps: tuple[Mlp, ...]
    router: str | None


class Use(Enum):
    """How a tensor meets the residual stream."""

    WRITE = "write"
    READ = "read"
    GAIN = "gain"


class Residual(NamedTuple):
    """A tensor that has the residual stream as one of its axes."""

    name: str
    axis: int
    use: Use


class Axis(NamedTuple):
    """A tensor and which of its axes is meant."""

    name: str
    axis: int


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A Llama-style text tower by module names (without ``.weight``).

    Attributes
    ----------
    prefix : str
        What every name of the tower starts with, such as ``"model."``.
    head : str or None
        The output head; None where it is tied to the embedding.
    writers : tuple of str
        Modules outside the tower whose output enters its residual stream (a projector's last matrix).
    """

    prefix: str
    embed: str
    layers: tuple[Layer, ...]
    norm: str
    head: str | None
    writers: tuple[str, ...]
    hidden_size: int
    num_heads: int
    num_kv_heads: int
    head_dim: int

    def norm_readers(self) -> Iterator[tuple[str, list[str]]]:
        """Each norm of the residual stream with the modules that read its output."""
        for layer in self.layers:
            yield layer.attn_norm, [layer.q, layer.k, layer.v]
            readers = [module for mlp in layer.mlps for module in (mlp.gate, mlp.up)]
            yield layer.ffn_norm, readers + ([layer.router] if layer.router else [])
        yield self.norm, [self.head or self.embed]

    def residual(self, checkpoint: Checkpoint) -> Iterator[Residual]:
        """Every tensor with the residual stream as an axis, each once."""
        yield Residual(f"{self.embed}.weight", 1, Use.WRITE)
        for norm, readers in self.norm_readers():
            yield Residual(f"{norm}.weight", 0, Use.GAIN)
            yield from (Residual(f"{m}.weight", 1, Use.READ) for m in readers if m != self.embed)
        for layer in self.layers:
            for module in (layer.o, *(mlp.down for mlp in layer.mlps)):
                yield from (Residual(n, 0, Use.WRITE) for n in present(checkpoint, module))
        for module in self.writers:
            yield from (Residual(n, 0, Use.WRITE) for n in present(checkpoint, module))


def present(checkpoint: Checkpoint, module: str) -> list[str]:
    """The weight of a module, and its bias where it has one."""
    return [name for name in (f"{module}.weight", f"{module}.bias") if name in checkpoint]


def unit_axes(checkpoint: Checkpoint, mlp: Mlp) -> list[Axis]:
    """Every tensor of an MLP that has its hidden units as an axis."""
    rows = [Axis(name, 0) for module in (mlp.gate, mlp.up) for name in present(checkpoint, module)]
    return [*rows, Axis(f"{mlp.down}.weight", 1)]


def describe(checkpoint: Checkpoint) -> Skeleton:
    """Read the skeleton of a Llama-style checkpoint.

    That is Llama, Mistral, Qwen2, Qwen3, Mixtral, or LLaVA's text tower.

    Raises
    ------
    UsageError
        A tensor of the tower is not one this reading knows, so that no transform
        could be sure to keep the model's function.
    ArchitectureError
        Configuration and shapes contradict each other.
    """
    names = set(checkpoint.tensors)
    embeds = [name for name in names if name.endswith("embed_tokens.weight")]
    if len(embeds) != 1:
        raise UsageError(
            f"found {len(embeds)} tensors named embed_tokens.weight; a Llama-style checkpoint has one."
        )
    prefix = embeds[0].removesuffix("embed_tokens.weight")
    numbers = sorted(
        {int(m[1]) for name in names if (m := re.match(rf"{re.escape(prefix)}layers\.(\d+)\.", name))}
    )
    if numbers != list(range(len(numbers))) or not numbers:
        raise UsageError(f"layers are numbered {numbers[:8]}; expected 0, 1, 2 and so on without holes.")
    heads = [name.removesuffix(".weight") for name in names if name.endswith("lm_head.weight")]
    config = checkpoint.text_config
    hidden_size, num_heads = int(checkpoint[embeds[0]].shape[1]), int(config["num_attention_heads"])
    skeleton = Skeleton(
        prefix=prefix,
        embed=f"{prefix}embed_tokens",
        layers=tuple(_describe_layer(f"{prefix}layers.{number}.", names) for number in numbers),
        norm=f"{prefix}norm",
        head=heads[0] if heads else None,
        writers=tuple(
            sorted(
                n.removesuffix(".weight")
                for n in names
                if n.endswith("multi_modal_projector.linear_2.weight")
            )
        ),
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_kv_heads=int(config.get("num_key_value_heads") or num_heads),
        head_dim=int(config.get("head_dim") or hidden_size // num_heads),
    )
    _check(skeleton, checkpoint)
    return skeleton


def _describe_layer(prefix: str, names: set[str]) -> Layer:
    attention, mlps, router = (
        f"{prefix}self_attn.",
        [Mlp(*(f"{prefix}mlp.{m}_proj" for m in ("gate", "up", "down")))],
        None,
    )
    for style, modules in (
        ("block_sparse_moe", ("w1", "w3", "w2")),
        ("mlp", ("gate_proj", "up_proj", "down_proj")),
    ):
        if f"{prefix}{style}.gate.weight" in names:
            router = f"{prefix}{style}.gate"
            experts = {
                int(m[1])
                for n in names
                if (m := re.match(rf"{re.escape(prefix)}{style}\.experts\.(\d+)\.", n))
            }
            mlps = [Mlp(*(f"{prefix}{style}.experts.{e}.{m}" for m in modules)) for e in sorted(experts)]
    return Layer(
        attn_norm=f"{prefix}input_layernorm",
        q=f"{attention}q_proj",
        k=f"{attention}k_proj",
        v=f"{attention}v_proj",
        o=f"{attention}o_proj",
        ffn_norm=f"{prefix}post_attention_layernorm",
        mlps=tuple(mlps),
        router=router,
    )


def _check(skeleton: Skeleton, checkpoint: Checkpoint) -> None:
    known = {f"{skeleton.embed}.weight", f"{skeleton.norm}.weight"}
    for layer in skeleton.layers:
        modules = [layer.q, layer.k, layer.v, layer.o, *(module for mlp in layer.mlps for module in mlp)]
        known |= {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")}
        known |= {f"{layer.attn_norm}.weight", f"{layer.ffn_norm}.weight"}
        known |= {layer.q.replace("q_proj", f"{m}_norm.weight") for m in "qk"}
        if layer.router:
            known.add(f"{layer.router}.weight")
        missing = [
            f"{m}.weight"
            for m in (*modules, layer.attn_norm, layer.ffn_norm)
            if f"{m}.weight" not in checkpoint
        ]
        if missing:
            raise UsageError(f"tensor {missing[0]!r} is not there; a Llama-style checkpoint has it.")
        _check_heads(skeleton, checkpoint, layer)
    strange = [n for n in checkpoint.tensors if n.startswith(skeleton.prefix) and n not in known]
    strange = [n for n in strange if n.startswith((f"{skeleton.prefix}layers.", f"{skeleton.prefix}norm"))]
    if strange:
        raise UsageError(
            f"tensor {strange[0]!r} is not part of a Llama-style block; a transform that ignored it could "
            "change the model's function. Use a plain Llama, Qwen or Mixtral checkpoint."
        )


def _check_heads(skeleton: Skeleton, checkpoint: Checkpoint, layer: Layer) -> None:
    for module, heads in (
        (layer.q, skeleton.num_heads),
        (layer.k, skeleton.num_kv_heads),
        (layer.v, skeleton.num_kv_heads),
    ):
        rows = checkpoint[f"{module}.weight"].shape[0]
        if rows != heads * skeleton.head_dim:
            raise ArchitectureError(
                f"tensor '{module}.weight' has {rows} rows; the configuration says {heads} heads of "
                f"{skeleton.head_dim}. Check config.json against the weights."
            )
