"""The states of a run one after another, as checks on weights and their plants use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from jokbo.architectures.base import Kind
from jokbo.records.checkpoints import TensorRows
from jokbo.views.component import Reason

if TYPE_CHECKING:
    from jokbo.records.record import Record
    from jokbo.views.model import Model

State = Mapping[str, Float32[np.ndarray, "_ _"]]
"""Rows of each tensor at one step, (rows, columns), by the tensor's key."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """Training checkpoints by step.

    Attributes
    ----------
    names : tuple of str
        Of the checkpoints.
    steps : tuple of int
    indices : tuple of int
        Places in :attr:`CheckpointRows.entries`.
    tensors : mapping of str to TensorRows
    states : tuple of State
    """

    names: tuple[str, ...]
    steps: tuple[int, ...]
    indices: tuple[int, ...]
    tensors: Mapping[str, TensorRows]
    states: tuple[State, ...]

    def __len__(self) -> int:
        return len(self.states)

    def with_state(self, k: int, state: State) -> Trajectory:
        """A copy with one state replaced."""
        return replace(self, states=(*self.states[:k], state, *self.states[k + 1 :]))

    def with_states(self, changed: Mapping[int, State]) -> Trajectory:
        """A copy with some states replaced."""
        return replace(self, states=tuple(changed.get(k, state) for k, state in enumerate(self.states)))

    def roundoff(self, key: str, k: int) -> float:
        """Unit roundoff of one tensor as state `k` stores it."""
        tensor = self.tensors[key]
        found = np.flatnonzero(tensor.checkpoints == self.indices[k])
        return float(tensor.roundoff[found[0]]) if found.size else 0.0

    def shared(self, a: int, b: int, *, vectors: bool = True) -> Iterator[str]:
        """Keys of the tensors that two states have in one shape and in a type that can be compared."""
        for key, tensor in self.tensors.items():
            if (
                key in self.states[a]
                and key in self.states[b]
                and (vectors or not tensor.is_vector)
                and np.isfinite(self.roundoff(key, a) + self.roundoff(key, b))
            ):
                yield key

    def lighter(self, elements: int = 1 << 18, *, layers: int = 2) -> Trajectory:
        """A copy with about so many elements a state: what plants into large runs use; a small run stays whole.

        Of each role the first and the last layers are kept, and of each tensor its first rows.
        """
        if sum(t.values[0].size for t in self.tensors.values()) <= elements:
            return self
        by_role: dict[tuple[str, bool], list[str]] = {}
        for key, tensor in self.tensors.items():
            by_role.setdefault((tensor.role, tensor.is_vector), []).append(key)
        kept = [key for keys in by_role.values() for key in dict.fromkeys([*keys[: layers - 1], keys[-1]])]
        cap = max(elements // len(kept), 1)
        rows = {key: max(1, cap // self.tensors[key].values.shape[2]) for key in kept}
        tensors = {
            key: replace(t, rows=t.rows[: rows[key]], values=t.values[:, : rows[key]])
            for key, t in self.tensors.items()
            if key in rows
        }
        states = tuple({k: state[k][: rows[k]] for k in tensors if k in state} for state in self.states)
        return replace(self, tensors=tensors, states=states)

    @property
    def start(self) -> int | None:
        """Index of step 0, or None."""
        return self.steps.index(0) if 0 in self.steps else None


def trajectory(record: Record) -> Trajectory:
    """The states of the run that disclose any weights."""
    rows = record.rows
    indices = rows.training()
    states: list[State] = []
    for index in indices:
        found = {key: tensor.at(index) for key, tensor in rows.tensors.items()}
        states.append({key: values for key, values in found.items() if values is not None})
    return Trajectory(
        names=tuple(rows.entries[i].name for i in indices),
        steps=tuple(rows.entries[i].step for i in indices),
        indices=indices,
        tensors=rows.tensors,
        states=tuple(states),
    )


def unfollowed(record: Record) -> Reason | None:
    """Why not all weights can be followed from state to state; None where they can.

    A tensor that has another name, another shape or a packed type in one state is compared with nothing there,
    and rows that only their maker has read may be any rows: what such states hide, no check can exclude.
    """
    path = trajectory(record)
    models = {m.entry.name: m.model for m in record.checkpoints.members}
    for k, name in enumerate(path.names):
        if models[name] is None:
            return Reason("policy.rows_of_the_maker", {"checkpoint": name, "step": path.steps[k]})
    for k in range(len(path) - 1):
        shared = {path.tensors[key].name for key in path.shared(k, k + 1)}
        for name in path.names[k : k + 2]:
            lost = sorted(set(weight_names(models[name])) - shared)
            if lost:
                values: dict[str, int | float | str] = {
                    "first": path.steps[k],
                    "last": path.steps[k + 1],
                    "tensor": lost[0],
                    "count": len(lost),
                }
                return Reason("policy.not_followed", values)
    return None


def weight_names(model: Model | None) -> Iterator[str]:
    """Stored names of a model's weights: all tensors but buffers, scales and counters."""
    if model is None:
        return
    kinds = {part.entry.name: part.kind for part in model.anatomy.parts}
    for name, entry in model.catalog.items():
        counter = len(entry.shape) < 2 and not entry.dtype.is_weight and entry.codec is None
        if entry.size and not counter and kinds.get(name, Kind.WEIGHT) not in (Kind.BUFFER, Kind.SCALE):
            yield name
