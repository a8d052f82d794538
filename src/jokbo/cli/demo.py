"""``jokbo demo``: the first thing a stranger runs."""

from __future__ import annotations

from pathlib import Path

import click

from jokbo.cli.options import language, language_option, write_file

PAIRS = (("base0", "sft0"), ("base0", "base1"))


@click.command()
@click.option(
    "--output", "folder", type=click.Path(path_type=Path), default=Path("demo-output"), show_default=True,
    help="Where the pages and the evidence go.",
)  # fmt: skip
@click.option(
    "--models", type=click.Path(path_type=Path), help="Folder of the models; else those that come with Jokbo."
)
@language_option
def command(folder: Path, models: Path | None, lang: str | None) -> int:
    """Compare a model with its fine-tune, and with a model trained apart; write both reports.

    The models are small and really trained; nothing is downloaded.
    """
    from rich.console import Console

    from jokbo.demo import demo_models
    from jokbo.evidence.compare import compare
    from jokbo.report.html import render_html
    from jokbo.report.terminal import render_terminal

    where = models or demo_models()
    console = Console()
    spoken = language(lang)
    folder.mkdir(parents=True, exist_ok=True)
    for reference, candidate in PAIRS:
        found = compare(where / reference, where / candidate)
        render_terminal(found.evidence.document, lang=spoken, console=console)
        stem = folder / f"{reference}-{candidate}"
        write_file(stem.with_suffix(".json"), found.evidence.to_json())
        for each in ("en", "ko"):
            page = Path(f"{stem}.{each}.html")
            write_file(page, render_html(found.evidence.document, lang=each).encode())
            console.print(str(page), style="bold")
    return 0
