"""``jokbo hearing key FILE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@language_option
def command(file: Path, lang: str | None) -> int:
    """Make an Ed25519 key: the private half in FILE, for its owner alone, the public half in FILE.pub.

    A host signs every entry of a case with one; whoever has one of their own signs their own statements, and
    is counted when they reproduce an exhibit. Give others the public half only.
    """
    from jokbo.records.commit.keys import make_key
    from jokbo.report.texts import Texts

    made = make_key(file)
    click.echo(Texts(language(lang))("hearing.cli.key", key=made.public.keyid, path=file))
    return 0
