"""Entries in words: who, when, in which language, and in the place of a withheld text why it is."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from jokbo.hearing.case.state import CaseState, Item, Logged
from jokbo.hearing.case.views import Threads
from jokbo.hearing.case.withheld import withheld
from jokbo.report.texts import Texts, clean, name

Links = Callable[[str, int | None], str]
"""Address of a page: ``links("claim", 3)``, ``links("questions", None)``; the archive's and a server's differ."""

_PLAIN = {"\n": "\n", "\t": "    ", "\u200d": "\u200d"}


def spoken(text: str) -> str:
    """A text of a person as it is shown: its own lines, and characters that would not be seen spelled out.

    Examples
    --------
    >>> spoken("a\\u202eb\\u00a0c")
    'a[U+202E]b c'
    """
    return "".join(_shown(c) for c in text)


def _shown(c: str) -> str:
    category = unicodedata.category(c)[0]
    if category not in "CZ" or c in _PLAIN:
        return _PLAIN.get(c, c)
    return " " if unicodedata.category(c) == "Zs" else f"[U+{ord(c):04X}]"


def language_name(tag: str, lang: str) -> str:
    """Name of a language in another, or its tag where nobody has named it.

    Examples
    --------
    >>> language_name("ko", "en"), language_name("zz", "en")
    ('Korean', 'zz')
    """
    from babel import Locale, UnknownLocaleError

    try:
        return Locale.parse(tag, sep="-").get_language_name(lang) or tag
    except (UnknownLocaleError, ValueError):
        return tag


class Wording:
    """A public state in the words of one language.

    Parameters
    ----------
    state : CaseState
        As the public sees it.
    lang : str
    links : callable
    """

    def __init__(self, state: CaseState, lang: str, links: Links) -> None:
        self.state, self.lang, self.links = state, lang, links
        self.t = Texts(lang)
        self.threads = Threads(state)
        self.holes = withheld(state)
        self._acts = {act.sequence: act for act in state.acts}
        self._parties = {
            item.payload["account"]: item.payload
            for item in state.items.values()
            if item.kind == "party" and item.payload is not None and item.replaced_by is None
        }

    def who(self, account: str) -> str:
        """Name of an account: what its party entry says, or the account itself."""
        party = self._parties.get(account)
        return clean(party["name"]) if party else account

    def role(self, role: str) -> str:
        """Word for a role."""
        return self.t.code("hearing.role", role)

    def time(self, time: str) -> str:
        """A time for people: seconds are enough, and everybody reads the same clock."""
        return f"{time[:10]} {time[11:19]} UTC"

    def item(self, item: Item) -> dict[str, Any]:
        """An item as templates show it."""
        payload = item.payload or {}
        return {
            "number": item.sequence,
            "link": f"{self.links('entries', None)}#e{item.sequence}",
            "kind": item.kind,
            "word": self.t.code("hearing.kind", item.kind),
            "time": item.time,
            "when": self.time(item.time),
            "who": self.who(item.author.account),
            "role": self.role(item.author.role),
            "role_code": item.author.role,
            "key": item.author.key,
            "title": spoken(payload["title"]) if "title" in payload else "",
            "name": spoken(payload.get("name", "")),
            "text": spoken(payload.get("text", payload.get("note", ""))),
            "language": payload.get("language", ""),
            "language_name": language_name(payload["language"], self.lang) if "language" in payload else "",
            "translations": [
                {"language": tag, "name": language_name(tag, self.lang), "text": spoken(text)}
                for tag, text in sorted(payload.get("translations", {}).items())
            ],
            "settles": spoken(payload.get("would_settle", "")),
            "outcome": payload.get("outcome", ""),
            "gone": self.gone(item),
            "digest": item.digest,
            "payload_sha256": item.payload_sha256,
            "about": item.about,
            "supersedes": item.supersedes,
            "replaced_by": item.replaced_by,
            "withdrawn_by": item.withdrawn_by,
        }

    def gone(self, item: Item) -> str:
        """Why a text is not shown, in a sentence; empty where it is."""
        if item.payload is not None:
            return ""
        hole = self.holes.get(item.sequence)
        if hole is None:
            return self.t("hearing.gone.unexplained")
        act = self._acts.get(hole.by) if hole.by is not None else None
        values: Mapping[str, Any] = act.payload if act is not None else {}
        reason = self.t.code("hearing.reason", values["reason"]) if "reason" in values else ""
        until = self.time(values["until"]) if "until" in values else ""
        return self.t.code("hearing.gone", hole.cause, entry=hole.by or 0, reason=reason, until=until)

    def act(self, act: Logged) -> dict[str, Any]:
        """An act of the chair or a moderator as templates show it."""
        return {
            "number": act.sequence,
            "link": f"{self.links('entries', None)}#e{act.sequence}",
            "kind": act.kind,
            "word": self.t.code("hearing.kind", act.kind),
            "time": act.time,
            "when": self.time(act.time),
            "who": self.who(act.author.account),
            "role": self.role(act.author.role),
            "about": act.about,
            "what": self.what(act),
            "note": spoken(act.payload.get("note", act.payload.get("why", ""))),
            "language": act.payload.get("language", ""),
        }

    def what(self, act: Logged) -> str:
        """What an act did, in a sentence."""
        payload, t = act.payload, self.t
        if act.kind == "role":
            role = self.role(payload["role"])
            return t("hearing.act.role", who=name(self.who(payload["account"])), role=role)
        if act.kind == "key":
            code = "key" if payload["valid"] else "key_withdrawn"
            return t(f"hearing.act.{code}", who=name(self.who(payload["account"])))
        if act.kind == "key_rotated":
            key = _keyid(payload["keeper"])[:16]
            return t.code("hearing.act.key_rotated", payload["signed_by"], key=key)
        if act.kind == "question_state":
            state = t.code("hearing.state", payload["state"])
            if "reason" in payload:
                return t(
                    "hearing.act.hidden", entry=act.about, reason=t.code("hearing.reason", payload["reason"])
                )
            return t("hearing.act.question_state", entry=act.about, state=state)
        if act.kind == "pin":
            return t("hearing.act.pinned" if payload["pinned"] else "hearing.act.unpinned", entry=act.about)
        if act.kind == "notice":
            return t(
                "hearing.act.notice",
                entry=act.about,
                to=t.code("hearing.notice_to", payload["to"]),
                how=t.code("hearing.notice_how", payload["how"]),
            )
        if act.kind == "reply_timer":
            who, until = name(self.who(payload["account"])), self.time(payload["until"])
            return t("hearing.act.timer", who=who, entry=act.about, until=until)
        if act.kind == "moderation":
            return self._moderated(act)
        return t.code("hearing.kind", act.kind)

    def _moderated(self, act: Logged) -> str:
        payload = act.payload
        return self.t.code(
            "hearing.moderation",
            payload["action"],
            entry=act.about,
            reason=self.t.code("hearing.reason", payload["reason"]),
            asked_by=self.t.code("hearing.asked_by", payload["asked_by"]),
            until=self.time(payload["until"]) if "until" in payload else "",
        )


def _keyid(der: str) -> str:
    """Digest of a key by which people know it."""
    return hashlib.sha256(base64.b64decode(der)).hexdigest()
