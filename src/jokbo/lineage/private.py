"""A private fingerprint: Gram matrices in place of rows, for a company that cannot show its weights.

What stays: names and shapes of the tensors and the configuration; digests of the weight files and of the tokenizer;
of each layer held, the cosines among 64 neighbouring units (gate rows with one another, up rows with one another, and
each unit's gate with its up row), how the norms of these rows rank, and the cosines among 32 neighbouring value rows;
and of the sketch the signs of the same cosines. What goes: every row, norm gain, token text and embedding row, and
every part of the sketch that is made of them. ``docs/explanation/private-fingerprints.md`` says what can be
recovered from what stays.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from jokbo.architectures.base import Role
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import RawTensor, TensorSpec
from jokbo.independence.plan import Lot
from jokbo.lineage.sketch_format import GRAM, parse_sketch, write_sketch
from jokbo.sources.digested import DigestedSource
from jokbo.views.component import Block, Component, ComponentKind, blocks, layers
from jokbo.views.gram_blocks import write_grams
from jokbo.views.ledger import Ledger
from jokbo.views.model import Model
from jokbo.views.private_grams import Axis, HeldGrams, Place, make_grams
from jokbo.views.rows import RowsWish, rows_held
from jokbo.views.samples import UNIT_ROLES, UnitRows, fetch_heads, fetch_units

MIN_ROWS = 2
"""A single row has no cosines with others."""

DROPPED = frozenset({"spans", "rows", "tokens", "sketch"})


def bound_to_weights(model: Model, progress: Callable[[str, str], None] | None = None) -> Model:
    """The same model, the SHA-256 of every weight file known: what a private fingerprint is held to later.

    Files whose digest the source does not name (large local ones) are read whole.
    """
    files = sorted(model.catalog.header_sha256)
    if all(model.source.files[file].sha256 for file in files):
        return model

    def tell(file: str) -> None:
        if progress is not None:
            progress("digest", file)

    return Model(DigestedSource(model.source, files, tell=tell), model.catalog, model.config, model.anatomy)


def private_blocks(whole: Model, given: Mapping[str, RawTensor]) -> dict[str, RawTensor]:
    """Take the rows out of a fingerprint and put their Gram matrices in.

    Parameters
    ----------
    whole : Model
        The fingerprint with its rows, opened.
    given : mapping of str to RawTensor
        Its blocks.

    Returns
    -------
    dict
        Blocks of the private fingerprint.

    Raises
    ------
    FormatError
        The sketch is malformed.
    """
    index, data = write_grams(dict(gram_places(whole)))
    tokens = json.loads(given["tokens"].data) | {"tokens": [], "reserved": []}
    return {
        **{name: block for name, block in given.items() if name not in DROPPED},
        "tokens": _block(json.dumps(tokens, sort_keys=True, separators=(",", ":")).encode("ascii")),
        "gram_index": _block(index),
        "grams": RawTensor(TensorSpec(DType.I16, (len(data) // 2,)), data),
        "sketch": _block(private_sketch(given["sketch"].data)),
    }


def private_sketch(data: bytes) -> bytes:
    """What of a sketch can be computed from the Gram matrices held: the signs of the cosines among units."""
    sketch = parse_sketch(data)
    return write_sketch(sketch.salt, [section for section in sketch.sections if section.kind == GRAM])


def gram_places(model: Model) -> Iterator[tuple[Place, HeldGrams]]:
    """The Gram matrices of every row that a fingerprint holds for the tests of units and of value channels."""
    assert model.sampling is not None
    sampling = model.sampling
    lot = Lot(0, "", "", sampling.salt)
    ledger = Ledger(model, budget_bytes=1 << 62)
    for tower in model.anatomy.towers:
        for kind in (ComponentKind.MLP, ComponentKind.EXPERTS):
            component = Component(tower, kind)
            for block in blocks(model.anatomy, component):
                parts = [
                    model.anatomy.find(tower, role, layer=block.layer, expert=block.expert)
                    for role in UNIT_ROLES
                ]
                known = [part for part in parts if part is not None and len(part.shape) == 2]
                size = min(part.shape[0] for part in known)
                rows = lot.window(f"{component}/units", size, sampling.units)
                if len(rows) >= MIN_ROWS and rows_held(model, [RowsWish(part, rows) for part in known]):
                    yield (
                        Place(tower, Axis.UNITS, block),
                        make_grams(fetch_units(ledger, tower, [block], rows)),
                    )
        for layer in layers(model.anatomy, tower, Role.ATTN_V):
            part = model.anatomy.find(tower, Role.ATTN_V, layer=layer)
            if part is None or len(part.shape) != 2:
                continue
            rows = lot.window(
                f"{Component(tower, ComponentKind.ATTENTION)}/values", part.shape[0], sampling.values
            )
            if len(rows) >= MIN_ROWS and rows_held(model, [RowsWish(part, rows)]):
                heads = fetch_heads(ledger, tower, Role.ATTN_V, [layer], rows)
                own = UnitRows((Block(layer),), np.asarray(rows), {Role.ATTN_V: heads.rows})
                yield Place(tower, Axis.VALUES, Block(layer)), make_grams(own)


def _block(data: bytes) -> RawTensor:
    return RawTensor(TensorSpec(DType.U8, (len(data),)), data)
