"""The site of a board: pages in both languages, CSV files; nothing but the board decides a byte of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jokbo.report.html import render_page
from jokbo.report.league.axes_page import axes_page
from jokbo.report.league.blocks import Page
from jokbo.report.league.event_page import event_page
from jokbo.report.league.gate_page import gate_page
from jokbo.report.league.inputs_page import inputs_page
from jokbo.report.league.multiverse_page import multiverse_page
from jokbo.report.league.naming import Naming, in_language
from jokbo.report.league.overview import overview_page
from jokbo.report.league.sheets import sheets
from jokbo.report.league.uncertainty_page import uncertainty_page
from jokbo.report.texts import LANGUAGES, Texts, clean

NAV = (
    ("index", "index.html"),
    ("gate", "gate.html"),
    ("axes", "axes.html"),
    ("uncertainty", "uncertainty.html"),
    ("multiverse", "multiverse.html"),
    ("inputs", "inputs.html"),
)


def site_files(board: Mapping[str, Any]) -> dict[str, bytes]:
    """Every file of the site, by its path.

    Parameters
    ----------
    board : mapping
        A document ``jokbo.board/1``.

    Returns
    -------
    dict of str to bytes
        ``index.html`` (a choice of language), ``en/*.html``, ``ko/*.html``, ``csv/*.csv``. Pages link
        ``../board.json``, which is not among them. Equal boards give equal bytes.

    Raises
    ------
    EvidenceError
        The board holds a code that this version does not explain.
    """
    files = {"index.html": _choice(board).encode("utf-8")}
    for lang in LANGUAGES:
        n = Naming(board, Texts(lang))
        for page in _pages(n):
            files[f"{lang}/{page.file}"] = _render(page, n).encode("utf-8")
    return files | sheets(board)


def write_site(board: Mapping[str, Any], folder: Path) -> None:
    """Write the site and the board itself into a folder.

    Raises
    ------
    UsageError
        The folder cannot be written.
    """
    from jokbo.errors import UsageError
    from jokbo.evidence.canonical import canonical_bytes
    from jokbo.sources.whole_files import write_whole

    files = site_files(board) | {"board.json": canonical_bytes(dict(board)) + b"\n"}
    try:
        for path, data in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            write_whole(target, data, sync=False)
    except OSError as error:
        raise UsageError(f"cannot write into {folder}: {error.strerror}. Give another folder.") from None


def _pages(n: Naming) -> list[Page]:
    fixed = [overview_page, gate_page, axes_page, uncertainty_page, multiverse_page, inputs_page]
    return [*(build(n) for build in fixed), *(event_page(event, n) for event in n.board["events"])]


def _render(page: Page, n: Naming) -> str:
    t, round_ = n.t, n.board["round"]
    other = next(lang for lang in LANGUAGES if lang != t.lang)
    report = {
        "lang": t.lang,
        "title": page.title,
        "round": n.words(round_["title"]),
        "page": page,
        "nav": [(key == page.nav, href == page.file, t(f"league.nav.{key}"), href) for key, href in NAV],
        "nav_label": t("league.nav.label"),
        "other": (other, Texts(other)("league.language"), f"../{other}/{page.file}"),
        "footer": t("league.footer", version=clean(n.board["jokbo"]), digest=clean(round_["digest"])[:12]),
    }
    return render_page("league/page.html", report, lang=t.lang)


def _choice(board: Mapping[str, Any]) -> str:
    """The page that stands at the root: which language."""
    languages = [
        (lang, Texts(lang)("league.language"), clean(in_language(board["round"]["title"], lang)))
        for lang in LANGUAGES
    ]
    return render_page("league/choice.html", {"languages": languages, "page": "index.html"}, lang="en")
