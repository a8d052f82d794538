"""Addresses of the live page."""

from __future__ import annotations

from functools import cache

from jokbo.hearing.pages.wording import Links

LANGUAGES = ("en", "ko")


@cache
def links(lang: str) -> Links:
    """Addresses in a language.

    Examples
    --------
    >>> links("ko")("claim", 3), links("en")("board", None), links("en")("file", None)
    ('/ko/claim/3', '/en/', '/file/')
    """

    def address(page: str, number: int | None) -> str:
        if page == "file":
            return "/file/"
        if page == "board":
            return f"/{lang}/"
        return f"/{lang}/{page}" + (f"/{number}" if number is not None else "")

    return address
