"""``jokbo watch LIST``."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jokbo.cli.options import language, language_option, open_options

if TYPE_CHECKING:
    from jokbo.lineage.watch.rounds import Round, Watch

HOUR_SECONDS = 3600.0


@click.command()
@click.argument("watchlist", metavar="WATCHLIST", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Look once and end; the default.")
@click.option(
    "--every",
    "hours",
    type=click.FloatRange(min=0.1),
    metavar="HOURS",
    help="Look again and again, so often.",
)
@click.option(
    "--registry",
    "directory",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder of the register; else JOKBO_REGISTRY, else one in the user's data folder.",
)
@click.option(
    "--state",
    "state_dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the watch keeps what it knows; else WATCHLIST.state beside the list.",
)
@click.option("--private", is_flag=True, help="Register fingerprints that hold no rows.")
@click.option("--json", "as_json", is_flag=True, help="Print reports as JSON, one a line.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; reports are in the state folder.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where remote bytes are kept.")
@click.option("--cache-size", default="4GB", show_default=True, help="How much the cache may hold.")
@language_option
def command(
    watchlist: Path,
    once: bool,
    hours: float | None,
    directory: Path | None,
    state_dir: Path | None,
    private: bool,
    as_json: bool,
    quiet: bool,
    cache_dir: Path | None,
    cache_size: str,
    lang: str | None,
) -> int:
    """Watch what is published: fingerprint, register and compare each new revision.

    WATCHLIST is a TOML file: repositories = ["org/name"], organisations = ["org"], exclude = ["org/*-gguf"],
    pause_seconds = 1. A new revision is compared with the one before and searched for in the register. One request
    is sent at a time, and a hub that says how often it may be asked is asked no more often. A watch that was stopped
    goes on where it was.

    Exit status: 0 nothing new, or dependence only where declarations account for it; 10 a new revision shows
    undeclared dependence; 11 something could not be decided or read; 130 after Ctrl-C with --every.
    """
    from jokbo.errors import UsageError
    from jokbo.lineage.register import open_register
    from jokbo.lineage.watch.rounds import Watch
    from jokbo.lineage.watch.state import WatchState
    from jokbo.lineage.watch.watchlist import read_watchlist

    if once and hours is not None:
        raise UsageError("--once and --every exclude each other. Give one of them.")
    wanted = read_watchlist(watchlist)
    register = open_register(directory, create=True)
    show, finish = _outputs(language(lang), as_json=as_json, quiet=quiet)
    options = open_options(offline=False, cache_dir=cache_dir, cache_size=cache_size)
    with WatchState.open(state_dir or watchlist.with_name(f"{watchlist.name}.state")) as state:
        watch = Watch(
            wanted,
            register,
            state,
            options,
            private=private,
            report=show,
            tell=None if quiet else _tell(language(lang)),
        )
        if hours is None:
            found = watch.round()
            finish(found)
            return found.exit_status
        return _keep_watching(watch, hours, finish, lang=language(lang), quiet=quiet)


def _keep_watching(
    watch: Watch, hours: float, finish: Callable[[Round], None], *, lang: str, quiet: bool
) -> int:
    """Look again and again; only Ctrl-C ends it."""
    from jokbo.report.task_line import duration
    from jokbo.report.texts import Texts

    while True:
        finish(watch.round())
        if not quiet:
            t = Texts(lang)
            click.echo(t("watch.next_look", time=duration(hours * HOUR_SECONDS, t)), err=True)
        time.sleep(hours * HOUR_SECONDS)


def _outputs(
    lang: str, *, as_json: bool, quiet: bool
) -> tuple[Callable[[Mapping[str, Any]], None] | None, Callable[[Round], None]]:
    """What to do with each report, and with the end of a round."""
    if quiet:
        return None, lambda found: None
    from rich.console import Console

    from jokbo.report.watch import render_watch_report, render_watch_round

    if as_json:
        from jokbo.evidence.canonical import canonical_bytes

        errors = Console(stderr=True)
        return (
            lambda made: click.echo(canonical_bytes(dict(made)).decode()),
            lambda found: render_watch_round(found, lang=lang, console=errors),
        )
    console = Console()
    return (
        lambda made: render_watch_report(made, lang=lang, console=console),
        lambda found: render_watch_round(found, lang=lang, console=console),
    )


def _tell(lang: str) -> Callable[[str, str], None]:
    """A line on standard error for each step that takes long; looking is too quick to tell."""
    from jokbo.report.texts import Texts, clean

    t = Texts(lang)

    def tell(stage: str, repository: str) -> None:
        if stage != "look":
            click.echo(f"{t(f'watch.stage.{stage}')} {clean(repository)}", err=True)

    return tell
