"""Reader-facing sentences of the descriptive scores, in every language of the reports.

Keys: ``<score>.title``, ``<score>.reads`` (what it measures), ``<score>.why_not`` (why it does
not decide), ``population.<name>``, ``relation.<name>``, ``truth.<name>`` and ``reason.<name>``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from jokbo.errors import FormatError, UsageError
from jokbo.views.component import Reason

LANGUAGES = ("en", "ko")


@cache
def texts() -> Mapping[str, Mapping[str, str]]:
    """Every text by key, then by language.

    Raises
    ------
    FormatError
        An entry is not one text for each language.
    """
    return read_texts(resources.files("jokbo.descriptive").joinpath("texts.toml").read_text(encoding="utf-8"))


def read_texts(toml: str) -> dict[str, dict[str, str]]:
    """Parse ``texts.toml``: groups of entries, each one text for each language and nothing else."""
    found: dict[str, dict[str, str]] = {}
    for group, entries in tomllib.loads(toml).items():
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            whole = isinstance(entry, dict) and set(entry) == set(LANGUAGES)
            if not whole or not all(isinstance(text, str) and text for text in entry.values()):
                raise FormatError(
                    f"texts.toml: {group}.{name} holds {entry!r}; expected one text for each of "
                    f"{', '.join(LANGUAGES)}. Correct the file."
                )
            found[f"{group}.{name}"] = entry
    return found


def text(key: str, language: str = "en", **values: object) -> str:
    """One sentence.

    Parameters
    ----------
    key : str
    language : str
        ``"en"`` or ``"ko"``.
    **values
        What its placeholders stand for.

    Raises
    ------
    UsageError
        There is no such text or language.

    Examples
    --------
    >>> text("norm_raw.title")
    'Raw norm cosine'
    """
    if key not in texts() or language not in LANGUAGES:
        raise UsageError(
            f"there is no text {key!r} in language {language!r}; languages are {', '.join(LANGUAGES)}."
        )
    return texts()[key][language].format(**values)


def explain(reason: Reason, language: str = "en") -> str:
    """The sentence of a reason, its numbers filled in."""
    return text(reason.code, language, **reason.values)
