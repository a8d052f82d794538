"""Models that did not make the record, as a measure of how hard its batches are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from jokbo.errors import InputError
from jokbo.records.checks.base import CheckContext
from jokbo.records.record import Record
from jokbo.records.replay.gate import CannotRun
from jokbo.records.replay.material import Material

COUNTED_WINDOWS = 20000
MAX_PAIRS = 1 << 26


def foreign_reference(
    material: Material, batches: Sequence[np.ndarray], context: CheckContext
) -> Float64[np.ndarray, " batches"] | None:
    """Mean loss on each batch under the first model of ``against`` that runs and knows these tokens; None without one.

    A model knows them if it does better than chance on the first batch: another vocabulary would not.
    """
    from jokbo.views.model import open_model

    for spec in context.against:
        try:
            opened = open_model(spec, context.options)
        except InputError:
            continue  # checks of lineage report it; here another reference does as well
        try:
            loaded = material.open(opened, -1)
            price = 2.0 * loaded.network.size * sum(b.size for b in batches)
            if price <= context.flops and loaded.mean_loss(batches[0]) < np.log(loaded.network.vocab_size):
                return np.array([loaded.mean_loss(batch) for batch in batches])
        except CannotRun:
            continue
        finally:
            opened.close()
    return None


def bigram_losses(record: Record, batches: Sequence[np.ndarray]) -> Float64[np.ndarray, " batches"]:
    """Mean loss on each batch under a bigram model counted from the record's windows, each count plus one.

    Raises
    ------
    CannotRun
        The vocabulary is too large to count pairs.
    """
    windows = record.windows
    if windows is None:
        raise CannotRun("no_data", missing=["windows"])
    table = np.asarray(windows[:COUNTED_WINDOWS], dtype=np.int64)
    size = int(max(table.max(initial=0), max(int(b.max()) for b in batches))) + 1
    if size * size > MAX_PAIRS or table.min(initial=0) < 0:
        raise CannotRun("vocabulary_large", vocab_size=size)
    pairs = np.bincount((table[:, :-1] * size + table[:, 1:]).ravel(), minlength=size * size).reshape(
        size, size
    )
    smooth = pairs + 1.0
    log_p = np.log(smooth / smooth.sum(axis=1, keepdims=True))
    return np.array([-log_p[b[:, :-1], b[:, 1:]].mean() for b in batches])
