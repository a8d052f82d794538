"""Hypothesis strategies: element types, tensors, files, tiny checkpoints and byte ranges.

Needs Hypothesis (``pip install jokbo[test]``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from jokbo.formats.dtypes import DType
from jokbo.formats.writer import RawTensor, TensorSpec
from jokbo.sources.base import ByteRange, Read
from jokbo.testing.builders import llama, mixtral
from jokbo.testing.checkpoint import Checkpoint
from jokbo.testing.transforms import DISGUISES

WEIGHT_TYPES = tuple(dtype for dtype in DType if dtype.is_weight)
FLOAT_TYPES = tuple(dtype for dtype in WEIGHT_TYPES if dtype is not DType.I8)


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Random generators with a printed seed."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def dtypes(only: Sequence[DType] = tuple(DType)) -> st.SearchStrategy[DType]:
    """Element types."""
    return st.sampled_from(list(only))


def names() -> st.SearchStrategy[str]:
    """Tensor names: any text that UTF-8 can hold, but for the one reserved name."""
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=20).filter(
        lambda name: name != "__metadata__"
    )


def shapes(*, max_dims: int = 4, max_side: int = 5) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes, with scalars and empty axes among them."""
    return st.lists(st.integers(0, max_side), max_size=max_dims).map(tuple)


@st.composite
def raw_tensors(draw: st.DrawFn, only: Sequence[DType] = tuple(DType)) -> RawTensor:
    """A tensor of arbitrary bytes: every pattern of its type may occur, NaN among them."""
    spec = TensorSpec(draw(dtypes(only)), draw(shapes()))
    return RawTensor(spec, draw(st.binary(min_size=spec.data_bytes, max_size=spec.data_bytes)))


def tensor_files(only: Sequence[DType] = tuple(DType)) -> st.SearchStrategy[dict[str, RawTensor]]:
    """The tensors of one file, by name."""
    return st.dictionaries(names(), raw_tensors(only), max_size=6)


@st.composite
def checkpoints(draw: st.DrawFn, *, experts: bool | None = None) -> Checkpoint:
    """Tiny checkpoints that compute something: tied or not, with biases, query and key norms or experts.

    Parameters
    ----------
    experts : bool, optional
        Only sparse, or only dense ones; either without it.
    """
    rng = draw(generators())
    num_kv_heads = draw(st.sampled_from([1, 2]))
    sizes: dict[str, Any] = {
        "hidden_size": draw(st.sampled_from([16, 24])),
        "num_layers": draw(st.integers(1, 3)),
        "intermediate_size": draw(st.integers(3, 12)),
        "num_kv_heads": num_kv_heads,
        "num_heads": num_kv_heads * draw(st.sampled_from([1, 2])),
        "vocab_size": draw(st.integers(8, 24)),
    }
    if experts or (experts is None and draw(st.booleans())):
        num_experts = draw(st.integers(1, 4))
        return mixtral(
            rng, std=0.3, num_experts=num_experts, top_k=draw(st.integers(1, num_experts)), **sizes
        )
    return llama(
        rng,
        std=0.3,
        tied=draw(st.booleans()),
        qkv_bias=draw(st.booleans()),
        qk_norm=draw(st.booleans()),
        **sizes,
    )


def disguises(*, max_size: int = 4) -> st.SearchStrategy[list[str]]:
    """Names of function-preserving transforms, to be composed in that order."""
    return st.lists(st.sampled_from(sorted(DISGUISES)), min_size=1, max_size=max_size)


@st.composite
def reads(
    draw: st.DrawFn, *, files: Sequence[str] = ("a", "b"), size: int = 1000, max_reads: int = 12
) -> list[Read]:
    """Wishes for byte ranges, in any order, overlapping, equal or empty.

    Parameters
    ----------
    files : sequence of str
    size : int
        Bytes in every file.
    """
    wishes = []
    for _ in range(draw(st.integers(0, max_reads))):
        start = draw(st.integers(0, size))
        wishes.append(
            Read(draw(st.sampled_from(list(files))), ByteRange(start, draw(st.integers(start, size))))
        )
    return wishes
