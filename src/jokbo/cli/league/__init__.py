"""``jokbo league COMMAND``: a round of a league, from its rules to a scoreboard that anyone can compute again."""

from __future__ import annotations

import click

from jokbo.cli.lazy import LazyGroup

COMMANDS = {
    "new": "Write a template of a round.",
    "freeze": "Fix a round's rules before results come in.",
    "inspect": "Show what result files hold.",
    "score": "Score a round, and write its site and bundle.",
    "check": "Compute a scored round again, and compare every byte.",
    "season": "Show where a season stands.",
    "leak": "Tell what figures to be published give away.",
    "convert": "Write results in an interchange format.",
}


@click.group(cls=LazyGroup, package="jokbo.cli.league", described=COMMANDS)
def command() -> None:
    """Run a league: rules fixed first, scores with their uncertainty, a gate, eliminations that can be defended.

    A round is a YAML file; results are the files that evaluation tools wrote. Three axes stay three; a total
    exists only by the round's own declared weights.
    """
