"""``jokbo record pack RECORD.toml -o PACK``."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option, progress_line


@click.command()
@click.argument("declaration", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="The folder to write; must not exist."
)
@click.option(
    "--root",
    type=click.Path(path_type=Path),
    help="Folder that the declaration's paths are relative to; else its own.",
)
@click.option("--digest-only", is_flag=True, help="Keep of each checkpoint only the digest of its weights.")
@click.option(
    "--sample-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="Keep of each checkpoint its digest and N rows of each tensor.",
)
@click.option(
    "--whole", multiple=True, metavar="NAME", help="A checkpoint to keep whole all the same; may be repeated."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Decides the rows, with all weights.")
@click.option(
    "--link", is_flag=True, help="Link files hard instead of copying: no space, the same disk only."
)
@click.option("--json", "as_json", is_flag=True, help="Print the layout as JSON.")
@language_option
def command(
    declaration: Path,
    out: Path,
    root: Path | None,
    digest_only: bool,
    sample_rows: int | None,
    whole: tuple[str, ...],
    seed: int,
    link: bool,
    as_json: bool,
    lang: str | None,
) -> int:
    """Gather what RECORD.toml declares into one folder with a manifest of digests.

    Exit status: 0 the pack is written; 2 the declaration or a file cannot be read, and nothing is written.
    """
    from jokbo.cli.record.inspect import show
    from jokbo.records.pack import write_pack

    with progress_line(as_json) as line:
        record = write_pack(
            declaration,
            out,
            copy=not link,
            root=root,
            digest_only=digest_only,
            sample_rows=sample_rows or 0,
            whole=whole,
            seed=seed,
            tell=(lambda path: line.tell("pack", path)) if line else None,
        )
    show(record, as_json=as_json, lang=language(lang))
    return 0
