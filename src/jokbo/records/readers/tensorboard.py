"""TensorBoard event files: ``events.out.tfevents.*``, by torch, TensorFlow and others.

Records (:mod:`jokbo.records.readers.tfrecord`) are protobuf ``Event`` with a time, a step and a summary of
values by tag. Scalars are read as they are written by ``add_scalar`` of torch (``simple_value``) and of
TensorFlow 2 (a tensor of one float or double); pictures, histograms, graphs and text are stepped over.
Scalars of one step that follow each other are one row, with the time of the first. A folder's files are
segments, by name, which begins with the time; a session log with a later start is what a writer leaves that
resumed.

Fields: ``Event.wall_time`` 1, ``step`` 2, ``summary`` 5, ``session_log`` 7; ``Summary.value`` 1;
``Value.tag`` 1, ``simple_value`` 2, ``tensor`` 8; ``TensorProto.dtype`` 1, ``tensor_content`` 4,
``float_val`` 5, ``double_val`` 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import MAX_METRICS, LogFile
from jokbo.records.readers.block_log import Records
from jokbo.records.readers.builder import Cells, LogBuilder
from jokbo.records.readers.spans import SpanTable
from jokbo.records.readers.tabular import TENSORBOARD_SIZES
from jokbo.records.readers.tfrecord import RecordFile
from jokbo.records.readers.wire import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    Fields,
    WireError,
    fields_of,
    int_of,
    walk,
)  # fmt: skip

WALL_TIME, STEP, SUMMARY, SESSION_LOG = 1, 2, 5, 7
TAG, SIMPLE_VALUE, TENSOR = 1, 2, 8
DTYPE, CONTENT, FLOAT_VAL, DOUBLE_VAL = 1, 4, 5, 6
DT_FLOAT, DT_DOUBLE = 1, 2
SESSION_START = 1

WALL_NAME, STEP_NAME = "wall_time", "step"


def recognises(file: LogFile, head: bytes) -> bool:
    """By the name, or by a first record that says ``brain.Event:``."""
    return ".tfevents." in file.name.rsplit("/", 1)[-1] or b"brain.Event:" in head[:64]


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read event files; a segment each."""
    for file in files:
        _EventFile(file, entry, builder).read()


@dataclass(frozen=True, slots=True)
class _Scalars:
    """Scalars in the order written."""

    tag: Int64[np.ndarray, " n"]
    step: Int64[np.ndarray, " n"]
    time: Float64[np.ndarray, " n"]
    value: Float64[np.ndarray, " n"]
    at: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.tag)

    def take(self, index: Int64[np.ndarray, " k"] | slice) -> _Scalars:
        return _Scalars(
            self.tag[index], self.step[index], self.time[index], self.value[index], self.at[index]
        )

    def after(self, before: _Scalars | None) -> _Scalars:
        if before is None or not len(before):
            return self
        pairs = ((getattr(before, name), getattr(self, name)) for name in self.__dataclass_fields__)
        return _Scalars(*(np.concatenate(pair) for pair in pairs))


class _EventFile:
    """One file while it is read."""

    def __init__(self, file: LogFile, entry: LogEntry, builder: LogBuilder) -> None:
        self._file, self._entry, self._builder = file, entry, builder
        self._tags = SpanTable(max_texts=MAX_METRICS)
        self._resumed = False

    def read(self) -> None:
        self._builder.begin(
            self._file, "tensorboard", {"step": STEP_NAME, "time": WALL_NAME, **self._entry.metrics}
        )
        records = RecordFile(self._file)
        waiting: _Scalars | None = None
        for piece in records:
            try:
                scalars = self._scalars(piece).after(waiting)
            except WireError as error:
                raise self._error(piece, error.message, str(error)) from None
            # The last step may go on in the next piece.
            changes = np.flatnonzero(np.diff(scalars.step))
            stop = int(changes[-1]) + 1 if changes.size else 0
            self._rows(scalars.take(slice(0, stop)))
            waiting = scalars.take(slice(stop, None))
        if waiting is not None:
            self._rows(waiting)
        if records.cut is not None:
            self._builder.fault("cut_end", records.cut)
        self._builder.end(resumed=self._resumed, usual_samples=TENSORBOARD_SIZES)

    def _error(self, piece: Records, message: int, why: str) -> FormatError:
        offset = int(piece.offsets[min(message, len(piece.offsets) - 1)])
        return FormatError(
            f"{self._file.name}, record at offset {offset:,}: {why}; expected an event as TensorBoard's "
            "writers make them. The file is damaged or no event file: fetch it again."
        )

    def _scalars(self, piece: Records) -> _Scalars:
        """Scalars of a piece; messages are counted among its records."""
        data = piece.data
        events = walk(data, piece.starts, piece.stops, (WALL_TIME, STEP, SUMMARY, SESSION_LOG))
        n = len(piece.starts)
        time, step = np.full(n, np.nan), np.zeros(n, dtype=np.int64)
        walls, steps = events.only(WALL_TIME, FIXED64), events.only(STEP, VARINT)
        time[walls.message] = _floats(data, walls.start, "<f8")
        step[steps.message] = steps.value.astype(np.int64)
        for k in np.flatnonzero(events.number == SESSION_LOG)[:1000].tolist():
            self._session(data, events, k, int(step[events.message[k]]))
        summaries = events.only(SUMMARY, BYTES)
        values = _inside(data, summaries, (1,)).only(1, BYTES)
        tag, value = self._values(data, values)
        kept = np.flatnonzero(tag >= 0)
        event = values.message[kept]
        return _Scalars(tag[kept], step[event], time[event], value[kept], piece.offsets[event])

    def _session(self, data: UInt8[np.ndarray, " b"], events: Fields, k: int, step: int) -> None:
        if int(events.wire[k]) == BYTES:
            status = int_of(fields_of(data[events.start[k] : events.stop[k]].tobytes(), (1,)), 1)
            self._resumed = self._resumed or (status == SESSION_START and step > 0)

    def _values(
        self, data: UInt8[np.ndarray, " b"], values: Fields
    ) -> tuple[Int64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
        """Tag (-1 for what is no scalar) and number of each value of a summary."""
        fields = _inside(data, values, (TAG, SIMPLE_VALUE, TENSOR), renumber=False)
        n = len(values)
        tag, number = np.full(n, -1, dtype=np.int64), np.full(n, np.nan)
        try:
            tags, simple, tensors = (
                fields.only(TAG, BYTES),
                fields.only(SIMPLE_VALUE, FIXED32),
                fields.only(TENSOR, BYTES),
            )
            scalar = np.zeros(n, dtype=bool)
            scalar[simple.message] = True
            number[simple.message] = _floats(data, simple.start, "<f4")
            held, found = _tensor_scalars(data, tensors)
            scalar[tensors.message[held]] = True
            number[tensors.message[held]] = found
            mine = tags.take(np.flatnonzero(scalar[tags.message]))
            tag[mine.message] = self._tags.numbers(data, mine.start, mine.stop)
        except WireError as error:
            raise WireError(int(values.message[error.message]), str(error)) from None
        except ValueError as error:
            raise WireError(0, str(error)) from None
        return tag, number

    def _rows(self, scalars: _Scalars) -> None:
        """Add rows: scalars of one step, until a tag comes again."""
        if not len(scalars):
            return
        run = np.concatenate([[0], np.cumsum(np.diff(scalars.step) != 0)])
        order = np.lexsort((scalars.tag, run))
        again = np.zeros(len(run), dtype=np.int64)
        same = (np.diff(run[order]) == 0) & (np.diff(scalars.tag[order]) == 0)
        place = np.arange(len(run))
        first = np.maximum.accumulate(np.concatenate([[0], np.where(same, 0, place[1:])]))
        again[order] = place - first
        _, head, row = np.unique(run * (int(again.max()) + 1) + again, return_index=True, return_inverse=True)
        columns: dict[str, Cells] = {
            STEP_NAME: (None, scalars.step[head].astype(np.float64)),
            WALL_NAME: (None, scalars.time[head]),
        }
        by_tag = np.argsort(scalars.tag, kind="stable")
        bounds = np.searchsorted(scalars.tag[by_tag], np.arange(len(self._tags.texts) + 1))
        for k, text in enumerate(self._tags.texts):
            mine = by_tag[bounds[k] : bounds[k + 1]]
            if mine.size:
                mine = mine[np.argsort(row[mine])]
                columns[_column_name(text)] = (row[mine], scalars.value[mine])
        self._builder.block(scalars.at[head], columns)


def _column_name(tag: bytes) -> str:
    """The tag, which must not hide the step or the time of its row."""
    name = tag.decode("utf-8", "replace")
    return f"{name} (tag)" if name in (STEP_NAME, WALL_NAME) else name


def _inside(
    data: UInt8[np.ndarray, " b"], outer: Fields, wanted: Sequence[int], *, renumber: bool = True
) -> Fields:
    """Fields of messages inside messages, counted as the outer ones are where `renumber`."""
    try:
        inner = walk(data, outer.start, outer.stop, wanted)
    except WireError as error:
        raise WireError(int(outer.message[error.message]), str(error)) from None
    if not renumber:
        return inner
    return Fields(
        outer.message[inner.message], inner.number, inner.wire, inner.value, inner.start, inner.stop
    )


def _floats(
    data: UInt8[np.ndarray, " b"], at: Int64[np.ndarray, " n"], kind: str
) -> Float64[np.ndarray, " n"]:
    """Little-endian numbers at any places."""
    width = np.dtype(kind).itemsize
    return np.ascontiguousarray(data[at[:, None] + np.arange(width)]).view(kind)[:, 0].astype(np.float64)


def _tensor_scalars(
    data: UInt8[np.ndarray, " b"], tensors: Fields
) -> tuple[Int64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
    """Which tensors hold one float or double, and their numbers."""
    fields = _inside(data, tensors, (DTYPE, CONTENT, FLOAT_VAL, DOUBLE_VAL), renumber=False)
    n = len(tensors)
    kind = np.zeros(n, dtype=np.int64)
    kinds = fields.only(DTYPE, VARINT)
    kind[kinds.message] = kinds.value.astype(np.int64)
    which, numbers = [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for dtype, typed, width in ((DT_FLOAT, FLOAT_VAL, 4), (DT_DOUBLE, DOUBLE_VAL, 8)):
        parts = fields.take(np.flatnonzero((fields.number == CONTENT) | (fields.number == typed)))
        alone = (np.bincount(parts.message, minlength=n) == 1) & (kind == dtype)
        mine = np.flatnonzero(alone[parts.message] & (parts.stop - parts.start == width))
        which.append(parts.message[mine])
        numbers.append(_floats(data, parts.start[mine], f"<f{width}"))
    return np.concatenate(which), np.concatenate(numbers)
