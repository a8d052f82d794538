"""Element types: their names, their widths, and how their bytes become float32.

Eight-bit floats follow the OCP 8-bit Floating Point Specification (OFP8, 2023):
E4M3 has no infinity and one NaN pattern per sign; E5M2 follows IEEE 754 rules.
Both are decoded by a table of 256 values.
"""

from __future__ import annotations

from enum import Enum
from functools import cache

import numpy as np
from jaxtyping import Float32

from jokbo.errors import FormatError


class DType(Enum):
    """Element types by their safetensors names; the value is the width in bits."""

    F64 = ("F64", 64)
    F32 = ("F32", 32)
    F16 = ("F16", 16)
    BF16 = ("BF16", 16)
    F8_E4M3 = ("F8_E4M3", 8)
    F8_E5M2 = ("F8_E5M2", 8)
    F8_E8M0 = ("F8_E8M0", 8)
    I64 = ("I64", 64)
    I32 = ("I32", 32)
    I16 = ("I16", 16)
    I8 = ("I8", 8)
    U64 = ("U64", 64)
    U32 = ("U32", 32)
    U16 = ("U16", 16)
    U8 = ("U8", 8)
    BOOL = ("BOOL", 8)

    @property
    def bits(self) -> int:
        """Width of one element in bits."""
        return int(self.value[1])

    @property
    def itemsize(self) -> int:
        """Width of one element in bytes."""
        return self.bits // 8

    @property
    def is_weight(self) -> bool:
        """Whether weights are stored in this type: floats, and eight-bit integers with a scale."""
        return self.name.startswith(("F", "BF")) or self is DType.I8


@cache
def _float8_table(exponent_bits: int, mantissa_bits: int, bias: int, *, has_infinity: bool) -> np.ndarray:
    codes = np.arange(256)
    sign = np.where(codes >> 7, -1.0, 1.0)
    exponent = (codes >> mantissa_bits) & ((1 << exponent_bits) - 1)
    mantissa = codes & ((1 << mantissa_bits) - 1)
    scale = float(1 << mantissa_bits)
    normal = np.exp2(exponent.astype(float) - bias) * (1 + mantissa / scale)
    subnormal = 2.0 ** (1 - bias) * (mantissa / scale)
    values = sign * np.where(exponent == 0, subnormal, normal)
    top = (1 << exponent_bits) - 1
    if has_infinity:
        values[(exponent == top) & (mantissa == 0)] *= np.inf
        values[(exponent == top) & (mantissa != 0)] = np.nan
    else:
        values[(exponent == top) & (mantissa == (1 << mantissa_bits) - 1)] = np.nan
    return values.astype(np.float32)


def decode(data: bytes | memoryview, dtype: DType) -> Float32[np.ndarray, " elements"]:
    """Decode little-endian elements to float32.

    Parameters
    ----------
    data : bytes
        A whole number of elements.
    dtype : DType
        A type that stores weights.

    Returns
    -------
    ndarray of float32
        A writable copy. Values of F64 outside float32 become infinite, as a
        checked reader will then report.

    Raises
    ------
    FormatError
        The type does not store weights.

    Examples
    --------
    >>> decode(bytes([0x80, 0x3F, 0x00, 0xC0]), DType.BF16)
    array([ 1., -2.], dtype=float32)
    """
    if dtype is DType.BF16:
        wide = np.zeros((len(data) // 2, 2), dtype="<u2")
        wide[:, 1] = np.frombuffer(data, dtype="<u2")
        return wide.view("<f4").reshape(-1).astype(np.float32, copy=False)
    if dtype is DType.F32:
        return np.frombuffer(data, dtype="<f4").astype(np.float32)
    if dtype is DType.F16:
        return np.frombuffer(data, dtype="<f2").astype(np.float32)
    if dtype is DType.F64:
        with np.errstate(over="ignore"):
            return np.frombuffer(data, dtype="<f8").astype(np.float32)
    if dtype is DType.I8:
        return np.frombuffer(data, dtype="i1").astype(np.float32)
    if dtype is DType.F8_E4M3:
        return _float8_table(4, 3, 7, has_infinity=False)[np.frombuffer(data, dtype="u1")]
    if dtype is DType.F8_E5M2:
        return _float8_table(5, 2, 15, has_infinity=True)[np.frombuffer(data, dtype="u1")]
    if dtype is DType.F8_E8M0:
        codes = np.frombuffer(data, dtype="u1").astype(np.float64)  # 2**128, at the NaN code, fits here
        return np.where(codes == 255, np.nan, np.exp2(codes - 127)).astype(np.float32)
    raise FormatError(f"elements of type {dtype.name} do not store weights; no number is read from them.")
