"""``jokbo fingerprint MODEL -o FILE``."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jokbo.cli.options import (
    check_places,
    language,
    language_option,
    open_options,
    progress_line,
    source_options,
)

if TYPE_CHECKING:
    from jokbo.views.fingerprint_header import FingerprintHeader

SCHEMA = "jokbo.fingerprint_shown/1"


@click.command()
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write the fingerprint.")
@click.option("--private", is_flag=True, help="Leave the rows out; keep the Gram matrices of them.")
@click.option("--salt", metavar="TEXT", help="Decides which rows; else the public one, which strangers use.")
@click.option(
    "--show", is_flag=True, help="Check a fingerprint file and print what it says; nothing is made."
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@language_option
@source_options
def command(
    model: str,
    output: Path | None,
    private: bool,
    salt: str | None,
    show: bool,
    as_json: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Make a fingerprint of a model: a few megabytes that stand for its weights in every comparison.

    MODEL is a folder, a file of weights, a Hugging Face id (org/name or org/name@revision), or an address.
    Under 1 % of a large model is read. The same model and salt give the same bytes on every machine. With
    --show, MODEL is a fingerprint file.
    """
    if show:
        document = _show(Path(model), output, private, salt)
    else:
        place = _place(output)
        from jokbo.lineage.fingerprint import PUBLIC_SALT, make_fingerprint

        with progress_line(False) as line:
            made = make_fingerprint(
                model,
                salt=PUBLIC_SALT if salt is None else salt,
                private=private,
                options=open_options(
                    offline=offline,
                    cache_dir=cache_dir,
                    cache_size=cache_size,
                    adapter_base=adapter_base,
                    progress=line,
                ),
                progress=line.tell if line else None,
            )
        made.write(place)
        document = _document(place, made.data, made.header)
    _print(document, show, as_json, language(lang))
    return 0


def _print(document: dict[str, Any], show: bool, as_json: bool, lang: str) -> None:
    if as_json:
        from jokbo.evidence.canonical import canonical_bytes

        click.echo(canonical_bytes(document).decode())
        return
    from rich.console import Console

    from jokbo.report.fingerprint import render_fingerprint, render_made

    (render_fingerprint if show else render_made)(document, lang=lang, console=Console())


def _show(path: Path, output: Path | None, private: bool, salt: str | None) -> dict[str, Any]:
    from jokbo.errors import UsageError
    from jokbo.lineage.register.files import read_fingerprint_file
    from jokbo.views.fingerprint import check_fingerprint

    if output is not None or private or salt is not None:
        raise UsageError("--show makes nothing. Leave out --output, --private and --salt, or --show.")
    data = read_fingerprint_file(path)
    return _document(path, data, check_fingerprint(data, where=path.name))


def _place(output: Path | None) -> Path:
    """Say that a file cannot be written before minutes of reading, not after them."""
    from jokbo.errors import UsageError
    from jokbo.views.fingerprint import SUFFIX

    if output is None:
        raise UsageError(f"name the file to write with -o NAME{SUFFIX}, or show a fingerprint with --show.")
    if not output.name.endswith(SUFFIX):
        raise UsageError(
            f"{output} does not end in {SUFFIX}, by which a fingerprint is known. Call it so, for example "
            f"{output.name.partition('.')[0] or 'model'}{SUFFIX}."
        )
    check_places(output)
    return output


def _document(path: Path, data: bytes, header: FingerprintHeader) -> dict[str, Any]:
    from jokbo.views.fingerprint import read_sketch

    return {
        "schema": SCHEMA,
        "path": str(path),
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "sketch_bytes": len(read_sketch(data, where=path.name) or b""),
        "header": header.to_document(),
    }
