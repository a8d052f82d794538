"""W&B run files: ``run-<id>.wandb``, which ``wandb`` writes offline and online alike.

Records are protobuf. They are read by their wire format (:mod:`jokbo.records.readers.wire`) and not by the
package ``protobuf``: with it a million rows of twenty metrics take an object for each of 22 million items,
about five times as long, and descriptors declared here would be the same table of field numbers that this
module holds; so the reader needs no extra. The numbers are those of ``wandb_internal_pb2`` (wandb 0.31),
whose files and those of 0.10 the tests read: ``Record.history`` 2, ``run`` 17, ``exit`` 18, ``header`` 21,
``environment`` 26.

A history item has a ``key`` or a path of ``nested_key`` (one element in newer versions), in any order, and
its value as JSON (``value_json``; newer typed fields are read as well). Numbers, NaN and infinity are kept;
text, pictures and histograms are left out. The step is ``_step``, else the record's own ``step.num``;
``train/global_step`` and its like come before both (:mod:`jokbo.records.readers.names`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64, UInt8

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import MAX_METRICS, LogFile
from jokbo.records.readers.block_log import HEADER, BlockLog, Records
from jokbo.records.readers.builder import Cells, LogBuilder
from jokbo.records.readers.spans import SpanTable
from jokbo.records.readers.wandb_facts import RunFacts
from jokbo.records.readers.wandb_values import (
    INTEGER,
    JSON,
    NUMBER,
    VALUE_JSON,
    ItemValues,
    decode_values,
    object_numbers,
)  # fmt: skip
from jokbo.records.readers.wire import BYTES, VARINT, Fields, WireError, walk

HISTORY, RUN, EXIT, HEADER_RECORD, PREEMPTING, ENVIRONMENT = 2, 17, 18, 21, 23, 26
HISTORY_ITEM, HISTORY_STEP = 1, 2
KEY, NESTED_KEY = 1, 2

MAX_NESTED = 16
"""Elements of a nested key."""


def recognises(file: LogFile, head: bytes) -> bool:
    """By the ending or the first bytes."""
    return file.name.endswith(".wandb") or head.startswith(HEADER[:4])


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read run files, a segment each; a folder's files by name, which W&B begins with the time."""
    for file in files:
        _RunFile(file, entry, builder).read()


@dataclass
class _RunFile:
    """One file while it is read."""

    file: LogFile
    entry: LogEntry
    builder: LogBuilder
    keys: SpanTable = field(default_factory=lambda: SpanTable(max_texts=MAX_METRICS))
    facts: RunFacts = field(default_factory=RunFacts)

    def read(self) -> None:
        self.builder.begin(self.file, "wandb_offline", self.entry.metrics)
        log = BlockLog(self.file)
        for records in log:
            try:
                self._piece(records)
            except WireError as error:
                raise self._error(records, error.message, str(error)) from None
        if log.cut is not None:
            self.builder.fault("cut_end", log.cut)
        facts = self.facts
        self.builder.end(resumed=facts.resumed, forked_from=facts.forked_from, facts=facts.table())

    def _error(self, records: Records, message: int, why: str) -> FormatError:
        offset = int(records.offsets[min(message, len(records.offsets) - 1)]) if len(records.offsets) else 0
        return FormatError(
            f"{self.file.name}, record at offset {offset:,}: {why}; expected protobuf as W&B writes it. "
            "The file is damaged or no W&B run: fetch it again."
        )

    def _piece(self, records: Records) -> None:
        data = records.data
        fields = walk(
            data, records.starts, records.stops, (HISTORY, RUN, EXIT, HEADER_RECORD, PREEMPTING, ENVIRONMENT)
        )
        other = fields.take(np.flatnonzero(fields.number != HISTORY))
        for k in range(len(other)):
            if int(other.wire[k]) != BYTES:
                raise WireError(int(other.message[k]), f"field {int(other.number[k])} is no message")
            blob = data[other.start[k] : other.stop[k]].tobytes()
            try:
                self.facts.take(int(other.number[k]), blob)
            except ValueError as error:
                raise WireError(int(other.message[k]), str(error)) from None
        history = fields.only(HISTORY, BYTES)
        if len(history):
            try:
                self._history(data, history, records.offsets[history.message])
            except WireError as error:
                raise WireError(int(history.message[error.message]), str(error)) from None

    def _history(self, data: UInt8[np.ndarray, " b"], history: Fields, at: Int64[np.ndarray, " n"]) -> None:
        """Rows of one piece; messages are counted among the history records."""
        parts = walk(data, history.start, history.stop, (HISTORY_ITEM, HISTORY_STEP))
        items = parts.only(HISTORY_ITEM, BYTES)
        try:
            columns = self._columns(data, items, len(history))
        except WireError as error:
            raise WireError(int(items.message[error.message]), str(error)) from None
        except ValueError as error:
            raise WireError(0, str(error)) from None
        if "_step" not in columns:
            counted = parts.only(HISTORY_STEP, BYTES)
            try:
                steps = walk(data, counted.start, counted.stop, (1,)).only(1, VARINT)
            except WireError as error:
                raise WireError(int(counted.message[error.message]), str(error)) from None
            values = np.zeros(len(counted))
            values[steps.message] = steps.value.astype(np.int64)  # proto3 leaves a zero out
            rows, last = np.unique(counted.message[::-1], return_index=True)
            columns["_step"] = (rows, values[::-1][last])
        self.builder.block(at, columns)

    def _columns(self, data: UInt8[np.ndarray, " b"], items: Fields, n: int) -> dict[str, Cells]:
        wanted = (KEY, NESTED_KEY, INTEGER, NUMBER, JSON, VALUE_JSON)
        fields = walk(data, items.start, items.stop, wanted, ordered=False)
        key = self._keys(data, fields, len(items))
        values = decode_values(data, fields, len(items))
        order = np.argsort(key.astype(np.int16), kind="stable")
        bounds = np.searchsorted(key[order], np.arange(len(self.keys.texts) + 1))
        columns: dict[str, Cells] = {}
        for k, text in enumerate(self.keys.texts):
            mine = order[bounds[k] : bounds[k + 1]]
            rows = items.message[mine]
            if len(rows) > 1 and (np.diff(rows) <= 0).any():
                raise WireError(int(mine[0]), f"a row names {text[:80].decode('utf-8', 'replace')!r} twice")
            kept = values.has[mine]
            if kept.any():
                if not kept.all():
                    mine, rows = mine[kept], rows[kept]
                columns[text.decode("utf-8", "replace")] = (
                    None if len(rows) == n else rows,
                    values.numbers[mine],
                )
        self._add_objects(columns, key, items, values)
        return columns

    def _add_objects(
        self, columns: dict[str, Cells], key: Int64[np.ndarray, " items"], items: Fields, values: ItemValues
    ) -> None:
        """Numbers inside values that are objects, by ``name/field``."""
        found: dict[str, dict[int, float]] = {}
        for item in sorted(values.objects):
            name = self.keys.texts[int(key[item])].decode("utf-8", "replace")
            row = int(items.message[item])
            for part, number in object_numbers(name, values.objects[item], item).items():
                cells = found.setdefault(part, {})
                if part in columns or row in cells:
                    raise WireError(item, f"two values are called {part[:80]!r}")
                cells[row] = number
        for part, cells in found.items():
            columns[part] = (np.array(list(cells), dtype=np.int64), np.array(list(cells.values())))

    def _keys(self, data: UInt8[np.ndarray, " b"], fields: Fields, n: int) -> Int64[np.ndarray, " items"]:
        """Number of each item's name; nested ones are joined by a point, as W&B shows them."""
        mine = fields.take(np.flatnonzero((fields.number == KEY) | (fields.number == NESTED_KEY)))
        if (mine.wire != BYTES).any():
            raise WireError(int(mine.message[np.flatnonzero(mine.wire != BYTES)[0]]), "a key is no text")
        elements = np.bincount(mine.message, minlength=n)
        lacking = np.flatnonzero((elements == 0) | (elements > MAX_NESTED))
        if lacking.size:
            raise WireError(int(lacking[0]), f"a history item with {int(elements[lacking[0]])} keys")
        numbers = np.zeros(n, dtype=np.int64)
        single = elements[mine.message] == 1
        plain = mine.take(np.flatnonzero(single))
        numbers[plain.message] = self.keys.numbers(data, plain.start, plain.stop)
        nested = mine.take(np.flatnonzero(~single))
        paths: dict[int, list[bytes]] = {}
        for item, start, stop in zip(
            nested.message.tolist(), nested.start.tolist(), nested.stop.tolist(), strict=True
        ):
            paths.setdefault(item, []).append(data[start : min(stop, start + 1024)].tobytes())
        for item, path in paths.items():
            numbers[item] = self.keys.number(b".".join(path))
        return numbers
