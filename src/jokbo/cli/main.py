"""The command line: ``jokbo COMMAND``; each command is a file of its own, imported when it runs.

Exit status: 0 no evidence, or dependence exactly as declared; 10 dependence; 11 untestable
or inconclusive; 2 bad usage or input; 1 nothing but an unexpected failure.
"""

from __future__ import annotations

import sys

import click

from jokbo import __version__
from jokbo.cli.lazy import LazyGroup

COMMANDS = {
    "compare": "Decide from weights whether two models are independent.",
    "inspect": "Show the anatomy of one model.",
    "verify": "Run what a piece of evidence claims again.",
    "report": "Show evidence again, in the terminal or as a page.",
    "population": "Score known-independent models, as a population for the calibrated tests.",
    "parents": "Find which models a merge draws on, and describe how they seem mixed.",
    "fingerprint": "Keep a few rows of a model in a file of some megabytes.",
    "registry": "Keep the fingerprints of known models.",
    "search": "Hold a model against every registered one.",
    "tree": "Find who descends from whom among many models.",
    "watch": "Fingerprint what an organisation publishes, and report what changed.",
    "record": "Pack, inspect, audit and commit to a training record.",
    "claim": "Write a claim about two models, and check it before it is heard.",
    "hearing": "Hold a public verification, and leave a record of it.",
    "league": "Run a league: rounds, scores with their uncertainty, a gate, eliminations.",
    "demo": "Compare two derived and two independent models that come with Jokbo.",
}


@click.group(
    cls=LazyGroup,
    package="jokbo.cli",
    described=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="jokbo %(version)s")
def cli() -> None:
    """Jokbo (족보): the family register of neural models.

    Exit status: 0 no evidence of dependence, or exactly what was declared; 10 dependence;
    11 untestable or inconclusive; 2 bad usage or input; 1 an unexpected failure.
    """


def main() -> None:
    """Run the command line; deliberate errors print one sentence and exit with 2."""
    from jokbo.errors import JokboError

    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("stopped.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except JokboError as error:
        click.echo(f"jokbo: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.exit(141)
    sys.exit(status if isinstance(status, int) else 0)
