"""What an executor is: tasks in, outcomes out, in any order, never more under way than there are workers."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from jokbo import __version__
from jokbo.lineage.tasks import Task
from jokbo.lineage.work import WORK
from jokbo.sources.base import OpenOptions

MAX_ATTEMPTS = 2
"""A task whose worker died is tried once more: the fault may have been the machine's, or the task's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an executor works.

    Attributes
    ----------
    workers : int or None
        Tasks at once.
    ray_address : str or None
        Of a Ray cluster.
    options : OpenOptions
        How models are reached.
    work : str
        What a worker runs, as ``module:function``.
    """

    workers: int | None = None
    ray_address: str | None = None
    options: OpenOptions = field(default_factory=OpenOptions)
    work: str = WORK


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one task: a result, or one sentence on why there is none."""

    key: str
    result: dict[str, Any] | None = None
    error: str | None = None

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Outcome:
        """What :func:`jokbo.lineage.work.attempt` returned."""
        return cls(document["key"], document.get("result"), document.get("error"))


class Executor(ABC):
    """Runs tasks; a context manager, whose workers live as long as its block.

    Parameters
    ----------
    settings : Settings
        How.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @abstractmethod
    def run(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Run tasks and yield what becomes of each, as it comes.

        A task is taken from `tasks` only when a worker is free for it. What goes wrong with a task is its outcome
        and ends nothing else.
        """

    def close(self) -> None:  # noqa: B027  (nothing to release is a valid implementation)
        """End the workers, also those in the middle of a task."""

    def place(self, count: int) -> int:
        """Where in a list of `count` tasks to begin."""
        return 0

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def message(task: Task) -> dict[str, Any]:
    """A task as it travels: with the version of Jokbo, so that a worker of another one refuses."""
    return task.to_document() | {"jokbo": __version__}


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def own_place(count: int) -> int:
    """A place in a list that differs between processes and machines, so that those who share a folder spread out."""
    return int.from_bytes(os.urandom(8), "big") % count if count else 0


def death(times: int, how: str) -> str:
    """One sentence on a task whose workers died."""
    return (
        f"the worker died {times} times in the middle of this task ({how}). Most often the machine is out of "
        "memory: run again with fewer workers; everything else stands."
    )
