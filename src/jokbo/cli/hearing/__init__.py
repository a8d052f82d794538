"""``jokbo hearing COMMAND``: a public verification, from its first entry to the archive."""

from __future__ import annotations

import click

from jokbo.cli.lazy import LazyGroup

COMMANDS = {
    "key": "Make a key that signs a hearing, or one's own statements in it.",
    "new": "Open a case.",
    "add": "Enter something in a case.",
    "sign": "Sign a statement with one's own key, for somebody else's case.",
    "rotate": "Let another key of the host sign a case from now on.",
    "serve": "Serve the live page, and write the archive all the while.",
    "show": "Show where a case stands, or one of its entries.",
    "export": "Write the archive: a static site that needs no server.",
    "verify": "Check an archive or a case offline.",
}


@click.group(cls=LazyGroup, package="jokbo.cli.hearing", described=COMMANDS)
def command() -> None:
    """Hold a public verification, and leave a record of it that nobody can change unseen.

    A case is an append-only log: claims, exhibits, rebuttals, replies, questions, answers and findings, each an
    entry that is signed and names the one before it by digest. Nothing is edited; entries are superseded.
    """
