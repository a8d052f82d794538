"""The files of an archive that are drawn from a log: which pages there are, and their bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jokbo.hearing.case.state import CaseState
from jokbo.hearing.case.views import standing
from jokbo.hearing.pages.claims import claim_page, exhibit_page
from jokbo.hearing.pages.contexts import PAGES, Contexts
from jokbo.hearing.pages.render import render
from jokbo.hearing.pages.wording import language_name
from jokbo.report.texts import LANGUAGES, Texts

LOG = "log.jsonl"
FILES = "files"
MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Page:
    """A page that can be drawn.

    Attributes
    ----------
    path : str
        In the archive: ``"ko/claim-3.html"``.
    template : str
    lang : str
    context : mapping
        Equal contexts give equal bytes.
    """

    path: str
    template: str
    lang: str
    context: Mapping[str, Any]

    def draw(self) -> bytes:
        """The bytes of the page."""
        return render(self.template, self.context, lang=self.lang).encode()


def archive_links(name: str, number: int | None) -> str:
    """Addresses of pages within one language of an archive; ``file`` is the folder of exhibits.

    Examples
    --------
    >>> archive_links("claim", 3), archive_links("board", None), archive_links("file", None)
    ('claim-3.html', 'index.html', '../files/')
    """
    if name == "file":
        return f"../{FILES}/"
    if name == "board":
        return "index.html"
    return f"{name}.html" if number is None else f"{name}-{number}.html"


def pages(state: CaseState) -> Iterator[Page]:
    """Every page of a public state, in both languages."""
    for lang in LANGUAGES:
        contexts = Contexts(state, lang, archive_links)
        for name, number, make in _contents(contexts, state):
            file = archive_links(name, number)
            template = f"{name}.html"
            yield Page(f"{lang}/{file}", template, lang, {**make(), "here": file})
    first = Contexts(state, LANGUAGES[0], archive_links)
    whole = first.page("languages", "", languages=_languages())
    yield Page("index.html", "languages.html", LANGUAGES[0], whole)


def _languages() -> list[tuple[str, str, str, str]]:
    """Tag, name in the language itself, address, and what this is in that language."""
    return [
        (lang, language_name(lang, lang), f"{lang}/index.html", Texts(lang)("hearing.kicker"))
        for lang in LANGUAGES
    ]


def _contents(
    contexts: Contexts, state: CaseState
) -> Iterator[tuple[str, int | None, Callable[[], Mapping[str, Any]]]]:
    for name in PAGES:
        yield name, None, getattr(contexts, name)
    for item in standing(state, "claim"):
        yield "claim", item.sequence, lambda number=item.sequence: claim_page(contexts, number)  # type: ignore[misc]
    for item in state.items.values():
        if item.kind == "exhibit":
            yield (
                "exhibit",
                item.sequence,
                lambda number=item.sequence: exhibit_page(contexts, number),  # type: ignore[misc]
            )


def exhibit_files(state: CaseState) -> dict[str, tuple[int, str, int]]:
    """Files of exhibits and reproductions that the public may have: path to entry, digest and size."""
    found: dict[str, tuple[int, str, int]] = {}
    for item in state.items.values():
        if item.kind in ("exhibit", "reproduction") and item.payload is not None:
            file = item.payload["file"]
            found.setdefault(f"{FILES}/{file['sha256']}.bin", (item.sequence, file["sha256"], file["size"]))
    return found
