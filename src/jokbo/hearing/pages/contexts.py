"""What each page says: plain values, so that equal contexts mean an equal page and need not be drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jokbo.hearing.case.entry import Author
from jokbo.hearing.case.state import CaseState, Item, Logged
from jokbo.hearing.case.views import (
    BoardRow,
    QueueRow,
    board,
    moderation,
    people,
    question_row,
    queue,
    reproductions,
    residuals,
    standing,
    timers,
)
from jokbo.hearing.case.votes import GROUPS, in_force
from jokbo.hearing.case.witness import spelled
from jokbo.hearing.pages.wording import Links, Wording, language_name, spoken

PAGES = ("board", "questions", "transcript", "people", "moderation", "entries")
"""Pages that every hearing has once; claims and exhibits have one each."""

TONES: Mapping[str, str] = {"proven": "found", "refuted": "clear"}
MARKS: Mapping[str, str] = {
    "proven": "●",
    "refuted": "○",
    "not_proven": "?",
    "unheard": "…",
    "withdrawn": "–",
}


class Contexts:
    """The pages of one public state in one language.

    Parameters
    ----------
    state : CaseState
        As the public sees it (:func:`jokbo.hearing.case.withheld.public_state`).
    lang : str
        ``"en"`` or ``"ko"``.
    links : callable
        Addresses of pages.
    now : str, optional
        Time against which rights of reply are held; the latest of the log by default.
    """

    def __init__(self, state: CaseState, lang: str, links: Links, *, now: str | None = None) -> None:
        assert state.facts is not None, "a hearing has a first entry"
        self.state, self.facts, self.now = state, state.facts, now
        self.lang, self.words = lang, Wording(state, lang, links)
        self.t, self.links = self.words.t, links
        self.rows = board(state)

    def page(self, name: str, title: str, number: int | None = None, **more: Any) -> dict[str, Any]:
        """What the layout needs on every page."""
        payload = self.facts.payload
        other = "ko" if self.lang == "en" else "en"
        return {
            "name": name,
            "number": number,
            "title": title,
            "case_title": spoken(payload["title"]),
            "case_language": payload["language"],
            "case": self.facts.case,
            "closed": self.state.closed is not None,
            "other_language": language_name(other, other),
            "nav": [(each, self.t(f"hearing.nav.{each}"), self.links(each, None)) for each in PAGES],
            **more,
        }

    def board(self) -> dict[str, Any]:
        """The first page: what is settled, what is open; and the last word."""
        rows = [self.board_row(row) for row in self.rows]
        payload = self.facts.payload
        return self.page(
            "board",
            spoken(payload["title"]),
            summary={
                "text": spoken(payload["summary"]),
                "language": payload["language"],
                "translations": [
                    (tag, spoken(text)) for tag, text in sorted(payload.get("translations", {}).items())
                ],
            },
            opened=self.words.time(self.facts.time),
            chair=self.words.who(self.facts.chair),
            closing=None
            if self.state.closed is None
            else {
                "text": spoken(self.state.closed.payload["text"]),
                "language": self.state.closed.payload["language"],
                "when": self.words.time(self.state.closed.time),
            },
            settled=[row for row in rows if row["settled"]],
            open=[row for row in rows if not row["settled"]],
            numbers=self._numbers(),
            timers=self._timers(),
            residuals=[self._residual(item) for item in residuals(self.state)],
            head={
                "entries": self.state.length,
                "digest": self.state.head,
                "spelled": spelled(self.state.head),
                "when": self.words.time(self.state.latest),
            },
        )

    def board_row(self, row: BoardRow) -> dict[str, Any]:
        """A claim on the board."""
        thread = self.words.threads.flat(row.claim.sequence)
        exhibits = [item for _, item in thread if item.kind == "exhibit"]
        return {
            "claim": self.words.item(row.claim),
            "href": self.links("claim", row.claim.sequence),
            "finding": None if row.finding is None else self.words.item(row.finding),
            "outcome": row.outcome,
            "word": self.t.code("hearing.outcome", row.outcome),
            "tone": TONES.get(row.outcome, "open"),
            "mark": MARKS[row.outcome],
            "settled": row.settled,
            "exhibits": len(exhibits),
            "reproduced": sum(
                1
                for item in exhibits
                if reproductions(self.words.threads, item.sequence).agreeing > 0 and item.payload is not None
            ),
            "lint": _lint_faults(row.claim),
        }

    def _numbers(self) -> list[tuple[str, str]]:
        counts = {
            "claims": len(standing(self.state, "claim")),
            "exhibits": len(standing(self.state, "exhibit")),
            "answered": sum(1 for q in self.state.questions.values() if q.state == "answered"),
            "questions": len(self.state.questions),
        }
        return [(self.t(f"hearing.count.{key}"), self.t.number(value)) for key, value in counts.items()]

    def _timers(self) -> list[dict[str, Any]]:
        return [
            {
                "who": self.words.who(row.timer.payload["account"]),
                "about": row.timer.about,
                "until": self.words.time(row.timer.payload["until"]),
                "status": row.status,
                "word": self.t.code("hearing.timer", row.status, reply=row.reply or 0),
                "number": row.timer.sequence,
                "href": self.entry_href(row.timer.about),
            }
            for row in timers(self.state, now=self.now)
        ]

    def _residual(self, item: Item) -> dict[str, Any]:
        found = self.words.item(item)
        found["unanswered"] = item.kind == "question"
        return found

    def entry_href(self, number: int | None) -> str:
        """Where an entry can be read in the list of all entries."""
        return self.links("entries", None) + (f"#e{number}" if number is not None else "")

    def questions(self) -> dict[str, Any]:
        """The queue, and what was answered."""
        answered = [number for number, q in self.state.questions.items() if q.state == "answered"]
        waiting = [number for number, q in self.state.questions.items() if q.state in ("pending", "hidden")]
        group = self.t.code("hearing.group", self.facts.payload["queue_order"])
        segments = self._segments()
        return self.page(
            "questions",
            self.t("hearing.page.questions"),
            order=self.t("hearing.queue_order", group=group),
            groups=[self.t(f"hearing.group.{each}") for each in GROUPS],
            queue=[self._question(row, segments) for row in queue(self.state)],
            answered=[self._question(question_row(self.state, number), segments) for number in answered],
            waiting=[self.words.item(self.state.items[number]) for number in waiting],
        )

    def _segments(self) -> dict[int, list[tuple[int, str]]]:
        """Segments of the transcript by the questions that they belong to."""
        found: dict[int, list[tuple[int, str]]] = {}
        for item in standing(self.state, "transcript"):
            for number in (item.payload or {}).get("questions", ()):
                href = self.links("transcript", None) + f"#e{item.sequence}"
                found.setdefault(number, []).append((item.sequence, href))
        return found

    def _question(self, row: QueueRow, segments: Mapping[int, list[tuple[int, str]]]) -> dict[str, Any]:
        found = self.words.item(row.item)
        to = (row.item.payload or {}).get("to")
        found |= {
            "state": row.state,
            "state_word": self.t.code("hearing.state", row.state),
            "pinned_by": row.pinned_by,
            "to": self.words.who(to) if to else "",
            "tallies": [
                (
                    self.t(f"hearing.group.{group}"),
                    self.t.number(row.tallies[group].up),
                    self.t.number(row.tallies[group].down),
                    self.t.fixed(row.bounds[group], 3),
                )
                for group in GROUPS
            ],
            "answers": [
                {**self.words.item(each), "exhibits": self._exhibits(each.sequence)}
                for each in self.words.threads.about(found["number"], "answer")
            ],
            "segments": segments.get(found["number"], []),
        }
        return found

    def _exhibits(self, number: int) -> list[tuple[int, str, str, str]]:
        """Exhibits of an answer: number, address, title (empty where it is withheld) and its language."""
        return [
            (
                item.sequence,
                self.links("exhibit", item.sequence),
                spoken((item.payload or {}).get("title", "")),
                (item.payload or {}).get("language", ""),
            )
            for item in self.words.threads.about(number, "exhibit")
        ]

    def transcript(self) -> dict[str, Any]:
        """What was said aloud, each segment with the questions it belongs to."""
        rows = []
        for item in standing(self.state, "transcript"):
            found = self.words.item(item)
            payload = item.payload
            if payload is not None:
                found["start"] = _clock(payload["start_seconds"])
                found["stop"] = _clock(payload["stop_seconds"])
                found["speaker"] = spoken(payload["speaker"])
                found["questions"] = [
                    (each, self.links("questions", None) + f"#e{each}")
                    for each in payload.get("questions", ())
                ]
            rows.append((payload["start_seconds"] if payload else -1.0, item.sequence, found))
        rows.sort(key=lambda row: row[:2])
        return self.page(
            "transcript", self.t("hearing.page.transcript"), segments=[found for _, _, found in rows]
        )

    def people(self) -> dict[str, Any]:
        """Who takes part, and what interests they declared."""
        rows = [
            {
                "account": person.account,
                "name": self.words.who(person.account),
                "affiliation": spoken((person.party.payload or {}).get("affiliation", ""))
                if person.party
                else "",
                "role": self.words.role(person.role),
                "keys": list(person.keys),
                "interests": [
                    {**self.words.item(each), "none": bool((each.payload or {}).get("none"))}
                    for each in person.interests
                ],
            }
            for person in people(self.state)
        ]
        return self.page("people", self.t("hearing.page.people"), people=rows)

    def moderation(self) -> dict[str, Any]:
        """What was hidden, held, pinned, and why."""
        rows = []
        for row in moderation(self.state, now=self.now):
            found = self.words.act(row.act)
            found["notices"] = [self.words.act(notice) for notice in row.notices]
            found["missing"] = [self.t.code("hearing.notice_to", who) for who in row.missing]
            found["overdue"] = row.overdue
            rows.append(found)
        others = [act for act in self.state.acts if act.kind in ("question_state", "pin")]
        return self.page(
            "moderation",
            self.t("hearing.page.moderation"),
            rows=rows,
            others=[self.words.act(act) for act in others],
            clock=[(number, self.t.number(step / 1000, digits=3)) for number, step in self.state.clock_steps],
        )

    def entries(self) -> dict[str, Any]:
        """Every entry but the votes, by number."""
        rows = [self.words.item(item) for item in self.state.items.values()]
        for row in rows:
            row["what"] = row["gone"] or row["title"] or row["name"] or row["text"][:160]
            row["note"] = ""
        acts = [self.words.act(act) for act in self.state.acts]
        for timer in self.state.timers:
            acts.append(self.words.act(timer))
        for act in acts:
            # What an act did is told in the page's language; a remark to it stays in its own.
            act["digest"] = act["gone"] = ""
            act["language"], act["note_language"] = self.lang, act["language"]
        votes = [
            (self.t(f"hearing.group.{group}"), self.t.number(tally.up), self.t.number(tally.down))
            for group, tally in in_force(self.state.tallies).items()
        ]
        return self.page(
            "entries",
            self.t("hearing.page.entries"),
            rows=sorted([*rows, *acts, *self._ends()], key=lambda row: row["number"]),
            votes=votes,
            length=self.t.number(self.state.length),
        )

    def _ends(self) -> list[dict[str, Any]]:
        """The entries that opened and closed the case, as rows of the list of all entries."""
        opened = Logged(
            0, "case", self.facts.time, Author(self.facts.chair, "chair"), None, self.facts.payload
        )
        ends = [(opened, spoken(self.facts.payload["title"]))]
        if self.state.closed is not None:
            ends.append((self.state.closed, spoken(self.state.closed.payload["text"])[:160]))
        # The digest of the first entry is the name of the case; the last one's is on the board.
        digests = {0: self.facts.case}
        return [
            {
                **self.words.act(act),
                "what": what,
                "gone": "",
                "note": "",
                "digest": digests.get(act.sequence, ""),
            }
            for act, what in ends
        ]


def _clock(seconds: float) -> str:
    """Seconds of a recording as hours, minutes, seconds."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def _lint_faults(claim: Item) -> int | None:
    lint = (claim.payload or {}).get("lint")
    return None if lint is None else int(lint["faults"])
