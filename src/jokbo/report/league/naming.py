"""Names and figures of a board in one language: ids become titles, numbers become words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jokbo.errors import EvidenceError
from jokbo.report.context import plain
from jokbo.report.figures.svg import text_width
from jokbo.report.parents_mixture import component_words
from jokbo.report.texts import NAME_CLOSES, NAME_OPENS, Texts, clean, name
from jokbo.report.wording import joined

Board = Mapping[str, Any]
"""A document ``jokbo.board/1``."""

MAX_TEAMS_LISTED = 12
"""Teams named in one sentence; the others are counted."""

_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_TITLES = {
    "team": "team",
    "teams": "team",
    "who": "team",
    "below": "team",
    "event": "event",
    "events": "event",
    "category": "category",
    "categories": "category",
}
"""Values of a reason that hold ids."""


def in_language(words: object, lang: str) -> str:
    """A text that stands in one language or in both, as the reader's.

    Examples
    --------
    >>> in_language({"en": "Speed", "ko": "속도"}, "ko"), in_language("Speed", "ko")
    ('속도', 'Speed')
    """
    if isinstance(words, Mapping):
        found = words.get(lang) or words.get("en") or next(iter(words.values()), "")
        return str(found)
    return "" if words is None else str(words)


def cut(words: str, width: float, size: float = 13.0) -> str:
    """A label of a figure, cut to a width in pixels.

    Examples
    --------
    >>> cut("a very long name", 60)
    'a very…'
    """
    if text_width(words, size) <= width:
        return words
    while words and text_width(words + "…", size) > width:
        words = words[:-1]
    return words.rstrip() + "…"


def _listed(value: object) -> list[str]:
    """One id or several; ids hold neither commas nor blanks, so a joined text of them comes apart again."""
    return [str(each) for each in value] if isinstance(value, list | tuple) else str(value).split(", ")


@dataclass(frozen=True, slots=True)
class Naming:
    """A board's names in the language of `t`.

    Attributes
    ----------
    board : mapping
    t : Texts
    """

    board: Board
    t: Texts
    _words: dict[str, dict[str, str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        lang = self.t.lang
        found = {
            "team": {team["id"]: in_language(team["name"], lang) for team in self.board["teams"]},
            "event": {event["id"]: in_language(event["title"], lang) for event in self.board["events"]},
            "category": {part["id"]: in_language(part["title"], lang) for part in self.board["categories"]},
        }
        for event in self.board["events"]:
            if not _ID.fullmatch(event["id"]):
                raise EvidenceError(
                    f"The board names an event {clean(event['id'])!r}; an id is 1 to 64 of a-z, 0-9 and -. "
                    "The document is damaged."
                )
        object.__setattr__(self, "_words", found)

    def words(self, value: object) -> str:
        """Foreign text in the reader's language, cleaned and isolated; the sign of absence for nothing."""
        shown = in_language(value, self.t.lang)
        return name(shown) if shown else self.t("ui.none")

    def long(self, value: object, *, limit: int = 1000) -> str:
        """As `words`, for sentences rather than names."""
        shown = in_language(value, self.t.lang)
        return f"{NAME_OPENS}{clean(shown, limit=limit)}{NAME_CLOSES}" if shown else self.t("ui.none")

    def listed(self, values: Sequence[object]) -> str:
        """Foreign texts as a list."""
        return ", ".join(self.words(value) for value in values[:MAX_TEAMS_LISTED]) or self.t("ui.none")

    def team(self, id: str) -> str:
        """A team's name, cleaned and isolated; the id of one that the board does not list."""
        return name(self._words["team"].get(id, id))

    def event(self, id: str) -> str:
        """An event's title."""
        return name(self._words["event"].get(id, id))

    def category(self, id: str) -> str:
        """A category's title."""
        return name(self._words["category"].get(id, id))

    def label(self, kind: str, id: str, width: float = 150.0) -> str:
        """A name for a figure: no isolates, cut to a width in pixels."""
        return cut(clean(self._words[kind].get(id, id), limit=80), width)

    def teams(self, ids: Iterable[str]) -> str:
        """Teams as a list in a sentence."""
        found = [self.team(id) for id in ids]
        if len(found) > MAX_TEAMS_LISTED:
            rest = self.t.number(len(found) - MAX_TEAMS_LISTED)
            return self.t("league.and_more", first=", ".join(found[:MAX_TEAMS_LISTED]), count=rest)
        return joined(found, self.t) if found else self.t("ui.none")

    def by(self, by: str, of: str | None = None) -> str:
        """What a table or a tie rule's step goes by: the total, an axis, a category or an event."""
        if by == "event":
            return self.event(str(of))
        if by in ("category", "axis") and of is not None:
            return self.by(of)
        if by in ("total", "absolute", "range", "efficiency", "lot", "keep"):
            return self.t(f"league.by.{by}")
        return self.category(by)

    def reason(self, reason: Mapping[str, Any], group: str) -> str:
        """The sentence of a reason; ids among its values become titles."""
        values = {key: self._value(key, value) for key, value in reason["values"].items()}
        return self.t.code(group, str(reason["code"]), **values)

    def _value(self, key: str, value: object) -> str:
        if key == "level" and isinstance(value, float):
            return self.t.percent(value)
        if key == "by" and self.t.has(f"league.step.{value}"):
            return self.t(f"league.step.{value}")
        if key == "of" and isinstance(value, str):
            return self._anything(value)
        if key in ("component", "components"):
            return ", ".join(map(self.component, _listed(value)))
        if key == "verdict" and self.t.has(f"league.verdict.{value}"):
            return self.t(f"league.verdict.{value}")
        kind = _TITLES.get(key)
        if kind is None or value is None:
            return self.t.value(value)
        ids = _listed(value)
        naming: dict[str, Callable[[str], str]] = {
            "team": self.team,
            "event": self.event,
            "category": self.by,
        }
        shown = naming[kind]
        return ", ".join(shown(str(id)) for id in ids[:MAX_TEAMS_LISTED])

    def _anything(self, id: str) -> str:
        """Whatever has this id: an event, or what `by` knows."""
        if not id:
            return ""
        return self.event(id) if id in self._words["event"] else self.by(id)

    def component(self, component: str) -> str:
        """A component in words; the name itself where this version has none for it."""
        kind = component.rpartition(".")[2]
        return component_words(component, self.t) if self.t.has(f"kind.{kind}") else name(component)

    def score(self, value: float | None) -> str:
        """A score with one decimal."""
        return self.t("ui.none") if value is None else self.t.fixed(value, 1)

    def points(self, value: float | None, by: str) -> str:
        """A score of a table: whole numbers where events are counted."""
        if value is None or by != "range":
            return self.score(value)
        return self.t.number(value)

    def points_with_interval(self, row: Mapping[str, Any], by: str) -> str:
        """A score and, where it is known, its interval."""
        words = self.points(row["score"], by)
        if row["low"] is None:
            return words
        return f"{words} ({self.interval(row['low'], row['high'], digits=0 if by == 'range' else 1)})"

    def fine(self, value: float | None) -> str:
        """A difference or an error with two decimals."""
        return self.t("ui.none") if value is None else self.t.fixed(value, 2)

    def measured(self, value: float | None) -> str:
        """A value in its event's own unit, four significant digits."""
        return self.t("ui.none") if value is None else self.t.significant(value)

    def size(self, value: float) -> str:
        """A large count in the language's own units: 32.1 billion, 321억."""
        from babel.numbers import format_compact_decimal

        # Korean has one compact form; it writes 억 as a plain word already.
        if self.t.lang == "ko":
            return str(format_compact_decimal(value, format_type="short", locale="ko", fraction_digits=1))
        return str(format_compact_decimal(value, format_type="long", locale=self.t.lang, fraction_digits=1))

    def interval(self, low: float | None, high: float | None, *, digits: int = 1) -> str:
        """An interval; the sign of absence where none is known."""
        if low is None or high is None:
            return self.t("ui.none")
        return self.t("league.interval", low=self.t.fixed(low, digits), high=self.t.fixed(high, digits))

    def ranks(self, best: int | None, worst: int | None) -> str:
        """A rank set."""
        if best is None or worst is None:
            return self.t("ui.none")
        if best == worst:
            return self.t("league.rank.one", rank=best)
        return self.t("league.rank.span", best=best, worst=worst)

    def share(self, value: float | None) -> str:
        """A probability or a share."""
        return self.t("ui.none") if value is None else self.t.percent(value)

    def plain(self, words: str) -> str:
        """A text without isolates, for window titles and figures."""
        return plain(words)
