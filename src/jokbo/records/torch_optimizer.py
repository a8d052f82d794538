"""Optimizer states that PyTorch saved: which of their numbered tensors belongs to which parameter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from jokbo.errors import FormatError
from jokbo.formats.base import TensorEntry, run_plan
from jokbo.formats.choose import NOT_WEIGHTS
from jokbo.formats.dtypes import DType
from jokbo.formats.pickle_names import Table, TensorRecord
from jokbo.formats.pytorch import SUFFIXES, Description, find_weights, plan_description, tensor_entry
from jokbo.records.declaration import CheckpointEntry
from jokbo.records.optimizer_state import MAX_STEP, OptimizerState, StateTensor, UnnamedParametersError
from jokbo.records.record import Record
from jokbo.sources.base import WEIGHTS_SUFFIXES, Source
from jokbo.sources.local import LocalSource

SLOT_OF: Mapping[str, str] = {
    "exp_avg": "exp_avg",
    "exp_avg_sq": "exp_avg_sq",
    "momentum_buffer": "momentum",
    "momentum": "momentum",
}
"""PyTorch's names of slots -> ours; Lion's ``exp_avg`` is a momentum."""

NUMPY = {DType.F32: "<f4", DType.F64: "<f8", DType.I64: "<i8", DType.I32: "<i4", DType.F16: "<f2"}
PREFIXES = ("module.", "_orig_mod.", "_fsdp_wrapped_module.")
"""What wrappers put before a parameter's name."""


@dataclass(frozen=True, slots=True)
class _Group:
    """Parameters of one group: their keys in the state, and their names where the file gives them."""

    keys: Sequence[int | str]
    names: Sequence[str] | None


def read_torch_state(source: Source, record: Record, entry: CheckpointEntry) -> OptimizerState:
    """The state in a file of ``torch.save``.

    Raises
    ------
    FormatError
        It is no optimizer's state, or names cannot be told without guessing.
    """
    (file,) = [name for name in source.files if entry.optimizer.endswith(name)]
    found = run_plan(plan_description(file, source.files[file].size), source)
    root = found.value
    if type(root) is Table and set(root.items) >= {"optimizer"} and "state" not in root.items:
        root = root.items["optimizer"]
    if type(root) is not Table or type(root.items.get("state")) is not Table:
        _refuse(entry, "the file holds no mapping 'state' of an optimizer")
    states = root.items["state"]
    groups = _groups(root.items.get("param_groups"), entry)
    shapes = {key: _shape(value) for key, value in (states.items | states.numbered).items()}
    names = _names(groups, shapes, record, entry)
    lion = record.declaration.optimizer is not None and record.declaration.optimizer.name == "lion"
    tensors: dict[tuple[str, str], StateTensor] = {}
    steps: dict[str, int] = {}
    for key, table in (states.items | states.numbered).items():
        if key not in names:
            _refuse(entry, f"the state has a parameter {str(key)[:60]!r} that no group of parameters lists")
        if type(table) is not Table:
            _refuse(entry, f"the state of parameter {names[key]!r} is no mapping")
        for slot, value in table.items.items():
            if slot == "step":
                if (step := _step(value, source, file, found, entry)) is not None:
                    steps[names[key]] = step
            elif slot in SLOT_OF and type(value) is TensorRecord:
                kind = "momentum" if lion else SLOT_OF[slot]
                place = _place(file, f"{names[key]}/{slot}", value, found)
                tensors[names[key], kind] = StateTensor(names[key], kind, value.shape, source, place)
    distinct = set(steps.values())
    return OptimizerState(distinct.pop() if len(distinct) == 1 else None, tensors, steps)


def _refuse(entry: CheckpointEntry, what: str) -> NoReturn:
    raise FormatError(f"{entry.optimizer}: {what}. Save optimizer.state_dict() as it is.")


def _unnamed(entry: CheckpointEntry, what: str) -> NoReturn:
    raise UnnamedParametersError(
        f"{entry.optimizer}: {what}. Give the optimizer named parameters (model.named_parameters()) so that it saves "
        "their names, or write the state as safetensors with a name for each tensor."
    )


def _groups(value: Any, entry: CheckpointEntry) -> list[_Group]:
    if type(value) is not list or not value or not all(type(group) is Table for group in value):
        _refuse(entry, "'param_groups' is no list of groups of parameters")
    groups = []
    seen: set[int | str] = set()
    for group in value:
        keys, names = group.items.get("params"), group.items.get("param_names")
        if type(keys) is not list or not all(type(key) in (int, str) for key in keys):
            _refuse(entry, "a group's 'params' is no list of numbers or names")
        if names is not None and (
            type(names) is not list or len(names) != len(keys) or not all(type(name) is str for name in names)
        ):
            _refuse(entry, "a group's 'param_names' are not as many names as it has parameters")
        if seen & set(keys) or len(set(keys)) != len(keys):
            _refuse(entry, "a parameter is listed twice")
        seen |= set(keys)
        groups.append(_Group(keys, names))
    return groups


def _shape(state: Any) -> tuple[int, ...] | None:
    """Shape of a parameter, which its first moment or momentum has too."""
    if type(state) is not Table:
        return None
    for slot in SLOT_OF:
        if type(value := state.items.get(slot)) is TensorRecord:
            return value.shape
    return None


def _names(
    groups: Sequence[_Group],
    shapes: Mapping[int | str, tuple[int, ...] | None],
    record: Record,
    entry: CheckpointEntry,
) -> dict[int | str, str]:
    """Name of each key: its own, that which the group gives, or that of the checkpoint's order."""
    names: dict[int | str, str] = {}
    unnamed = [key for group in groups if group.names is None for key in group.keys if type(key) is int]
    for group in groups:
        given = group.names if group.names is not None else group.keys
        names.update(
            (key, _bare(name)) for key, name in zip(group.keys, given, strict=True) if type(name) is str
        )
    if unnamed:
        names |= _names_by_order(groups, shapes, record, entry)
    if len(set(names.values())) != len(names):
        _refuse(entry, "two parameters have one name")
    return names


def _bare(name: str) -> str:
    """A parameter's name without what wrappers put before it."""
    while True:
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        if prefix is None:
            return name
        name = name[len(prefix) :]


def _names_by_order(
    groups: Sequence[_Group],
    shapes: Mapping[int | str, tuple[int, ...] | None],
    record: Record,
    entry: CheckpointEntry,
) -> dict[int | str, str]:
    """Parameters are numbered group by group, in the model's order; a PyTorch checkpoint keeps that order."""
    stored = _ordered_tensors(record, entry)
    if len(groups) == 1:
        parts = [stored]
    else:  # trainers put what decays into the first group and the rest into the second, in the model's order
        decays = record.declaration.optimizer.decays if record.declaration.optimizer else ""
        if len(groups) != 2 or decays != "matrices":
            _unnamed(
                entry, f"parameters are numbered in {len(groups)} groups, and nothing says which is in which"
            )
        matrices = {name: tensor for name, tensor in stored.items() if len(tensor.shape) >= 2}
        parts = [matrices, {name: tensor for name, tensor in stored.items() if name not in matrices}]
    names: dict[int | str, str] = {}
    for group, part in zip(groups, parts, strict=True):
        if len(group.keys) != len(part):
            _unnamed(
                entry, f"a group has {len(group.keys):,} parameters where the checkpoint has {len(part):,}"
            )
        for key, (name, tensor) in zip(group.keys, part.items(), strict=True):
            shape = shapes.get(key)
            if shape is not None and shape != tensor.shape:
                _unnamed(
                    entry,
                    f"parameter {key} has shape {list(shape)}; in the checkpoint's order it would be {name!r} of "
                    f"shape {list(tensor.shape)}",
                )
            names[key] = name
    return names


def _ordered_tensors(record: Record, entry: CheckpointEntry) -> dict[str, TensorRecord]:
    """The checkpoint's tensors in the model's order, each storage once."""
    if not entry.path:
        _unnamed(entry, "parameters are numbered, and the checkpoint whose order names them is not disclosed")
    source = LocalSource(record.path(entry.path))
    try:
        weights = [
            name
            for name in source.files
            if name.endswith(WEIGHTS_SUFFIXES) and not NOT_WEIGHTS.fullmatch(name)
        ]
        if len(weights) != 1 or not weights[0].endswith(SUFFIXES):
            _unnamed(
                entry,
                "parameters are numbered, and the checkpoint (sorted by name, or in several files) does not keep the "
                "model's order, so that their names would have to be guessed",
            )
        found = run_plan(plan_description(weights[0], source.files[weights[0]].size), source)
    finally:
        source.close()
    kept: dict[tuple[str, int], tuple[str, TensorRecord]] = {}
    for name, tensor in find_weights(found.value, weights[0]).items():
        if tensor.dtype is not None and tensor.dtype.is_weight:
            # Tied weights share their bytes, and are one parameter.
            kept.setdefault((tensor.storage.key, tensor.offset), (name, tensor))
    return dict(kept.values())


def _place(file: str, name: str, value: TensorRecord, found: Description) -> TensorEntry:
    return tensor_entry(file, name, value, found.spans[value.storage.key])


def _step(value: Any, source: Source, file: str, found: Description, entry: CheckpointEntry) -> int | None:
    """Updates that one parameter has seen: a number, or a tensor of one."""
    if type(value) is TensorRecord:
        place = _place(file, "step", value, found)
        if place.size != 1 or place.dtype not in NUMPY:
            _refuse(entry, "a parameter's step is no single number")
        value = float(np.frombuffer(source.read(file, *place.span), NUMPY[place.dtype])[0])
    if type(value) not in (int, float):
        return None
    if not 0 <= value < MAX_STEP or value != int(value):
        _refuse(entry, f"a parameter's step is {value!r}; expected a number of updates")
    return int(value)
