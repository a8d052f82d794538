"""What a record brings for running its model: checkpoints by step, batches by update, rates, a budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Int64

from jokbo.records.declaration import CheckpointEntry, CheckpointRole, EventKind
from jokbo.records.record import Record
from jokbo.records.replay.gate import CannotRun
from jokbo.records.replay.model import Loaded, Loader
from jokbo.records.schedule import scheduled_rates
from jokbo.records.series import Series
from jokbo.views.model import Model, read_json

HALVES = ("BF16", "FP16", "F16", "FP8", "F8", "TF32", "BFLOAT16")
"""Declared precisions whose products are coarser than float32."""

CACHE_BYTES = 512 << 20
BREAKS = (
    EventKind.RESTART,
    EventKind.ROLLBACK,
    EventKind.BACKBONE_CHANGE,
    EventKind.PRECISION_CHANGE,
    EventKind.DATA_CHANGE,
    EventKind.MISSING_CHECKPOINTS,
    EventKind.DUPLICATE_CHECKPOINTS,
)
"""Events that may keep the next weights from following from those before: a state lost, data left out."""


@dataclass
class Material:
    """Checkpoints and batches of a record, opened when asked for.

    Attributes
    ----------
    record : Record
    models : mapping of int to (CheckpointEntry, Model)
        Training checkpoints whose weights are in the pack, by step.
    """

    record: Record
    models: dict[int, tuple[CheckpointEntry, Model]]
    _loader: Loader
    _cache: dict[int, Loaded] = field(default_factory=dict)

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of the checkpoints, ascending."""
        return tuple(self.models)

    def load(self, step: int) -> Loaded:
        """The checkpoint of a step, ready to run.

        Raises
        ------
        CannotRun
            It cannot be built from its sizes, or not be filled.
        """
        if step not in self._cache:
            loaded = self.open(self.models[step][1], step)
            room = CACHE_BYTES // max(4 * loaded.network.size, 1)
            while len(self._cache) >= max(room, 1):
                self._cache.pop(next(iter(self._cache)))
            self._cache[step] = loaded
        return self._cache[step]

    def open(self, model: Model, step: int) -> Loaded:
        """Another model of the record (published, average, a reference), ready to run."""
        return self._loader.load(model, step)

    def batch(self, update: int) -> Int64[np.ndarray, "sequences length"] | None:
        """Windows of update 1, 2, ...; None where the record does not say.

        Raises
        ------
        CannotRun
            The order names a window that is not there.
        """
        windows, order = self.record.windows, self.record.order
        if windows is None or order is None or not 1 <= update <= len(order):
            return None
        chosen = np.asarray(order[update - 1], dtype=np.int64)
        chosen = chosen[chosen >= 0]
        if chosen.size == 0:
            return None
        if int(chosen.max()) >= len(windows):
            raise CannotRun("bad_order", missing=["order"], update=update)
        return np.asarray(windows[chosen], dtype=np.int64)

    def segment(self, start: int, stop: int) -> list[Int64[np.ndarray, "_ length"]] | None:
        """Batches of the updates that lead from checkpoint `start` to `stop`; None where one is missing."""
        found = [self.batch(update) for update in range(start + 1, stop + 1)]
        kept = [batch for batch in found if batch is not None]
        return kept if len(kept) == len(found) else None

    def broken(self, first: int, last: int) -> tuple[int, ...]:
        """Declared events in the updates `first` to `last` that change what follows from what."""
        return self.record.events(*BREAKS, first=first, last=last)

    def tokens(self, update: int) -> int:
        """Tokens of an update, 0 where not known."""
        batch = self.batch(update)
        return 0 if batch is None else int(batch.size)


def collect(record: Record, *, at_least: int = 1) -> Material:
    """The material of a record.

    Raises
    ------
    CannotRun
        Fewer than `at_least` checkpoints have their weights in the pack.
    """
    models: dict[int, tuple[CheckpointEntry, Model]] = {}
    for member in record.checkpoints.members:
        if member.model is not None and member.entry.role is CheckpointRole.TRAINING:
            models.setdefault(member.entry.step, (member.entry, member.model))
    if len(models) < at_least:
        raise CannotRun("few_checkpoints", missing=["checkpoints"], found=len(models), needed=at_least)
    return Material(record, dict(sorted(models.items())), Loader(_document(record)))


def _document(record: Record) -> dict[str, object] | None:
    """The record's own configuration."""
    from jokbo.sources.local import LocalSource
    from jokbo.views.model import MAX_CONFIG_BYTES

    name = record.declaration.model.config
    if not name:
        return None
    source = LocalSource(record.path(name).parent)
    try:
        return read_json(source, record.path(name).name, max_bytes=MAX_CONFIG_BYTES)
    finally:
        source.close()


def final_model(record: Record) -> tuple[CheckpointEntry, Model] | None:
    """The model that was released, else the last state of the run; None where neither is in the pack."""
    members = [m for m in record.checkpoints.members if m.model is not None]
    for role in (CheckpointRole.PUBLISHED, CheckpointRole.TRAINING):
        found = [m for m in members if m.entry.role is role]
        if found:
            last = max(found, key=lambda m: m.entry.step)
            if last.model is not None:
                return last.entry, last.model
    return None


def need_data(record: Record, *names: str) -> None:
    """Demand disclosures of the data.

    Raises
    ------
    CannotRun
        One of ``"windows"``, ``"order"``, ``"held_out"`` is not disclosed.
    """
    missing = [name for name in names if getattr(record, name) is None]
    if missing:
        raise CannotRun("no_data", missing=missing)


def in_halves(record: Record) -> bool:
    """Whether the run is declared to have computed in less than float32."""
    hardware = record.declaration.hardware
    return hardware is not None and hardware.precision.upper() in HALVES


def rates_are_known(record: Record) -> bool:
    """Whether every update's rate is logged, or given by a formula: filled-in ones may be a little too large."""
    if scheduled_rates(record.declaration.schedule, record.declaration.steps) is not None:
        return True
    logged = record.log.effective("learning_rate") if record.log is not None else None
    return logged is not None and len(logged) >= record.declaration.steps


def logged_loss(record: Record) -> Series:
    """The logged loss along the history that led to the end, steps ascending.

    Raises
    ------
    CannotRun
        None is disclosed.
    """
    series = record.log.effective("loss") if record.log is not None else None
    if series is None or len(series) < 2:
        raise CannotRun("no_log", missing=["loss"] if record.log is not None else ["log"])
    return series


def spread(candidates: Sequence[int], count: int, rng: np.random.Generator) -> list[int]:
    """At most `count` of the candidates, one from each stretch of equal length, ascending."""
    if len(candidates) <= count:
        return list(candidates)
    edges = np.linspace(0, len(candidates), count + 1).astype(int)
    picked = (int(rng.integers(a, b)) for a, b in pairwise(edges))
    return [candidates[k] for k in picked]
