"""Templates of a claim and its table: whole claims, which the linter reads as they are."""

from __future__ import annotations

from importlib import resources

from jokbo.errors import UsageError

LANGUAGES = ("en", "ko")


def claim_template(lang: str, *, table: str = "claim.csv") -> bytes:
    """A commented claim.

    Parameters
    ----------
    lang : str
        Of the comments.
    table : str
        Name of the table's file.

    Raises
    ------
    UsageError
        The language is not available, or the name would not stand in YAML as it is.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"language {lang!r} is not available; expected {' or '.join(LANGUAGES)}.")
    if not table.isprintable() or any(mark in table for mark in '"\\/'):
        raise UsageError(f"{table!r}: expected a plain name of a file.")
    return _read(f"claim.{lang}.yaml").replace("claim.csv", f'"{table}"').encode()


def table_template() -> bytes:
    """The table that belongs to the template."""
    return _read("claim.csv").encode()


def _read(file: str) -> str:
    return resources.files("jokbo.hearing.claims").joinpath(f"templates/{file}").read_text(encoding="utf-8")
