"""The same rows of every checkpoint of a run, read within a budget.

Which rows follows from the audit's seed and the record's digest, so that nobody can know
beforehand which will be looked at. Small models are read whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64, Int64

from jokbo.errors import InputError, NotFoundError
from jokbo.records.declaration import CheckpointEntry
from jokbo.sources.base import FileInfo, Read, ReadStats, Source
from jokbo.sources.local import LocalSource
from jokbo.views.model import MAX_CONFIG_BYTES, Model, open_model

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, slots=True)
class OpenedCheckpoint:
    """A checkpoint that is there: its entry and, where its weights are in the pack, the opened model."""

    entry: CheckpointEntry
    model: Model | None


@dataclass(frozen=True, slots=True)
class CheckpointSet:
    """Every declared checkpoint, by step, then as declared."""

    members: tuple[OpenedCheckpoint, ...]

    def close(self) -> None:
        """Release the sources."""
        for member in self.members:
            if member.model is not None:
                member.model.close()


@dataclass(frozen=True, slots=True)
class TensorRows:
    """Rows of one tensor over the checkpoints that have it in one shape.

    Attributes
    ----------
    name : str
        As stored.
    role, layer
        Of the anatomy; ``"other"`` and None where it does not say.
    shape : tuple of int
        Of the whole tensor, as stored (rows first); a vector of n is (n, 1).
    is_vector : bool
    rows : ndarray of int64
        Which rows; all of them where they number ``shape[0]``.
    checkpoints : ndarray of int64
        Indices into :attr:`CheckpointRows.entries`.
    values : ndarray of float32
    roundoff : ndarray of float64
        Unit roundoff of the stored type, a checkpoint: 2**-24 for F32, 2**-8 for BF16, 2**-11 for F16.
    """

    name: str
    role: str
    layer: int | None
    shape: tuple[int, int]
    is_vector: bool
    rows: Int64[np.ndarray, " rows"]
    checkpoints: Int64[np.ndarray, " checkpoints"]
    values: Float32[np.ndarray, "checkpoints rows cols"]
    roundoff: Float64[np.ndarray, " checkpoints"]

    @property
    def whole(self) -> bool:
        """Whether every row was read."""
        return len(self.rows) == self.shape[0]

    def at(self, checkpoint: int) -> Float32[np.ndarray, "rows cols"] | None:
        """Rows of one checkpoint, by its index into the entries; None where it lacks the tensor."""
        found = np.flatnonzero(self.checkpoints == checkpoint)
        return self.values[found[0]] if found.size else None


@dataclass(frozen=True, slots=True)
class CheckpointRows:
    """Rows of all tensors, over all checkpoints that disclose any.

    Attributes
    ----------
    entries : tuple of CheckpointEntry
        By step; only those with weights or sampled rows.
    tensors : mapping of str to TensorRows
        By stored name (and shape, where a declared change of backbone changed it).
    bytes_read : int
    """

    entries: tuple[CheckpointEntry, ...]
    tensors: Mapping[str, TensorRows]
    bytes_read: int

    def training(self) -> tuple[int, ...]:
        """Indices of the states of the run itself, by step."""
        return tuple(k for k, entry in enumerate(self.entries) if entry.role == "training")


CONFIG = "config.json"


class RunSource(Source):
    """A checkpoint of a run: another source without what a trainer left there, and with a configuration.

    Parameters
    ----------
    inner : Source
        Closed with this one.
    hidden : sequence of str
        Files that are no weights of the model (optimizer states, sampled rows).
    config : bytes or None
        ``config.json`` of the record, for a checkpoint that has none of its own.

    Examples
    --------
    >>> from jokbo.sources.memory import MemorySource
    >>> run = RunSource(MemorySource({"a": b"12", "b": b"3"}), hidden=["b"], config=b"{}")
    >>> sorted(run.files), run.read("config.json", 0, 2)
    (['a', 'config.json'], b'{}')
    """

    def __init__(self, inner: Source, *, hidden: Sequence[str] = (), config: bytes | None = None) -> None:
        self._inner = inner
        self.identity = inner.identity
        self.stats: ReadStats = inner.stats
        kept = {file: info for file, info in inner.files.items() if file not in hidden}
        self._config = config if CONFIG not in kept else None
        if self._config is not None:
            kept[CONFIG] = FileInfo(len(self._config))
        self.files = kept

    def read_many(self, reads: Sequence[Read]) -> list[bytes]:
        """Read from the inner source, the configuration from memory."""
        self.check_reads(reads)
        own = [self._config is not None and read.file == CONFIG for read in reads]
        answers = iter(
            self._inner.read_many([read for read, mine in zip(reads, own, strict=True) if not mine])
        )
        config = self._config or b""
        return [
            config[read.range.start : read.range.stop] if mine else next(answers)
            for read, mine in zip(reads, own, strict=True)
        ]

    def close(self) -> None:
        """Close the inner source."""
        self._inner.close()


def open_checkpoints(record: Record) -> CheckpointSet:
    """Open every declared checkpoint whose weights are in the pack.

    A folder without a configuration takes the one that the record declares. An architecture that
    nobody knows is opened all the same: names and shapes are enough for every check on weights.

    Raises
    ------
    InputError
        Weights that are there cannot be read or believed; the message names the checkpoint.
    """
    declared = record.declaration.model.config
    config = _config(record, declared) if declared else None
    entries = sorted(record.declaration.checkpoint, key=lambda entry: entry.step)
    found: list[OpenedCheckpoint] = []
    try:
        for entry in entries:
            found.append(OpenedCheckpoint(entry, _open(record, entry, config)))
    except BaseException:
        CheckpointSet(tuple(found)).close()
        raise
    return CheckpointSet(tuple(found))


def _config(record: Record, declared: str) -> bytes | None:
    path = record.path(declared)
    if not path.is_file():
        return None
    size = path.stat().st_size
    if size > MAX_CONFIG_BYTES:
        raise InputError(
            f"{declared} has {size:,} bytes; a configuration has at most {MAX_CONFIG_BYTES:,}. Check model.config."
        )
    return path.read_bytes()


def _open(record: Record, entry: CheckpointEntry, config: bytes | None) -> Model | None:
    if not entry.path:
        return None
    path = record.path(entry.path)
    if not path.exists():
        # Checkpoint of a pack that is held in part; checks name it as missing.
        return None
    _check_inside(record, entry, path)
    try:
        inner = LocalSource(path)
        others = (
            name for each in record.declaration.checkpoint for name in (each.optimizer, each.rows) if name
        )
        folder = path if path.is_dir() else path.parent
        hidden = [record.path(name).name for name in others if record.path(name).parent == folder]
        return open_model(RunSource(inner, hidden=hidden, config=config))
    except InputError as error:
        raise type(error)(f"checkpoint {entry.name!r}: {error}") from None


def _check_inside(record: Record, entry: CheckpointEntry, path: Path) -> None:
    if not path.resolve().is_relative_to(record.folder.resolve()):
        raise NotFoundError(
            f"checkpoint {entry.name!r}: {entry.path!r} leads out of the pack; expected a path inside it. "
            "Put the weights into the pack."
        )


def read_rows(record: Record) -> CheckpointRows:
    """Read the same rows of every checkpoint, within the record's budget.

    Raises
    ------
    WeightsError
        A value is NaN or infinite; the message names checkpoint and tensor.
    InputError
        A file cannot be read or believed.
    """
    from jokbo.records.checkpoint_rows import read_rows as read

    return read(record)
