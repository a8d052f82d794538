"""What the commands of a register share: where it is, what is printed, what is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from jokbo.lineage.register.entries import Entry

F = TypeVar("F", bound=Callable[..., Any])


def register_options(command: F) -> F:
    """Add ``--registry`` and ``--json``."""
    for option in (
        click.option(
            "--registry",
            "directory",
            metavar="DIR",
            type=click.Path(path_type=Path),
            help="Folder of the register; else JOKBO_REGISTRY, else one in the user's data folder.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
    ):
        command = option(command)
    return command


def print_json(document: dict[str, Any]) -> None:
    """One canonical line on standard output."""
    from jokbo.evidence.canonical import canonical_bytes

    click.echo(canonical_bytes(document).decode())


class Skips:
    """Damaged entries that are left out, to be told at the end."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []

    def __call__(self, entry: Entry, error: Exception) -> None:
        """Note one."""
        self.told.append({"key": entry.key, "name": entry.name, "reason": str(error)})
