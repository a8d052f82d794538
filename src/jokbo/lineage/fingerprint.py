"""Make a fingerprint: a few rows of a model in a file of some megabytes, and what they came from.

It stores rows, not sums of them, so the same model gives the same bytes on every machine. Rows that a model stores
otherwise than element by element (packed, block-scaled, an adapter over its base) are decoded and rounded to bfloat16.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from jokbo.architectures.base import Kind, Layout, Part
from jokbo.errors import FormatError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.formats.base import TensorCatalog, TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import RawTensor, TensorSpec, build_file, encode
from jokbo.independence.unused_tokens import MAX_TOKENS
from jokbo.lineage.card import read_card
from jokbo.lineage.sampled_rows import (
    TARGET_BYTES,
    SampledTokens,
    choose_sampling,
    choose_tokens,
    stored_type,
    wanted_rows,
)
from jokbo.sources.base import ByteRange, OpenOptions, Read, Source
from jokbo.sources.memory import MemorySource
from jokbo.sources.whole_files import write_whole
from jokbo.views.fingerprint import (
    MAX_FINGERPRINT_BYTES,
    ROWS_FILE,
    SUFFIX,
    check_fingerprint,
    open_fingerprint,
    read_header,
    read_sketch,
)
from jokbo.views.fingerprint_header import (
    FINGERPRINT_VERSION,
    MAX_TEXT,
    METADATA_KEY,
    FingerprintHeader,
    WeightFile,
    is_text,
    parse_fingerprint_header,
)
from jokbo.views.model import Model, open_model
from jokbo.views.rows import RowsWish, fetch_rows, reads_of
from jokbo.views.sampling import MAX_SALT_LENGTH, PUBLIC_SALT, Sampling
from jokbo.views.tokens import Vocabulary, reserved_tokens

__all__ = [
    "MAX_FINGERPRINT_BYTES",
    "PUBLIC_SALT",
    "SUFFIX",
    "Fingerprint",
    "FingerprintHeader",
    "check_fingerprint",
    "make_fingerprint",
    "read_header",
    "read_sketch",
]

BESIDE_ROWS_BYTES = 2 << 20
"""Kept free for the header, the tokens and the sketch."""

Blocks = dict[str, RawTensor]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A fingerprint in memory.

    Attributes
    ----------
    data : bytes
        The whole file.
    header : FingerprintHeader
    """

    data: bytes
    header: FingerprintHeader

    @property
    def sha256(self) -> str:
        """Of the file; a register knows the fingerprint by it."""
        return hashlib.sha256(self.data).hexdigest()

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the file whole or not at all.

        Raises
        ------
        UsageError
            The place cannot be written; nothing is left there.
        """
        target = Path(path)
        try:
            write_whole(target, self.data)
        except OSError as error:
            raise UsageError(f"cannot write {target}: {error.strerror}. Choose another place.") from None


def make_fingerprint(
    model: str | os.PathLike[str] | Source | Model,
    *,
    salt: str = PUBLIC_SALT,
    private: bool = False,
    options: OpenOptions | None = None,
    progress: Callable[[str, str], None] | None = None,
) -> Fingerprint:
    """Read a few rows of a model and write them down with what they came from.

    Parameters
    ----------
    model : str, path, Source or Model
    salt : str
        Decides which rows; fingerprints of one salt can be compared.
    private : bool
        Leave out the rows and keep the Gram matrices that the anchored tests need. Weight files whose SHA-256 is
        not known are read whole, so that the fingerprint is bound to them.
    options : OpenOptions, optional
    progress : callable, optional
        Called with (stage, component).

    Returns
    -------
    Fingerprint

    Raises
    ------
    UsageError
        The salt is too long, or the model is a fingerprint itself.
    JokboError
        The model cannot be read or believed.

    Examples
    --------
    >>> from jokbo.testing.builders import llama
    >>> made = make_fingerprint(llama(np.random.default_rng(0)).to_source(name="tiny"))
    >>> made.header.name, made.header.plan["units"]
    ('tiny', 64)
    """
    if not 0 < len(salt) <= MAX_SALT_LENGTH or not is_text(salt):
        raise UsageError(
            f"the salt {salt[:40]!r} has {len(salt)} characters; expected 1 to {MAX_SALT_LENGTH} that can be printed."
        )
    opened = open_model(model, options)
    try:
        if opened.sampling is not None:
            raise UsageError(f"{opened.name} is a fingerprint already. Give the model that it was made of.")
        if progress is not None:
            progress("fingerprint", "")
        if private:
            from jokbo.lineage.private import bound_to_weights

            return _make(bound_to_weights(opened, progress), salt, private)
        return _make(opened, salt, private)
    finally:
        if opened is not model and not isinstance(model, Source):
            opened.close()


def _make(model: Model, salt: str, private: bool) -> Fingerprint:
    view, config = _plain_view(model)
    catalog = _json(_catalog_document(view, config))
    room = MAX_FINGERPRINT_BYTES - BESIDE_ROWS_BYTES - len(catalog)
    sampling = choose_sampling(view, salt, limit=min(TARGET_BYTES, room), unused=_unused(model))
    tokens = choose_tokens(model.vocabulary, sampling, rows=_vocabulary_rows(model))
    held, read_bytes = _read(model, view, sampling, tokens)
    blocks = {
        "catalog": _block(catalog),
        "tokens": _block(_json(_tokens_document(model.vocabulary, tokens))),
        **held,
    }
    header = _header(model, sampling, read_bytes)
    data = _build(header, blocks)
    from jokbo.lineage.sketch import make_sketch

    whole = open_fingerprint(MemorySource({f"f{SUFFIX}": data}), f"f{SUFFIX}")
    blocks["sketch"] = _block(make_sketch(whole))
    if private:
        from jokbo.lineage.private import private_blocks

        blocks = private_blocks(whole, blocks)
        header = replace(header, private=True)
    data = _build(header, blocks)
    check_fingerprint(data, where=f"fingerprint{SUFFIX}")
    return Fingerprint(data, read_header(data, where=f"fingerprint{SUFFIX}"))


def _unused(model: Model) -> int:
    """Unused tokens whose rows will be held."""
    return 0 if model.vocabulary is None else min(len(reserved_tokens(model.vocabulary)), MAX_TOKENS)


def _vocabulary_rows(model: Model) -> int:
    """Rows of the longest table of tokens; a token that a shorter one lacks is passed over there."""
    return max(
        (p.shape[0] for p in model.anatomy.parts if p.axes[:1] == ("vocab",) and len(p.shape) == 2), default=0
    )


def _plain_view(model: Model) -> tuple[Model, dict[str, object] | None]:
    """The same tensors as if each were stored element by element, in one file, in the order of their names.

    How a checkpoint is cut into files, and in which order it lists its tensors, then changes nothing.
    """
    from jokbo.architectures.matching import match

    parts: dict[str, list[Part]] = {}
    for part in model.anatomy.parts:
        parts.setdefault(part.entry.name, []).append(part)
    entries: dict[str, TensorEntry] = {}
    position = 0
    for name, entry in sorted(model.catalog.items()):
        mine = parts.get(name, [])
        if mine and all(part.kind is Kind.SCALE for part in mine):
            continue
        dtype = stored_type(entry, scaled=any(part.scale is not None for part in mine))
        size = entry.size * dtype.itemsize
        entries[name] = TensorEntry(name, dtype, entry.shape, ROWS_FILE, ByteRange(position, position + size))
        position += size
    config = None if model.config is None else dict(model.config)
    if config is not None:
        config.pop("quantization_config", None)  # the rows are held decoded
    catalog = TensorCatalog(entries, model.catalog.header_sha256)
    return Model(model.source, catalog, config, match(catalog, config)), config


def _read(model: Model, view: Model, sampling: Sampling, tokens: SampledTokens) -> tuple[Blocks, int]:
    """Fetch the rows and lay them where the plain view has them: the blocks, and the bytes read."""
    wanted = _merged(wanted_rows(view, sampling, tokens))
    stored = {(part.entry.name, part.layout): part for part in model.anatomy.parts}
    wishes = [RowsWish(_same_part(model, stored, part), rows) for part, rows in wanted]
    scales = {w.part.scale.name: w.part.scale for w in wishes if w.part.scale is not None}
    counted = [entry.span.size for entry in scales.values()]

    def count(reads: Iterable[Read], answers: Iterable[bytes]) -> None:
        counted.extend(map(len, answers))

    pieces: dict[int, bytes] = {}
    for (here, numbers), rows in zip(wanted, fetch_rows(model, wishes, observe=count), strict=True):
        data = encode(rows.T if here.layout.transposed else rows, here.entry.dtype)
        position = 0
        for read in reads_of(RowsWish(here, numbers)):
            piece = data[position : position + read.range.size]
            pieces[read.range.start] = max(pieces.get(read.range.start, b""), piece, key=len)
            position += read.range.size
    return _spans(pieces), sum(counted)


def _same_part(model: Model, stored: Mapping[tuple[str, Layout], Part], part: Part) -> Part:
    """The part as it is stored that the plain view has at the same place."""
    found = stored.get((part.entry.name, part.layout))
    if found is None or (found.role, found.shape) != (part.role, part.shape):
        raise FormatError(
            f"{model.name}: tensor {part.entry.name!r} is read otherwise once it is decoded; no fingerprint can hold "
            "it. Convert the checkpoint to a plain type first."
        )
    return found


def _merged(wishes: Iterable[RowsWish]) -> list[RowsWish]:
    """One wish a matrix, its rows ascending and once each."""
    found: dict[tuple[str, Layout], tuple[Part, set[int]]] = {}
    for part, rows in wishes:
        numbers = range(part.shape[0]) if rows is None else rows.tolist()
        found.setdefault((part.entry.name, part.layout), (part, set()))[1].update(numbers)
    return [RowsWish(part, np.array(sorted(rows), dtype=np.int64)) for part, rows in found.values() if rows]


def _spans(pieces: Mapping[int, bytes]) -> Blocks:
    """The ranges held, neighbours joined, and their bytes; what two logical matrices share is held once."""
    spans: list[list[int]] = []
    held: list[bytes] = []
    for start in sorted(pieces):
        done = spans[-1][1] if spans else -1
        data = pieces[start][max(done - start, 0) :]
        if not data:
            continue
        if start <= done:
            spans[-1][1] = done + len(data)
        else:
            spans.append([start, start + len(data)])
        held.append(data)
    array = np.array(spans, dtype="<i8").reshape(-1, 2)
    return {
        "spans": RawTensor(TensorSpec(DType.I64, array.shape), array.tobytes()),
        "rows": _block(b"".join(held)),
    }


def _block(data: bytes) -> RawTensor:
    return RawTensor(TensorSpec(DType.U8, (len(data),)), data)


def _json(document: object) -> bytes:
    """Sorted, and in ASCII: tokens may hold what UTF-8 cannot, and a configuration what strict JSON cannot."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def _catalog_document(view: Model, config: Mapping[str, object] | None) -> dict[str, object]:
    return {
        "config": config,
        "tensors": [[e.name, e.dtype.name, list(e.shape)] for e in view.catalog.values()],
    }


def _tokens_document(vocabulary: Vocabulary | None, tokens: SampledTokens) -> dict[str, object]:
    return {
        "size": None if vocabulary is None else len(vocabulary),
        "tokens": [[text, row] for text, row in tokens.tokens.items()],
        "reserved": [[text, row] for text, row in tokens.reserved.items()],
    }


def _tokenizer(vocabulary: Vocabulary | None) -> dict[str, object]:
    """Its size, its merges, and a digest of both: equal tokenizers are seen, and no more."""
    if vocabulary is None:
        return {}
    document = [sorted(vocabulary.ids.items()), list(vocabulary.merges), sorted(vocabulary.special)]
    return {
        "size": len(vocabulary),
        "merges": len(vocabulary.merges),
        "special": len(vocabulary.special),
        "sha256": hashlib.sha256(_json(document)).hexdigest(),
    }


def _header(model: Model, sampling: Sampling, read_bytes: int) -> FingerprintHeader:
    towers = model.anatomy.towers.values()
    main = max(towers, key=lambda tower: tower.hidden_size * tower.num_layers, default=None)
    source = model.source
    return FingerprintHeader(
        version=FINGERPRINT_VERSION,
        name=_sayable(source.identity.name),
        kind=source.identity.kind,
        commit=source.identity.commit,
        digest=model.digest,
        digest_covers=model.digest_covers,
        files=tuple(
            WeightFile(file, source.files[file].size, source.files[file].sha256, header)
            for file, header in sorted(model.catalog.header_sha256.items())
        ),
        family=model.anatomy.family,
        model_type=model.anatomy.model_type,
        parameters=model.catalog.parameters,
        data_bytes=model.catalog.data_bytes,
        hidden_size=0 if main is None else main.hidden_size,
        num_layers=0 if main is None else main.num_layers,
        read_bytes=read_bytes,
        salt=sampling.salt,
        plan={name: getattr(sampling, name) for name in ("units", "values", "rotary", "tokens")},
        layers=sampling.layers,
        declared=read_card(source),
        tokenizer=_tokenizer(model.vocabulary),
    )


def _sayable(name: str) -> str:
    """A name that every JSON file can hold: a folder's may be no Unicode, an address very long."""
    return name.encode("utf-8", "replace").decode()[:MAX_TEXT]


def _build(header: FingerprintHeader, blocks: Mapping[str, RawTensor]) -> bytes:
    digests = {name: hashlib.sha256(block.data).hexdigest() for name, block in sorted(blocks.items())}
    text = canonical_bytes(replace(header, blocks=digests).to_document()).decode()
    parse_fingerprint_header(text, where=header.name)  # what others would refuse is not written
    return build_file(blocks, {METADATA_KEY: text})
