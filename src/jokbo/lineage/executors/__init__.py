"""Run tasks: here, in processes, or on a Ray cluster, with the same results byte for byte.

To add an executor, write one file with a subclass of :class:`~jokbo.lineage.executors.base.Executor` and add its
line to :data:`EXECUTORS`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, UsageError
from jokbo.lineage.executors.base import Executor, Outcome, Settings
from jokbo.lineage.journal import Journal
from jokbo.lineage.pair_document import result_problem
from jokbo.lineage.task_progress import Progress, measure
from jokbo.lineage.tasks import Task, needed_fingerprints, stages
from jokbo.lineage.work import WORK
from jokbo.sources.base import OpenOptions

EXECUTORS: Mapping[str, str] = {
    "serial": "jokbo.lineage.executors.serial:SerialExecutor",
    "processes": "jokbo.lineage.executors.processes:ProcessExecutor",
    "ray": "jokbo.lineage.executors.ray:RayExecutor",
}
"""Name -> ``module:class``, imported when it is chosen."""


@dataclass(frozen=True, slots=True)
class TaskResults:
    """What became of a plan, in the order of the plan.

    Attributes
    ----------
    done : mapping of str to dict
        Results by key.
    failed : mapping of str to str
        By key, one sentence on why there is no result; everything else stands.
    resumed : int
        How many results were there before, or came from another machine.
    damaged : tuple of str
        Files in the results folder that could not be used; their tasks were done again.
    """

    done: Mapping[str, dict[str, Any]]
    failed: Mapping[str, str]
    resumed: int = 0
    damaged: tuple[str, ...] = ()


def run_tasks(
    tasks: Sequence[Task],
    *,
    executor: str = "serial",
    results: Path,
    workers: int | None = None,
    ray_address: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    options: OpenOptions | None = None,
    work: str = WORK,
) -> TaskResults:
    """Run a plan, going on from the results that are there.

    Fingerprints are made first; a pair whose fingerprint could not be made is reported as failed.

    Parameters
    ----------
    tasks : sequence of Task
        The plan.
    executor : str
        A name of :data:`EXECUTORS`.
    results : path
        Folder that keeps one file a task; several machines may run the same plan on the same folder.
    workers : int, optional
        Tasks at once; as many as there are processors otherwise.
    ray_address : str, optional
        Of a Ray cluster; ``ray`` starts one on this machine otherwise.
    progress : callable, optional
        Called with a :class:`~jokbo.lineage.task_progress.Progress` at the start and after each task.
    options : OpenOptions, optional
        How models are reached. The token is not sent to Ray workers: set ``HF_TOKEN`` on their machines.
    work : str
        What a worker runs, for tests.

    Returns
    -------
    TaskResults

    Raises
    ------
    UsageError
        No such executor, or the results cannot be written.
    MissingExtraError
        The executor's package is not installed.
    """
    settings = Settings(
        workers=_check_workers(workers),
        ray_address=ray_address,
        options=options or OpenOptions(),
        work=work,
    )
    pool = load_executor(executor)(settings)
    journal = Journal(results, result_problem if work == WORK else None)
    run = _Run(journal, stages(tasks), progress)
    with pool:
        for stage in run.stages:
            run.go(pool, stage)
    order = [task.key for stage in run.stages for task in stage]
    return TaskResults(
        {key: run.done[key] for key in order if key in run.done},
        {key: run.failed[key] for key in order if key in run.failed},
        run.resumed,
        tuple(run.damaged),
    )


def load_executor(name: str) -> type[Executor]:
    """The class of an executor.

    Raises
    ------
    UsageError
        No such executor.

    Examples
    --------
    >>> load_executor("serial").__name__
    'SerialExecutor'
    """
    if name not in EXECUTORS:
        raise UsageError(f"executor {name!r} is not known; expected one of {', '.join(EXECUTORS)}.")
    module, _, attribute = EXECUTORS[name].partition(":")
    found: type[Executor] = getattr(import_module(module), attribute)
    return found


@dataclass(slots=True)
class _Run:
    """A run under way."""

    journal: Journal
    stages: tuple[tuple[Task, ...], ...]
    progress: Callable[[Progress], None] | None
    done: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    resumed: int = 0
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        kept = self.journal.load(task for stage in self.stages for task in stage)
        self.done.update(kept.done)
        self.damaged.extend(kept.damaged)
        self.resumed = len(kept.done)
        self.tell()

    def go(self, pool: Executor, stage: Sequence[Task]) -> None:
        """Run what is left of a stage."""
        by_key = {task.key: task for task in stage}
        # Machines that share a folder begin at places of their own, and so seldom do the same task.
        start = pool.place(len(stage))
        for outcome in pool.run(self.left((*stage[start:], *stage[:start]))):
            self.take(by_key[outcome.key], outcome)

    def left(self, stage: Sequence[Task]) -> Iterator[Task]:
        """Tasks to do, looked up once more as each one's turn comes."""
        for task in stage:
            if task.key in self.done:
                continue
            missing = next((key for key in needed_fingerprints(task) if key in self.failed), None)
            if missing is not None:
                self.failed[task.key] = f"its fingerprint could not be made: {self.failed[missing]}"
                self.tell()
            elif not self.came_from_elsewhere(task):
                yield task

    def came_from_elsewhere(self, task: Task) -> bool:
        """Whether another machine has done it meanwhile."""
        try:
            found = self.journal.read(task)
        except FormatError:
            return False  # named when the run began, and done again now
        if found is not None:
            self.done[task.key] = found
            self.resumed += 1
            self.tell()
        return found is not None

    def take(self, task: Task, outcome: Outcome) -> None:
        """Keep what a worker sent."""
        if outcome.error is not None:
            self.failed[task.key] = outcome.error
        else:
            assert outcome.result is not None
            self.journal.keep(task, outcome.result)
            self.done[task.key] = outcome.result
        self.tell()

    def tell(self) -> None:
        """Say how far it is."""
        if self.progress is not None:
            self.progress(
                measure(
                    total=sum(map(len, self.stages)),
                    done=len(self.done),
                    failed=len(self.failed),
                    resumed=self.resumed,
                    seconds=time.monotonic() - self.started,
                )
            )


def _check_workers(workers: int | None) -> int | None:
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers; expected at least 1.")
    return workers
