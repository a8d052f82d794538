"""Which rows a fingerprint holds of a model, and how many of each kind fit into its size."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from jokbo.architectures.base import Anatomy, Expert, Kind, Part, Role, Tower
from jokbo.errors import FormatError
from jokbo.formats.base import TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.independence.plan import Lot, ReadingPlan
from jokbo.independence.unused_tokens import MAX_TOKENS
from jokbo.views.component import Block, Component, ComponentKind, blocks, layers
from jokbo.views.model import Model
from jokbo.views.rows import RowsWish
from jokbo.views.samples import UNIT_ROLES
from jokbo.views.sampling import Sampling, smallest_tokens
from jokbo.views.tokens import Vocabulary, reserved_tokens

TARGET_BYTES = 24 << 20
"""Rows of a fingerprint take about this much at most; catalog, norms and sketch come on top."""

LADDER = ((64, 32, 16, 512), (48, 24, 16, 384), (32, 16, 16, 256), (24, 16, 8, 256), (24, 16, 8, 128))
"""Units, values, rotary rows, tokens: the first rung that fits is taken; below the last, fewer layers are."""

FEW_TOKENS = (128, 64, 32)
"""Tokens tried with fewer layers, most first."""

FEWEST_LAYERS = 4
"""Tokens are given up before layers become fewer than this."""

SPAN_BYTES = 16
"""What a fingerprint writes down of each stretch of bytes that it holds."""

MAX_TOKEN_LENGTH = 256
"""Longer texts are not sampled: no real token is, and they would fill the file."""

GOLDEN = (math.sqrt(5) - 1) / 2

PLAIN = (DType.F32, DType.F16, DType.BF16)
"""Types that a fingerprint stores; everything else is rounded to one of them."""

ROUTER_BYTES = 4 << 20
"""Whole routers take this much at most; of few layers where that is little."""

_LEARNED = (Kind.WEIGHT, Kind.BIAS)
_TABLES = (Role.TOKEN_EMBD, Role.OUTPUT, Role.PATCH_EMBD, Role.PROJECTOR)


@dataclass(frozen=True, slots=True)
class SampledTokens:
    """Tokens whose embedding and output rows are held.

    Attributes
    ----------
    tokens, reserved : mapping of str to int
        Text to row: those of the smallest hash, and those that the tokenizer declares unused.
    """

    tokens: Mapping[str, int]
    reserved: Mapping[str, int]


def choose_sampling(model: Model, salt: str, *, limit: int = TARGET_BYTES, unused: int = 0) -> Sampling:
    """The first rung of the ladder on which the rows fit; fewer layers, evenly spread, where none does.

    Parameters
    ----------
    limit : int
        Bytes that rows and their places may take.
    unused : int
        Unused tokens, whose rows come on top.

    Raises
    ------
    FormatError
        Not even one layer fits.
    """
    order = {name: _in_turn(model.anatomy, name) for name in model.anatomy.towers}
    deepest = max(map(len, order.values()), default=0)
    for units, values, rotary, tokens in LADDER:
        sampling = _of_layers(Sampling(salt, units, values, rotary, tokens), order, deepest)
        if rows_bytes(model, sampling, unused) <= limit:
            return sampling
    for least in range(FEWEST_LAYERS, 0, -1):
        for tokens in FEW_TOKENS:
            count = _deepest_that_fits(model, replace(sampling, tokens=tokens), order, limit, unused)
            if count >= min(least, deepest):
                return _of_layers(replace(sampling, tokens=tokens), order, count)
    raise FormatError(
        f"{model.name}: the rows of one layer do not fit into the {limit:,} bytes that a fingerprint has for them. "
        "No fingerprint can hold such a model; compare the model itself."
    )


def _deepest_that_fits(
    model: Model, sampling: Sampling, order: Mapping[str, Sequence[int]], limit: int, unused: int
) -> int:
    """How many layers of every tower fit, by halving; -1 where not even the rest of the model does."""
    low, high = -1, max(map(len, order.values()), default=0)
    while low < high:
        middle = (low + high + 1) // 2
        if rows_bytes(model, _of_layers(sampling, order, middle), unused) <= limit:
            low = middle
        else:
            high = middle - 1
    return low


def _of_layers(sampling: Sampling, order: Mapping[str, Sequence[int]], count: int) -> Sampling:
    return replace(sampling, layers={name: tuple(sorted(mine[:count])) for name, mine in order.items()})


def in_turn(layers: Sequence[int]) -> tuple[int, ...]:
    """All of some layers in the order in which they are taken: the first few lie evenly, however few they are.

    Fewer layers are then always among the more of another fingerprint: multiples of the golden ratio, modulo
    one, leave no large gap at any number (Swierczkowski 1958, "On successive settings of an arc").

    Examples
    --------
    >>> in_turn(range(10))[:4], sorted(in_turn(range(10))) == list(range(10))
    ((5, 1, 7, 3), True)
    """
    order: dict[int, None] = {}
    for k in range(4 * len(layers)):
        order[layers[int((0.5 + k * GOLDEN) % 1.0 * len(layers))]] = None
    return tuple(dict.fromkeys([*order, *layers]))


def _in_turn(anatomy: Anatomy, tower: str) -> tuple[int, ...]:
    """A tower's layers in turn; one of the dense ones and one with experts before all others."""
    order = in_turn(_layers(anatomy, tower))
    first = []
    for kind in (ComponentKind.EXPERTS, ComponentKind.MLP):
        mine = {block.layer for block in blocks(anatomy, Component(tower, kind))}
        first += [layer for layer in order if layer in mine][:1]
    return tuple(dict.fromkeys([*first, *order]))


def _layers(anatomy: Anatomy, tower: str) -> tuple[int, ...]:
    return tuple(
        sorted({part.layer for part in anatomy.parts if part.tower == tower and part.layer is not None})
    )


def stored_type(entry: TensorEntry, *, scaled: bool) -> DType:
    """The type in which a fingerprint stores a tensor's rows: its own where each element is stored by itself."""
    if (entry.codec is not None and not entry.codec.exact) or scaled:
        return DType.BF16
    if entry.dtype in PLAIN:
        return entry.dtype
    return DType.F32 if entry.dtype is DType.F64 else DType.BF16


def _item(part: Part) -> int:
    return stored_type(part.entry, scaled=part.scale is not None).itemsize


def rows_bytes(model: Model, sampling: Sampling, unused: int) -> int:
    """Bytes of the rows as a fingerprint stores them, and of the places it names; never too few."""
    tokens = SampledTokens({str(k): 2 * k for k in range(sampling.tokens + unused)}, {})
    total = 0
    for part, rows in wanted_rows(model, sampling, tokens):
        columns = part.shape[1] if len(part.shape) > 1 else 1
        numbers = range(part.shape[0]) if rows is None else rows
        runs = 1 if rows is None or not len(rows) else 1 + int((np.diff(rows) > 1).sum())
        if part.layout.transposed:
            runs *= part.layout.plane_rows
        total += len(numbers) * columns * _item(part) + runs * SPAN_BYTES
    return total


def wanted_rows(model: Model, sampling: Sampling, tokens: SampledTokens) -> Iterator[RowsWish]:
    """Every row that the exact tests can ask of a fingerprint of this sampling."""
    anatomy = model.anatomy
    lot = Lot(0, "", "", sampling.salt)
    for part in anatomy.parts:
        near = part.layer is None or part.layer in sampling.layers.get(part.tower, ())
        if near and part.role.endswith("norm") and part.kind in _LEARNED and len(part.shape) == 1:
            yield RowsWish(part)
    for name, tower in anatomy.towers.items():
        held = set(sampling.layers.get(name, ()))
        yield from _units(anatomy, name, held, sampling, lot)
        yield from _heads(anatomy, tower, held, sampling, lot)
        yield from _routers(anatomy, name, sampling.layers.get(name, ()))
    for part in anatomy.parts:
        if part.role in _TABLES and part.kind is Kind.WEIGHT and len(part.shape) == 2:
            yield from _table(part, sampling, lot, tokens)


def _units(anatomy: Anatomy, tower: str, held: set[int], sampling: Sampling, lot: Lot) -> Iterator[RowsWish]:
    for kind in (ComponentKind.MLP, ComponentKind.EXPERTS):
        component = Component(tower, kind)
        for block in _sampled_blocks(
            [b for b in blocks(anatomy, component) if b.layer in held], component, lot
        ):
            for role in UNIT_ROLES:
                part = anatomy.find(tower, role, layer=block.layer, expert=block.expert)
                if part is not None and len(part.shape) == 2:
                    yield RowsWish(part, lot.window(f"{component}/units", part.shape[0], sampling.units))


def _sampled_blocks(found: list[Block], component: Component, lot: Lot) -> list[Block]:
    """A dense MLP whole; of experts one a layer, one number throughout, and the shared ones left out."""
    if component.kind is ComponentKind.MLP:
        return found
    routed = [b for b in found if b.expert is not None and not b.expert.shared]
    numbers = sorted({b.expert.index for b in routed if b.expert is not None})
    few = ReadingPlan().experts
    if not numbers:
        return []
    chosen = []
    common = {numbers[k] for k in lot.sample(f"{component}/experts", len(numbers), min(few, len(numbers)))}
    for layer in sorted({b.layer for b in routed}):
        mine = [b for b in routed if b.layer == layer]
        own = lot.sample(f"{component}/experts/{layer}", len(mine), min(few, len(mine)))
        chosen += [b for k, b in enumerate(mine) if k in own or (b.expert or Expert(-1)).index in common]
    return chosen


def _heads(
    anatomy: Anatomy, tower: Tower, held: set[int], sampling: Sampling, lot: Lot
) -> Iterator[RowsWish]:
    component = Component(tower.name, ComponentKind.ATTENTION)
    for layer in layers(anatomy, tower.name, Role.ATTN_V):
        part = anatomy.find(tower.name, Role.ATTN_V, layer=layer)
        if layer in held and part is not None and len(part.shape) == 2:
            yield RowsWish(part, lot.window(f"{component}/values", part.shape[0], sampling.values))
    if not tower.num_kv_heads or not tower.head_dim:
        return
    group = tower.num_heads // tower.num_kv_heads
    head = lot.pick(f"{component}/head", tower.num_kv_heads)
    dims = lot.window(f"{component}/rotary", tower.head_dim, sampling.rotary)
    for role, first in ((Role.ATTN_Q, head * group * tower.head_dim), (Role.ATTN_K, head * tower.head_dim)):
        for layer in layers(anatomy, tower.name, role):
            part = anatomy.find(tower.name, role, layer=layer)
            if (
                layer in held
                and part is not None
                and len(part.shape) == 2
                and first + dims[-1] < part.shape[0]
            ):
                yield RowsWish(part, first + dims)


def _routers(anatomy: Anatomy, tower: str, held: Sequence[int]) -> Iterator[RowsWish]:
    left = ROUTER_BYTES
    parts = {layer: anatomy.find(tower, Role.FFN_GATE_INP, layer=layer) for layer in held}
    routed = [layer for layer in held if parts[layer] is not None]
    for layer in in_turn(routed):
        part = parts[layer]
        if part is None or len(part.shape) != 2:
            continue
        left -= part.shape[0] * part.shape[1] * _item(part)
        if left < 0:
            return
        yield RowsWish(part)


def _table(part: Part, sampling: Sampling, lot: Lot, tokens: SampledTokens) -> Iterator[RowsWish]:
    if part.axes[0] == "vocab" and (tokens.tokens or tokens.reserved):
        rows = {row for row in (*tokens.tokens.values(), *tokens.reserved.values()) if row < part.shape[0]}
        if rows:
            yield RowsWish(part, np.array(sorted(rows), dtype=np.int64))
        return
    kind = {Role.OUTPUT: "output", Role.PROJECTOR: "projector"}.get(part.role, "embedding")
    yield RowsWish(part, lot.window(f"{part.tower}.{kind}/rows", part.shape[0], sampling.tokens))


def choose_tokens(vocabulary: Vocabulary | None, sampling: Sampling, *, rows: int) -> SampledTokens:
    """The tokens of the smallest hash among those that have a row, and the unused ones likewise."""
    if vocabulary is None:
        return SampledTokens({}, {})
    inside = {
        text: row for text, row in vocabulary.ids.items() if 0 <= row < rows and len(text) <= MAX_TOKEN_LENGTH
    }
    reserved = reserved_tokens(vocabulary) & inside.keys()
    chosen = smallest_tokens(sampling.salt, inside.keys() - reserved, sampling.tokens)
    unused = smallest_tokens(sampling.salt, reserved, MAX_TOKENS)
    return SampledTokens({text: inside[text] for text in chosen}, {text: inside[text] for text in unused})
