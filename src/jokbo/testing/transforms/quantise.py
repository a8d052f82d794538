"""Rounding to eight and four bits, there and back, and fp8 as it is stored."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from jokbo.errors import UsageError
from jokbo.formats.dtypes import DType, decode
from jokbo.formats.writer import encode
from jokbo.testing.checkpoint import Checkpoint

_E4M3_MAX = 448.0
SCHEMES = ("int8", "int4", "fp8")


def quantise(checkpoint: Checkpoint, scheme: str = "int8", *, group: int | None = None) -> Checkpoint:
    """Round every matrix of the blocks to few bits and back again.

    Symmetric round-to-nearest with one scale a row or a group of inputs (absmax; Dettmers
    et al. 2022, Frantar et al. 2023). Embeddings, the head and vectors stay, as quantisers leave them.

    Parameters
    ----------
    scheme : {"int8", "int4", "fp8"}
        ``fp8`` rounds to E4M3 (OFP8, 2023).
    group : int, optional
        Inputs that share a scale; the whole row without it. A last, shorter group is allowed.
    """
    if scheme not in SCHEMES:
        raise UsageError(f"scheme is {scheme!r}; expected one of {', '.join(SCHEMES)}.")
    return checkpoint.with_tensors(
        {name: round_rows(checkpoint[name], scheme, group=group) for name in _matrices(checkpoint)}
    )


def round_rows(
    matrix: Float[np.ndarray, "rows cols"], scheme: str, *, group: int | None = None
) -> Float[np.ndarray, "rows cols"]:
    """Round one matrix to few bits and back."""
    rounded = np.empty(matrix.shape, dtype=np.float64)
    step = group or matrix.shape[1]
    top = {"int8": 127.0, "int4": 7.0, "fp8": _E4M3_MAX}[scheme]
    for start in range(0, matrix.shape[1], step):
        block = matrix[:, start : start + step].astype(np.float64)
        scale = np.abs(block).max(axis=1, keepdims=True) / top
        scale[scale == 0] = 1.0
        codes = _round_fp8(block / scale) if scheme == "fp8" else np.rint(block / scale)
        rounded[:, start : start + step] = codes * scale
    return rounded.astype(matrix.dtype)


def _round_fp8(values: np.ndarray) -> np.ndarray:
    return decode(encode(values, DType.F8_E4M3), DType.F8_E4M3).reshape(values.shape).astype(np.float64)


def store_fp8(checkpoint: Checkpoint, *, block: int = 128) -> Checkpoint:
    """Store the blocks' matrices as E4M3 with one F32 scale a square block, as DeepSeek-V3 does.

    Each matrix ``W`` becomes its codes and ``W_scale_inv``; a reader multiplies the two
    (DeepSeek-AI 2024, section 3.3).

    Parameters
    ----------
    block : int
        Side of a block, in elements.
    """
    changed: dict[str, np.ndarray] = {}
    dtypes = dict(checkpoint.dtypes)
    for name in _matrices(checkpoint):
        matrix = checkpoint[name].astype(np.float64)
        rows, cols = (np.arange(0, size, block) for size in matrix.shape)
        scale = (
            np.maximum.reduceat(np.maximum.reduceat(np.abs(matrix), rows, axis=0), cols, axis=1) / _E4M3_MAX
        )
        scale[scale == 0] = 1.0
        scale = scale.astype(np.float32).astype(np.float64)
        wide = np.repeat(np.repeat(scale, block, axis=0), block, axis=1)[: matrix.shape[0], : matrix.shape[1]]
        changed[name], changed[f"{name}_scale_inv"] = _round_fp8(matrix / wide), scale
        dtypes[name], dtypes[f"{name}_scale_inv"] = DType.F8_E4M3, DType.F32
    config = checkpoint.config | {
        "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [block, block]}
    }
    return replace(checkpoint.with_tensors(changed), dtypes=dtypes, config=config)


def _matrices(checkpoint: Checkpoint) -> list[str]:
    """Matrices inside the blocks, routers excepted: they are kept in full everywhere."""
    names = [
        n for n, values in checkpoint.tensors.items() if values.ndim == 2 and ("layers." in n or ".h." in n)
    ]
    return [n for n in names if not n.endswith((".gate.weight", "_scale_inv"))]
