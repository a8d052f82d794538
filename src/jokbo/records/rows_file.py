"""Read a file of sampled rows: what stands in a pack where whole weights do not.

The layout is in :mod:`jokbo.records.sampled_rows`, which writes it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64

from jokbo.errors import FormatError, InputError, WeightsError
from jokbo.formats.base import TensorCatalog, TensorEntry, run_plan
from jokbo.formats.dtypes import DType, decode
from jokbo.formats.safetensors import plan_catalog
from jokbo.sources.base import Read, Source
from jokbo.sources.local import LocalSource

_SHAPE = re.compile(r"(\d{1,15}),(\d{1,15})", re.ASCII)
_VALUES = (DType.F64, DType.F32, DType.F16, DType.BF16)


@dataclass(frozen=True, slots=True)
class SampledTensor:
    """Some rows of one tensor.

    Attributes
    ----------
    shape : tuple of int
        Of the whole tensor.
    stored : DType or None
        What the whole tensor is stored as; None for a packed type.
    index : ndarray of int64
        Row numbers, ascending.
    """

    shape: tuple[int, int]
    stored: DType | None
    index: Int64[np.ndarray, " rows"]
    entry: TensorEntry


@dataclass
class RowsFile:
    """An opened file of sampled rows."""

    name: str
    source: Source
    tensors: Mapping[str, SampledTensor]

    def rows(self, tensor: str, wanted: Int64[np.ndarray, " n"]) -> Float32[np.ndarray, "n cols"]:
        """Values of some of the rows.

        Raises
        ------
        WeightsError
            A value is NaN or infinite.
        """
        sampled = self.tensors[tensor]
        entry = sampled.entry
        data = self.source.read_many([Read(entry.file, entry.span)])[0]
        values = decode(data, entry.dtype).reshape(len(sampled.index), sampled.shape[1])
        if not np.isfinite(values).all():
            raise WeightsError(
                f"checkpoint {self.name!r}: {entry.file}, tensor {tensor!r}: a sampled row holds NaN or infinity; "
                "expected finite numbers. No verdict is given on damaged weights: fetch it again."
            )
        return np.ascontiguousarray(values[np.searchsorted(sampled.index, wanted)])

    def close(self) -> None:
        """Release the source."""
        self.source.close()


def open_rows_file(path: Path, name: str) -> RowsFile:
    """Open a file of sampled rows.

    Parameters
    ----------
    path : Path
    name : str
        Of the checkpoint, for messages.

    Raises
    ------
    FormatError
        It does not follow the layout.
    """
    source = LocalSource(path)
    try:
        # Only the file itself: what lies beside it belongs to others.
        catalog = run_plan(plan_catalog({path.name: source.files[path.name]}), source)
        names = [key.removeprefix("rows/") for key in catalog if key.startswith("rows/")]
        strays = [key for key in catalog if not key.startswith(("rows/", "index/"))]
        if strays or not names:
            raise FormatError(
                f"{path.name}: {f'tensor {strays[0]!r}' if strays else 'no tensor'} found; expected rows/<name> and "
                "index/<name>, as `jokbo record pack` writes them. Pack it again."
            )
        return RowsFile(name, source, {each: _tensor(source, catalog, each) for each in names})
    except InputError as error:
        source.close()
        raise type(error)(f"checkpoint {name!r}: {error}") from None


def _tensor(source: Source, catalog: TensorCatalog, name: str) -> SampledTensor:
    entry, index = catalog[f"rows/{name}"], catalog.get(f"index/{name}")
    where = f"{entry.file}, tensor {name!r}"
    if index is None or index.dtype is not DType.I64 or len(index.shape) != 1:
        raise FormatError(f"{where}: expected row numbers, I64, under index/{name}. Pack it again.")
    said = _SHAPE.fullmatch(catalog.metadata.get(f"shape/{name}", ""))
    if said is None:
        raise FormatError(f"{where}: the metadata shape/{name} is not 'rows,columns'. Pack it again.")
    shape = (int(said[1]), int(said[2]))
    if entry.dtype not in _VALUES or entry.shape != (index.shape[0], shape[1]):
        raise FormatError(
            f"{where}: {entry.dtype.name} of shape {list(entry.shape)}; expected floats of shape "
            f"{[index.shape[0], shape[1]]}, a row for each number. Pack it again."
        )
    numbers = np.frombuffer(source.read_many([Read(index.file, index.span)])[0], dtype="<i8").astype(np.int64)
    if numbers.size and (numbers[0] < 0 or numbers[-1] >= shape[0] or np.any(np.diff(numbers) <= 0)):
        raise FormatError(
            f"{where}: row numbers must rise and lie in 0 to {shape[0] - 1:,}; they do not. Pack it again."
        )
    stored = DType.__members__.get(catalog.metadata.get(f"dtype/{name}", ""))
    return SampledTensor(shape, stored, numbers, entry)
