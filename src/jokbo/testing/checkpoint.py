"""A whole checkpoint in memory: for tests, demos and calibration on small models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.errors import UsageError
from jokbo.formats import safetensors
from jokbo.formats.base import run_plan
from jokbo.formats.dtypes import DType, decode
from jokbo.formats.writer import build_files, save_files, to_raw
from jokbo.sources.base import Read, Source
from jokbo.sources.local import LocalSource
from jokbo.sources.memory import MemorySource

MAX_JSON_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """Configuration, weights and tokenizer of a small model.

    Attributes
    ----------
    config : dict
        As in ``config.json``.
    tensors : dict of str to ndarray
        Weights by stored name, all float32, or all float64 where a test needs the digits.
    tokenizer : dict or None
        As in ``tokenizer.json``.
    dtypes : mapping of str to DType
        Stored type of the tensors named; the others have `dtype`.
    dtype : DType
        Stored type by default.
    """

    config: dict[str, Any]
    tensors: dict[str, np.ndarray]
    tokenizer: dict[str, Any] | None = None
    dtypes: Mapping[str, DType] = field(default_factory=dict)
    dtype: DType = DType.BF16

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensors[name]

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def with_tensors(self, changed: Mapping[str, np.ndarray]) -> Checkpoint:
        """A copy with some tensors changed or added, in this checkpoint's working precision."""
        working = next(iter(self.tensors.values())).dtype
        cast = {name: np.ascontiguousarray(values, dtype=working) for name, values in changed.items()}
        return replace(self, tensors=self.tensors | cast)

    def with_config(self, **changed: Any) -> Checkpoint:
        """A copy with configuration keys changed (in the text part of a multimodal configuration)."""
        if isinstance(self.config.get("text_config"), dict):
            return replace(self, config=self.config | {"text_config": self.config["text_config"] | changed})
        return replace(self, config=self.config | changed)

    def astype(self, working: type[np.floating[Any]]) -> Checkpoint:
        """A copy that works in another precision."""
        return replace(self, tensors={name: values.astype(working) for name, values in self.tensors.items()})

    def stored(self) -> Checkpoint:
        """A copy with every tensor rounded to the type it is stored in, as saving and loading does."""
        return load_checkpoint(self.to_source())

    @property
    def text_config(self) -> dict[str, Any]:
        """The configuration of the text tower."""
        nested = self.config.get("text_config")
        return nested if isinstance(nested, dict) else self.config

    def to_files(self, *, shard_bytes: int | None = None) -> dict[str, bytes]:
        """Every file of the checkpoint, by name."""
        raw = {
            name: to_raw(values, self.dtypes.get(name, self.dtype)) for name, values in self.tensors.items()
        }
        files = build_files(raw, shard_bytes=shard_bytes, metadata={"format": "pt"})
        files["config.json"] = _dump(self.config)
        if self.tokenizer is not None:
            files["tokenizer.json"] = _dump(self.tokenizer)
        return files

    def to_source(self, *, name: str = "memory", shard_bytes: int | None = None) -> MemorySource:
        """A source that serves the checkpoint's files."""
        return MemorySource(self.to_files(shard_bytes=shard_bytes), name=name)

    def save(self, folder: str | Path, *, shard_bytes: int | None = None) -> Path:
        """Write the checkpoint's files into a folder."""
        save_files(folder, self.to_files(shard_bytes=shard_bytes))
        return Path(folder)


def _dump(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def load_checkpoint(where: str | Path | Source) -> Checkpoint:
    """Read a whole small checkpoint through Jokbo's own reader.

    Parameters
    ----------
    where : path or Source
        A folder, or a source.

    Returns
    -------
    Checkpoint
        Tensors in float32; integer and boolean tensors, which hold no weights, are left out.

    Raises
    ------
    SourceError
        The folder cannot be read.
    FormatError
        The files do not follow their format.
    """
    source = where if isinstance(where, Source) else LocalSource(where)
    catalog = run_plan(safetensors.plan_catalog(source.files), source)
    entries = [entry for entry in catalog.values() if entry.dtype.is_weight]
    if not entries:
        raise UsageError(f"{source.identity.name} holds no tensor of weights; there is nothing to load.")
    answers = source.read_many([Read(entry.file, entry.span) for entry in entries])
    tensors = {
        entry.name: decode(data, entry.dtype).reshape(entry.shape)
        for entry, data in zip(entries, answers, strict=True)
    }
    config = _read_json(source, "config.json")
    return Checkpoint(
        config=config or {},
        tensors=dict(sorted(tensors.items())),
        tokenizer=_read_json(source, "tokenizer.json"),
        dtypes={entry.name: entry.dtype for entry in entries},
    )


def _read_json(source: Source, file: str) -> dict[str, Any] | None:
    if file not in source.files:
        return None
    document: dict[str, Any] = json.loads(source.read_file(file, max_bytes=MAX_JSON_BYTES))
    return document
