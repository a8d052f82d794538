"""``jokbo league convert FILES... --to every-eval-ever -o DIR``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--to", "target", type=click.Choice(["every-eval-ever"]), required=True, help="The format to write."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    help="A folder that does not exist or is empty.",
)
@click.option("--reader", help="Read all files with this reader; else each is recognised.")
@click.option("--field", "fields", multiple=True, help="A column of the items to keep. Repeatable.")
@click.option("--organization", default="unknown", show_default=True, help="Who hands the results on.")
@click.option(
    "--evaluator",
    type=click.Choice(["first_party", "third_party", "collaborative", "other"]),
    default="other",
    show_default=True,
    help="What the evaluator is to the model.",
)
@click.option(
    "--retrieved-at", type=click.IntRange(0, 2**40), default=0, show_default=True, help="Seconds since 1970."
)
@click.option(
    "--lower-is-better", "lower", multiple=True, help="A metric of which less is better. Repeatable."
)
@language_option
def command(
    files: tuple[Path, ...],
    target: str,
    output: Path,
    reader: str | None,
    fields: tuple[str, ...],
    organization: str,
    evaluator: str,
    retrieved_at: int,
    lower: tuple[str, ...],
    lang: str | None,
) -> int:
    """Write results in the interchange format Every Eval Ever (schema 0.3.0).

    FILES are results of one model, or folders of them. Two files are written for a task: an aggregate, and its
    items with their hashes and scores; no questions, prompts or answers. The same input gives the same bytes.

    Exit status: 0 written; 2 a file cannot be read, or the folder is not empty.
    """
    from jokbo.league.results.choose import read_files
    from jokbo.league.results.every_eval_ever_export import Origin, write_exported
    from jokbo.league.results.summary import files_at
    from jokbo.report.texts import Texts, name

    origin = Origin(organization, evaluator, retrieved_at, lower_is_better=lower)
    results = read_files(files_at(files), reader=reader, fields=fields)
    written = write_exported(results, output, origin)
    t = Texts(language(lang))
    click.echo(t("league.results.converted", count=t.number(len(written)), folder=name(output)))
    return 0
