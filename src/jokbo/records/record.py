"""An opened record: what was declared, and the files that are there, read when first needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64

from jokbo.records.declaration import CheckpointEntry, CheckpointRole, Data, Declaration, EventKind
from jokbo.records.schedule import scheduled_rates

if TYPE_CHECKING:
    from jokbo.records.checkpoints import CheckpointRows, CheckpointSet
    from jokbo.records.series import Log

DEFAULT_BUDGET_BYTES = 256 << 20


@dataclass(frozen=True, slots=True)
class PackFile:
    """One file of a pack, as its manifest gives it."""

    size: int
    sha256: str


@dataclass
class Record:
    """A disclosed training record.

    Attributes
    ----------
    folder : Path
        The pack; files are named relative to it, and were checked to lie inside it.
    declaration : Declaration
    files : mapping of str to PackFile
    digest : str
        SHA-256 of the manifest: names the whole record.
    seed : int
        Decides which rows of the checkpoints are read.
    budget_bytes : int
        How much of the checkpoints may be read in all.
    """

    folder: Path
    declaration: Declaration
    files: Mapping[str, PackFile]
    digest: str
    seed: int = 0
    budget_bytes: int = DEFAULT_BUDGET_BYTES
    own_digests: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def log(self) -> Log | None:
        """All logs, one after another; None where none is disclosed."""
        from jokbo.records.readers.choose import read_logs

        return read_logs(self) if self.declaration.log else None

    @cached_property
    def checkpoints(self) -> CheckpointSet:
        """Catalogs and anatomies of the checkpoints that are there."""
        from jokbo.records.checkpoints import open_checkpoints

        return open_checkpoints(self)

    @cached_property
    def rows(self) -> CheckpointRows:
        """The same rows of every checkpoint, within the budget."""
        from jokbo.records.checkpoints import read_rows

        return read_rows(self)

    @property
    def data(self) -> Data | None:
        """The declared data."""
        return self.declaration.data

    @cached_property
    def windows(self) -> np.ndarray | None:
        """Token ids (windows, sequence length), memory-mapped; None where not disclosed."""
        from jokbo.records.arrays import open_array

        return open_array(self, self.data.windows) if self.data and self.data.windows else None

    @cached_property
    def order(self) -> np.ndarray | None:
        """Windows of each update (updates, sequences), -1 for none; None where not disclosed."""
        from jokbo.records.arrays import open_array

        return open_array(self, self.data.order) if self.data and self.data.order else None

    @cached_property
    def held_out(self) -> np.ndarray | None:
        """Token ids never trained on; None where not disclosed."""
        from jokbo.records.arrays import open_array

        return open_array(self, self.data.held_out) if self.data and self.data.held_out else None

    def path(self, name: str) -> Path:
        """Where a file or folder of the pack lies."""
        return self.folder / name

    def training_checkpoints(self) -> tuple[CheckpointEntry, ...]:
        """States of the run itself, by step."""
        found = (c for c in self.declaration.checkpoint if c.role is CheckpointRole.TRAINING)
        return tuple(sorted(found, key=lambda c: c.step))

    def events(self, *kinds: EventKind, first: int = 0, last: int | None = None) -> tuple[int, ...]:
        """Indices of declared events of these kinds that lie in the steps `first` to `last`, both counted in."""
        stop = self.declaration.steps if last is None else last
        return tuple(
            k
            for k, event in enumerate(self.declaration.event)
            if event.kind in kinds and event.concerns(first, stop)
        )

    @cached_property
    def rates(self) -> Float64[np.ndarray, " steps"] | None:
        """Learning rate of update 1, 2, ..., by the log where it has one, else by the declared formula.

        Steps between logged ones take the formula where there is one, and the larger of both neighbours
        where there is none: bounds on updates must not be too small.
        """
        formula = scheduled_rates(self.declaration.schedule, self.declaration.steps)
        logged = self.log.effective("learning_rate") if self.log is not None else None
        if logged is None:
            return formula
        return _filled(logged.steps, logged.values, self.declaration.steps, formula)

    @cached_property
    def upper_rates(self) -> Float64[np.ndarray, " steps"] | None:
        """The largest rate that each update can have had (:func:`jokbo.records.motion.upper_rates`)."""
        from jokbo.records.motion import upper_rates

        return upper_rates(self)

    def batch_tokens(self) -> Int64[np.ndarray, " steps"] | None:
        """Declared tokens of update 1, 2, ...; None where batches are not declared."""
        phases = self.declaration.batch
        if not phases:
            return None
        found = np.zeros(self.declaration.steps, dtype=np.int64)
        for phase in sorted(phases, key=lambda p: p.from_step):
            found[max(phase.from_step - 1, 0) :] = phase.tokens
        return found


def _filled(
    steps: Int64[np.ndarray, " n"],
    values: Float64[np.ndarray, " n"],
    total: int,
    formula: Float64[np.ndarray, " steps"] | None,
) -> Float64[np.ndarray, " steps"]:
    inside = (steps >= 1) & (steps <= total)
    steps, values = steps[inside], values[inside]
    if steps.size == 0:
        return formula if formula is not None else np.zeros(total)
    place = np.arange(1, total + 1)
    after = np.minimum(np.searchsorted(steps, place), len(steps) - 1)
    before = np.maximum(np.searchsorted(steps, place, side="right") - 1, 0)
    found = np.maximum(values[after], values[before]) if formula is None else formula.copy()
    found[steps - 1] = values
    return found
