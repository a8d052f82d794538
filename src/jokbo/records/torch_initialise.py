"""Step 0 as PyTorch draws it, ``torch-normal/1``: one CPU generator over all matrices in a declared order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jokbo.errors import MissingExtraError
from jokbo.records.initialise import round_to

if TYPE_CHECKING:
    from jokbo.records.checkpoints import TensorRows
    from jokbo.records.declaration import Initialisation
    from jokbo.records.record import Record

TORCH_PROCEDURE = "torch-normal/1"
MAX_ORDER_BYTES = 16 << 20
MAX_VALUES = 4_000_000_000
"""Of all matrices: a stream has to be drawn from its start, about 10 s a billion values."""


def torch_rows(
    record: Record, law: Initialisation, seed: int, tensors: Mapping[str, TensorRows]
) -> dict[str, np.ndarray]:
    """The rows read of every matrix, drawn in order; vectors are not drawn.

    Raises
    ------
    LookupError
        The order is not declared, or does not name exactly the matrices of step 0.
    MissingExtraError
        PyTorch is not installed.
    """
    matrices = {name for name, tensor in tensors.items() if not tensor.is_vector}
    order = [name for name in _order(record, law) if name not in tensors or name in matrices]
    if len(set(order)) != len(order) or set(order) != matrices:
        odd = sorted(set(order) ^ matrices) or ["a name that stands twice"]
        raise LookupError(f"the declared order and the matrices of step 0 differ in {odd[0][:80]!r}")
    if sum(math.prod(tensors[name].shape) for name in order) > MAX_VALUES:
        raise LookupError(f"more than {MAX_VALUES:,} values would have to be drawn")
    torch = _torch()
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name in order:
        tensor = tensors[name]
        drawn = torch.empty(tensor.shape, dtype=torch.float32).normal_(0.0, law.std, generator=generator)
        found[name] = round_to(drawn.numpy()[tensor.rows], law.stored)
    return found


def _order(record: Record, law: Initialisation) -> list[str]:
    if not law.parameter_order:
        raise LookupError("the order in which the tensors were drawn (initialisation.parameter_order)")
    try:
        with open(record.path(law.parameter_order), "rb") as stream:
            data = stream.read(MAX_ORDER_BYTES + 1)
        text = data.decode()
    except (OSError, UnicodeDecodeError):
        raise LookupError(f"{law.parameter_order} cannot be read as text") from None
    if len(data) > MAX_ORDER_BYTES:
        raise LookupError(f"{law.parameter_order} is longer than {MAX_ORDER_BYTES:,} bytes")
    return [line.strip() for line in text.splitlines() if line.strip()]


def same_version(record: Record) -> bool:
    """Whether the PyTorch at hand is the version that the record declares."""
    declared = record.declaration.environment.get("torch", "")
    found: str = _torch().__version__
    return bool(declared) and declared.partition("+")[0] == found.partition("+")[0]


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise MissingExtraError(
            "making a PyTorch initialisation again needs PyTorch: pip install 'jokbo[record-replay]'."
        ) from None
    return torch
