"""What readers are told: one event an entry, and tallies of votes a few times a second.

An event is a function of the log alone, so what a reader missed is made again from it. Every event of an entry names
the one before (votes left out), so a reader can tell that nothing is missing. No event carries a text that the
public does not see.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from jokbo.hearing.case.entry import Entry
from jokbo.hearing.case.state import GROUPS, CaseState
from jokbo.hearing.case.views import question_row
from jokbo.hearing.pages.wording import Links, Wording

MAX_REPLAY = 500
MAX_LINE = 160

PAGES_OF: Mapping[str, tuple[str, ...]] = {
    "party": ("board", "people", "claim"),
    "role": ("board", "people"),
    "key": ("people",),
    "interest": ("people",),
    "artefact": ("claim",),
    "question": ("board", "questions"),
    "question_state": ("board", "questions", "moderation"),
    "pin": ("questions", "moderation"),
    "answer": ("questions", "board"),
    "transcript": ("transcript", "questions"),
    "reply_timer": ("board",),
    "notice": ("moderation",),
    "reproduction": ("board", "claim", "exhibit"),
    "exhibit": ("board", "claim", "exhibit"),
}
"""Pages on which a kind shows, beside the list of entries; every other kind may show on all."""

EVERY_PAGE = ("board", "claim", "exhibit", "questions", "transcript", "people", "moderation")


def previous_entry(entries: Sequence[Entry], sequence: int) -> int:
    """Number of the last entry before one that is no vote; -1 where there is none."""
    for number in range(sequence - 1, -1, -1):
        if entries[number].kind != "vote":
            return number
    return -1


def entry_events(
    entries: Sequence[Entry], fresh: Iterable[Entry], state: CaseState, lang: str, links: Links
) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of the events of some entries.

    Parameters
    ----------
    entries : sequence of Entry
        The log so far.
    fresh : iterable of Entry
        Those to tell of, in order; votes among them are passed over.
    state : CaseState
        As the public sees it now.
    """
    words: Wording | None = None
    for entry in fresh:
        if entry.kind == "vote":
            continue
        words = words or Wording(state, lang, links)
        document = {
            "number": entry.sequence,
            "after": previous_entry(entries, entry.sequence),
            "kind": entry.kind,
            "line": _line(words, entry),
            "href": f"{links('entries', None)}#e{entry.sequence}",
            "pages": [*PAGES_OF.get(entry.kind, EVERY_PAGE), "entries"],
        }
        yield entry.sequence, encode("entry", document, number=entry.sequence)


def _line(words: Wording, entry: Entry) -> str:
    """An entry in one line of plain text."""
    item = words.state.items.get(entry.sequence)
    if item is None:
        act = next((each for each in reversed(words.state.acts) if each.sequence == entry.sequence), None)
        if act is not None:
            return words.what(act)
        timer = next((each for each in words.state.timers if each.sequence == entry.sequence), None)
        return words.what(timer) if timer is not None else words.t.code("hearing.kind", entry.kind)
    shown = words.item(item)
    said = shown["gone"] or shown["title"] or " ".join(shown["text"].split())
    said = said if len(said) <= MAX_LINE else said[: MAX_LINE - 1] + "…"
    return f"{shown['word']} · {shown['who']}{': ' if said else ''}{said}"


def tally_event(state: CaseState, questions: Iterable[int], *, number: int) -> bytes:
    """The tallies of some questions: three groups, never summed.

    Parameters
    ----------
    number : int
        Of the last entry that is counted.
    """
    tallies = {}
    for question in sorted(questions):
        if question in state.questions:
            row = question_row(state, question)
            tallies[str(question)] = [
                [row.tallies[group].up, row.tallies[group].down, f"{row.bounds[group]:.3f}"]
                for group in GROUPS
            ]
    return encode("tally", {"number": number, "tallies": tallies}, number=number)


def missed(entries: Sequence[Entry], state: CaseState, last: int, lang: str, links: Links) -> bytes:
    """What a reader that saw everything up to `last` has missed, as one piece.

    Where that is too much, or the reader speaks of a log that is not this one, it is told to load the page again.
    """
    if last >= len(entries) or last < -1:
        return encode("reset", {"length": len(entries)}, number=len(entries) - 1)
    fresh = entries[last + 1 :]
    told = [entry for entry in fresh if entry.kind != "vote"]
    if len(told) > MAX_REPLAY:
        return encode("reset", {"length": len(entries)}, number=len(entries) - 1)
    found = [event for _, event in entry_events(entries, told, state, lang, links)]
    voted = {entry.about for entry in fresh if entry.kind == "vote" and entry.about is not None}
    if any(entry.kind == "role" for entry in fresh):
        voted |= set(state.tallies)
    if voted:
        found.append(tally_event(state, voted, number=len(entries) - 1))
    return b"".join(found)


def encode(event: str, document: Mapping[str, Any], *, number: int) -> bytes:
    """An event as ``text/event-stream`` has it.

    Examples
    --------
    >>> encode("reset", {"length": 3}, number=2)
    b'id: 2\\nevent: reset\\ndata: {"length":3}\\n\\n'
    """
    data = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    return f"id: {number}\nevent: {event}\ndata: {data}\n\n".encode()
