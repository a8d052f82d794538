"""``jokbo hearing new FOLDER``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.hearing.options import host_key, payload_of
from jokbo.cli.options import language, language_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--key", type=click.Path(path_type=Path), required=True, help="The host's private key (PEM).")
@click.option(
    "--recovery-key",
    type=click.Path(path_type=Path),
    help="Public key (PEM) of a second key, kept apart: with it another takes over where the host's is lost.",
)
@click.option("--chair", required=True, metavar="ACCOUNT", help="Account of the chair.")
@click.option("--title", help="What the case is called.")
@click.option("--summary", help="What it is about.")
@click.option("--text-language", default="en", show_default=True, help="Language of title and summary.")
@click.option(
    "--queue-order",
    type=click.Choice(["panel", "parties", "public"]),
    default="public",
    show_default=True,
    help="Whose votes order the questions.",
)
@click.option(
    "--reply-hours",
    type=click.IntRange(1, 8760),
    default=72,
    show_default=True,
    help="How long a right of reply is open.",
)
@click.option(
    "--file", type=click.Path(path_type=Path), help="All of this as YAML or (.json) JSON; options win."
)
@language_option
def command(
    folder: Path,
    key: Path,
    recovery_key: Path | None,
    chair: str,
    title: str | None,
    summary: str | None,
    text_language: str,
    queue_order: str,
    reply_hours: int,
    file: Path | None,
    lang: str | None,
) -> int:
    """Open a case: make FOLDER and the first entry of its log.

    The key signs every entry of the case; make one with `jokbo hearing key`. Accounts are short public names,
    such as `kim`; people's names are entered as parties, and can be taken away if the law asks for it.
    """
    from jokbo.hearing.case.case import new_case
    from jokbo.records.commit.keys import load_public_key
    from jokbo.report.texts import Texts

    given = {"title": title, "summary": summary}
    defaults = {"language": text_language, "queue_order": queue_order, "reply_hours": reply_hours}
    payload = {
        **defaults,
        **payload_of("case", file, ()),
        **{field: value for field, value in given.items() if value is not None},
    }
    t = Texts(language(lang))
    recovery = None if recovery_key is None else load_public_key(recovery_key)
    signer = host_key(key, folder)
    with new_case(folder, payload, chair=chair, signer=signer, recovery=recovery) as case:
        click.echo(t("hearing.cli.opened", folder=folder))
        click.echo(t("hearing.cli.case", case=case.head().case))
    return 0
