"""``jokbo hearing export FOLDER ARCHIVE``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("archive", type=click.Path(path_type=Path))
@language_option
def command(folder: Path, archive: Path, lang: str | None) -> int:
    """Write the archive of the case in FOLDER to ARCHIVE: a static site that needs no server and no script.

    The same log gives the same bytes, and only what changed is written. Texts that are held or not yet reviewed
    are left out; each leaves its number, its digest and the reason.
    """
    from jokbo.errors import UsageError
    from jokbo.hearing.archive.export import export
    from jokbo.hearing.case.case import open_case
    from jokbo.hearing.case.witness import spelled
    from jokbo.report.texts import Texts

    if archive.resolve().is_relative_to(folder.resolve()):
        raise UsageError(f"the archive {archive} lies inside {folder}. Put it beside the case.")
    t = Texts(language(lang))
    with open_case(folder) as case:
        made = export(case.entries, case.state, case.exhibits, archive)
        click.echo(
            t(
                "hearing.cli.exported",
                folder=archive,
                files=t.number(len(made.manifest.files)),
                written=t.number(len(made.written)),
                removed=t.number(len(made.removed)),
            )
        )
        head = spelled(made.manifest.head)
        click.echo(t("hearing.cli.head", entries=t.number(made.manifest.entries), digest=head))
        click.echo(t("hearing.cli.keep"))
    return 0
