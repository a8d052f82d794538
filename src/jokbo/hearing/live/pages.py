"""The pages of a room as bytes: drawn once for a state, a language and a role, then handed out again and again.

What differs from person to person, the token of a form, stands in the kept page as a mark drawn at random when the
server starts, and is put in on the way out.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jokbo.hearing.case.entry import ROLES
from jokbo.hearing.case.permissions import OPEN_TO_VOTES, TRANSITIONS
from jokbo.hearing.case.state import CaseState, stamp
from jokbo.hearing.live.clock import Clocks
from jokbo.hearing.live.forms import may_write, offered
from jokbo.hearing.live.links import LANGUAGES, links
from jokbo.hearing.live.sessions import Session, Sessions
from jokbo.hearing.pages.claims import claim_page, exhibit_page
from jokbo.hearing.pages.contexts import PAGES, Contexts
from jokbo.hearing.pages.render import environment, style
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from jokbo.hearing.live.room import Room

KEPT_PAGES = 256
TEMPLATES: Mapping[str, str] = {"questions": "live/questions.html"}
"""Pages of the archive that the live page shows with a template of its own."""

SEES_ALL = frozenset({"chair", "moderator"})
"""Roles that review questions, and so see what the public does not."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A page as it was drawn."""

    state: CaseState
    drawn: float
    body: bytes
    tag: str


@cache
def static_files() -> Mapping[str, tuple[bytes, str]]:
    """Name -> bytes and media type of what pages load: one style, one script."""
    own = resources.files("jokbo.hearing").joinpath("static")
    css = style() + own.joinpath("live.css").read_text(encoding="utf-8")
    script = own.joinpath("live.js").read_bytes()
    return {
        "hearing.css": (css.encode(), "text/css; charset=utf-8"),
        "live.js": (script, "text/javascript; charset=utf-8"),
    }


@cache
def static_version() -> str:
    """Changes whenever a file does, so that browsers may keep what they have."""
    whole = b"".join(data for data, _ in static_files().values())
    return hashlib.sha256(whole).hexdigest()[:12]


class Pages:
    """Draws pages.

    Parameters
    ----------
    room : Room
    sessions : Sessions
    clocks : Clocks
    """

    def __init__(self, room: Room, sessions: Sessions, clocks: Clocks) -> None:
        self._room, self._sessions, self._clocks = room, sessions, clocks
        self._kept: OrderedDict[tuple[str, int | None, str, str | None], Kept] = OrderedDict()
        self._token = f"token-{secrets.token_hex(16)}"

    def exists(self, name: str, number: int | None) -> bool:
        """Whether there is such a page."""
        if name in PAGES:
            return number is None
        item = self._room.state.items.get(-1 if number is None else number)
        return item is not None and item.kind == name and name in ("claim", "exhibit")

    def shared(
        self, name: str, number: int | None, lang: str, role: str | None, session: Session | None
    ) -> Kept:
        """A page of the hearing, for a role."""
        key = (name, number, lang, role)
        kept = self._kept.get(key)
        if kept is None or not self._fresh(kept):
            kept = self._draw(name, number, lang, role)
            self._kept[key] = kept
            while len(self._kept) > KEPT_PAGES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        if session is None or role is None:
            return kept
        body = kept.body.replace(self._token.encode(), self._sessions.token(session).encode())
        return Kept(kept.state, kept.drawn, body, hashlib.sha256(body).hexdigest()[:32])

    def own(
        self, template: str, lang: str, role: str | None, title: str, session: Session | None, **values: Any
    ) -> str:
        """A page for one visitor."""
        contexts = self._contexts(lang, role)
        page = contexts.page("own", title)
        token = self._sessions.token(session) if session is not None else ""
        return self._fill(template, page, lang, role, token=token, **values)

    def _fresh(self, kept: Kept) -> bool:
        state, age = self._room.state, self._clocks.elapsed() - kept.drawn
        if kept.state is state:
            return age < 10.0  # rights of reply run out without an entry
        only_votes = kept.state.items is state.items and kept.state.acts is state.acts
        return only_votes and kept.state.timers is state.timers and age < self._room.settings.tally_seconds

    def _contexts(self, lang: str, role: str | None) -> Contexts:
        state = self._room.state if role in SEES_ALL else self._room.public
        return Contexts(
            state, lang, links(lang), now=stamp(datetime.fromtimestamp(self._clocks.steady(), UTC))
        )

    def _draw(self, name: str, number: int | None, lang: str, role: str | None) -> Kept:
        state, drawn = self._room.state, self._clocks.elapsed()
        contexts = self._contexts(lang, role)
        if name == "claim" and number is not None:
            page = claim_page_of(contexts, number)
        elif name == "exhibit" and number is not None:
            page = exhibit_page(contexts, number)
        else:
            page = getattr(contexts, name)()
        template = TEMPLATES.get(name, f"{name}.html")
        text = self._fill(template, page, lang, role, token=self._token)
        body = text.encode()
        return Kept(state, drawn, body, hashlib.sha256(body).hexdigest()[:32])

    def _fill(
        self,
        template: str,
        page: Mapping[str, Any],
        lang: str,
        role: str | None,
        *,
        token: str,
        **values: Any,
    ) -> str:
        t, state = Texts(lang), self._room.state
        other = LANGUAGES[1 - LANGUAGES.index(lang)]
        name, number = page["name"], page["number"]
        path = "" if name == "board" else name
        live = {
            "role": role,
            "role_word": t.code("hearing.role", role) if role in ROLES else "",
            "token": token,
            "length": state.length - 1,
            "other": other,
            "other_href": values.get("other_href")
            or f"/{other}/{path}{'' if number is None else f'/{number}'}",
            "stream": f"/{lang}/live",
            "page": name,
            "version": static_version(),
            "offers": [
                (
                    t.code("live.do", kind),
                    f"/{lang}/write/{kind}{'' if number is None else f'?about={number}'}",
                )
                for kind in offered(state, role, name)
            ],
            "votes": role is not None and may_write(state, role, "vote"),
            "rules": role is not None and may_write(state, role, "question_state"),
            "open_to_votes": OPEN_TO_VOTES,
            "waiting": {number: each.state for number, each in state.questions.items()},
            "after": {each: sorted(states) for each, states in TRANSITIONS.items()},
        }
        return (
            environment()
            .get_template(template)
            .render(page=page, t=t, lang=lang, live=live, layout="live/layout.html", **values)
        )


def claim_page_of(contexts: Contexts, number: int) -> dict[str, Any]:
    """The page of a claim; one that was superseded shows the version that stands."""
    item = contexts.state.items[number]
    while item.replaced_by is not None:
        item = contexts.state.items[item.replaced_by]
    return claim_page(contexts, item.sequence)
