"""``jokbo hearing verify FOLDER``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option, open_options, source_options


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--head", metavar="DIGEST", help="A digest that you kept: the log must contain that entry.")
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    help="Public key (PEM) that you know the host by: its latest, or one before.",
)
@click.option("--rerun", is_flag=True, help="Also run every piece of evidence again, which opens its models.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME=PATH",
    help="Where a model or record of the evidence is, by its name or digest there. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@language_option
@source_options
def command(
    folder: Path,
    head: str | None,
    key: Path | None,
    rerun: bool,
    models: tuple[str, ...],
    as_json: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Check an archive, or a case, without a network: every file, entry, signature, exhibit and page.

    Whatever does not hold is named with the number of its entry. Only --rerun opens models.

    Exit status: 0 it holds; 10 something was changed, dropped, added or is missing; 11 what was checked holds,
    but not all could be checked (pages of another version, evidence that could not be run again); 2 it is neither
    an archive nor a case, or cannot be read.
    """
    from jokbo.errors import UsageError
    from jokbo.hearing.archive.verify import verify_folder
    from jokbo.hearing.case.witness import parse_digest
    from jokbo.hearing.terminal import render_verified, verified_document
    from jokbo.records.commit.keys import load_public_key

    pairs = [model.partition("=") for model in models]
    if any(not name or not path for name, _, path in pairs):
        raise UsageError("--model: expected NAME=PATH, such as --model base=./base.")
    found = verify_folder(
        folder,
        head=None if head is None else parse_digest(head),
        keeper=None if key is None else load_public_key(key).keyid,
        rerun=rerun,
        models={name: path for name, _, path in pairs},
        options=open_options(
            offline=offline, cache_dir=cache_dir, cache_size=cache_size, adapter_base=adapter_base
        ),
    )
    if as_json:
        from jokbo.evidence.canonical import canonical_bytes

        click.echo(canonical_bytes(verified_document(found)).decode())
    else:
        click.echo(render_verified(found, lang=language(lang)))
    return found.exit_status
