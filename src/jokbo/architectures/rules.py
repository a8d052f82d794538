"""From a tower's rules and a configuration to the exact names that a checkpoint must hold.

The expected names are written out into one dictionary, so that a catalog of a
hundred thousand tensors is matched by as many look-ups and no pattern is ever
tried against a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from jokbo.architectures.base import Expert, Kind, Layout, Part, Role
from jokbo.architectures.expressions import Scope, evaluate, truth, uses_layer, whole
from jokbo.architectures.schema import TensorRule, TowerRule
from jokbo.errors import ArchitectureError
from jokbo.formats.base import TensorEntry

MAX_LAYERS = 4096
MAX_EXPERTS = 65_536
MAX_NAMES = 1_000_000
"""Tensors that a configuration may imply, ten times those of the largest released checkpoint."""


class Piece(NamedTuple):
    """One logical piece of a stored tensor, before it is bound to one."""

    role: Role
    shape: tuple[int, ...]
    axes: tuple[str, ...]
    layout: Layout


@dataclass(frozen=True, slots=True)
class Mould:
    """What every tensor of one rule looks like; `planes` is 0 for one that is not packed."""

    kind: Kind
    stored: tuple[int, ...] | None
    planes: int
    pieces: tuple[Piece, ...]
    offset: float


class Claim(NamedTuple):
    """What a stored name is expected to be."""

    tower: str
    mould: Mould
    layer: int | None
    expert: Expert | None
    required: bool


@dataclass(frozen=True, slots=True)
class TowerScope:
    """A tower's rules bound to one configuration."""

    name: str
    rule: TowerRule
    scope: Scope
    num_layers: int
    first_layer: int
    num_experts: int


def bind(name: str, rule: TowerRule, scope: Scope) -> TowerScope:
    """Evaluate a tower's sizes in order and bound what they imply."""
    for size, text in rule.sizes.items():
        scope.sizes[size] = evaluate(text, scope)
    return TowerScope(
        name=name,
        rule=rule,
        scope=scope,
        num_layers=whole("num_layers | 0", scope, maximum=MAX_LAYERS),
        first_layer=whole(rule.first_layer, scope, maximum=MAX_LAYERS),
        num_experts=whole("num_experts | 0", scope, maximum=MAX_EXPERTS),
    )


def choose(bound: TowerScope, names: Mapping[str, TensorEntry]) -> tuple[TowerScope, int]:
    """Fix every alternative of a tower by what the checkpoint holds, and count what was found.

    Returns
    -------
    tuple
        The tower with one prefix, one outer prefix and no ``either`` left, and how
        many of the probed names exist (one expert a layer is probed, not all).
    """
    rule = bound.rule
    every = dict(rule.tensors)
    for options in rule.either.values():
        for tensors in options.values():
            every.update(tensors)

    def best(placeholder: str, alternatives: list[str], other: str) -> str:
        mentioned = {k: v for k, v in every.items() if placeholder in k and other not in k}
        counts = {a: _hits(bound, mentioned, {placeholder: a}, names) for a in alternatives}
        return max(alternatives, key=lambda a: counts[a])  # the first of equals

    prefix = best("{p}", rule.prefixes, "{o}")
    outer = best("{o}", rule.outer, "{p}")
    words = {"{p}": prefix, "{o}": outer}
    chosen = dict(rule.tensors)
    for options in rule.either.values():
        fits = {option: _fits(bound, tensors, words, names) for option, tensors in options.items()}
        chosen.update(options[max(fits, key=lambda option: fits[option])])
    fixed = replace(rule, prefixes=[prefix], outer=[outer], tensors=chosen, either={})
    return replace(bound, rule=fixed), _hits(bound, chosen, words, names)


def _fill(pattern: str, words: Mapping[str, str]) -> str:
    for placeholder, text in words.items():
        pattern = pattern.replace(placeholder, text)
    return pattern


def _hits(
    bound: TowerScope,
    tensors: Mapping[str, TensorRule],
    words: Mapping[str, str],
    names: Mapping[str, TensorEntry],
) -> int:
    layers = range(bound.first_layer, bound.first_layer + bound.num_layers)
    found = 0
    for pattern in tensors:
        name = _fill(pattern, words).replace("{expert}", "0")
        if "{layer}" in name:
            head, _, tail = name.partition("{layer}")
            found += sum(f"{head}{layer}{tail}" in names for layer in layers)
        else:
            found += name in names
    return found


def _fits(
    bound: TowerScope,
    tensors: Mapping[str, TensorRule],
    words: Mapping[str, str],
    names: Mapping[str, TensorEntry],
) -> tuple[int, int]:
    """How well an alternative fits: names found, then shapes that agree in the first layer that has them."""
    agree = 0
    layers = range(bound.first_layer, bound.first_layer + bound.num_layers)
    for pattern, rule in tensors.items():
        name = _fill(pattern, words).replace("{expert}", "0")
        layer = next((each for each in layers if name.replace("{layer}", str(each)) in names), None)
        if layer is not None:
            agree += names[name.replace("{layer}", str(layer))].shape == _moulds(bound, rule)(layer).stored
    return _hits(bound, tensors, words, names), agree


def expand(bound: TowerScope) -> Iterator[tuple[str, Claim]]:
    """Every name that a tower with fixed alternatives expects, with its claim.

    Raises
    ------
    ArchitectureError
        The configuration implies more tensors than any checkpoint has, or sizes that make no sense.
    """
    total = 0
    words = {"{p}": bound.rule.prefixes[0], "{o}": bound.rule.outer[0]}
    for pattern, rule in bound.rule.tensors.items():
        layers = bound.num_layers if "{layer}" in pattern else 1
        experts = bound.num_experts if "{expert}" in pattern or rule.packed else 1
        total += layers * experts
        if total > MAX_NAMES:
            raise ArchitectureError(
                f"{bound.scope.where}: {bound.num_layers:,} layers of {bound.num_experts:,} experts imply "
                f"more than {MAX_NAMES:,} matrices; expected a real model. Check num_hidden_layers and the "
                "number of experts."
            )
        yield from _expand_rule(bound, _fill(pattern, words), rule)


def _expand_rule(bound: TowerScope, pattern: str, rule: TensorRule) -> Iterator[tuple[str, Claim]]:
    make = _moulds(bound, rule)
    shared = Expert(0, shared=True) if rule.expert == "shared" else None
    if "{layer}" not in pattern:
        if truth(rule.when, bound.scope):
            needed = truth(rule.required, bound.scope)
            yield pattern, Claim(bound.name, make(None), rule.layer, shared, needed)
        return
    for layer in range(bound.num_layers):
        stored = bound.first_layer + layer
        if not truth(rule.when, bound.scope, layer=stored):
            continue
        needed = truth(rule.required, bound.scope, layer=stored)
        mould = make(stored)
        name = pattern.replace("{layer}", str(stored))
        if "{expert}" not in name:
            yield name, Claim(bound.name, mould, layer, shared, needed)
            continue
        head, _, tail = name.partition("{expert}")
        for expert in range(bound.num_experts):
            yield f"{head}{expert}{tail}", Claim(bound.name, mould, layer, Expert(expert), needed)


def _moulds(bound: TowerScope, rule: TensorRule) -> Callable[[int | None], Mould]:
    texts = [*rule.axes, *rule.stored, rule.groups, *(axis for part in rule.parts for axis in part.axes)]
    varies = any(uses_layer(_axis_text(bound.rule, text)) for text in texts if text)
    cache: dict[int | None, Mould] = {}

    def make(layer: int | None) -> Mould:
        key = layer if varies else None
        if key not in cache:
            cache[key] = _mould(bound, rule, layer)
        return cache[key]

    return make


def _axis_text(tower: TowerRule, axis: str) -> str:
    name, colon, text = axis.partition(":")
    return text if colon else tower.axes.get(name, name)


def _mould(bound: TowerScope, rule: TensorRule, layer: int | None) -> Mould:
    kind = Kind(rule.kind)
    if not rule.axes and not rule.parts:
        return Mould(kind, None, 0, (Piece(Role(rule.role or "other"), (), (), _WHOLE),), rule.offset)

    def size(axis: str) -> int:
        return whole(_axis_text(bound.rule, axis), bound.scope, layer=layer)

    wanted = [(part.role, part.axes) for part in rule.parts] or [(rule.role, rule.axes)]
    shapes = [tuple(size(axis) for axis in axes) for _, axes in wanted]
    axes_names = [tuple(axis.partition(":")[0] for axis in axes) for _, axes in wanted]
    groups = whole(rule.groups, bound.scope, layer=layer) if rule.parts else 1
    rows = sum(shape[0] for shape in shapes)
    cols = shapes[0][1] if len(shapes[0]) > 1 else 1
    if groups < 1 or any(shape[0] % groups for shape in shapes):
        raise ArchitectureError(
            f"{bound.scope.where}: rows {[shape[0] for shape in shapes]} of a fused tensor do not divide "
            f"into {groups} equal groups; expected heads of one size. Check hidden_size and the heads."
        )
    planes = bound.num_experts if rule.packed else 0
    pieces: list[Piece] = []
    start = 0
    for (role, _), shape, names in zip(wanted, shapes, axes_names, strict=True):
        block = shape[0] // groups
        plane = (cols, rows) if rule.transposed else (rows, cols)
        layout = Layout(0, *plane, start, max(block, 1), max(rows // groups, 1), rule.transposed)
        pieces.append(Piece(Role(role), shape, names, layout))
        start += block
    stored: tuple[int, ...] = (
        (rows,) if len(shapes[0]) == 1 else (cols, rows) if rule.transposed else (rows, cols)
    )
    if rule.stored:
        stored = tuple(size(text) for text in rule.stored)
    if rule.packed:
        stored = (planes, *stored)
    return Mould(kind, stored, planes, tuple(pieces), rule.offset)


_WHOLE = Layout(0, 0, 0, 0, 1, 1)


def plain(shape: tuple[int, ...]) -> tuple[tuple[int, ...], Layout]:
    """Logical shape and layout of a tensor taken whole: leading axis against the rest."""
    if not shape:
        return (1,), Layout(0, 1, 1, 0, 1, 1)
    rows, cols = shape[0], math.prod(shape[1:])
    logical = (rows,) if len(shape) == 1 else (rows, cols)
    return logical, Layout(0, rows, cols, 0, max(rows, 1), max(rows, 1))


def claim(entry: TensorEntry, wish: Claim) -> Iterable[Part]:
    """The parts of a stored tensor that its claim describes.

    Raises
    ------
    ArchitectureError
        The stored shape is not the one that the configuration implies.
    """
    mould = wish.mould
    if mould.stored is None:
        shape, layout = plain(entry.shape)
        axes = ("other",) * len(shape)
        return [
            Part(wish.tower, p.role, mould.kind, wish.layer, wish.expert, entry, shape, axes, layout)
            for p in mould.pieces
        ]
    if entry.shape != mould.stored:
        raise ArchitectureError(
            f"tensor {entry.name!r} in {entry.file} has shape {list(entry.shape)}; the configuration "
            f"implies {list(mould.stored)}. Use the config.json that belongs to these weights, or fetch the "
            "file again."
        )
    if not mould.planes:
        return [
            Part(
                wish.tower,
                p.role,
                mould.kind,
                wish.layer,
                wish.expert,
                entry,
                p.shape,
                p.axes,
                p.layout,
                mould.offset,
            )
            for p in mould.pieces
        ]
    return [
        Part(
            wish.tower,
            p.role,
            mould.kind,
            wish.layer,
            Expert(plane),
            entry,
            p.shape,
            p.axes,
            replace(p.layout, plane=plane),
            mould.offset,
        )
        for plane in range(mould.planes)
        for p in mould.pieces
    ]
