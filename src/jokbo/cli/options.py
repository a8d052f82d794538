"""Options that several commands share, and the progress line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from jokbo.sources.base import OpenOptions

F = TypeVar("F", bound=Callable[..., Any])


def source_options(command: F) -> F:
    """Add the options that say how models are reached."""
    for option in (
        click.option("--offline", is_flag=True, help="Read only local files and the cache."),
        click.option("--cache-dir", type=click.Path(path_type=Path), help="Where remote bytes are kept."),
        click.option("--cache-size", default="4GB", show_default=True, help="How much the cache may hold."),
    ):
        command = option(command)
    return command


def language_option(command: F) -> F:
    """Add ``--lang``."""
    return click.option(
        "--lang", type=click.Choice(["en", "ko"]), help="Language of what people read; else from the locale."
    )(command)


def open_options(*, offline: bool, cache_dir: Path | None, cache_size: str) -> OpenOptions:
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
    )


def language(lang: str | None) -> str:
    """The language asked for, or the locale's."""
    from jokbo.report.context import detect_language

    return detect_language(lang, os.environ)


@contextmanager
def progress_line(quiet: bool) -> Iterator[Callable[[str, str], None] | None]:
    """A status line on standard error while work goes on; nothing where that is not a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    from jokbo.sources.progress import watch_bytes

    with console.status("opening") as status, watch_bytes() as counter:

        def tell(stage: str, component: str) -> None:
            status.update(f"{stage} {component} · {counter.text()}")

        yield tell


def write_file(path: Path, data: bytes) -> None:
    """Write a result file; a failure is the caller's to fix, not a crash."""
    from jokbo.errors import UsageError

    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}. Choose another place.") from None
