"""One task after another, in this process."""

from __future__ import annotations

from collections.abc import Iterator

from jokbo.lineage.executors.base import Executor, Outcome, message
from jokbo.lineage.tasks import Task
from jokbo.lineage.work import attempt, load_work


class SerialExecutor(Executor):
    """Runs tasks here, one at a time; what kills a task kills the run, and a rerun goes on."""

    def run(self, tasks: Iterator[Task]) -> Iterator[Outcome]:
        """Run tasks in their order."""
        work = load_work(self.settings.work)
        for task in tasks:
            yield Outcome.from_document(attempt(work, message(task), self.settings.options))
