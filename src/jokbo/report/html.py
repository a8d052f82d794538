"""One self-contained page: no script, nothing fetched, readable on paper and on a phone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jokbo.report.context import build_report, plain
from jokbo.report.figures import draw
from jokbo.report.texts import NAME_CLOSES, NAME_OPENS, Texts

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def render_html(document: Mapping[str, Any], *, lang: str) -> str:
    """Render an evidence document as a page.

    Parameters
    ----------
    document : mapping
        What :attr:`jokbo.evidence.evidence.Evidence.document` holds.
    lang : str
        ``"en"`` or ``"ko"``.

    Returns
    -------
    str
        A whole HTML document. Equal documents give equal pages.

    Raises
    ------
    EvidenceError
        The document lacks a field, or holds a code that this version does not explain.
    UsageError
        The language is not available.
    """
    return render_page("report.html", build_report(document, lang), lang=lang)


def render_page(template: str, report: object, *, lang: str) -> str:
    """Fill a template of this package: texts escaped, names isolated, figures drawn, the style inside."""
    from markupsafe import Markup

    style = resources.files("jokbo.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    return _templates().get_template(template).render(report=report, t=Texts(lang), style=Markup(style))


@cache
def _templates() -> Environment:
    """Templates are compiled once: a site has hundreds of pages."""
    from markupsafe import Markup

    pages = page_environment("jokbo.report")
    pages.filters["bare"] = plain
    pages.globals["draw"] = lambda chart: Markup(draw(chart))
    return pages


def page_environment(package: str) -> Environment:
    """An environment for the templates of a package: texts escaped, names isolated, nothing undefined let through."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader(package, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    pages.filters["names"] = isolate
    return pages


def isolate(text: str) -> Markup:
    """Escape a text and turn the isolates around foreign names into elements that a style can show."""
    from markupsafe import Markup, escape

    return Markup(str(escape(text)).replace(NAME_OPENS, "<bdi>").replace(NAME_CLOSES, "</bdi>"))
