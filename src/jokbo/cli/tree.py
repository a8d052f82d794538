"""``jokbo tree [MODELS...]``."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jokbo.cli.options import (
    check_places,
    language,
    language_option,
    open_options,
    source_options,
    write_file,
)
from jokbo.cli.task_progress import task_progress

if TYPE_CHECKING:
    from jokbo.lineage.graph.document import TreeResult
    from jokbo.lineage.register import Register

_PLACE = click.Path(path_type=Path)

SEED_FILE = "seed"
"""In the folder of results: what was drawn when the tree was begun."""


@click.command()
@click.argument("models", nargs=-1)
@click.option(
    "--registry",
    "directory",
    metavar="DIR",
    type=_PLACE,
    help="Folder of the register; else the default one.",
)
@click.option(
    "--confirm/--no-confirm",
    default=True,
    show_default=True,
    help="Compare the whole models of pairs whose fingerprints showed something, where they can be opened.",
)
@click.option(
    "--executor", default="serial", show_default=True, metavar="NAME", help="serial, processes or ray."
)
@click.option("--workers", type=click.IntRange(min=1), help="Comparisons at once; else one a processor.")
@click.option("--ray-address", help="Address of a Ray cluster; else one is started here.")
@click.option(
    "--results", type=_PLACE, metavar="DIR", help="Keep every result here, and go on from what is there."
)
@click.option("--json", "json_file", type=_PLACE, help="Write the tree here.")
@click.option("--html", "html_file", type=_PLACE, help="Write a self-contained page here.")
@click.option("--dot", "dot_file", type=_PLACE, help="Write the drawing for Graphviz here.")
@click.option("--mermaid", "mermaid_file", type=_PLACE, help="Write the drawing as a Mermaid flowchart here.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    help="Decides which rows of whole models are read; else drawn at random, and kept with --results.",
)
@click.option(
    "--keep-going", is_flag=True, help="Leave out a model whose fingerprint is damaged, instead of ending."
)
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
@source_options
def command(
    models: tuple[str, ...],
    directory: Path | None,
    confirm: bool,
    executor: str,
    workers: int | None,
    ray_address: str | None,
    results: Path | None,
    json_file: Path | None,
    html_file: Path | None,
    dot_file: Path | None,
    mermaid_file: Path | None,
    seed: int | None,
    keep_going: bool,
    quiet: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Draw the family tree of models: who comes from whom, who only shares something, and what was declared.

    Each of MODELS is a fingerprint file, a name or key of the register, or whatever opens a model; without
    any, all models of the register are taken. All pairs are compared, and each pays for all of them.

    Exit status: 0 all that was found is as declared, or nothing was found; 10 dependence that nobody
    declared; 11 something is inconclusive or untestable, and nothing undeclared was found.
    """
    files = {"json": json_file, "html": html_file, "dot": dot_file, "mermaid": mermaid_file}
    check_places(*files.values())
    from jokbo.lineage.tree import find_tree
    from jokbo.lineage.tree_models import Execution

    shown = language(lang)
    with _folder(results) as folder, task_progress(quiet=quiet, lang=shown) as tell:
        execution = Execution(
            folder,
            executor=executor,
            workers=workers,
            ray_address=ray_address,
            options=open_options(
                offline=offline, cache_dir=cache_dir, cache_size=cache_size, adapter_base=adapter_base
            ),
            progress=None if tell is None else lambda _, state: tell(state),
        )
        found = find_tree(
            models,
            register=_register(directory, models),
            execution=execution,
            confirm=confirm,
            seed=_seed(folder) if seed is None else seed,
            keep_going=keep_going,
        )
    _write(found, files, shown)
    if not quiet:
        from rich.console import Console

        from jokbo.report.tree import render_tree_terminal

        render_tree_terminal(found.document, lang=shown, console=Console())
    return found.exit_status


def _register(directory: Path | None, models: tuple[str, ...]) -> Register | None:
    """The register that is named; the default one where it is there, or where nothing else is."""
    from jokbo.errors import NotFoundError
    from jokbo.lineage.register import open_register

    try:
        return open_register(directory)
    except NotFoundError:
        if directory is not None or not models:
            raise
        return None


@contextmanager
def _folder(results: Path | None) -> Iterator[Path]:
    """Where results are kept: the folder that was named, or one for this run alone."""
    if results is not None:
        yield results
        return
    with tempfile.TemporaryDirectory(prefix="jokbo-tree-") as folder:
        yield Path(folder)


def _seed(folder: Path) -> int:
    """A seed that nobody can foresee, as in a comparison of two; a run that goes on keeps the one it drew."""
    from jokbo.errors import UsageError

    kept = folder / SEED_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = kept.read_bytes()[:12].strip() if kept.exists() else None
    except OSError as error:
        raise UsageError(f"cannot use {folder}: {error.strerror}. Choose another folder.") from None
    if text is not None and not text.isdigit():
        raise UsageError(f"{kept} holds no seed. Give --seed, or another folder with --results.")
    if text is not None:
        return int(text)
    drawn = secrets.randbits(32)
    write_file(kept, f"{drawn}\n".encode())
    return drawn


def _write(found: TreeResult, files: dict[str, Path | None], lang: str) -> None:
    from jokbo.lineage.graph.dot import to_dot
    from jokbo.lineage.graph.mermaid import to_mermaid

    if files["json"] is not None:
        write_file(files["json"], found.to_json())
    if files["html"] is not None:
        from jokbo.report.tree import render_tree_html

        write_file(files["html"], render_tree_html(found.document, lang=lang).encode())
    if files["dot"] is not None:
        write_file(files["dot"], to_dot(found.document).encode())
    if files["mermaid"] is not None:
        write_file(files["mermaid"], to_mermaid(found.document).encode())
