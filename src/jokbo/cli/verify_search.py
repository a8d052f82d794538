"""The part of ``jokbo verify`` that repeats a search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jokbo.cli.options import language

if TYPE_CHECKING:
    from jokbo.sources.base import OpenOptions


def verify_search_file(
    path: Path,
    *,
    registry: Path | None,
    candidate: str | None,
    options: OpenOptions,
    tell: Callable[[str, str], None] | None,
    as_json: bool,
    lang: str | None,
) -> tuple[str, bool]:
    """What to print of a search that is repeated, and whether it holds.

    Raises
    ------
    UsageError
        The candidate is not given, or the register is another one.
    """
    from jokbo.errors import UsageError
    from jokbo.evidence.canonical import canonical_bytes
    from jokbo.lineage.register import open_register
    from jokbo.lineage.verify_search import verify_search
    from jokbo.report.search import render_search_verification, search_verification_document

    if candidate is None:
        raise UsageError(
            "a search is repeated with its register and its candidate: "
            "jokbo verify SEARCH.json --registry DIR --candidate MODEL."
        )
    outcome = verify_search(
        path, register=open_register(registry), candidate=candidate, options=options, progress=tell
    )
    if as_json:
        return canonical_bytes(search_verification_document(outcome)).decode(), outcome.holds
    return render_search_verification(outcome, lang=language(lang)), outcome.holds
