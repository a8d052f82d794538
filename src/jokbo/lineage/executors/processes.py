"""Several processes on this machine; one that dies loses only its task.

Each worker is a fresh interpreter with one BLAS thread that holds one task at a time, so the system's killer of
processes that take too much memory costs one task, which another worker tries once more.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from typing import IO, Any

from jokbo.errors import UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.lineage.executors.base import (
    MAX_ATTEMPTS,
    Executor,
    Outcome,
    Settings,
    death,
    message,
    own_place,
    processors,
)
from jokbo.lineage.journal import MAX_RESULT_BYTES
from jokbo.lineage.tasks import Task
from jokbo.lineage.work import pack_options

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

END_SECONDS = 5.0

MAX_FALSE_STARTS = 3
"""Workers in a row that end before their first task: then it is the installation, not a task."""


class ProcessExecutor(Executor):
    """Runs tasks in worker processes of this machine."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._false_starts = 0

    def place(self, count: int) -> int:
        """A place of its own."""
        return own_place(count)

    def run(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Run tasks, as many at once as there are workers."""
        pending = _Pending(tasks)
        limit = self.settings.workers or processors()
        while True:
            self._hand_out(pending, limit)
            busy = [worker for worker in self._workers if worker.task is not None]
            if not busy:
                return
            for key, _ in self._selector.select():
                worker: _Worker = key.data
                yield from self._hear(worker, pending)

    def close(self) -> None:
        """Kill the workers: what they were doing is not lost, only not done."""
        while self._workers:
            self._drop(self._workers[-1], kill=True)
        self._selector.close()

    def _hand_out(self, pending: _Pending, limit: int) -> None:
        """Give every free worker a task; start a worker only for a task that waits."""
        for worker in list(self._workers):
            if worker.task is None:
                self._give(worker, pending.take())
        while len(self._workers) < limit and (task := pending.take()) is not None:
            worker = _Worker(self.settings)
            self._workers.append(worker)
            self._selector.register(worker.output, selectors.EVENT_READ, worker)
            self._give(worker, task)

    def _give(self, worker: _Worker, task: Task | None) -> None:
        if task is not None:
            worker.task = task
            worker.send(message(task))

    def _hear(self, worker: _Worker, pending: _Pending) -> Iterator[Outcome]:
        """What a worker says, and whether it is gone."""
        lines, gone = worker.read_lines()
        for line in lines:
            document = json.loads(line)
            if "ready" in document:
                worker.ready = True
                self._false_starts = 0
            else:
                worker.task = None
                yield Outcome.from_document(document)
        if gone:
            yield from self._bury(worker, pending)

    def _bury(self, worker: _Worker, pending: _Pending) -> Iterator[Outcome]:
        """Take away a worker that is gone; its task is tried once more."""
        task = worker.task
        how = self._drop(worker)
        if not worker.ready:
            self._count_false_start(how)
        if task is None:
            return
        if worker.ready and pending.count_death(task) >= MAX_ATTEMPTS:
            yield Outcome(task.key, error=death(MAX_ATTEMPTS, how))
        else:
            pending.put_back(task)

    def _count_false_start(self, how: str) -> None:
        self._false_starts += 1
        if self._false_starts >= MAX_FALSE_STARTS:
            raise UsageError(
                f"{MAX_FALSE_STARTS} worker processes in a row ended before their first task ({how}). What they "
                "wrote above says why; the serial executor needs none."
            )

    def _drop(self, worker: _Worker, *, kill: bool = False) -> str:
        """End a worker and say how it ended."""
        self._workers.remove(worker)
        self._selector.unregister(worker.output)
        return worker.end(kill=kill)


class _Pending:
    """Tasks that wait: those whose worker died come first."""

    def __init__(self, tasks: Iterator[Task]) -> None:
        self._tasks = tasks
        self._again: deque[Task] = deque()
        self._deaths: dict[str, int] = {}

    def take(self) -> Task | None:
        """The next task, or None when there is none left."""
        return self._again.popleft() if self._again else next(self._tasks, None)

    def put_back(self, task: Task) -> None:
        """Try it again."""
        self._again.append(task)

    def count_death(self, task: Task) -> int:
        """Count a death in the middle of a task; returns how many there were."""
        self._deaths[task.key] = self._deaths.get(task.key, 0) + 1
        return self._deaths[task.key]


class _Worker:
    """One process and the task it holds."""

    def __init__(self, settings: Settings) -> None:
        self.task: Task | None = None
        self.ready = False
        self._buffer = bytearray()
        threads = dict.fromkeys(THREAD_VARIABLES, "1")
        paths = os.pathsep.join(path for path in sys.path if path)
        # -P: what happens to lie in the current folder is not imported.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "jokbo.lineage.executors.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | threads | {"PYTHONPATH": paths},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input: IO[bytes] = self._process.stdin
        self.output: IO[bytes] = self._process.stdout
        self.send({"work": settings.work, "options": pack_options(settings.options, token=True)})

    def send(self, document: dict[str, Any]) -> None:
        """Send a line; a worker that is gone is noticed when its output ends."""
        try:
            self._input.write(canonical_bytes(document) + b"\n")
            self._input.flush()
        except (BrokenPipeError, ConnectionError):
            return

    def read_lines(self) -> tuple[list[bytes], bool]:
        """Whole lines that have come, and whether nothing more will."""
        data = os.read(self.output.fileno(), 1 << 16)
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._buffer) + lines[0]
            self._buffer.clear()
        self._buffer += rest
        return lines, not data or len(self._buffer) > MAX_RESULT_BYTES

    def end(self, *, kill: bool) -> str:
        """Wait for its end, or kill it, and say how it ended."""
        if kill:
            self._process.kill()
        try:
            # The output of a process that dies may end a moment before the process does.
            code = self._process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        for pipe in (self._input, self.output):
            try:
                pipe.close()
            except BrokenPipeError:
                continue
        return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
