"""``jokbo hearing rotate FOLDER``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.hearing.options import host_key
from jokbo.cli.options import language, language_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--new",
    "new_key",
    type=click.Path(path_type=Path),
    required=True,
    help="Private key (PEM) that signs from now on.",
)
@click.option("--key", type=click.Path(path_type=Path), help="The host's private key until now (PEM).")
@click.option(
    "--recovery-key",
    type=click.Path(path_type=Path),
    help="In its place, where it is lost or stolen: the private half of the key that `new --recovery-key` named.",
)
@click.option("--as", "account", required=True, metavar="ACCOUNT", help="Account of a chair.")
@click.option("--why", default="", help="Why, in a line for everybody to read.")
@click.option("--text-language", default="en", show_default=True, help="Language of --why.")
@language_option
def command(
    folder: Path,
    new_key: Path,
    key: Path | None,
    recovery_key: Path | None,
    account: str,
    why: str,
    text_language: str,
    lang: str | None,
) -> int:
    """Let another key of the host sign the case in FOLDER from now on.

    The change is an entry of the log: the old key signs it, or the recovery key that the case was opened with,
    and the new key signs that it takes over. Earlier entries keep their signatures. Stop the live page first,
    and start it again with the new key.
    """
    from jokbo.errors import UsageError
    from jokbo.hearing.case.case import open_case
    from jokbo.hearing.case.witness import spelled
    from jokbo.report.texts import Texts

    if (key is None) is (recovery_key is None):
        raise UsageError(
            "give the key that signed until now with --key; or --recovery-key, where that is lost."
        )
    signer = host_key(key or recovery_key or Path(), folder)
    new = host_key(new_key, folder)
    t = Texts(language(lang))
    with open_case(folder, signer, recovering=key is None) as case:
        entry = case.rotate(new, account=account, why=why, language=text_language)
    click.echo(t("hearing.cli.rotated", number=entry.sequence, key=new.public.keyid))
    entries = t.number(entry.sequence + 1)
    click.echo(t("hearing.cli.head", entries=entries, digest=spelled(entry.digest)))
    click.echo(t("hearing.cli.keep"))
    return 0
