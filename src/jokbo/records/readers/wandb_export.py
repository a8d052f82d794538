"""History exports of W&B: CSV of a data frame, JSON lines of ``scan_history``, parquet of the history artifact.

``Run.history()`` hands out 500 rows of any longer run (``samples=500``), and a chart's CSV on the web site
draws from buckets, with columns ``<run> - <metric>__MIN`` and ``__MAX``. Both are marked as sampled
(``wandb_history``, ``wandb_chart``): 500 rows of which any is missing, by ``_step``, which counts calls of
``log`` one by one unless the trainer sets it. To disclose everything, use ``scan_history()``, the artifact
``run-<id>-history``, or the run file itself.

Parquet is read by the package ``pyarrow`` (extra ``records``), a batch of rows at a time; columns of
numbers, and times, are taken. The file's own account of its rows, columns and unpacked sizes is bounded
before anything is unpacked, and checksums of pages are verified where it has them. A page that lies about
its size can still cost two gigabytes for a moment, the most that a page may claim.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from jokbo.errors import FormatError, MissingExtraError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import MAX_METRICS, MAX_ROWS, LogFile
from jokbo.records.readers.builder import Cells, LogBuilder
from jokbo.records.readers.tabular import read_table

HISTORY_SIZES = {500: "wandb_history"}
"""``Run.history()`` has 500 rows unless told otherwise."""

PARQUET = b"PAR1"
MAX_GROUP_BYTES = 1 << 30
"""Unpacked bytes that a row group may claim."""

BATCH_ROWS = 1 << 16
TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
CHART_SUFFIX = re.compile(r"__(MIN|MAX)$")


def recognises(file: LogFile, head: bytes) -> bool:
    """Parquet by its first bytes; a table by a first line that names ``_step`` or a chart's extremes."""
    if head.startswith(PARQUET):
        return True
    first = head.split(b"\n", 1)[0]
    names = re.findall(rb'[^",\t;{}\s][^",\t;{}]*', first)
    text = file.name.lower().endswith(TABLE_SUFFIXES)
    return text and (b"_step" in names or any(name.endswith(b"__MIN") for name in names))


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read exports, a segment each; parts of one parquet artifact are segments in the order of their names."""
    for file in files:
        builder.begin(file, "wandb_export", entry.metrics)
        with file.path.open("rb") as opened:
            parquet = opened.read(4) == PARQUET
        facts = {} if parquet else read_table(file, builder)
        if parquet:
            _read_parquet(file, builder)
        chart = any(CHART_SUFFIX.search(name) for name in builder.names)
        builder.end(
            sampled="wandb_chart" if chart else "",
            usual_samples=HISTORY_SIZES,
            unit_stride="_step" in builder.names,
            facts=facts,
        )


def _read_parquet(file: LogFile, builder: LogBuilder) -> None:
    """Read a parquet file into the open segment.

    Raises
    ------
    MissingExtraError
        ``pyarrow`` is not installed.
    FormatError
        The file is damaged, or claims more than is read.
    """
    pa, pq = _arrow(file, ""), _arrow(file, ".parquet")
    try:
        with pq.ParquetFile(
            file.path, thrift_string_size_limit=32 << 20, thrift_container_size_limit=1 << 20,
            page_checksum_verification=True, memory_map=False, pre_buffer=False,
        ) as table:  # fmt: skip
            names = _columns(table, file)
            row = 0
            for batch in table.iter_batches(batch_size=BATCH_ROWS, columns=names, use_threads=False):
                builder.block(np.arange(row, row + len(batch), dtype=np.int64), _cells(batch, pa))
                row += len(batch)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError(
            f"{file.name}: {' '.join(str(error).split())[:160]}. The parquet file is damaged: fetch it again."
        ) from None


def _arrow(file: LogFile, part: str) -> Any:
    try:
        return import_module(f"pyarrow{part}")
    except ImportError:
        raise MissingExtraError(
            f"{file.name} is parquet, which needs pyarrow. Install it with: pip install 'jokbo[records]'"
        ) from None


def _columns(table: Any, file: LogFile) -> list[str]:
    """Columns of numbers and times, after the file's own account of itself was bounded."""
    types = _arrow(file, "").types
    claims = table.metadata
    if claims.num_rows > MAX_ROWS or claims.num_columns > 4 * MAX_METRICS:
        raise FormatError(
            f"{file.name}: claims {claims.num_rows:,} rows and {claims.num_columns:,} columns; at most "
            f"{MAX_ROWS:,} and {4 * MAX_METRICS:,} are read. Export the training's own metrics alone."
        )
    for k in range(claims.num_row_groups):
        size = claims.row_group(k).total_byte_size
        if size > MAX_GROUP_BYTES:
            raise FormatError(
                f"{file.name}: row group {k} claims {size:,} bytes unpacked; at most {MAX_GROUP_BYTES:,} are read. "
                "Write it again with smaller row groups."
            )
    kept = (types.is_integer, types.is_floating, types.is_timestamp)
    fields = [field for field in table.schema_arrow if any(is_kind(field.type) for is_kind in kept)]
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise FormatError(f"{file.name}: two columns have one name. Give each its own.")
    return names


def _cells(batch: Any, pa: Any) -> dict[str, Cells]:
    found: dict[str, Cells] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        rows = None
        if column.null_count:
            rows = np.flatnonzero(np.asarray(column.is_valid().to_numpy(zero_copy_only=False), dtype=bool))
            column = column.drop_null()
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", tz=column.type.tz), safe=False).cast(pa.int64())
        if len(column):
            found[name] = (rows, column.to_numpy(zero_copy_only=False).astype(np.float64))
    return found
