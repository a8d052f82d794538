"""``jokbo record inspect PACK``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from jokbo.cli.options import language, language_option, progress_line

if TYPE_CHECKING:
    from jokbo.records.record import Record


@click.command()
@click.argument("pack", type=click.Path(path_type=Path))
@click.option(
    "--partial", is_flag=True, help="Files of the manifest may be absent; what needs them is left out."
)
@click.option("--verify", is_flag=True, help="Read every file and compare its digest with the manifest's.")
@click.option("--json", "as_json", is_flag=True, help="Print the layout as JSON.")
@language_option
def command(pack: Path, partial: bool, verify: bool, as_json: bool, lang: str | None) -> int:
    """Show what PACK discloses, what it does not, and which checks that leaves without an answer.

    Exit status: 0; 2 the pack cannot be read, or with --verify a file is not the one that was packed.
    """
    from jokbo.records.pack import open_pack

    record = open_pack(pack, partial=partial)
    if verify:
        _verify(record, quiet=as_json)
    show(record, as_json=as_json, lang=language(lang))
    return 0


def _verify(record: Record, *, quiet: bool) -> None:
    from jokbo.errors import FormatError
    from jokbo.records.pack import find_mismatches

    with progress_line(quiet) as line:
        found = find_mismatches(record, tell=(lambda path: line.tell("verify", path)) if line else None)
    if found:
        first = found[0]
        raise FormatError(
            f"{first.path} has the digest {first.found.sha256[:16]}…; the manifest says {first.claimed.sha256[:16]}… "
            f"({len(found):,} of {len(record.files):,} files differ). It was changed: fetch the pack again."
        )


def show(record: Record, *, as_json: bool, lang: str) -> None:
    """Print the layout of an opened pack."""
    from jokbo.records.inspection import layout_document

    document = layout_document(record)
    if as_json:
        from jokbo.evidence.canonical import canonical_bytes

        click.echo(canonical_bytes(document).decode())
        return
    from rich.console import Console

    from jokbo.report.record_inspection import render_layout

    render_layout(document, lang=lang, console=Console())
