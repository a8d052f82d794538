"""Fingerprints taken apart and put together again, so that one thing at a time can be wrong."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from jokbo.formats.dtypes import DType
from jokbo.formats.writer import RawTensor, TensorSpec, build_file
from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.testing.builders import llama
from jokbo.views.fingerprint_header import METADATA_KEY

FILE = "tiny.fingerprint.safetensors"


@cache
def good() -> bytes:
    """A sound fingerprint."""
    model = llama(np.random.default_rng(0), hidden_size=32, intermediate_size=80, reserved_tokens=20)
    return make_fingerprint(model.to_source(name="tiny")).data


@dataclass
class Parts:
    """A fingerprint's header and its blocks."""

    header: dict[str, Any]
    blocks: dict[str, RawTensor]

    def joined(self) -> bytes:
        """The file again, its digests made to fit."""
        self.header["blocks"] = {
            name: hashlib.sha256(block.data).hexdigest() for name, block in self.blocks.items()
        }
        return self.built()

    def built(self) -> bytes:
        """The file again, the header as it is."""
        return build_file(self.blocks, {METADATA_KEY: json.dumps(self.header)})


def spans_of(data: bytes) -> dict[str, tuple[int, int]]:
    """Where each block lies in the file."""
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    start = 8 + length
    return {
        name: (start + entry["data_offsets"][0], start + entry["data_offsets"][1])
        for name, entry in entries.items()
        if name != "__metadata__"
    }


def taken_apart(data: bytes | None = None) -> Parts:
    """Header and blocks of a fingerprint, the good one by default."""
    data = good() if data is None else data
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    header = json.loads(entries.pop("__metadata__")[METADATA_KEY])
    blocks = {
        name: RawTensor(
            TensorSpec(DType[entry["dtype"]], tuple(entry["shape"])), data[slice(*spans_of(data)[name])]
        )
        for name, entry in entries.items()
    }
    return Parts(header, blocks)


def bytes_block(data: bytes) -> RawTensor:
    """A block of bytes."""
    return RawTensor(TensorSpec(DType.U8, (len(data),)), data)


def with_json(block: str, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The good file with one JSON block changed and all digests fitting."""
    parts = taken_apart()
    document = json.loads(parts.blocks[block].data)
    change(document)
    parts.blocks[block] = bytes_block(json.dumps(document).encode())
    return parts.joined()


def with_spans(change: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """The good file with other spans and all digests fitting."""
    parts = taken_apart()
    spans = np.frombuffer(parts.blocks["spans"].data, dtype="<i8").reshape(-1, 2).copy()
    spans = np.asarray(change(spans), dtype="<i8")
    parts.blocks["spans"] = RawTensor(TensorSpec(DType.I64, spans.shape), spans.tobytes())
    return parts.joined()


def with_header(**fields: Any) -> bytes:
    """The good file with fields of its header changed."""
    parts = taken_apart()
    parts.header |= fields
    return parts.built()
