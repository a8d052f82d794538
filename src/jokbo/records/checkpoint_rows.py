"""Choose rows of every tensor, the same in every checkpoint, and read them by byte range.

Vectors are read whole always, and everything is where it fits the budget. Of a larger run's
matrices a share is read, in windows of neighbouring rows (one request each) whose places follow
from the audit's seed and the record's digest. Rows of tokens that no window holds are read as well.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Int64

from jokbo.architectures.base import Kind, Layout, Part, Role
from jokbo.errors import FormatError, InputError
from jokbo.formats.base import TensorEntry
from jokbo.formats.dtypes import DType
from jokbo.records.checkpoints import CheckpointRows, OpenedCheckpoint, TensorRows
from jokbo.records.rows_file import RowsFile, open_rows_file
from jokbo.records.sampled_rows import sides
from jokbo.views.model import Model
from jokbo.views.rows import RowsWish, fetch_rows

if TYPE_CHECKING:
    from jokbo.records.record import Record

MAX_ELEMENTS_WHOLE = 1 << 16
"""Tensors of at most so many elements are read whole, whatever the budget."""

MAX_WINDOWS = 8
MIN_WINDOW_ROWS = 16
MAX_UNSEEN_ROWS = 256

ROUNDOFF = {
    DType.F64: 2.0**-24,  # decoded to float32
    DType.F32: 2.0**-24,
    DType.BF16: 2.0**-8,
    DType.F16: 2.0**-11,
    DType.F8_E4M3: 2.0**-4,
    DType.F8_E5M2: 2.0**-3,
}
"""Unit roundoff by stored type."""


@dataclass(frozen=True, slots=True)
class _Holder:
    """One tensor in one checkpoint: stored whole, or sampled rows of it."""

    checkpoint: int
    entry: TensorEntry | None
    sampled: RowsFile | None
    roundoff: float


@dataclass(frozen=True, slots=True)
class _Group:
    """One tensor over all checkpoints that have it in one shape."""

    name: str
    role: str
    layer: int | None
    shape: tuple[int, int]
    is_vector: bool
    holders: list[_Holder] = field(default_factory=list)


def read_rows(record: Record) -> CheckpointRows:
    """See :func:`jokbo.records.checkpoints.read_rows`."""
    opened = [m for m in record.checkpoints.members if m.model is not None or _has_rows(record, m)]
    files = {
        k: open_rows_file(record.path(m.entry.rows), m.entry.name)
        for k, m in enumerate(opened)
        if m.model is None
    }
    try:
        groups = _groups(opened, files)
        chosen = _choose(record, groups)
        values = _read(opened, files, groups, chosen)
    finally:
        for file in files.values():
            file.close()
    tensors = {
        key: TensorRows(
            name=group.name,
            role=group.role,
            layer=group.layer,
            shape=group.shape,
            is_vector=group.is_vector,
            rows=chosen[key],
            checkpoints=np.array([h.checkpoint for h in group.holders], dtype=np.int64),
            values=np.stack(values[key]),
            roundoff=np.array([h.roundoff for h in group.holders]),
        )
        for key, group in groups.items()
        if group.holders
    }
    n_bytes = sum(m.model.source.stats.bytes_read for m in opened if m.model is not None)
    n_bytes += sum(file.source.stats.bytes_read for file in files.values())
    return CheckpointRows(tuple(m.entry for m in opened), tensors, n_bytes)


def _has_rows(record: Record, member: OpenedCheckpoint) -> bool:
    return bool(member.entry.rows) and record.path(member.entry.rows).is_file()


def _groups(opened: Sequence[OpenedCheckpoint], files: Mapping[int, RowsFile]) -> dict[str, _Group]:
    """Tensors by name; a shape that changed on the way makes another group, ``name@rows x columns``."""
    found: dict[str, _Group] = {}
    places = _places(opened)
    for k, member in enumerate(opened):
        for name, shape, is_vector, holder in _held(k, member.model, files.get(k)):
            role, layer = places.get(name, (str(Role.OTHER), None))
            key = name if name not in found or found[name].shape == shape else f"{name}@{shape[0]}x{shape[1]}"
            group = found.setdefault(key, _Group(name, role, layer, shape, is_vector))
            group.holders.append(holder)
    return found


def _held(
    k: int, model: Model | None, sampled: RowsFile | None
) -> Iterator[tuple[str, tuple[int, int], bool, _Holder]]:
    if model is not None:
        kinds = {part.entry.name: part.kind for part in model.anatomy.parts}
        for name, entry in model.catalog.items():
            buffer = kinds.get(name, Kind.WEIGHT) in (Kind.BUFFER, Kind.SCALE)
            if buffer or not entry.size or (entry.codec is None and entry.dtype not in ROUNDOFF):
                continue
            roundoff = np.inf if entry.codec is not None else ROUNDOFF[entry.dtype]
            yield name, sides(entry), len(entry.shape) < 2, _Holder(k, entry, None, roundoff)
    elif sampled is not None:
        for name, tensor in sampled.tensors.items():
            roundoff = ROUNDOFF.get(tensor.stored, np.inf) if tensor.stored is not None else np.inf
            is_vector = tensor.shape[1] == 1
            yield name, tensor.shape, is_vector, _Holder(k, None, sampled, roundoff)


def _places(opened: Sequence[OpenedCheckpoint]) -> dict[str, tuple[str, int | None]]:
    """Role and layer of each stored tensor, by the first anatomy that gives it one role."""
    found: dict[str, tuple[str, int | None]] = {}
    for member in opened:
        if member.model is None:
            continue
        roles: dict[str, set[tuple[str, int | None]]] = {}
        for part in member.model.anatomy.parts:
            roles.setdefault(part.entry.name, set()).add((str(part.role), part.layer))
        for name, said in roles.items():
            layer = next(iter(said))[1]
            # A fused tensor plays several roles and is followed as a whole.
            role = next(iter(said))[0] if len(said) == 1 else str(Role.OTHER)
            if found.get(name, ("other", None))[0] == "other":
                found[name] = (role, layer)
    return found


def _choose(record: Record, groups: Mapping[str, _Group]) -> dict[str, Int64[np.ndarray, " _"]]:
    """Rows of each group, ascending; checkpoints whose sampled rows share none with the others are dropped."""
    allowed = {key: _allowed(group) for key, group in groups.items()}
    cost = {key: sum(_row_bytes(group, h) for h in group.holders) for key, group in groups.items()}
    total = sum(cost[key] * _count(group, allowed[key]) for key, group in groups.items())
    always = {
        key for key, g in groups.items() if g.is_vector or g.shape[0] * g.shape[1] <= MAX_ELEMENTS_WHOLE
    }
    fixed = sum(cost[key] * _count(groups[key], allowed[key]) for key in always)
    share = 1.0
    if total > record.budget_bytes:
        share = max(record.budget_bytes - fixed, 0) / max(total - fixed, 1)
    unseen = record.data.unseen_tokens if record.data is not None else ()
    whole = {key: np.arange(group.shape[0], dtype=np.int64) for key, group in groups.items()}
    return {
        key: _rows(
            whole[key] if (some := allowed[key]) is None else some,
            1.0 if key in always else share,
            _rng(record, group.shape[0]),
            # Their rows follow from step 0 alone, so they are worth reading whatever the share.
            unseen[:MAX_UNSEEN_ROWS] if group.role == Role.TOKEN_EMBD else (),
        )
        for key, group in groups.items()
    }


def _allowed(group: _Group) -> Int64[np.ndarray, " rows"] | None:
    """Rows that every sampled holder discloses; None for all. Holders that share no row leave the group."""
    found: Int64[np.ndarray, " rows"] | None = None
    for holder in list(group.holders):
        if holder.sampled is None:
            continue
        index = holder.sampled.tensors[group.name].index
        both = index if found is None else np.intersect1d(found, index)
        if both.size == 0:
            group.holders.remove(holder)
        else:
            found = both
    return found


def _count(group: _Group, allowed: Int64[np.ndarray, " rows"] | None) -> int:
    return group.shape[0] if allowed is None else len(allowed)


def _row_bytes(group: _Group, holder: _Holder) -> int:
    if holder.entry is None:
        return 0  # sampled files are small, and are read as they are
    return max(holder.entry.span.size // max(group.shape[0], 1), 1)


def _rng(record: Record, n_rows: int) -> np.random.Generator:
    # Tensors of equally many rows get the same ones: gate and up of a unit are then both read.
    text = f"jokbo-record-rows-1|{record.seed}|{record.digest}|{n_rows}"
    return np.random.Generator(np.random.PCG64(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")))


def _rows(
    allowed: Int64[np.ndarray, " allowed"], share: float, rng: np.random.Generator, extra: Sequence[int]
) -> Int64[np.ndarray, " rows"]:
    """A share of the rows, in windows of neighbours, and the extra ones that are allowed.

    Examples
    --------
    >>> _rows(np.arange(100), 0.16, np.random.default_rng(0), [99]).size >= 16
    True
    """
    total = len(allowed)
    wanted = min(total, max(int(share * total), MIN_WINDOW_ROWS))
    if wanted >= total:
        return allowed
    n_windows = max(1, min(MAX_WINDOWS, wanted // MIN_WINDOW_ROWS))
    length = wanted // n_windows
    # Windows lie in separate stretches of the axis, so that none overlap.
    edges = np.linspace(0, total, n_windows + 1).astype(np.int64)
    starts = [a + int(rng.integers(0, max(b - a - length, 0) + 1)) for a, b in itertools.pairwise(edges)]
    kept = allowed[np.unique(np.concatenate([np.arange(s, min(s + length, total)) for s in starts]))]
    return np.union1d(kept, np.intersect1d(allowed, np.asarray(extra, dtype=np.int64)))


def _read(
    opened: Sequence[OpenedCheckpoint],
    files: Mapping[int, RowsFile],
    groups: Mapping[str, _Group],
    chosen: Mapping[str, Int64[np.ndarray, " _"]],
) -> dict[str, list[Float32[np.ndarray, "_ _"]]]:
    found: dict[str, list[Float32[np.ndarray, "_ _"]]] = {key: [] for key in groups}
    for k, member in enumerate(opened):
        held = [(key, h) for key, g in groups.items() for h in g.holders if h.checkpoint == k]
        if member.model is None:
            for key, _ in held:
                found[key].append(files[k].rows(groups[key].name, chosen[key]))
            continue
        wishes = [RowsWish(_plain(h.entry), chosen[key]) for key, h in held if h.entry is not None]
        try:
            arrays = fetch_rows(member.model, wishes)
        except InputError as error:
            raise type(error)(f"checkpoint {member.entry.name!r}: {error}") from None
        for (key, _), values in zip(held, arrays, strict=True):
            found[key].append(values)
    return found


def _plain(entry: TensorEntry) -> Part:
    """The stored tensor as one plane of rows: axes before the last counted together."""
    rows, cols = sides(entry)
    if rows * cols != entry.size:
        raise FormatError(f"tensor {entry.name!r} of shape {list(entry.shape)} has no rows to read.")
    shape = (rows,) if len(entry.shape) < 2 else (rows, cols)
    layout = Layout(0, rows, cols, 0, max(rows, 1), max(rows, 1))
    axes = ("other",) * len(shape)
    return Part("text", Role.OTHER, Kind.WEIGHT, None, None, entry, shape, axes, layout)
