"""The sketch of a fingerprint: a few signs of its rows, enough to say which models a search must test in full.

Signs of rows keep the agreement of two models that share a basis: of two rows at cosine ``c`` a share
``1/2 + arcsin(c) / pi`` of the signs is equal (Grothendieck's identity; Charikar, "Similarity estimation techniques
from rounding algorithms", STOC 2002). A rotation of the residual stream scrambles these signs and leaves the Gram
matrix of the units, so its signs are kept as well. Rows are scaled to whole numbers before they are multiplied: sums of
whole numbers below 2^53 are exact in any order, so a sketch is the same, bit for bit, on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Int, UInt8

from jokbo.architectures.base import Kind, Role, Tower
from jokbo.independence.plan import Lot, ReadingPlan
from jokbo.lineage.sketch_format import (
    GRAM,
    HASHED,
    NORMS,
    ROTARY,
    TABLE_CHANNELS,
    TABLE_ROWS,
    TIERS,
    UNITS,
    VALUES,
    Section,
    pack_signs,
    rows_kept,
    tiers_of,
    write_sketch,
)
from jokbo.views.component import Block, Component, ComponentKind, blocks, components, layers
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model
from jokbo.views.rows import RowsWish, rows_held
from jokbo.views.samples import UNIT_ROLES, fetch_heads, fetch_matrix_rows, fetch_norms, fetch_units
from jokbo.views.sampling import PUBLIC_SALT, smallest_tokens, token_rank
from jokbo.views.tokens import reserved_tokens

MAX_BLOCKS = 24
"""Layers of the largest tower that a sketch speaks of, spread over its depth."""

MAX_TOWERS = 4
OTHER_BLOCKS = 6
"""Layers of each further tower."""

ROWS = 64
"""Units a block, and reserved tokens."""

ROTARY_ROWS = 8
"""Query rows, and as many key rows, of each layer."""

MIN_RESERVED = 16
GATED, PLAIN = "gated", "plain"
LARGEST = 32767


def make_sketch(model: Model, *, salt: str | None = None, private: bool = False) -> bytes:
    """Make the sketch of a model from rows that a fingerprint of the same salt holds.

    Parameters
    ----------
    model : Model
        A fingerprint opened as a model, or a whole model.
    salt : str, optional
        Of a whole model: what its rows are chosen by. A fingerprint has its own.
    private : bool
        Keep signs of Gram matrices alone, and none of a row.

    Returns
    -------
    bytes
        At most :data:`~jokbo.lineage.sketch_format.MAX_SKETCH_BYTES`.

    Examples
    --------
    >>> from jokbo.lineage.sketch_format import parse_sketch
    >>> from jokbo.testing.builders import llama
    >>> from jokbo.views.model import open_model
    >>> model = open_model(llama(np.random.default_rng(0)).to_source(name="m"))
    >>> sorted({section.kind for section in parse_sketch(make_sketch(model)).sections})
    ['norms', 'output', 'rotary', 'token_embd', 'unit_gram', 'units', 'values']
    """
    salt = model.sampling.salt if model.sampling is not None else salt or PUBLIC_SALT
    maker = _Maker(model, Lot(0, "", "", salt), salt)
    found = [section for section in maker.sections() if section is not None]
    return write_sketch(salt, [s for s in found if not private or s.kind in (GRAM, HASHED)])


class _Maker:
    """Reads the rows of one model's sketch, tower by tower."""

    def __init__(self, model: Model, lot: Lot, salt: str) -> None:
        self.model = model
        self.lot = lot
        self.salt = salt
        self.plan = model.sampling or ReadingPlan()
        self.ledger = Ledger(model, budget_bytes=1 << 62)

    def sections(self) -> Iterator[Section | None]:
        for tower, most in _towers(self.model):
            yield from self._units(tower, most)
            yield from self._attention(tower, most)
            yield self._norms(tower, most)
            for role in (Role.TOKEN_EMBD, Role.OUTPUT):
                yield self._table(tower, role)
            yield self._reserved(tower)

    def _chosen(self, tower: str, found: Sequence[int], most: int) -> list[int]:
        """At most `most` of the layers held, spread over them."""
        sampling = self.model.sampling
        held = None if sampling is None else set(sampling.layers.get(tower, ()))
        mine = [layer for layer in found if held is None or layer in held]
        return _spread(mine, most)

    # MLP units ------------------------------------------------------------------------------------------------------

    def _units(self, tower: str, most: int) -> Iterator[Section | None]:
        wanted: dict[tuple[int, int], list[Block]] = {}
        for kind in (ComponentKind.MLP, ComponentKind.EXPERTS):
            found = blocks(self.model.anatomy, Component(tower, kind))
            for layer in self._chosen(tower, sorted({b.layer for b in found}), most):
                block = self._block(tower, [b for b in found if b.layer == layer])
                part = block and self.model.anatomy.find(
                    tower, Role.FFN_UP, layer=block.layer, expert=block.expert
                )
                if block is not None and part is not None:
                    wanted.setdefault((part.shape[0], part.shape[1]), []).append(block)
        for (count, width), mine in sorted(wanted.items()):
            yield from self._unit_sections(tower, count, width, mine[:most])

    def _block(self, tower: str, among: list[Block]) -> Block | None:
        """The layer's MLP, or the expert of it that fingerprints of this salt hold."""
        routed = [b for b in among if b.expert is not None and not b.expert.shared]
        if routed:
            first = self.lot.sample(f"{tower}.experts/experts/{routed[0].layer}", len(routed), 1)
            among = [routed[first[0]], *routed, *among]
        return next((b for b in among if rows_held(self.model, self._unit_wishes(tower, b))), None)

    def _window(self, tower: str, count: int) -> Int[np.ndarray, " m"]:
        # A window is named by its tower and its axis, so that experts and a dense MLP of one width agree.
        window = self.lot.window(f"{tower}.{ComponentKind.MLP}/units", count, self.plan.units)
        return window[: rows_kept(UNITS, len(window))]

    def _unit_wishes(self, tower: str, block: Block) -> list[RowsWish]:
        parts = [
            self.model.anatomy.find(tower, role, layer=block.layer, expert=block.expert)
            for role in UNIT_ROLES
        ]
        return [RowsWish(part, self._window(tower, part.shape[0])) for part in parts if part is not None]

    def _unit_sections(self, tower: str, count: int, width: int, mine: list[Block]) -> Iterator[Section]:
        signs, grams, places = [], [], []
        window = self._window(tower, count)
        for block in mine:
            found = fetch_units(self.ledger, tower, [block], window)
            # The first role: gates where there are gates, which no sign of a unit flips.
            rows = next(iter(found.rows.values()))[0]
            signs.append(self._tiers(UNITS, rows))
            grams.append(gram_signs(rows))
            places.append((block.layer, block.expert.index if block.expert else -1))
        here = tuple(places)
        facts = self.model.anatomy.towers.get(tower)
        depth = 0 if facts is None else facts.num_layers
        # Gate rows of one model are never held against up rows of another.
        shape = f"{GATED if facts is not None and facts.gated else PLAIN}x{count}"
        yield Section(UNITS, tower, f"{shape}x{width}", depth, here, len(window), np.stack(signs))
        if len(window) >= MIN_RESERVED:
            yield Section(GRAM, tower, shape, depth, here, len(window), np.stack(grams))

    def _tiers(self, kind: str, rows: Float32[np.ndarray, "rows width"]) -> UInt8[np.ndarray, " bytes"]:
        """Signs of rows, the later ones in fewer channels."""
        packed, start = [], 0
        channels = chosen_channels(self.salt, rows.shape[1], max(most for _, most in TIERS[kind]))
        for count, width in tiers_of(kind, rows.shape[1], len(rows)):
            packed.append(pack_signs(rows[start : start + count, channels[:width]] > 0))
            start += count
        return np.concatenate(packed)

    # Attention ------------------------------------------------------------------------------------------------------

    def _attention(self, tower: str, most: int) -> Iterator[Section | None]:
        facts = self.model.anatomy.towers.get(tower)
        chosen = self._chosen(tower, layers(self.model.anatomy, tower, Role.ATTN_V), most)
        parts = [self.model.anatomy.find(tower, Role.ATTN_V, layer=layer) for layer in chosen]
        chosen = [layer for layer, part in zip(chosen, parts, strict=True) if part and len(part.shape) == 2]
        if facts is None or not chosen:
            return
        shape = self._shape(tower, Role.ATTN_V, chosen[0])
        chosen = [layer for layer in chosen if self._shape(tower, Role.ATTN_V, layer) == shape]
        index = self.lot.window(f"{tower}.attention/values", shape[0], self.plan.values)
        index = index[: rows_kept(VALUES, len(index))]
        yield self._heads(VALUES, tower, chosen, [(Role.ATTN_V, index)], f"{shape[0]}x{shape[1]}", facts)
        yield self._rotary(tower, chosen, facts)

    def _rotary(self, tower: str, chosen: list[int], facts: Tower) -> Section | None:
        """The first query and key rows of the head that the exam of attention picks."""
        expected = (facts.num_heads * facts.head_dim, facts.num_kv_heads * facts.head_dim)
        shapes = [self._shape(tower, role, chosen[0])[:1] for role in (Role.ATTN_Q, Role.ATTN_K)]
        symmetry = facts.symmetries.get("rotary_sign")
        plain = shapes == [(n,) for n in expected] and all(expected)
        if symmetry is None or not symmetry.holds or not plain:
            return None
        group = facts.num_heads // max(facts.num_kv_heads, 1)
        head = self.lot.pick(f"{tower}.attention/head", facts.num_kv_heads)
        dims = self.lot.window(f"{tower}.attention/rotary", facts.head_dim, self.plan.rotary)[:ROTARY_ROWS]
        rows = [
            (Role.ATTN_Q, head * group * facts.head_dim + dims),
            (Role.ATTN_K, head * facts.head_dim + dims),
        ]
        width = self._shape(tower, Role.ATTN_Q, chosen[0])[1]
        key = f"{facts.num_heads},{facts.num_kv_heads},{facts.head_dim},{facts.rotary_dim}x{width}"
        return self._heads(ROTARY, tower, chosen, rows, key, facts)

    def _heads(
        self,
        kind: str,
        tower: str,
        chosen: list[int],
        wanted: list[tuple[Role, Int[np.ndarray, " rows"]]],
        key: str,
        facts: Tower,
    ) -> Section | None:
        kept = [layer for layer in chosen if self._holds_heads(tower, layer, wanted)]
        if not kept:
            return None
        stacks = [fetch_heads(self.ledger, tower, role, kept, index).rows for role, index in wanted]
        rows = np.concatenate(stacks, axis=1)
        data = np.stack([self._tiers(kind, layer) for layer in rows])
        places = tuple((layer, -1) for layer in kept)
        return Section(kind, tower, key, facts.num_layers, places, rows.shape[1], data)

    def _holds_heads(
        self, tower: str, layer: int, wanted: list[tuple[Role, Int[np.ndarray, " rows"]]]
    ) -> bool:
        wishes = []
        for role, index in wanted:
            part = self.model.anatomy.find(tower, role, layer=layer)
            if part is None or len(part.shape) != 2 or index.max(initial=0) >= part.shape[0]:
                return False
            wishes.append(RowsWish(part, index))
        return rows_held(self.model, wishes)

    def _shape(self, tower: str, role: Role, layer: int) -> tuple[int, ...]:
        part = self.model.anatomy.find(tower, role, layer=layer)
        return () if part is None else part.shape

    # Channels -------------------------------------------------------------------------------------------------------

    def _norms(self, tower: str, most: int) -> Section | None:
        """Which gains of each norm lie above its median: by rank, as the exact test sees them."""
        facts = self.model.anatomy.towers.get(tower)
        if facts is None or facts.hidden_size < 16:
            return None
        chosen = set(self._chosen(tower, range(facts.num_layers), most))
        channels = chosen_channels(self.salt, facts.hidden_size, TABLE_CHANNELS)
        signs, places = [], []
        for norm in fetch_norms(self.ledger, tower, channels=facts.hidden_size):
            role = _NORM_ROLES.get(norm.role)
            if role is None or norm.kind is not Kind.WEIGHT or np.ptp(norm.values) == 0:
                continue  # gains that nothing moved are equal in every model
            if norm.layer is None or norm.layer in chosen:
                signs.append(pack_signs((norm.values > np.median(norm.values))[None, channels]))
                places.append((-1 if norm.layer is None else norm.layer, role))
        if not signs:
            return None
        order = sorted(range(len(places)), key=lambda k: places[k])
        data = np.stack([signs[k] for k in order])
        return Section(
            NORMS, tower, f"{facts.hidden_size}", facts.num_layers, tuple(places[k] for k in order), 1, data
        )

    def _table(self, tower: str, role: Role) -> Section | None:
        part = next((p for p in self.model.anatomy.select(tower, role) if len(p.shape) == 2), None)
        if part is None or part.axes[1] != "hidden":
            return None
        if part.axes[0] == "vocab" and self.model.vocabulary is not None:
            tokens = self._tokens(self.model.vocabulary.ids, self._vocabulary_rows(), TABLE_ROWS)
        else:
            component = Component(
                tower, ComponentKind.OUTPUT if role is Role.OUTPUT else ComponentKind.EMBEDDING
            )
            window = self.lot.window(f"{component}/rows", part.shape[0], self.plan.tokens)[:TABLE_ROWS]
            tokens = {f"\0{part.shape[0]}\0{row}": int(row) for row in window}
        if not tokens or not rows_held(self.model, [RowsWish(part, np.array(list(tokens.values())))]):
            return None
        rows = fetch_matrix_rows(self.ledger, part, np.array(list(tokens.values())))
        channels = chosen_channels(self.salt, part.shape[1], TABLE_CHANNELS)
        signs = pack_signs(rows[:, channels] > 0)
        return self._hashed(role.value, tower, f"{part.shape[1]}", list(tokens), signs)

    def _reserved(self, tower: str) -> Section | None:
        """Signs of the Gram matrix of reserved tokens' rows, which no disguise of the whole model reaches."""
        part = next((p for p in self.model.anatomy.select(tower, Role.TOKEN_EMBD) if len(p.shape) == 2), None)
        vocabulary = self.model.vocabulary
        if part is None or vocabulary is None or part.axes[0] != "vocab" or self.model.anatomy.tied_output:
            return None
        known = {text: vocabulary.ids[text] for text in reserved_tokens(vocabulary) if text in vocabulary.ids}
        tokens = self._tokens(known, self._vocabulary_rows(), ROWS)
        wish = RowsWish(part, np.array(list(tokens.values()), dtype=np.int64))
        if len(tokens) < MIN_RESERVED or not rows_held(self.model, [wish]):
            return None
        rows = fetch_matrix_rows(self.ledger, part, wish.rows)
        return self._hashed(HASHED, tower, f"{len(tokens)}", list(tokens), gram_signs(rows))

    def _vocabulary_rows(self) -> int:
        """Rows that every vocabulary-sized table has, as for a fingerprint."""
        tables = (p for p in self.model.anatomy.parts if p.axes[:1] == ("vocab",) and len(p.shape) == 2)
        return min((p.shape[0] for p in tables), default=0)

    def _tokens(self, ids: Mapping[str, int], rows: int, count: int) -> dict[str, int]:
        inside = {text: row for text, row in ids.items() if 0 <= row < rows}
        return {text: inside[text] for text in smallest_tokens(self.salt, inside, count)}

    def _hashed(
        self, kind: str, tower: str, key: str, texts: list[str], data: UInt8[np.ndarray, " bytes"]
    ) -> Section:
        """A section whose rows are known by the hash of their text, so that vocabularies of any order meet."""
        places = tuple((int.from_bytes(token_rank(self.salt, text)[:4], "big") >> 1, -1) for text in texts)
        return Section(kind, tower, key, 0, places, len(texts), data[None])


_NORM_ROLES = {Role.ATTN_NORM: 0, Role.FFN_NORM: 1, Role.OUTPUT_NORM: 2}


def _towers(model: Model) -> list[tuple[str, int]]:
    """The towers that a sketch covers, largest first, and how many layers of each."""
    sizes: dict[str, int] = {}
    for component, size in components(model.anatomy).items():
        sizes[component.tower] = sizes.get(component.tower, 0) + size
    ordered = sorted(sizes, key=lambda tower: (-sizes[tower], tower))[:MAX_TOWERS]
    return [(tower, MAX_BLOCKS if k == 0 else OTHER_BLOCKS) for k, tower in enumerate(ordered)]


def _spread(found: Sequence[int], most: int) -> list[int]:
    """At most `most` of them, one from each stretch.

    Examples
    --------
    >>> _spread(range(32), 4)
    [0, 8, 16, 24]
    """
    if len(found) <= most:
        return list(found)
    return [found[k * len(found) // most] for k in range(most)]


def chosen_channels(salt: str, width: int, count: int) -> Int[np.ndarray, " channels"]:
    """`count` channels of `width`, by the salt and the width alone; the first of them are those of a smaller count."""
    if width <= count:
        return np.arange(width)
    bits = np.random.PCG64(int.from_bytes(token_rank(salt, f"\0channels {width}"), "big"))
    return np.argsort(bits.random_raw(width), kind="stable")[:count]


def gram_signs(rows: Float32[np.ndarray, "m width"]) -> UInt8[np.ndarray, " bytes"]:
    """Signs of the doubly centred cosines of each two rows, in an order whose beginning is that of fewer rows.

    Examples
    --------
    >>> rows = np.random.default_rng(0).standard_normal((16, 300)).astype(np.float32)
    >>> turn = np.linalg.qr(np.random.default_rng(1).standard_normal((300, 300)))[0].astype(np.float32)
    >>> bool((gram_signs(rows) == gram_signs(-rows)).all()), len(gram_signs(rows))
    (True, 15)
    """
    top = np.abs(rows).max(axis=1, keepdims=True).astype(np.float64)
    whole = np.rint(rows.astype(np.float64) * (LARGEST / np.maximum(top, 1e-300)))
    gram = whole @ whole.T  # sums of whole numbers below 2^53: exact in any order
    size = np.sqrt(np.maximum(np.diag(gram), 1.0))
    cosines = np.rint(gram / size[:, None] / size[None, :] * (1 << 30)).astype(np.int64)
    np.fill_diagonal(cosines, 0)
    m = len(cosines)
    sums = cosines.sum(axis=0)
    # Means over the others of a row, and over all: times (m - 1) and m (m - 1), so that everything stays whole.
    centred = cosines * (m * (m - 2)) - (sums[:, None] + sums[None, :]) * m + sums.sum() * m // (m - 1)
    lower = np.tril_indices(m, -1)
    return pack_signs(centred[lower][None] > 0)
