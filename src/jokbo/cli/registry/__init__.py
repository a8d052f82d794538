"""``jokbo registry COMMAND``: models by their fingerprints, kept in a folder."""

from __future__ import annotations

import click

from jokbo.cli.lazy import LazyGroup

COMMANDS = {
    "add": "Register models, fingerprint files, or a list of either.",
    "list": "Show what is registered, or the base models that come with Jokbo as a list.",
    "remove": "Remove models.",
    "check": "Hold every fingerprint against its digest, and find what killed writers left.",
    "export": "Write models into one archive for somebody else.",
    "import": "Enter the models of an archive.",
}


@click.group(cls=LazyGroup, package="jokbo.cli.registry", described=COMMANDS)
def command() -> None:
    """Keep a register of models by their fingerprints.

    A register is a folder: an index and one small file a model. It needs no server, and several processes
    may use it at once. The default is JOKBO_REGISTRY, or jokbo/register in the user's data folder.
    """
