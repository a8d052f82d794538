"""Options that several commands share, and the progress line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from jokbo.sources.base import OpenOptions

F = TypeVar("F", bound=Callable[..., Any])


def source_options(command: F) -> F:
    """Add the options that say how models are reached."""
    for option in (
        click.option("--offline", is_flag=True, help="Read only local files and the cache."),
        click.option("--cache-dir", type=click.Path(path_type=Path), help="Where remote bytes are kept."),
        click.option("--cache-size", default="4GB", show_default=True, help="How much the cache may hold."),
        click.option(
            "--adapter-base", help="The model that an adapter (LoRA) was made for, if it is elsewhere."
        ),
    ):
        command = option(command)
    return command


def language_option(command: F) -> F:
    """Add ``--lang``."""
    return click.option(
        "--lang", type=click.Choice(["en", "ko"]), help="Language of what people read; else from the locale."
    )(command)


def open_options(
    *,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None = None,
    progress: ProgressLine | None = None,
) -> OpenOptions:
    """Turn the options into :class:`~jokbo.sources.base.OpenOptions`."""
    from jokbo.errors import UsageError
    from jokbo.independence.plan import parse_budget
    from jokbo.sources.base import OpenOptions

    size = parse_budget(cache_size).size
    if size is None:
        raise UsageError(f"--cache-size {cache_size!r}: expected a size such as 4GB.")
    return OpenOptions(
        offline=offline,
        cache_dir=str(cache_dir) if cache_dir else None,
        cache_bytes=size,
        endpoint=os.environ.get("HF_ENDPOINT"),
        token=os.environ.get("HF_TOKEN"),
        base=adapter_base,
        progress=progress,
    )


def language(lang: str | None) -> str:
    """The language asked for, or the locale's."""
    from jokbo.report.texts import detect_language

    return detect_language(lang, os.environ)


class ProgressLine:
    """One line on standard error: what is being done, bytes, rate. It is a source's `Progress` and a test's `tell`."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._task = bar.add_task("opening", total=0)

    def start(self, total_bytes: int | None) -> None:
        """Expect more bytes."""
        if total_bytes is not None:
            self._bar.update(self._task, total=(self._bar.tasks[0].total or 0) + total_bytes)

    def advance(self, n_bytes: int) -> None:
        """Count bytes that came."""
        self._bar.advance(self._task, n_bytes)

    def tell(self, stage: str, component: str) -> None:
        """Name the work under way."""
        self._bar.update(self._task, description=f"{stage} {component}".strip())


@contextmanager
def progress_line(quiet: bool) -> Iterator[ProgressLine | None]:
    """A progress line while work goes on; nothing where standard error is not a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import DownloadColumn, SpinnerColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    columns = (SpinnerColumn(), TextColumn("{task.description}"), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        yield ProgressLine(bar)


def check_places(*places: Path | None) -> None:
    """Say that a file cannot be written before the work, not after it.

    Raises
    ------
    UsageError
        A place is a folder, or lies in none.
    """
    from jokbo.errors import UsageError

    for place in places:
        if place is not None and (place.is_dir() or not place.parent.is_dir()):
            raise UsageError(f"cannot write {place}: it is a folder, or lies in none. Choose another place.")


def write_file(path: Path, data: bytes) -> None:
    """Write a result file, whole or not at all; a failure is the caller's to fix, not a crash."""
    from jokbo.errors import UsageError
    from jokbo.sources.whole_files import write_whole

    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}. Choose another place.") from None
