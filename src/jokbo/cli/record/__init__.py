"""``jokbo record COMMAND``: a training record, packed, shown, audited or committed to."""

from __future__ import annotations

import click

from jokbo.cli.lazy import LazyGroup

COMMANDS = {
    "pack": "Gather logs, checkpoints and what is declared into one folder.",
    "inspect": "Show what a pack discloses, and what it leaves unanswered.",
    "audit": "Hold a record's claims against its logs and weights.",
    "commit": "Commit to a record while the training runs.",
}


@click.group(cls=LazyGroup, package="jokbo.cli.record", described=COMMANDS)
def command() -> None:
    """Pack, inspect, audit and commit to a training record.

    A record is what a maker discloses of a training: logs, checkpoints, data order, optimizer states, and
    a declaration of all of them (record.toml).
    """
