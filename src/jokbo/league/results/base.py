"""What a reader of evaluation results is, and what it hands over.

A reader is a module of this package with two functions (:class:`ResultReader`). It opens only the
files it is given, executes nothing, and hands over one :class:`TaskResult` a task, model and filter. Rows are the base;
published means and errors are kept beside them, to be checked against the rows and never to be used instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from jokbo.views.component import Reason

HEAD_BYTES = 64 << 10
MAX_FILE_BYTES = 1 << 30
MAX_ROWS = 2_000_000
MAX_TEXT = 20_000
MAX_LINE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class ResultFile:
    """A file as the results list names it, where it lies, and its size in bytes."""

    name: str
    path: Path
    size: int


@dataclass(frozen=True, slots=True)
class ItemRows:
    """Rows of one task, one an item and repetition, in the file's order.

    Attributes
    ----------
    ids : tuple of str
        The file's own number or name of the item (``doc_id``).
    digests : tuple of (str or None)
        Of the question and its answer key, where the file states one (``doc_hash``): what makes two rows the same item.
    repeats : numpy.ndarray, shape (rows,), int64
        0, 1, ... where an item was answered more than once (epochs, generations).
    scores : mapping of str to numpy.ndarray, shape (rows,), float64
        By metric; every value is finite.
    fields : mapping of str to tuple of str
        Short columns an event may group or cluster by (``subject``, ``passage``); and those whose name ends in
        ``_hash``, which have to be equal for all teams.
    places : tuple of str
        ``file:line`` or ``file#member`` of each row, for messages.
    """

    ids: tuple[str, ...]
    digests: tuple[str | None, ...]
    repeats: np.ndarray
    scores: Mapping[str, np.ndarray]
    fields: Mapping[str, tuple[str, ...]]
    places: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Published:
    """A mean as the file states it; `standard_error` is None where it is absent, "N/A", zero or not finite."""

    metric: str
    value: float
    standard_error: float | None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What one file, or one pair of files, says of one task of one model.

    Attributes
    ----------
    settings : mapping of str to str
        What has to be equal for all teams: ``version``, ``num_fewshot``, ``task_hash``, ``prompt``...; only what the
        file states.
    rows : ItemRows, optional
        None where only means were written.
    notes : tuple of Reason
        Traps met while reading, by code (``league.note.<code>`` in the catalogues).
    subtasks : tuple of str
        Of a group: the tasks it stands for, themselves in the same files. A group has no rows of its own.
    named : bool
        Whether the file itself names the task; of a plain table without such a column it is the file's name.
    higher_is_better : mapping of str to bool
        By metric, only where the file states it: an event that says otherwise would rank teams upside down.
    """

    task: str
    model: str | None
    filter: str | None
    reader: str
    files: tuple[ResultFile, ...]
    settings: Mapping[str, str]
    rows: ItemRows | None
    published: tuple[Published, ...] = ()
    notes: tuple[Reason, ...] = field(default=())
    subtasks: tuple[str, ...] = ()
    named: bool = True
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)


@runtime_checkable
class ResultReader(Protocol):
    """The two functions of a reader's module."""

    def recognises(self, file: ResultFile, head: bytes) -> bool:
        """Whether a file whose first bytes (at most 64 KiB) are `head` is of this format."""
        ...

    def read(self, files: Sequence[ResultFile], *, fields: Sequence[str] = ()) -> tuple[TaskResult, ...]:
        """Read files of one model.

        Parameters
        ----------
        fields : sequence of str
            Columns that an event groups or clusters by: kept as short texts. Nothing else of a question is kept.

        Raises
        ------
        FormatError
            A file is damaged, hostile or contradicts itself; the message names the file and the row.
        """
        ...
