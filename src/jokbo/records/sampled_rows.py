"""Rows of a checkpoint in place of the whole: drawn so that nobody can choose them.

Which rows follows from a seed and from the digests of *all* weights of the record, so that the maker
cannot pick rows without changing weights, and every checkpoint shows the same rows of a tensor. A file
holds ``rows/<tensor>`` (stored type) and ``index/<tensor>`` (I64), and in its metadata
``shape/<tensor>`` = "rows,columns" and ``dtype/<tensor>``. Axes before the last are counted together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from jokbo.evidence.canonical import digest as canonical_digest
from jokbo.formats.base import TensorCatalog, TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import TensorSpec, build_header, encode, storage_order
from jokbo.sources.base import ByteRange, Read, Source

SUFFIX = ".rows.safetensors"
MAX_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Draw:
    """Decides rows: `n_rows` of each tensor, from a seed and what `digests` of the record's weights say."""

    n_rows: int
    seed: int
    digests: str

    def rows(self, name: str, total: int) -> Int64[np.ndarray, " rows"]:
        """Rows of one tensor, ascending; all where it has no more.

        Examples
        --------
        >>> Draw(3, 0, "00").rows("w", 2)
        array([0, 1])
        """
        if total <= self.n_rows:
            return np.arange(total, dtype=np.int64)
        text = f"jokbo-rows-1|{self.seed}|{self.digests}|{total}|{name}"
        rng = np.random.Generator(
            np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big"))
        )
        return np.sort(rng.choice(total, self.n_rows, replace=False)).astype(np.int64)


def weights_digest(files: Mapping[str, str]) -> str:
    """What names a checkpoint's weights: the SHA-256 of its one file, or of the table of its files' digests.

    Parameters
    ----------
    files : mapping of str to str
        Name of a weight file, relative to the checkpoint's folder -> its SHA-256.

    Examples
    --------
    >>> weights_digest({"model.safetensors": "ab"})
    'ab'
    """
    return next(iter(files.values())) if len(files) == 1 else canonical_digest(dict(files))


def combined_digest(digests: Mapping[str, str]) -> str:
    """One digest of the weights of every checkpoint, by name: what decides the rows."""
    return canonical_digest(dict(digests))


def sides(entry: TensorEntry) -> tuple[int, int]:
    """Rows and columns of a stored tensor: a vector of n is (n, 1)."""
    if len(entry.shape) < 2:
        return (entry.size, 1)
    return (entry.size // entry.shape[-1] if entry.shape[-1] else 0, entry.shape[-1])


def write_rows(source: Source, catalog: TensorCatalog, draw: Draw, target: Path) -> None:
    """Write the sampled rows of a checkpoint, one tensor in memory at a time.

    Raises
    ------
    SourceError
        The checkpoint cannot be read.
    """
    chosen = {
        name: (entry, draw.rows(name, sides(entry)[0]))
        for name, entry in catalog.entries.items()
        if entry.dtype.is_weight and entry.size
    }
    specs: dict[str, TensorSpec] = {}
    metadata: dict[str, str] = {}
    for name, (entry, rows) in chosen.items():
        n_rows, n_cols = sides(entry)
        kept = DType.F32 if entry.codec is not None else entry.dtype
        specs[f"rows/{name}"] = TensorSpec(kept, (len(rows), n_cols))
        specs[f"index/{name}"] = TensorSpec(DType.I64, (len(rows),))
        metadata[f"shape/{name}"] = f"{n_rows},{n_cols}"
        metadata[f"dtype/{name}"] = entry.stored_type
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        file.write(build_header(specs, metadata))
        for key in storage_order(specs):
            kind, _, name = key.partition("/")
            entry, rows = chosen[name]
            if kind == "index":
                file.write(encode(rows, DType.I64))
            else:
                file.writelines(_stored_rows(source, entry, rows))


def _stored_rows(source: Source, entry: TensorEntry, rows: Int64[np.ndarray, " rows"]) -> Iterator[bytes]:
    if entry.codec is not None:
        values = entry.codec.decode(rows, source.read_many(entry.codec.plan(rows)))
        yield encode(values, DType.F32)
        return
    width = sides(entry)[1] * entry.dtype.itemsize
    reads = [
        Read(
            entry.file, ByteRange(entry.span.start + int(r) * width, entry.span.start + (int(r) + 1) * width)
        )
        for r in rows
    ]
    yield from source.read_many(reads)
