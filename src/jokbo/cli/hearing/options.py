"""Options that the hearing's commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def entry_options(command: F) -> F:
    """Add the options that say what is entered, and by whom."""
    for option in reversed(
        (
            click.option("--as", "account", required=True, metavar="ACCOUNT", help="Account that speaks."),
            click.option(
                "--file",
                type=click.Path(path_type=Path),
                help="The entry's fields, as YAML or (.json) JSON.",
            ),
            click.option(
                "--set", "fields", multiple=True, metavar="FIELD=VALUE", help="One field. May be repeated."
            ),
            click.option("--about", type=click.IntRange(min=0), help="Number of the entry that it is about."),
            click.option(
                "--supersedes",
                type=click.IntRange(min=0),
                help="Number of the entry that it takes the place of.",
            ),
            click.option(
                "--evidence",
                type=click.Path(path_type=Path),
                help="Evidence of an exhibit or a reproduction: what `jokbo compare` or `record audit` wrote.",
            ),
        )
    ):
        command = option(command)
    return command


def payload_of(kind: str, file: Path | None, fields: tuple[str, ...]) -> dict[str, Any]:
    """The fields given in a file and one by one; the latter win."""
    from jokbo.hearing.intake import parse_fields, read_payload

    return {**({} if file is None else read_payload(file, kind)), **parse_fields(fields, kind)}


def host_key(path: Path, folder: Path) -> Any:
    """The host's key, which must not lie in what others will be given."""
    from jokbo.errors import UsageError
    from jokbo.records.commit.keys import load_signer

    if path.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"the key {path} lies inside {folder}. Keep it somewhere else.")
    return load_signer(path)
