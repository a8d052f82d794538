"""Whole weights of a checkpoint, by our own reader: float32 arrays by stored name, nothing executed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from jokbo.errors import FormatError, WeightsError
from jokbo.formats.base import TensorCatalog, TensorEntry, run_plan
from jokbo.formats.dtypes import DType, decode
from jokbo.records.declaration import CheckpointEntry
from jokbo.records.record import Record
from jokbo.records.replay.gate import CannotRun
from jokbo.sources.base import Read, Source
from jokbo.views.model import Model

Weights = Mapping[str, np.ndarray]
"""Tensors by name, float32, in their stored shapes."""

MAX_WEIGHT_BYTES = 4 << 30
"""As float32; larger models are not run on a processor here."""

ROUNDOFF = {DType.F32: 2.0**-24, DType.F64: 2.0**-24, DType.BF16: 2.0**-9, DType.F16: 2.0**-12}
"""Half a unit in the last place, relative: how far storing moved a number at most."""


def read_weights(model: Model) -> dict[str, np.ndarray]:
    """Every tensor of an opened checkpoint.

    Raises
    ------
    CannotRun
        It is too large, or stored in blocks or scaled integers: not what training held.
    WeightsError
        A number is NaN or infinite.
    SourceError
        Bytes could not be read.
    """
    if 4 * model.catalog.parameters > MAX_WEIGHT_BYTES:
        raise CannotRun("too_large", parameters=model.catalog.parameters)
    return {name: _tensor(model.source, entry, model.name) for name, entry in model.catalog.items()}


def stored_roundoff(model: Model) -> float:
    """Relative rounding of the coarsest type that matrices are stored in."""
    return max(
        (ROUNDOFF.get(e.dtype, 2.0**-9) for e in model.catalog.values() if len(e.shape) > 1), default=0.0
    )


def _tensor(source: Source, entry: TensorEntry, name: str) -> Float32[np.ndarray, "..."]:
    if entry.codec is not None or entry.dtype not in ROUNDOFF:
        raise CannotRun("quantised", tensor=entry.name[:80])
    (data,) = source.read_many([Read(entry.file, entry.span)])
    values = decode(data, entry.dtype).reshape(entry.shape)
    if not np.isfinite(values).all():
        raise WeightsError(
            f"{name}: {entry.file}, tensor {entry.name!r} holds NaN or infinity; expected finite weights. "
            "No verdict is given on damaged weights: fetch it again."
        )
    return values


def read_state(record: Record, entry: CheckpointEntry) -> tuple[dict[str, np.ndarray], int] | None:
    """A disclosed optimizer state and the number of updates it has seen; None where there is none to read.

    Only the safetensors layout (``exp_avg/<parameter>`` and so on) is used here.

    Raises
    ------
    FormatError
        The file is malformed.
    """
    if not entry.optimizer.endswith(".safetensors"):
        return None
    from jokbo.formats.safetensors import plan_catalog
    from jokbo.sources.local import LocalSource

    with_source = LocalSource(record.path(entry.optimizer))
    try:
        catalog = run_plan(plan_catalog(with_source.files), with_source)
        if 4 * catalog.parameters > 2 * MAX_WEIGHT_BYTES:
            raise CannotRun("too_large", parameters=catalog.parameters)
        tensors = {n: _tensor(with_source, e, entry.optimizer) for n, e in catalog.items() if "/" in n}
        return tensors, _step(catalog, record.path(entry.optimizer), entry)
    finally:
        with_source.close()


def _step(catalog: TensorCatalog, path: Path, entry: CheckpointEntry) -> int:
    said = catalog.metadata.get("step", "") or str(entry.step)
    if not said.isdecimal() or len(said) > 12:
        raise FormatError(
            f"{path.name}: metadata say step {said[:40]!r}; expected a whole number. Write the state again."
        )
    return int(said)
