"""A template of a round: a whole round with each part explained, which the reader takes as it is."""

from __future__ import annotations

from importlib import resources

from jokbo.errors import UsageError

LANGUAGES = ("en", "ko")


def round_template(lang: str) -> bytes:
    """A commented ``round.yaml``.

    Parameters
    ----------
    lang : str
        Of the comments; what the file says is the same in both.

    Raises
    ------
    UsageError
        The language is not available.
    """
    if lang not in LANGUAGES:
        raise UsageError(f"language {lang!r} is not available; expected {' or '.join(LANGUAGES)}.")
    return resources.files("jokbo.league").joinpath(f"templates/round.{lang}.yaml").read_bytes()
