"""What a checkpoint format yields: a catalog of tensors and where their bytes lie.

A format is a generator that yields the :class:`~jokbo.sources.base.Read` lists
it wants and is sent the bytes; it opens nothing itself, so the same parser
serves a local disk, a hub and a test that feeds it lies.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from jokbo.formats.dtypes import DType
from jokbo.sources.base import ByteRange, Read, Source


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One stored tensor.

    Attributes
    ----------
    name : str
        As stored.
    dtype : DType
        Element type.
    shape : tuple of int
        As stored, row-major.
    file : str
        File that holds the bytes.
    span : ByteRange
        Where they lie in that file.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: str
    span: ByteRange

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class TensorCatalog(Mapping[str, TensorEntry]):
    """Every tensor of a checkpoint, in the order of file and offset.

    Attributes
    ----------
    entries : mapping of str to TensorEntry
        By name.
    header_sha256 : mapping of str to str
        Digest of each file's header: binds names, shapes and offsets, not weights.
    metadata : mapping of str to str
        Free text that the files carry; shown, never believed.
    """

    entries: Mapping[str, TensorEntry]
    header_sha256: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> TensorEntry:
        return self.entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def data_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(entry.span.size for entry in self.entries.values())

    @property
    def parameters(self) -> int:
        """Elements of all tensors."""
        return sum(entry.size for entry in self.entries.values())


def run_plan(plan: Generator[list[Read], list[bytes], TensorCatalog], source: Source) -> TensorCatalog:
    """Feed a format's generator from `source` until it returns its catalog."""
    answers: list[bytes] | None = None
    while True:
        try:
            wanted: Sequence[Read] = plan.send(answers) if answers is not None else next(plan)
        except StopIteration as stop:
            catalog: TensorCatalog = stop.value
            return catalog
        answers = source.read_many(wanted)
