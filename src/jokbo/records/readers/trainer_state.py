"""Hugging Face ``trainer_state.json``: the Trainer's ``log_history``, in every checkpoint and at the end.

A row has its step and what was logged there; ``loss`` is the mean since the last row and ``train_loss`` in
the last row that of the whole run. The files beside it (``training_args.bin``, ``optimizer.pt``,
``rng_state.pth``) are pickles and are not opened. There are no clocks in it: checks of time need another
log. A folder of checkpoints holds the same rows again and again, so only the file that has most of them
(the largest) is read; name one to read that.
"""

from __future__ import annotations

from collections.abc import Sequence

from jokbo.errors import FormatError
from jokbo.records.declaration import LogEntry
from jokbo.records.readers.base import LogFile
from jokbo.records.readers.builder import LogBuilder
from jokbo.records.readers.json_stream import JsonStream
from jokbo.records.readers.tabular import numbers_of

ROWS = "log_history"
FACTS = (
    "global_step",
    "max_steps",
    "num_train_epochs",
    "train_batch_size",
    "num_input_tokens_seen",
    "logging_steps",
)


def recognises(file: LogFile, head: bytes) -> bool:
    """By the name, or by its rows' name near the beginning of a JSON object."""
    if file.name.rsplit("/", 1)[-1] == "trainer_state.json":
        return True
    return head.lstrip().startswith(b"{") and b'"log_history"' in head


def read(files: Sequence[LogFile], entry: LogEntry, builder: LogBuilder) -> None:
    """Read the file with the most rows; one segment.

    Raises
    ------
    FormatError
        It is damaged, or has no ``log_history``.
    """
    file = max(files, key=lambda one: (one.size, one.name))
    builder.begin(file, "trainer_state", entry.metrics)
    stream = JsonStream(file, ROWS)
    for place, row in stream:
        if not isinstance(row, dict):
            raise FormatError(
                f"{file.name}, character {place:,}: a row of {ROWS} is a {type(row).__name__}; expected an object. "
                "The file is damaged: fetch it again."
            )
        builder.row(numbers_of(row, f"{file.name}, character {place:,}"), place)
    if ROWS not in stream.fields or stream.fields[ROWS] is not None:
        raise FormatError(
            f"{file.name}: no list {ROWS!r}; expected the Trainer's own file. Declare its format in [[log]]."
        )
    facts = {name: str(stream.fields[name]) for name in FACTS if stream.fields.get(name) is not None}
    builder.end(facts=facts)
