"""``jokbo claim COMMAND``: a claim on two models, written and checked."""

from __future__ import annotations

import click

from jokbo.cli.lazy import LazyGroup

COMMANDS = {
    "lint": "Check how a claim argues, and compute its numbers again.",
    "new": "Write a template of a claim and its table.",
}


@click.group(cls=LazyGroup, package="jokbo.cli.claim", described=COMMANDS)
def command() -> None:
    """Write a claim on two models, and check it before it is heard.

    A claim is a short YAML file with its table beside it: artefacts, measure, values, null and controls.
    """
