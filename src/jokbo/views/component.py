"""Components: the parts of a model that a verdict speaks of, and how two models' parts pair.

A component is a tower's embedding, attention, MLPs, experts, router, norms, output
head or projector. Whether two components can be compared at all is decided here,
from shapes and roles alone, and every refusal carries its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from jokbo.architectures.base import Anatomy, Expert, Kind, Part, Role, Tower


class ComponentKind(StrEnum):
    """What a component does."""

    EMBEDDING = "embedding"
    ATTENTION = "attention"
    MLP = "mlp"
    EXPERTS = "experts"
    ROUTER = "router"
    NORMS = "norms"
    OUTPUT = "output"
    PROJECTOR = "projector"
    OTHER = "other"


class Component(NamedTuple):
    """A tower's part."""

    tower: str
    kind: ComponentKind

    def __str__(self) -> str:
        return f"{self.tower}.{self.kind}"


class Block(NamedTuple):
    """One MLP: a layer's, or one expert's."""

    layer: int
    expert: Expert | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """A sentence in waiting: a code that every language's catalogue explains, and its numbers."""

    code: str
    values: Mapping[str, int | float | str] = field(default_factory=dict)


_ATTENTION = {
    Role.ATTN_Q, Role.ATTN_K, Role.ATTN_V, Role.ATTN_OUTPUT, Role.ATTN_SINKS, Role.ATTN_Q_A, Role.ATTN_KV_A,
    Role.ATTN_K_ROPE,
}  # fmt: skip
_FFN = {Role.FFN_GATE, Role.FFN_UP, Role.FFN_DOWN}
_ROUTER = {Role.FFN_GATE_INP, Role.FFN_GATE_INP_SHEXP, Role.EXP_PROBS_B}
_EMBEDDING = {Role.TOKEN_EMBD, Role.TOKEN_TYPES, Role.POSITION_EMBD, Role.PATCH_EMBD, Role.CLASS_EMBD}
_OUTPUT = {Role.OUTPUT, Role.CLS, Role.CLS_TRANSFORM}


def component_of(part: Part) -> Component:
    """The component a logical matrix belongs to."""
    role = part.role
    if part.kind is Kind.BUFFER:
        kind = ComponentKind.OTHER
    elif role in _FFN:
        kind = ComponentKind.MLP if part.expert is None else ComponentKind.EXPERTS
    elif role in _ATTENTION:
        kind = ComponentKind.ATTENTION
    elif role in _ROUTER:
        kind = ComponentKind.ROUTER
    elif role in _EMBEDDING:
        kind = ComponentKind.EMBEDDING
    elif role in _OUTPUT:
        kind = ComponentKind.OUTPUT
    elif role is Role.PROJECTOR:
        kind = ComponentKind.PROJECTOR
    elif role.endswith("norm"):
        kind = ComponentKind.NORMS
    else:
        kind = ComponentKind.OTHER
    return Component(part.tower, kind)


def components(anatomy: Anatomy) -> dict[Component, int]:
    """Every component of a model with its parameters, in the order of first appearance."""
    sizes: dict[Component, int] = {}
    for part in anatomy.parts:
        if part.kind in (Kind.WEIGHT, Kind.BIAS):
            component = component_of(part)
            sizes[component] = sizes.get(component, 0) + part.parameters
    return sizes


def blocks(anatomy: Anatomy, component: Component) -> list[Block]:
    """The MLPs of a component that have an up projection, ordered by layer and expert."""
    found = {
        Block(part.layer, part.expert)
        for part in anatomy.select(component.tower, Role.FFN_UP)
        if part.layer is not None and component_of(part) == component and len(part.shape) == 2
    }
    return sorted(found, key=lambda block: (block.layer, block.expert or Expert(-1)))


def layers(anatomy: Anatomy, tower: str, role: Role) -> list[int]:
    """Layers of a tower that have a weight of this role."""
    return sorted({part.layer for part in anatomy.select(tower, role) if part.layer is not None})


def shared_tower(reference: Anatomy, candidate: Anatomy, tower: str) -> tuple[Tower, Tower] | None:
    """The tower's facts in both models, or None where one lacks it."""
    if tower in reference.towers and tower in candidate.towers:
        return reference.towers[tower], candidate.towers[tower]
    return None


def both_hold(pair: tuple[Tower, Tower], symmetry: str) -> bool:
    """Whether a symmetry holds in both towers: an axis that is not exchangeable in one is used in neither."""
    return all(symmetry in tower.symmetries and tower.symmetries[symmetry].holds for tower in pair)
