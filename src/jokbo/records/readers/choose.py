"""Which reader a declared log needs, and all logs of a record as one.

Only files that the pack's manifest names are opened, and none that is, or lies behind, a symbolic link.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from jokbo.errors import FormatError
from jokbo.records.declaration import Declaration, LogEntry
from jokbo.records.readers.base import LogFile, LogReader, first_bytes, head_of
from jokbo.records.readers.builder import LogBuilder
from jokbo.records.readers.names import check_declared, check_found
from jokbo.records.record import Record
from jokbo.records.series import Column, Log, Metric

READERS: Mapping[str, str] = {
    "wandb_offline": "W&B run files (.wandb)",
    "tensorboard": "TensorBoard event files",
    "trainer_state": "Hugging Face trainer_state.json",
    "mlflow": "MLflow, SQLite or mlruns folders",
    "wandb_export": "W&B history exports: CSV, JSON lines, parquet",
    "megatron": "Megatron-style console output",
    "tabular": "CSV, TSV, JSON lines",
    "console": "other console output: nanoGPT, modded-nanogpt, or by a declared pattern",
}
"""Module of this package -> what it reads, in the order in which ``auto`` asks them."""

MAX_FILES = 100_000
"""Of one log; MLflow keeps a file for each metric of each run."""


LARGEST = 1e30
"""Of a loss or a learning rate."""


def reader_of(name: str, log: str = "") -> LogReader:
    """The reader of this name.

    Raises
    ------
    FormatError
        There is none.
    """
    if name not in READERS:
        raise FormatError(
            f"log {log!r}: no reader is called {name!r}; expected 'auto' or one of {', '.join(READERS)}. "
            "Correct 'format' in [[log]]."
        )
    return cast(LogReader, import_module(f"jokbo.records.readers.{name}"))


def read_logs(record: Record, *, now: float | None = None) -> Log:
    """Read every declared log in order, one segment after another.

    Parameters
    ----------
    record : Record
    now : float or None
        As for :class:`~jokbo.records.readers.builder.LogBuilder`.

    Raises
    ------
    FormatError
        A log is damaged, in no known format, or lacks a declared metric.
    """
    builder = LogBuilder(now=now)
    for entry in record.declaration.log:
        read_entry(entry, files_of(record, entry.path), builder)
    log = builder.build()
    _refuse_absurd(log)
    return with_tokens(log, record.declaration)


def _refuse_absurd(log: Log) -> None:
    """Losses and rates whose squares no float holds are no numbers of a training."""
    for name in ("loss", "learning_rate"):
        column = log.columns.get(name)
        values = np.abs(column.values[np.isfinite(column.values)]) if column is not None else np.zeros(0)
        largest = float(values.max(initial=0.0))
        if largest > LARGEST or 0 < largest < 1 / LARGEST:
            raise FormatError(
                f"the log's largest {name} is {largest:g}; expected 0, or {1 / LARGEST:g} to {LARGEST:g}. "
                "Check the log, and which of its columns is meant ('metrics' in [[log]])."
            )


def read_entry(entry: LogEntry, files: Sequence[LogFile], builder: LogBuilder) -> None:
    """Read one declared log: a file, or the files of a folder that are in its format.

    Raises
    ------
    FormatError
        See :func:`read_logs`.
    """
    check_declared(entry.metrics, entry.path)
    if entry.pattern and entry.format not in ("auto", "console"):
        raise FormatError(
            f"log {entry.path!r} declares a pattern for the format {entry.format!r}; only 'console' takes one. "
            'Declare format = "console", or leave the pattern out.'
        )
    reader, name, chosen = _choose(entry, files)
    before = builder.n_segments
    reader.read(chosen, entry, builder)
    check_found(entry.metrics, builder.raw_names(before), entry.path)
    if builder.n_segments == before:
        raise FormatError(
            f"{entry.path}: nothing in it is a log of the format {name!r}. Check the declaration."
        )
    if entry.sampled:
        builder.mark_sampled(before, "declared")


def _choose(entry: LogEntry, files: Sequence[LogFile]) -> tuple[LogReader, str, Sequence[LogFile]]:
    """The reader, its name, and those of the files that are in its format; one named alone is meant anyway."""
    if entry.format != "auto" or entry.pattern:
        name = entry.format if entry.format != "auto" else "console"
        reader = reader_of(name, entry.path)
        if len(files) == 1:
            head_of(files[0])
            return reader, name, files
        if entry.pattern:  # what it matches is not known before: any text
            chosen = [file for file in files if b"\0" not in first_bytes(file)]
        else:
            chosen = [file for file in files if reader.recognises(file, first_bytes(file))]
        if not chosen:
            raise FormatError(
                f"log {entry.path!r}: none of its {len(files)} files is of the format {name!r} ({READERS[name]}). "
                "Correct 'path' or 'format' in [[log]]."
            )
        return reader, name, chosen
    if len(files) == 1:
        head_of(files[0])
    heads = {file.name: first_bytes(file) for file in files[:1000]}
    for name in READERS:
        reader = reader_of(name)
        chosen = [f for f in files if reader.recognises(f, heads.get(f.name) or first_bytes(f))]
        if chosen:
            return reader, name, chosen
    raise FormatError(
        f"log {entry.path!r}: its format is not recognised among {', '.join(READERS)}. Declare 'format' in [[log]], "
        "and for a console log a 'pattern' with named groups."
    )


def files_of(record: Record, path: str) -> list[LogFile]:
    """The files of the pack that a log is kept in, by name.

    Raises
    ------
    FormatError
        There is none, or one is a link or leads out of the pack.
    """
    prefix = path.rstrip("/") + "/"
    found = (name for name in record.files if name == path or name.startswith(prefix) or path in ("", "."))
    names = sorted(found, key=lambda name: name.split("/"))  # "run" before "run-1"
    if not names:
        raise FormatError(
            f"log {path!r}: the pack's manifest names no such file, and none in a folder of that name. "
            "Correct 'path' in [[log]], or pack it again."
        )
    if len(names) > MAX_FILES:
        raise FormatError(
            f"log {path!r}: {len(names):,} files; a log has at most {MAX_FILES:,}. Name the file or folder of one run."
        )
    return [_inside(record.folder, name) for name in names]


def _inside(folder: Path, name: str) -> LogFile:
    path = folder / name
    root = folder.resolve()
    found = path.resolve()
    if path.is_symlink() or found != root / name or not found.is_relative_to(root):
        raise FormatError(
            f"log file {name!r} is a link, or leads out of the pack; only files of the pack itself are opened. "
            "Put the file where it is named."
        )
    if not path.is_file():
        raise FormatError(
            f"log file {name!r} is named by the manifest and is not there. Fetch the pack again."
        )
    return LogFile(name, path, path.stat().st_size)


def with_tokens(log: Log, declaration: Declaration) -> Log:
    """The log with tokens by its count of samples, where it counts those instead and all are of one declared length.

    Megatron logs ``consumed samples`` and ``global batch size``; with the declared sequence length they state
    tokens, and a check of the totals then holds that statement against the declared batches.
    """
    lengths = {phase.sequence_length for phase in declaration.batch}
    if len(lengths) != 1:
        return log
    (length,) = lengths
    columns = dict(log.columns)
    for samples, tokens in (("samples", Metric.TOKENS), ("batch_samples", Metric.BATCH_TOKENS)):
        if samples in columns and tokens not in columns:
            counted = columns[samples]
            columns[str(tokens)] = Column(str(tokens), np.asarray(counted.values * length), counted.rows)
    return Log(log.steps, log.times, log.runtimes, columns, log.segments, log.faults, log.n_faults)
