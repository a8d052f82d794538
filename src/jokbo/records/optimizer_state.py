"""Optimizer states of a record, by parameter and slot, read by rows.

Two forms are read. A safetensors file names everything: ``exp_avg/<parameter>``, ``exp_avg_sq/<parameter>``,
``momentum/<parameter>``, and ``step`` in its metadata. PyTorch's ``optimizer.pt`` is a pickle, described by
the allow-list of :mod:`jokbo.formats.pickles` and never run; it *numbers* parameters. Their names come from
``param_names`` where the optimizer was given named parameters; else from the order of tensors in the
checkpoint, if that is a file of PyTorch (whose order is the model's own) and every shape agrees. A
safetensors checkpoint is sorted by name, so that no order can be told from it: that is an error, not a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64

from jokbo.errors import FormatError
from jokbo.formats import safetensors
from jokbo.formats.base import TensorEntry, run_plan
from jokbo.formats.dtypes import decode
from jokbo.records.declaration import CheckpointEntry
from jokbo.records.gather import regular_file
from jokbo.records.record import Record
from jokbo.sources.base import ByteRange, Read, Source
from jokbo.sources.local import LocalSource

SLOTS = ("exp_avg", "exp_avg_sq", "momentum")
"""First moment, second moment, momentum: what a state holds for a parameter."""

MAX_STEP = 1 << 53
_STEP = re.compile(r"[0-9]{1,15}")


class UnnamedParametersError(FormatError):
    """The state is well formed and numbers its parameters, and nothing disclosed says which is which."""


@dataclass(frozen=True, slots=True)
class StateTensor:
    """One slot of one parameter: of the parameter's own shape.

    Attributes
    ----------
    parameter, slot : str
    shape : tuple of int
        As stored.
    """

    parameter: str
    slot: str
    shape: tuple[int, ...]
    source: Source
    entry: TensorEntry

    @property
    def sides(self) -> tuple[int, int]:
        """Rows and columns, axes before the last counted together; a vector of n is (n, 1)."""
        if len(self.shape) < 2:
            return (self.entry.size, 1)
        return (self.entry.size // max(self.shape[-1], 1), self.shape[-1])

    def rows(self, rows: Int64[np.ndarray, " rows"]) -> Float32[np.ndarray, "rows cols"]:
        """Read some rows.

        Raises
        ------
        SourceError
            They cannot be read.
        """
        n_rows, n_cols = self.sides
        width = n_cols * self.entry.dtype.itemsize
        if len(rows) == n_rows and n_rows and bool((rows == np.arange(n_rows)).all()):
            data = self.source.read(self.entry.file, *self.entry.span)
        else:
            starts = [self.entry.span.start + int(row) * width for row in rows]
            data = b"".join(
                self.source.read_many([Read(self.entry.file, ByteRange(at, at + width)) for at in starts])
            )
        return decode(data, self.entry.dtype).reshape(len(rows), n_cols)


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """The state of an optimizer after some updates.

    Attributes
    ----------
    step : int or None
        Updates made, where all parameters say the same; None where they differ, or nothing says it.
    tensors : mapping of (str, str) to StateTensor
        By parameter and slot (:data:`SLOTS`).
    steps : mapping of str to int
        By parameter, where each has its own (PyTorch); else empty.
    """

    step: int | None
    tensors: Mapping[tuple[str, str], StateTensor]
    steps: Mapping[str, int]

    def slot(self, slot: str) -> dict[str, StateTensor]:
        """One slot of every parameter that has it."""
        return {parameter: tensor for (parameter, kind), tensor in self.tensors.items() if kind == slot}

    def close(self) -> None:
        """Release the file."""
        for tensor in self.tensors.values():
            tensor.source.close()


def read_optimizer_state(record: Record, entry: CheckpointEntry) -> OptimizerState:
    """Open the optimizer state of a checkpoint.

    Parameters
    ----------
    record : Record
    entry : CheckpointEntry
        With an optimizer state.

    Returns
    -------
    OptimizerState
        Its tensors are read when rows are asked for.

    Raises
    ------
    FormatError
        It is malformed, or asks for code to be run.
    UnnamedParametersError
        It numbers parameters, and their order cannot be told without guessing.
    """
    regular_file(record.folder, entry.optimizer, where=record.folder.name)
    source = LocalSource(record.path(entry.optimizer))
    try:
        if entry.optimizer.endswith(".safetensors"):
            return _read_named(source, entry.optimizer)
        from jokbo.records.torch_optimizer import read_torch_state

        return read_torch_state(source, record, entry)
    except FormatError as error:
        source.close()
        # Every checkpoint's state has the same file name as a rule: say whose it is.
        raise (
            error if entry.optimizer in str(error) else FormatError(f"{entry.optimizer}: {error}")
        ) from None
    except BaseException:
        source.close()
        raise


def _read_named(source: LocalSource, where: str) -> OptimizerState:
    catalog = run_plan(safetensors.plan_catalog(source.files), source)
    tensors = {}
    for name, entry in catalog.entries.items():
        slot, _, parameter = name.partition("/")
        if slot not in SLOTS or not parameter:
            raise FormatError(
                f"{where}: tensor {name[:120]!r}; expected {', '.join(f'{slot}/<parameter>' for slot in SLOTS)}. "
                "Write the state in the layout that the documentation gives."
            )
        if not entry.dtype.is_weight:
            raise FormatError(
                f"{where}: tensor {name[:120]!r} holds {entry.dtype.name}; expected numbers such as F32. "
                "Write the state as F32."
            )
        tensors[parameter, slot] = StateTensor(parameter, slot, entry.shape, source, entry)
    step = catalog.metadata.get("step")
    if step is not None and _STEP.fullmatch(step) is None:
        raise FormatError(
            f"{where}: the metadata's step is {step[:60]!r}; expected a number of updates, such as '300'."
        )
    return OptimizerState(None if step is None else int(step), tensors, {})
