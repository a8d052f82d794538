"""``jokbo record audit PACK``."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from jokbo.cli.options import (
    check_places,
    language,
    language_option,
    open_options,
    progress_line,
    source_options,
    write_file,
)

PATH = click.Path(path_type=Path)


@dataclass(frozen=True, slots=True)
class Places:
    """Where results are written; None for nowhere."""

    json: Path | None
    html: Path | None
    statement: Path | None
    bom: Path | None

    def check(self) -> None:
        """Say that a file cannot be written before minutes of reading, not after them."""

        check_places(self.json, self.html, self.statement, self.bom)

    def write(self, document: Mapping[str, Any], lang: str, pack: Path) -> None:
        """Write what was asked for."""
        from jokbo.evidence.canonical import canonical_bytes

        if self.json is not None:
            write_file(self.json, canonical_bytes(document) + b"\n")
        if self.html is not None:
            from jokbo.report.record import render_record_html

            write_file(self.html, render_record_html(document, lang=lang).encode())
        if self.statement is None and self.bom is None:
            return
        from jokbo.records.pack import open_pack

        record = open_pack(pack)
        if self.statement is not None:
            from jokbo.records.attest.intoto import statement_lines

            write_file(self.statement, statement_lines(document, record))
        if self.bom is not None:
            from jokbo.records.attest.cyclonedx import bom

            write_file(self.bom, canonical_bytes(bom(document, record)) + b"\n")


@click.command()
@click.argument("pack", type=PATH)
@click.option(
    "--against",
    multiple=True,
    metavar="MODEL",
    help="A model the weights must not come from; may be repeated.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Decides what is looked at; else drawn at random.")
@click.option("--budget", metavar="SIZE", help="How much of the checkpoints to read, such as 500MB.")
@click.option("--no-replay", is_flag=True, help="Leave out the checks that run the model.")
@click.option(
    "--flops",
    type=click.FloatRange(min=0, min_open=True),
    help="How much arithmetic one check that runs the model may use, such as 1e15; else a default.",
)
@click.option(
    "--check", "checks", multiple=True, metavar="NAME", help="Run this check alone; may be repeated."
)
@click.option(
    "--key", "keys", multiple=True, type=PATH, help="A public key (PEM) that you trust to sign commitments."
)
@click.option(
    "--tsa-certificate",
    "tsa",
    multiple=True,
    type=PATH,
    help="A time stamp authority's certificate that you trust.",
)
@click.option("--json", "json_file", type=PATH, help="Write the result here.")
@click.option("--html", "html_file", type=PATH, help="Write a self-contained page here.")
@click.option("--statement", type=PATH, help="Write in-toto Statements here, one a line.")
@click.option("--bom", type=PATH, help="Write a CycloneDX ML-BOM here.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit status is the answer.")
@language_option
@source_options
def command(
    pack: Path,
    against: tuple[str, ...],
    seed: int | None,
    budget: str | None,
    no_replay: bool,
    flops: float | None,
    checks: tuple[str, ...],
    keys: tuple[Path, ...],
    tsa: tuple[Path, ...],
    json_file: Path | None,
    html_file: Path | None,
    statement: Path | None,
    bom: Path | None,
    quiet: bool,
    lang: str | None,
    offline: bool,
    cache_dir: Path | None,
    cache_size: str,
    adapter_base: str | None,
) -> int:
    """Hold a record's claims against its logs and weights.

    PACK is a folder with a manifest.json, as `jokbo record pack` writes it.

    Exit status: 0 consistent, with every forgery on the list excluded; 10 inconsistent; 11 cannot tell;
    2 the record cannot be read.
    """
    places = Places(json_file, html_file, statement, bom)
    places.check()
    from jokbo.records.audit import audit
    from jokbo.records.checks.base import DEFAULT_FLOPS

    with progress_line(quiet) as line:
        found = audit(
            pack,
            # A seed that nobody can foresee, so that no record can be made for it.
            seed=secrets.randbits(32) if seed is None else seed,
            against=against,
            replay=not no_replay,
            checks=checks or None,
            budget_bytes=_budget(budget),
            flops=DEFAULT_FLOPS if flops is None else flops,
            tsa_certificates=tuple(str(path) for path in tsa),
            keys=tuple(str(path) for path in keys),
            options=open_options(
                offline=offline,
                cache_dir=cache_dir,
                cache_size=cache_size,
                adapter_base=adapter_base,
                progress=line,
            ),
            progress=line.tell if line else None,
        )
    places.write(found.document, language(lang), pack)
    if not quiet:
        from rich.console import Console

        from jokbo.report.record import render_record_terminal

        render_record_terminal(found.document, lang=language(lang), console=Console())
    return found.verdict.exit_status


def _budget(text: str | None) -> int:
    """Bytes of the checkpoints to read; a record has no size that a share could be taken of."""
    from jokbo.errors import UsageError
    from jokbo.independence.plan import parse_budget
    from jokbo.records.record import DEFAULT_BUDGET_BYTES

    if text is None:
        return DEFAULT_BUDGET_BYTES
    size = parse_budget(text).size
    if size is None:
        raise UsageError(f"--budget {text!r}: expected a size such as 500MB.")
    return size
