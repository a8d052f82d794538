"""Fill the templates of a hearing: every text escaped, no script, a policy that admits none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jokbo.report.html import page_environment
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = "default-src 'none'; style-src '{style}'; img-src data:; base-uri 'none'; form-action 'none'"
"""Content security policy of an archived page: the one style by its digest, and nothing else at all."""


@cache
def style() -> str:
    """The style of every page: that of reports, and what a hearing adds."""
    report = resources.files("jokbo.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    own = resources.files("jokbo.hearing").joinpath("templates/hearing.css").read_text(encoding="utf-8")
    return report + own


@cache
def style_source() -> str:
    """The style as a source expression of a content security policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(style().encode()).digest()).decode()


def policy() -> str:
    """The policy of an archived page."""
    return POLICY.format(style=style_source())


@cache
def environment() -> Environment:
    """The templates' environment; a server may overlay it with templates of its own."""
    return page_environment("jokbo.hearing")


def render(template: str, page: Mapping[str, Any], *, lang: str, layout: str = "layout.html") -> str:
    """Fill a template.

    Parameters
    ----------
    template : str
        ``"board.html"``, ``"claim.html"``, ``"exhibit.html"``, ``"questions.html"``, ``"transcript.html"``,
        ``"people.html"``, ``"moderation.html"``, ``"entries.html"`` or ``"languages.html"``.
    page : mapping
        A context of :mod:`jokbo.hearing.pages.contexts`.
    lang : str
        ``"en"`` or ``"ko"``.
    layout : str
        Template around it: the archive's by default.

    Returns
    -------
    str
        Equal contexts give equal pages.
    """
    from markupsafe import Markup

    return (
        environment()
        .get_template(template)
        .render(page=page, t=Texts(lang), lang=lang, style=Markup(style()), policy=policy(), layout=layout)
    )
