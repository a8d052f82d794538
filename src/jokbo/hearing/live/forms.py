"""Forms as data: which fields each kind of entry has, and what of a filled form becomes a payload.

The schema of a kind decides what is right; here texts only become numbers, dates and lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jokbo.errors import UsageError
from jokbo.hearing.case.entry import ROLES
from jokbo.hearing.case.kinds import KINDS, schema
from jokbo.hearing.case.permissions import AFTER_CLOSE, MAY
from jokbo.hearing.case.state import CaseState, stamp
from jokbo.report.texts import clean


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a form.

    Attributes
    ----------
    name : str
        Also the last part of its label's key.
    control : str
        ``"line"``, ``"text"``, ``"language"``, ``"choice"``, ``"check"``, ``"number"``, ``"numbers"``, ``"hours"``,
        ``"days"``, ``"file"``.
    needed : bool
    options : tuple of str
        Codes of a choice.
    group : str
        Group of the texts of these codes.
    into : str
        Field of the payload; the form's own name by default.
    """

    name: str
    control: str = "line"
    needed: bool = True
    options: tuple[str, ...] = ()
    group: str = ""
    into: str = ""


def _codes(definition: str, field: str) -> tuple[str, ...]:
    found: Any = schema()["$defs"][definition]
    found = found["properties"][field] if field else found
    return tuple(found["enum"])


TEXT, LANGUAGE = Field("text", "text"), Field("language", "language")
TRANSLATED = (
    Field("translation_language", "language", needed=False),
    Field("translation", "text", needed=False),
)
REASON = Field("reason", "choice", options=_codes("reason", ""), group="hearing.reason")
SETTLES = Field("would_settle", "text", needed=False)
SPEECH = (TEXT, LANGUAGE, *TRANSLATED)

FORMS: Mapping[str, tuple[Field, ...]] = {
    "interest": (Field("none", "check", needed=False), *SPEECH),
    "artefact": (
        Field("name"),
        Field("repository", needed=False),
        Field("commit", needed=False),
        Field("digest", needed=False),
    ),
    "claim": (
        Field("title", needed=False),
        Field("text", "text", needed=False),
        LANGUAGE,
        *TRANSLATED,
        Field("artefacts", "numbers", needed=False),
        Field("claim_file", "file", needed=False),
        Field("table_file", "file", needed=False),
    ),
    "exhibit": (
        Field("title"),
        Field("form", "choice", options=("evidence", "file"), group="live.form"),
        Field("command", "text"),
        Field("versions", needed=False),
        Field("note", "text", needed=False),
        Field("language", "language", needed=False),
        Field("file", "file"),
    ),
    "reproduction": (
        Field("machine", needed=False),
        Field("note", "text", needed=False),
        Field("language", "language", needed=False),
        Field("file", "file"),
    ),
    "rebuttal": SPEECH,
    "reply": SPEECH,
    "answer": SPEECH,
    "withdrawal": SPEECH,
    "question": (*SPEECH, Field("to", needed=False)),
    "question_state": (
        Field("state", "choice", options=_codes("question_state", "state"), group="hearing.state"),
        Field("reason", "choice", needed=False, options=REASON.options, group=REASON.group),
        Field("duplicate_of", "number", needed=False),
    ),
    "pin": (Field("pinned", "check", needed=False), Field("why")),
    "reply_timer": (Field("account"), Field("hours", "hours", into="until")),
    "transcript": (
        Field("start_seconds", "number"),
        Field("stop_seconds", "number"),
        Field("speaker"),
        *SPEECH,
        Field("questions", "numbers", needed=False),
    ),
    "finding": (
        Field("outcome", "choice", options=_codes("finding", "outcome"), group="hearing.outcome"),
        *SPEECH,
        SETTLES,
        Field("exhibits", "numbers", needed=False),
    ),
    "residual": (*SPEECH, SETTLES),
    "moderation": (
        Field("action", "choice", options=_codes("moderation", "action"), group="live.action"),
        REASON,
        Field("asked_by", "choice", options=_codes("moderation", "asked_by"), group="hearing.asked_by"),
        Field("days", "days", needed=False, into="until"),
        Field("note", "text", needed=False),
        Field("language", "language", needed=False),
    ),
    "notice": (
        Field("to", "choice", options=_codes("notice", "to"), group="hearing.notice_to"),
        Field("how", "choice", options=_codes("notice", "how"), group="hearing.notice_how"),
    ),
    "party": (Field("account"), Field("name"), Field("affiliation", needed=False)),
    "role": (
        Field("account"),
        Field("role", "choice", options=ROLES, group="hearing.role"),
        Field("mailbox", needed=False),
    ),
    "key": (Field("account"), Field("key", "text"), Field("valid", "check", needed=False)),
    "close": SPEECH,
    "signed": (Field("draft_file", "file"), Field("file", "file", needed=False)),
}
"""Kind of entry -> its fields; votes have buttons of their own. ``signed`` is whatever its author signed elsewhere."""

UPLOADS = frozenset(kind for kind, fields in FORMS.items() if any(f.control == "file" for f in fields))
OURS = frozenset({"mailbox", "translation", "translation_language"})
"""Fields that are no fields of a payload."""

PAGE_KINDS: Mapping[str, tuple[str, ...]] = {
    "board": ("claim", "artefact", "question", "residual", "close"),
    "claim": ("exhibit", "rebuttal", "reply", "question", "finding", "reply_timer", "residual", "moderation"),
    "exhibit": ("reproduction", "signed", "rebuttal", "reply", "question", "reply_timer", "moderation"),
    "questions": ("question", "answer", "residual", "moderation"),
    "transcript": ("transcript", "moderation"),
    "people": ("interest", "party", "role", "key", "moderation"),
    "moderation": ("moderation", "notice", "reply"),
    "entries": ("moderation", "reply"),
}
"""Page -> what is offered there to those who may."""


def offered(state: CaseState, role: str | None, page: str) -> list[str]:
    """Kinds that a page offers to a role."""
    if role is None:
        return []
    return [kind for kind in PAGE_KINDS.get(page, ()) if may_write(state, role, kind)]


def may_write(state: CaseState, role: str, kind: str) -> bool:
    """Whether a role may write a kind at all, now."""
    if kind == "signed":
        return role in MAY["reproduction"] and state.closed is None
    closed = state.closed is not None and kind not in AFTER_CLOSE
    return kind in MAY and role in MAY[kind] and not closed


def targets(state: CaseState, kind: str) -> list[int]:
    """Entries that an entry of a kind may be about, newest first."""
    kinds = KINDS[kind].about
    found = [
        item.sequence
        for item in state.items.values()
        if item.kind in kinds and item.replaced_by is None and item.withdrawn_by is None
    ]
    found += [act.sequence for act in state.acts if act.kind in kinds]
    return sorted(found, reverse=True)


def payload_of(kind: str, values: Mapping[str, str], *, now: datetime) -> dict[str, Any]:
    """The payload of a filled form; files are added by whoever took them in.

    Raises
    ------
    UsageError
        A field that is needed is empty, or holds something else than it should.
    """
    payload: dict[str, Any] = {}
    for field in FORMS[kind]:
        if field.control == "file" or field.name in OURS:
            continue
        text = _plain(values.get(field.name, ""))
        if field.control == "check":
            payload[field.name] = text == "yes"
        elif text:
            payload[field.into or field.name] = _READ[field.control](field, text, now)
        elif field.needed:
            raise UsageError(f"the field {field.name!r} is empty, and it is needed. Fill it in.")
    tongue, text = (_plain(values.get(name, "")) for name in ("translation_language", "translation"))
    if any(field.name == "translation" for field in FORMS[kind]) and text:
        if not tongue:
            raise UsageError("the translation needs its language. Choose one.")
        payload["translations"] = {tongue: text}
    return payload


def _plain(text: str) -> str:
    """A text as browsers send it, with the line ends that the log has."""
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _same(field: Field, text: str, now: datetime) -> str:
    return text


def _choice(field: Field, text: str, now: datetime) -> str:
    if text not in field.options:
        raise UsageError(
            f"the field {field.name!r} has no choice {clean(text)[:40]!r}. Choose one that is offered."
        )
    return text


def _number(field: Field, text: str, now: datetime) -> int | float:
    try:
        found = float(text) if "." in text else int(text)
    except ValueError:
        raise UsageError(f"the field {field.name!r} needs a number, found {clean(text)[:40]!r}.") from None
    if not -1e12 < found < 1e12:
        raise UsageError(f"the field {field.name!r} holds a number that is too large.")
    return found


def _numbers(field: Field, text: str, now: datetime) -> list[int]:
    parts = text.replace(",", " ").split()
    if len(parts) > 100 or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
        raise UsageError(f"the field {field.name!r} needs numbers of entries, such as: 3, 12.")
    return [int(part) for part in parts]


def _later(unit: str) -> Callable[[Field, str, datetime], str]:
    def read(field: Field, text: str, now: datetime) -> str:
        count = _number(field, text, now)
        if not 0 < count <= 8760:
            raise UsageError(f"the field {field.name!r} needs a number above 0 and at most 8760.")
        return stamp(now + timedelta(**{unit: float(count)}))

    return read


_READ: Mapping[str, Callable[[Field, str, datetime], Any]] = {
    "line": _same,
    "text": _same,
    "language": _same,
    "choice": _choice,
    "number": _number,
    "numbers": _numbers,
    "hours": _later("hours"),
    "days": _later("days"),
}
