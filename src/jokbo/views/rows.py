"""Fetch rows of logical matrices: plan the byte ranges, read them at once, decode, check.

Only the rows asked for are read. Rows of a transposed tensor are columns of the
stored plane, so each costs one small range a stored row; sources merge those.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int

from jokbo.architectures.base import Part
from jokbo.errors import FormatError, WeightsError
from jokbo.formats.base import RowCodec, TensorEntry
from jokbo.formats.dtypes import decode
from jokbo.sources.base import ByteRange, Read
from jokbo.sources.excerpt import ExcerptSource
from jokbo.views.model import Model


class RowsWish(NamedTuple):
    """Rows of one logical matrix; all of them when `rows` is None. A vector is a matrix of one column."""

    part: Part
    rows: Int[np.ndarray, " n"] | None = None

    def row_numbers(self) -> Int[np.ndarray, " n"]:
        """The logical rows wanted."""
        return np.arange(self.part.shape[0]) if self.rows is None else np.asarray(self.rows, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class ReadRecord:
    """What was read of one tensor: the entry that evidence keeps.

    Attributes
    ----------
    tensor : str
        Stored name.
    ranges : tuple of (int, int)
        Half-open byte ranges in `file`, neighbours joined.
    """

    file: str
    tensor: str
    ranges: tuple[tuple[int, int], ...]


def fetch_rows(
    model: Model,
    wishes: Sequence[RowsWish],
    *,
    observe: Callable[[Sequence[Read], Sequence[bytes]], None] | None = None,
) -> list[Float32[np.ndarray, "rows cols"]]:
    """Fetch and decode, in one concurrent read.

    Parameters
    ----------
    model : Model
    wishes : sequence of RowsWish
    observe : callable, optional
        Called with the reads and their bytes: evidence digests what was read.

    Returns
    -------
    list of ndarray of float32
        One array (rows, columns) a wish; vectors come as (rows, 1).

    Raises
    ------
    WeightsError
        A value is NaN or infinite; the message names tensor and byte offset.
    SourceError
        The bytes could not be read.
    """
    plans = [_plan(wish) for wish in wishes]
    reads = [read for plan in plans for read in plan]
    answers = model.source.read_many(reads)
    if observe is not None:
        observe(reads, answers)
    scales = _fetch_scales(model, wishes)
    arrays, start = [], 0
    for wish, plan in zip(wishes, plans, strict=True):
        data = answers[start : start + len(plan)]
        start += len(plan)
        arrays.append(_assemble(model, wish, plan, data, scales))
    return arrays


def rows_held(model: Model, wishes: Sequence[RowsWish]) -> bool:
    """Whether these rows can be read at all: of a fingerprint, whether it holds them."""
    if not isinstance(model.source, ExcerptSource):
        return True
    if bytes_wanted(wishes) > model.source.held_bytes * max(len(wishes), 1):
        return False  # before a place is worked out: a file may claim a matrix of any size
    return model.source.holds([read for wish in wishes for read in _plan(wish)])


def reads_of(wish: RowsWish) -> list[Read]:
    """The byte ranges behind some rows; their bytes, one after another, are those of the rows as they are stored."""
    return _plan(wish)


def bytes_wanted(wishes: Sequence[RowsWish]) -> int:
    """Bytes that :func:`fetch_rows` would read for these wishes."""
    total = 0
    for part, rows in wishes:
        count = part.shape[0] if rows is None else len(rows)
        if part.entry.codec is not None:
            total += part.entry.codec.bytes_wanted(
                part.layout.plane_rows if part.layout.transposed else count
            )
        else:
            total += count * _columns(part) * part.entry.dtype.itemsize
    return total


def _columns(part: Part) -> int:
    return part.shape[1] if len(part.shape) > 1 else 1


def _plan(wish: RowsWish) -> list[Read]:
    part, layout = wish.part, wish.part.layout
    if part.entry.codec is not None:
        return part.entry.codec.plan(_coded_rows(part, wish.row_numbers()))
    stored = layout.stored_index(wish.row_numbers())
    item = part.entry.dtype.itemsize
    base = part.entry.span.start + layout.plane * layout.plane_rows * layout.plane_cols * item
    runs = _runs(stored)
    if not layout.transposed:
        width = layout.plane_cols * item
        return [Read(part.entry.file, ByteRange(base + a * width, base + b * width)) for a, b in runs]
    width = layout.plane_cols * item
    return [
        Read(part.entry.file, ByteRange(base + row * width + a * item, base + row * width + b * item))
        for row in range(layout.plane_rows)
        for a, b in runs
    ]


def _coded_rows(part: Part, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """Rows of the stored tensor behind logical rows: all of the plane where that is the transpose."""
    layout = part.layout
    wanted = np.arange(layout.plane_rows) if layout.transposed else layout.stored_index(rows)
    return layout.plane * layout.plane_rows + wanted


def _runs(stored: Int[np.ndarray, " n"]) -> list[tuple[int, int]]:
    """Maximal runs of consecutive numbers, in the order given."""
    if stored.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(stored) != 1) + 1
    starts = np.concatenate([[0], breaks])
    stops = np.concatenate([breaks, [stored.size]])
    return [(int(stored[a]), int(stored[b - 1]) + 1) for a, b in zip(starts, stops, strict=True)]


def _assemble(
    model: Model, wish: RowsWish, plan: list[Read], data: list[bytes], scales: dict[str, np.ndarray]
) -> Float32[np.ndarray, "rows cols"]:
    part, rows = wish.part, wish.row_numbers()
    if part.entry.codec is not None:
        return _decode_coded(model, part, part.entry.codec, rows, data)
    values = decode(b"".join(data) if len(data) != 1 else data[0], part.entry.dtype)
    if not np.isfinite(values).all():
        _refuse(model, part, plan, values)
    if part.layout.transposed:
        matrix = np.ascontiguousarray(values.reshape(part.layout.plane_rows, rows.size).T)
    else:
        matrix = values.reshape(rows.size, _columns(part))
    if part.scale is not None:
        matrix = matrix * _scale_rows(part, scales[part.scale.name], rows)
        if not np.isfinite(matrix).all():
            raise WeightsError(
                f"{model.name}: {part.entry.name} times its scales {part.scale.name} holds NaN or infinity; "
                "expected finite weights. The checkpoint is damaged."
            )
    return matrix


def _decode_coded(
    model: Model, part: Part, codec: RowCodec, rows: Int[np.ndarray, " n"], data: list[bytes]
) -> Float32[np.ndarray, "rows cols"]:
    values = codec.decode(_coded_rows(part, rows), data)
    if not np.isfinite(values).all():
        raise WeightsError(
            f"{model.name}: {part.entry.file}, tensor {part.entry.name!r}, stored as {codec.name}, decodes to "
            "NaN or infinity; expected finite weights. No verdict is given on damaged weights: fetch it again."
        )
    if part.layout.transposed:
        return np.ascontiguousarray(values[:, part.layout.stored_index(rows)].T)
    return values


def _refuse(model: Model, part: Part, plan: list[Read], values: np.ndarray) -> None:
    bad = int(np.flatnonzero(~np.isfinite(values))[0])
    position = bad * part.entry.dtype.itemsize
    for read in plan:
        if position < read.range.size:
            offset = read.range.start + position
            raise WeightsError(
                f"{model.name}: {part.entry.file}, tensor {part.entry.name!r}, offset {offset:,}: found "
                f"{values[bad]}; expected a finite number. No verdict is given on damaged weights: fetch it again."
            )
        position -= read.range.size


def _fetch_scales(model: Model, wishes: Sequence[RowsWish]) -> dict[str, np.ndarray]:
    entries: dict[str, TensorEntry] = {
        w.part.scale.name: w.part.scale for w in wishes if w.part.scale is not None
    }
    if not entries:
        return {}
    answers = model.source.read_many([Read(entry.file, entry.span) for entry in entries.values()])
    return {
        name: decode(data, entry.dtype).reshape(entry.shape)
        for (name, entry), data in zip(entries.items(), answers, strict=True)
    }


def _scale_rows(
    part: Part, scale: np.ndarray, rows: Int[np.ndarray, " n"]
) -> Float32[np.ndarray, "#rows #cols"]:
    """Scales of the wanted rows; the architecture says how many rows and columns one scale covers."""
    layout = part.layout
    if scale.size == 1:
        return scale.reshape(1, 1)
    if part.scale_block is None or layout.transposed or layout.plane:
        raise FormatError(
            f"tensor {part.entry.name!r} has scales {part.scale.name if part.scale else ''!r} of shape "
            f"{list(scale.shape)} whose blocks are not known here; expected one scale, or blocks that the "
            "architecture declares. Convert the checkpoint to a plain type first."
        )
    stored = layout.stored_index(rows)
    height, width = part.scale_block
    plane = scale.reshape(-(-layout.plane_rows // height), -(-layout.plane_cols // width))
    return np.repeat(plane[stored // height], width, axis=1)[:, : layout.plane_cols]


def joined(reads: Sequence[Read], names: Sequence[str]) -> tuple[ReadRecord, ...]:
    """Records of what was read, neighbours joined, one a tensor."""
    by_tensor: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for read, name in zip(reads, names, strict=True):
        by_tensor.setdefault((read.file, name), []).append((read.range.start, read.range.stop))
    records = []
    for (file, name), ranges in by_tensor.items():
        merged: list[tuple[int, int]] = []
        for start, stop in sorted(ranges):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
            else:
                merged.append((start, stop))
        records.append(ReadRecord(file, name, tuple(merged)))
    return tuple(records)
