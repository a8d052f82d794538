"""Progress of many tasks on standard error: one line that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from jokbo.lineage.task_progress import Progress

LINE_SECONDS = 10.0
"""At most one plain line in this time: a log is read later, by people."""


@contextmanager
def task_progress(*, quiet: bool, lang: str) -> Iterator[Callable[[Progress], None] | None]:
    """What :func:`jokbo.lineage.executors.run_tasks` takes as its `progress`; None when nothing is to be shown."""
    from rich.console import Console

    if quiet:
        yield None
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainLines(lang)
        return
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from jokbo.report.task_line import task_line

    columns = (
        SpinnerColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True) as bar:
        number = bar.add_task("", total=None)

        def show(progress: Progress) -> None:
            bar.update(
                number,
                total=progress.total,
                completed=progress.done + progress.failed,
                description=task_line(progress, lang=lang),
            )

        yield show


class PlainLines:
    """Writes a line now and then, and at the end.

    Parameters
    ----------
    lang : str
        ``"en"`` or ``"ko"``.
    clock : callable
        Replaced in tests.
    """

    def __init__(self, lang: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._lang = lang
        self._clock = clock
        self._next = clock() + LINE_SECONDS

    def __call__(self, progress: Progress) -> None:
        """Take note of how far it is."""
        from jokbo.report.task_line import task_line

        ended = progress.done + progress.failed == progress.total
        if ended or self._clock() >= self._next:
            self._next = self._clock() + LINE_SECONDS
            click.echo(task_line(progress, lang=self._lang), err=True)
