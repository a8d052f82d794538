"""What a checkpoint format yields: a catalog of tensors and where their bytes lie.

A format is a generator that yields the :class:`~jokbo.sources.base.Read` lists
it wants and is sent the bytes; it opens nothing itself, so the same parser
serves a local disk, a hub and a test that feeds it lies.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float32, Int

from jokbo.formats.dtypes import DType
from jokbo.sources.base import ByteRange, Read, Source

Result = TypeVar("Result")


class RowCodec(ABC):
    """How rows are read and decoded where a tensor is not stored element by element.

    Rows are those of the stored tensor, all leading axes counted together: row ``r`` of plane ``p`` of a
    tensor (planes, rows, columns) is ``p * rows + r``.

    Attributes
    ----------
    name : str
        The encoding, as its format calls it, such as ``"Q4_K"``.
    exact : bool
        Decoding rounds nothing: the elements are stored one by one, only not in one place.
    """

    name: str
    exact: bool = False

    @abstractmethod
    def plan(self, rows: Int[np.ndarray, " n"]) -> list[Read]:
        """The reads that these rows need."""

    @abstractmethod
    def decode(self, rows: Int[np.ndarray, " n"], data: Sequence[bytes]) -> Float32[np.ndarray, "n cols"]:
        """Decode the answers to :meth:`plan`, one row each of the rows asked for."""

    @abstractmethod
    def bytes_wanted(self, n_rows: int) -> int:
        """Bytes that :meth:`plan` asks for, for this many rows."""


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
    codec : RowCodec or None
        How rows are read where elements are not stored one by one; `dtype` is then what they decode to.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    file: str
    span: ByteRange
    codec: RowCodec | None = field(default=None, repr=False, compare=False)

    @property
    def stored_type(self) -> str:
        """What the elements are stored as, in the words of the format."""
        return self.dtype.name if self.codec is None else self.codec.name

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
    beneath : tuple of TensorEntry
        What is stored where `entries` are a view of it (packed weights, an adapter over its base): the
        evidence names these. Empty where the entries are stored as they are.
    config, tokenizer : mapping or None
        What the weight file itself says, in the words of ``config.json`` and of ``tokenizer.json``; used
        where those files are absent.
    """

    entries: Mapping[str, TensorEntry]
    header_sha256: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    beneath: tuple[TensorEntry, ...] = ()
    config: Mapping[str, Any] | None = field(default=None, repr=False)
    tokenizer: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def stored(self) -> tuple[TensorEntry, ...]:
        """Every tensor as it is stored."""
        return self.beneath or tuple(self.entries.values())

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


def run_plan(plan: Generator[list[Read], list[bytes], Result], source: Source) -> Result:
    """Feed a format's generator from `source` until it returns its catalog, or whatever it reads."""
    answers: list[bytes] | None = None
    while True:
        try:
            wanted: Sequence[Read] = plan.send(answers) if answers is not None else next(plan)
        except StopIteration as stop:
            result: Result = stop.value
            return result
        answers = source.read_many(wanted)
