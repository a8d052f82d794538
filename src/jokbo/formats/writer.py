"""Write safetensors files: the same tensors always give the same bytes.

The layout is that of the format's reference writer (wide element types first,
then by name; the header padded with spaces to a multiple of eight), so a file
written here and one written there are equal byte for byte.
Format: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from jokbo.errors import UsageError
from jokbo.formats.dtypes import DType, decode

INDEX_FILE = "model.safetensors.index.json"
SINGLE_FILE = "model.safetensors"

_REFERENCE_ORDER = (  # the reference writer's, narrow to wide
    *("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"),
    *("I16", "U16", "F16", "BF16", "I32", "U32", "F32", "F64", "I64", "U64"),
)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Element type and shape of a tensor to be written."""

    dtype: DType
    shape: tuple[int, ...]

    @property
    def data_bytes(self) -> int:
        """Bytes that the elements take."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True)
class RawTensor:
    """A tensor as it is stored: its specification and its little-endian bytes."""

    spec: TensorSpec
    data: bytes


def encode(values: np.ndarray, dtype: DType) -> bytes:
    """Encode numbers as little-endian elements, rounding to nearest, ties to even.

    Parameters
    ----------
    values : ndarray
        Any shape, row-major order.
    dtype : DType
        Integer types saturate. The eight-bit floats saturate finite values, as
        quantisers do; infinity stays itself in E5M2 and becomes NaN in E4M3,
        which has none. F8_E8M0 rounds to the nearest power of two.

    Returns
    -------
    bytes

    Raises
    ------
    UsageError
        NaN is to become an integer.

    Examples
    --------
    >>> encode(np.array([1.0, -2.0]), DType.BF16).hex()
    '803f00c0'
    """
    if dtype is DType.BF16:
        with np.errstate(over="ignore"):
            bits = np.ascontiguousarray(values, dtype="<f4").view("<u4")
        rounded = ((bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) >> 16).astype("<u2")
        return bytes(np.where(np.isnan(values), np.uint16(0x7FC0), rounded).astype("<u2").tobytes())
    if dtype in (DType.F64, DType.F32, DType.F16):
        with np.errstate(over="ignore"):
            return np.asarray(values).astype(f"<f{dtype.itemsize}").tobytes()
    if dtype in (DType.F8_E4M3, DType.F8_E5M2, DType.F8_E8M0):
        return _encode_by_table(np.asarray(values, dtype=np.float64), dtype)
    if dtype is DType.BOOL:
        return np.asarray(values).astype(bool).tobytes()
    return _encode_integers(np.asarray(values), dtype)


def _encode_integers(values: np.ndarray, dtype: DType) -> bytes:
    kind = np.dtype(f"<{'u' if dtype.name.startswith('U') else 'i'}{dtype.itemsize}")
    if (
        values.dtype.kind in "iu"
        and values.dtype.itemsize <= kind.itemsize
        and values.dtype.kind == kind.kind
    ):
        return bytes(values.astype(kind).tobytes())
    if np.isnan(values).any():
        raise UsageError(
            f"NaN cannot be stored as {dtype.name}; expected numbers. Remove it or choose a float type."
        )
    bounds = np.iinfo(kind)
    top = float(bounds.max)
    if int(top) > bounds.max:  # 2**63 - 1 is no float64; the one below it is
        top = float(np.nextafter(top, 0))
    return bytes(np.clip(np.rint(values.astype(np.float64)), bounds.min, top).astype(kind).tobytes())


@cache
def _positive_codes(dtype: DType) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the finite non-negative values, and those values, ascending."""
    values = decode(bytes(range(256)), dtype).astype(np.float64)
    codes = np.flatnonzero(np.isfinite(values) & ~np.signbit(values))
    return codes, values[codes]


def _encode_by_table(values: np.ndarray, dtype: DType) -> bytes:
    codes, table = _positive_codes(dtype)
    magnitude = np.abs(values)
    upper = np.clip(np.searchsorted(table, magnitude), 1, table.size - 1)
    below, above = magnitude - table[upper - 1], table[upper] - magnitude
    odd_below = codes[upper - 1] % 2 == 1
    nearest = codes[np.where((above < below) | ((above == below) & odd_below), upper, upper - 1)]
    if dtype is DType.F8_E8M0:
        encoded = np.where(np.isfinite(values), nearest, 255)
    else:
        infinity = 0x7C if dtype is DType.F8_E5M2 else 0x7F
        encoded = np.where(np.isinf(values), infinity, np.where(np.isnan(values), 0x7F, nearest))
        encoded = encoded | (np.signbit(values).astype(np.int64) << 7)
    return encoded.astype(np.uint8).tobytes()


def to_raw(values: np.ndarray, dtype: DType) -> RawTensor:
    """Encode an array together with its shape."""
    return RawTensor(TensorSpec(dtype, tuple(values.shape)), encode(values, dtype))


def storage_order(specs: Mapping[str, TensorSpec]) -> list[str]:
    """Names in the order in which their bytes are stored: wide element types first, then by name."""
    return sorted(specs, key=lambda name: (-_REFERENCE_ORDER.index(specs[name].dtype.name), name.encode()))


def build_header(specs: Mapping[str, TensorSpec], metadata: Mapping[str, str] | None = None) -> bytes:
    """Everything before the data of a safetensors file: the length and the padded JSON header.

    Parameters
    ----------
    specs : mapping of str to TensorSpec
        The tensors, in any order; their data follow in :func:`storage_order`.
    metadata : mapping of str to str, optional
        Free text.

    Examples
    --------
    >>> build_header({"w": TensorSpec(DType.BF16, (2, 3))})[8:]
    b'{"w":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}      '
    """
    document: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name in storage_order(specs):
        spec = specs[name]
        stop = start + spec.data_bytes
        document[name] = {"dtype": spec.dtype.name, "shape": list(spec.shape), "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def build_file(tensors: Mapping[str, RawTensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """One whole safetensors file.

    Raises
    ------
    UsageError
        A tensor's bytes do not fit its shape.
    """
    specs = {name: tensor.spec for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if len(tensor.data) != tensor.spec.data_bytes:
            raise UsageError(
                f"tensor {name!r} has {len(tensor.data):,} bytes; shape {list(tensor.spec.shape)} of "
                f"{tensor.spec.dtype.name} takes {tensor.spec.data_bytes:,}."
            )
    return build_header(specs, metadata) + b"".join(tensors[name].data for name in storage_order(specs))


def plan_shards(specs: Mapping[str, TensorSpec], *, shard_bytes: int | None = None) -> dict[str, list[str]]:
    """Share tensors out among files, in the order given, at most `shard_bytes` of data each.

    Returns
    -------
    dict of str to list of str
        File name to tensor names; the single file when everything fits. A
        tensor larger than `shard_bytes` has a file of its own.
    """
    groups: list[list[str]] = [[]]
    used = 0
    for name, spec in specs.items():
        if shard_bytes is not None and groups[-1] and used + spec.data_bytes > shard_bytes:
            groups.append([])
            used = 0
        groups[-1].append(name)
        used += spec.data_bytes
    if len(groups) == 1:
        return {SINGLE_FILE: groups[0]}
    return {
        f"model-{i:05d}-of-{len(groups):05d}.safetensors": names for i, names in enumerate(groups, start=1)
    }


def build_index(shards: Mapping[str, list[str]], specs: Mapping[str, TensorSpec]) -> bytes:
    """The index that says which shard holds which tensor."""
    weight_map = {name: file for file, names in shards.items() for name in names}
    total = sum(spec.data_bytes for spec in specs.values())
    document = {"metadata": {"total_size": total}, "weight_map": dict(sorted(weight_map.items()))}
    return (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode()


def build_files(
    tensors: Mapping[str, RawTensor],
    *,
    shard_bytes: int | None = None,
    metadata: Mapping[str, str] | None = None,
) -> dict[str, bytes]:
    """A checkpoint's weight files: one file, or shards and their index.

    Parameters
    ----------
    tensors : mapping of str to RawTensor
    shard_bytes : int, optional
        Largest data size of one file; a single file without it.
    metadata : mapping of str to str, optional
        Free text for every file.
    """
    specs = {name: tensor.spec for name, tensor in tensors.items()}
    shards = plan_shards(specs, shard_bytes=shard_bytes)
    files = {
        file: build_file({name: tensors[name] for name in names}, metadata) for file, names in shards.items()
    }
    if len(shards) > 1:
        files[INDEX_FILE] = build_index(shards, specs)
    return files


def save_files(folder: str | Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if need be."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (Path(folder) / name).write_bytes(data)
