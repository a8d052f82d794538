"""Which axes of a tower are exchangeable, from the facts that its family file states.

One table for all families. An axis that is not known to be exchangeable is not:
a wrong "yes" here would be a false accusation later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from jokbo.architectures.base import Kind, Part, Role, Symmetry, Tower
from jokbo.architectures.expressions import Scope, whole, word
from jokbo.architectures.schema import TowerRule
from jokbo.errors import ArchitectureError

MLPS = ("gated", "shifted", "plain", "none")
NORMS = ("rms", "layer")
ROPES = ("half", "interleaved", "none")
POSITIONS = ("rotary", "learned", "fixed", "alibi", "none")
QK_NORMS = ("none", "rms", "layer")

_UNIT_ROLES = {Role.FFN_GATE, Role.FFN_UP, Role.FFN_DOWN}


def build_tower(name: str, rule: TowerRule, scope: Scope) -> Tower:
    """A tower's facts and the symmetries that follow from them.

    Raises
    ------
    ArchitectureError
        A fact has a value that the table does not know.
    """
    facts = rule.facts
    norm = word(facts.get("norm", "'layer'"), scope, choices=NORMS)
    mlp = word(facts.get("mlp", "'none'"), scope, choices=MLPS)
    rope = word(facts.get("rope", "'none'"), scope, choices=ROPES)
    positions = word(facts.get("positions", "'none'"), scope, choices=POSITIONS)
    qk_norm = word(facts.get("qk_norm", "'none'"), scope, choices=QK_NORMS)
    heads = whole("num_heads | 0", scope)
    head_dim = whole("head_dim | 0", scope)
    rotary_dim = 0 if rope == "none" else whole(facts.get("rotary_dim", "head_dim"), scope)
    rotary_start = 0 if rope == "none" else whole(facts.get("rotary_start", "0"), scope)
    if rotary_start + rotary_dim > head_dim or rotary_dim % 2:
        raise ArchitectureError(
            f"{scope.where}: {rotary_dim} of a head's {head_dim} dimensions rotate, from {rotary_start} on; "
            "expected an even number inside the head. Check head_dim and the rotary settings."
        )
    symmetries = {
        "unit_permutation": _unit_permutation(mlp),
        "unit_sign": _unit_sign(mlp),
        "value_sign": _value_sign(heads),
        "rotary_sign": _rotary_sign(heads, rope, qk_norm),
        "channel_permutation": _channel_permutation(positions),
        "channel_sign": _channel_sign(norm, positions),
    }
    for axis, stated in rule.symmetries.items():
        symmetries[axis] = Symmetry(stated.holds, stated.reason)
    return Tower(
        name=name,
        hidden_size=whole("hidden_size | 0", scope),
        num_layers=whole("num_layers | 0", scope),
        num_heads=heads,
        num_kv_heads=whole("num_kv_heads | num_heads | 0", scope),
        head_dim=head_dim,
        v_head_dim=whole("v_head_dim | head_dim | 0", scope),
        norm=norm,
        gated=mlp == "gated",
        activation=word(facts.get("activation", "'unknown'"), scope),
        rope=rope,
        rotary_dim=rotary_dim,
        rotary_start=rotary_start,
        symmetries=symmetries,
    )


def _unit_permutation(mlp: str) -> Symmetry:
    if mlp == "none":
        return Symmetry(False, "the tower has no MLP")
    return Symmetry(True, "the activation acts on each hidden unit alone, so units can trade places")


def _unit_sign(mlp: str) -> Symmetry:
    if mlp == "gated":
        return Symmetry(True, "the MLP is act(gate) * up, so up and down can change sign together")
    if mlp == "shifted":
        return Symmetry(False, "the MLP adds a constant to up or clamps it, so its sign cannot change")
    if mlp == "plain":
        return Symmetry(False, "the MLP has no gate; the activation sees the sign of every unit")
    return Symmetry(False, "the tower has no MLP")


def _value_sign(heads: int) -> Symmetry:
    if not heads:
        return Symmetry(False, "the tower has no attention")
    return Symmetry(
        True, "values pass to the output projection without any function between, one sign per KV head"
    )


def _rotary_sign(heads: int, rope: str, qk_norm: str) -> Symmetry:
    if not heads:
        return Symmetry(False, "the tower has no attention")
    if qk_norm == "layer":
        return Symmetry(False, "queries and keys pass a LayerNorm, whose mean would change with a sign")
    if rope == "none":
        return Symmetry(
            True, "queries meet keys channel by channel, so both can change sign, one per KV head and channel"
        )
    return Symmetry(
        True, "a rotary pair of queries and keys can change sign together, one per KV head and pair"
    )


def _channel_permutation(positions: str) -> Symmetry:
    if positions == "fixed":
        return Symmetry(False, "a fixed table of positions is added to the residual stream")
    return Symmetry(True, "all tensors that touch the residual stream can reorder its channels together")


def _channel_sign(norm: str, positions: str) -> Symmetry:
    if positions == "fixed":
        return Symmetry(False, "a fixed table of positions is added to the residual stream")
    if norm == "layer":
        return Symmetry(False, "LayerNorm subtracts the mean over channels, which a sign would change")
    return Symmetry(
        True, "RMSNorm sees only squares, so a residual channel can change sign everywhere at once"
    )


def with_scales(tower: Tower, parts: Iterable[Part]) -> Tower:
    """The same tower after looking at how its weights are quantised.

    Weights of one block share a scale, so labels inside the block are exchangeable and
    labels of different blocks are not. Signs are safe: rounding to a grid is odd.
    """
    blocks: dict[str, int] = {}
    for part in parts:
        for axis in _shared_axes(part):
            run = _aligned_run(part, axis)
            blocks[part.axes[axis]] = math.gcd(blocks.get(part.axes[axis], run), run)
    changed = dict(tower.symmetries)
    for key, axis_name, what in (
        ("unit_permutation", "ffn", "units"),
        ("channel_permutation", "hidden", "channels"),
    ):
        block = blocks.get(axis_name, 0)
        if axis_name in blocks and changed[key].holds:
            inside = f"; they are exchangeable inside runs of {block} only" if block > 1 else ""
            reason = f"weights are quantised in blocks of {what} that share a scale{inside}"
            changed[key] = Symmetry(False, reason, block if block > 1 else 0)
    return replace(tower, symmetries=changed)


def _along(part: Part, axis: int) -> tuple[int, int]:
    """How many stored indices of a logical axis one scale covers, and how many there are."""
    covered = part.scale_block or (1, 1)
    stored = 1 - axis if part.layout.transposed else axis
    return covered[stored], (part.layout.plane_rows, part.layout.plane_cols)[stored]


def _shared_axes(part: Part) -> Iterable[int]:
    """Logical axes, among those that have a symmetry, along which neighbours share a scale."""
    if part.scale_block is None or part.kind is not Kind.WEIGHT or len(part.shape) != 2:
        return
    for axis, name in enumerate(part.axes):
        covered, extent = _along(part, axis)
        concerned = name == "hidden" or (name == "ffn" and part.role in _UNIT_ROLES)
        if concerned and 1 < covered < extent:
            yield axis


def _aligned_run(part: Part, axis: int) -> int:
    """Length of aligned runs of logical indices that share a scale; 1 when the layout scatters them."""
    covered, _ = _along(part, axis)
    layout = part.layout
    if axis == 1 or (layout.start % covered == 0 and layout.block == part.shape[0]):
        return covered
    return 1
