"""Very large checkpoints that take little disk: real headers, and bytes only where rows are wanted.

Files are cut to their full length and only the rows asked for are written; the
rest are holes that read as zeros on any file system with sparse files. Row
values come from a counter-based generator keyed by (seed, tensor, row), so a
row is the same whoever asks for it, and a derived model needs no reference in memory.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int

from jokbo.errors import NotFoundError, UsageError
from jokbo.formats import safetensors
from jokbo.formats.base import TensorCatalog, run_plan
from jokbo.formats.dtypes import DType
from jokbo.formats.writer import (
    INDEX_FILE,
    TensorSpec,
    build_header,
    build_index,
    encode,
    plan_shards,
    save_files,
)
from jokbo.sources.local import LocalSource
from jokbo.testing.tables import Shape


@dataclass(frozen=True, slots=True)
class FilledRows:
    """Rows of one tensor and their values; a vector is one row."""

    rows: Int[np.ndarray, " n"]
    values: Float32[np.ndarray, "n cols"]


@dataclass(frozen=True, slots=True)
class RowSource:
    """Values of any row of a model that is never held as a whole.

    Attributes
    ----------
    seed : int
        Models of different seeds are independent.
    std : float
        Standard deviation of the elements; vectors lie round one with a tenth of spread.
    parent : RowSource or None
        The model this one is derived from.
    cosine : float
        Expected cosine of each row with the parent's.
    """

    seed: int
    std: float = 0.02
    parent: RowSource | None = None
    cosine: float = 1.0

    def row(self, name: str, row: int, cols: int) -> Float32[np.ndarray, " cols"]:
        """Standardised values of one row."""
        key = hashlib.blake2b(f"{self.seed}\0{name}\0{row}".encode(), digest_size=16).digest()
        generator = np.random.Generator(np.random.Philox(key=np.frombuffer(key, dtype=np.uint64)))
        fresh = generator.standard_normal(cols, dtype=np.float32)
        if self.parent is None:
            return fresh
        sine = np.float32(np.sqrt(1 - self.cosine**2))
        return np.float32(self.cosine) * self.parent.row(name, row, cols) + sine * fresh

    def rows(self, name: str, shape: Shape, rows: Sequence[int] | None = None) -> FilledRows:
        """Some rows of a tensor (leading axes flattened), or all of them.

        Examples
        --------
        >>> RowSource(7).rows("w", (8, 4), [2, 5]).values.shape
        (2, 4)
        """
        cols = shape[-1]
        total = int(np.prod(shape[:-1], dtype=np.int64))
        chosen = np.arange(total) if rows is None else np.asarray(rows, dtype=np.int64)
        values = np.empty((chosen.size, cols), dtype=np.float32)
        for i, row in enumerate(chosen):
            values[i] = self.row(name, int(row), cols)
        return FilledRows(chosen, 1 + 0.1 * values if len(shape) == 1 else np.float32(self.std) * values)


Filler = Callable[[str, Shape], FilledRows | None]


def sparse_checkpoint(
    folder: str | Path,
    shapes: Mapping[str, Shape],
    *,
    config: Mapping[str, Any] | None = None,
    filled: Filler | None = None,
    dtype: DType = DType.BF16,
    dtypes: Mapping[str, DType] | None = None,
    shard_bytes: int | None = 5_000_000_000,
) -> Path:
    """Write a checkpoint of any size, sharded with an index, with holes for rows not asked for.

    Parameters
    ----------
    folder : path
        Made if need be.
    shapes : mapping of str to tuple of int
        The tensor table.
    config : mapping, optional
        Written as ``config.json``.
    filled : callable, optional
        Given name and shape, the rows to write, or None to leave a hole. Without it all is hole.
    dtype : DType
        Stored type, but for the names in `dtypes`.
    shard_bytes : int or None
        Largest data size of a file.

    Examples
    --------
    >>> import tempfile
    >>> source = RowSource(0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = sparse_checkpoint(folder, {"w": (4, 2)}, filled=lambda n, s: source.rows(n, s, [1]))
    ...     sorted(p.name for p in path.iterdir())
    ['model.safetensors']
    """
    folder = Path(folder)
    specs = {
        name: TensorSpec((dtypes or {}).get(name, dtype), tuple(shape)) for name, shape in shapes.items()
    }
    shards = plan_shards(specs, shard_bytes=shard_bytes)
    small = {INDEX_FILE: build_index(shards, specs)} if len(shards) > 1 else {}
    if config is not None:
        small["config.json"] = (json.dumps(dict(config), indent=2) + "\n").encode()
    save_files(folder, small)
    for file, names in shards.items():
        header = build_header({name: specs[name] for name in names}, {"format": "pt"})
        with (folder / file).open("wb") as out:
            out.write(header)
            out.truncate(len(header) + sum(specs[name].data_bytes for name in names))
    if filled is not None:
        wanted = {name: rows for name in shapes if (rows := filled(name, specs[name].shape)) is not None}
        fill_rows(folder, wanted)
    return folder


def fill_rows(folder: str | Path, filled: Mapping[str, FilledRows]) -> None:
    """Write rows into the holes of a sparse checkpoint; headers and lengths stay as they are.

    Raises
    ------
    NotFoundError
        A tensor is not in the checkpoint.
    UsageError
        Rows do not fit their tensor.
    """
    folder = Path(folder)
    catalog = _read_catalog(folder)
    for name, (rows, values) in ((n, (f.rows, f.values)) for n, f in filled.items()):
        if name not in catalog:
            raise NotFoundError(f"{folder.name} has no tensor {name!r}; nothing was written to it.")
        entry = catalog[name]
        cols = entry.shape[-1]
        total = entry.size // cols
        if values.shape != (rows.size, cols) or (
            rows.size and not 0 <= int(rows.min()) <= int(rows.max()) < total
        ):
            raise UsageError(
                f"tensor {name!r} has {total:,} rows of {cols:,}; got {rows.size:,} row numbers and "
                f"values of shape {list(values.shape)}."
            )
        width = cols * entry.dtype.itemsize
        data = memoryview(encode(values, entry.dtype))
        with (folder / entry.file).open("r+b") as out:
            for i, row in enumerate(rows.tolist()):
                out.seek(entry.span.start + row * width)
                out.write(data[i * width : (i + 1) * width])


def _read_catalog(folder: Path) -> TensorCatalog:
    source = LocalSource(folder)
    try:
        return run_plan(safetensors.plan_catalog(source.files), source)
    finally:
        source.close()
