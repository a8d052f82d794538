"""What a page shows, derived from a state: the board, threads, the question queue, timers, moderation.

All of it is pure and takes the public state or the host's alike; where a text is withheld its item says so by a
payload of None, and stands in its place.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from jokbo.hearing.case.state import CaseState, Item, Logged
from jokbo.hearing.case.votes import GROUPS, Tally

WILSON_Z = 1.959963984540054
"""97.5 % point of the normal law: bounds of a two-sided 95 % interval."""

OWED: Mapping[str, tuple[str, ...]] = {
    "affected_party": ("author", "affected_party"),
    "authority": ("author",),
    "moderator": ("author",),
    "author": (),
}
"""Who is to be told of a moderation, by who asked for it: both sides where the party concerned did (Art. 44-2)."""

QUEUE_STATES = ("answering", "queued", "published")
IN_THREAD = ("exhibit", "rebuttal", "reply", "reproduction", "finding", "answer", "withdrawal")


def wilson_lower_bound(up: int, down: int, *, z: float = WILSON_Z) -> float:
    """Lower bound of the Wilson score interval for the share of votes that are for a question.

    With n = up + down and p = up / n::

        (p + z²/2n - z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927), 209-212. Few
    votes give a low bound, so that one vote out of one does not stand above ninety out of a hundred; no votes give 0.

    Examples
    --------
    >>> round(wilson_lower_bound(1, 0), 4), round(wilson_lower_bound(90, 10), 4)
    (0.2065, 0.8256)
    """
    n = up + down
    if up == 0:
        return 0.0  # rounding must not put a question with votes against it above one with none
    p, square = up / n, z * z
    centre = p + square / (2 * n)
    spread = z * math.sqrt(p * (1 - p) / n + square / (4 * n * n))
    return max(0.0, (centre - spread) / (1 + square / n))


@dataclass(frozen=True, slots=True)
class QueueRow:
    """A question in the queue.

    Attributes
    ----------
    item : Item
    state : str
    pinned_by : int or None
        Entry that pinned it.
    tallies : mapping of str to Tally
        By group; never summed.
    bounds : mapping of str to float
        Wilson lower bound of each group's votes.
    """

    item: Item
    state: str
    pinned_by: int | None
    tallies: Mapping[str, Tally]
    bounds: Mapping[str, float]


def question_row(state: CaseState, number: int) -> QueueRow:
    """A question with its votes."""
    tallies = {group: state.tallies.get(number, {}).get(group, Tally()) for group in GROUPS}
    bounds = {group: wilson_lower_bound(tally.up, tally.down) for group, tally in tallies.items()}
    return QueueRow(
        state.items[number], state.questions[number].state, state.pins.get(number), tallies, bounds
    )


def queue(state: CaseState, *, order: str | None = None) -> tuple[QueueRow, ...]:
    """Questions that are published and not answered yet, in the order in which they are to be taken.

    What is being answered comes first, then what is pinned in the order of the pins, then what is queued, then the
    rest; within each by the Wilson lower bound of one group's votes, and ties by time, that is by number.

    Parameters
    ----------
    order : str, optional
        Whose votes; by default those that the case named when it was opened.
    """
    group = order or (state.facts.payload["queue_order"] if state.facts else "public")
    rows = [question_row(state, number) for number in state.questions if _live(state, number)]

    def place(row: QueueRow) -> tuple[int, int, float, int]:
        rank = 0 if row.state == "answering" else 1 if row.pinned_by is not None else 2
        rank += rank == 2 and row.state == "published"
        return rank, row.pinned_by or 0 if rank == 1 else 0, -row.bounds[group], row.item.sequence

    return tuple(sorted(rows, key=place))


def _live(state: CaseState, number: int) -> bool:
    item = state.items[number]
    return state.questions[number].state in QUEUE_STATES and item.withdrawn_by is None


@dataclass(frozen=True, slots=True)
class Node:
    """An item of a thread and what was said about it, in order."""

    item: Item
    below: tuple[Node, ...]


class Threads:
    """What is about what, looked up once for a state."""

    def __init__(self, state: CaseState) -> None:
        self.state = state
        self._about: dict[int, list[Item]] = {}
        for item in state.items.values():
            if item.about is not None:
                self._about.setdefault(item.about, []).append(item)

    def versions(self, number: int) -> tuple[Item, ...]:
        """An item and those it took the place of, newest first."""
        found = [self.state.items[number]]
        while found[-1].supersedes is not None and found[-1].supersedes in self.state.items:
            found.append(self.state.items[found[-1].supersedes])
        return tuple(found)

    def about(self, number: int, *kinds: str, replaced: bool = False) -> tuple[Item, ...]:
        """What was said about an item or an earlier version of it, in order; only what still stands by default."""
        found = [
            each
            for version in self.versions(number)
            for each in self._about.get(version.sequence, ())
            if (not kinds or each.kind in kinds) and (replaced or each.replaced_by is None)
        ]
        return tuple(sorted(found, key=lambda item: item.sequence))

    def thread(self, number: int) -> Node:
        """Claim, exhibits, rebuttals, replies: everything below an item.

        Built without recursion, since replies to replies can go as deep as people like.
        """
        order = [self.state.items[number]]
        below: dict[int, tuple[Item, ...]] = {}
        for item in order:
            below[item.sequence] = self.about(item.sequence, *IN_THREAD)
            order += below[item.sequence]
        nodes: dict[int, Node] = {}
        for item in reversed(order):
            nodes[item.sequence] = Node(item, tuple(nodes[each.sequence] for each in below[item.sequence]))
        return nodes[number]

    def flat(self, number: int) -> Iterator[tuple[int, Item]]:
        """The same as rows: depth, from 1, and item; in the order of reading."""
        stack = [(1, node) for node in reversed(self.thread(number).below)]
        while stack:
            depth, node = stack.pop()
            yield depth, node.item
            stack += [(depth + 1, each) for each in reversed(node.below)]


def standing(state: CaseState, *kinds: str) -> tuple[Item, ...]:
    """Items of some kinds that nothing took the place of, in order."""
    return tuple(item for item in state.items.values() if item.kind in kinds and item.replaced_by is None)


@dataclass(frozen=True, slots=True)
class BoardRow:
    """A claim, and where it stands.

    Attributes
    ----------
    claim : Item
    finding : Item or None
        The latest that stands and is not withheld.
    outcome : str
        ``"proven"``, ``"refuted"``, ``"not_proven"``, ``"withdrawn"`` or ``"unheard"``.
    """

    claim: Item
    finding: Item | None
    outcome: str

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be shown."""
        return self.outcome in ("proven", "refuted", "withdrawn")


def board(state: CaseState) -> tuple[BoardRow, ...]:
    """Every claim that stands, in order, with its finding."""
    threads = Threads(state)
    rows = []
    for claim in standing(state, "claim"):
        findings = [item for item in threads.about(claim.sequence, "finding") if item.payload is not None]
        finding = findings[-1] if findings else None
        outcome = "unheard" if finding is None or finding.payload is None else finding.payload["outcome"]
        rows.append(BoardRow(claim, finding, "withdrawn" if claim.withdrawn_by is not None else outcome))
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class Reproductions:
    """Who repeated an exhibit.

    Attributes
    ----------
    attempts : tuple of Item
        All of them, those that differ too.
    agreeing : int
        Distinct persons with a key of their own, other than who entered the exhibit, whose signed evidence agrees.
    differing : int
        Attempts that differ.
    """

    attempts: tuple[Item, ...]
    agreeing: int
    differing: int


def reproductions(threads: Threads, number: int) -> Reproductions:
    """Reproductions of an exhibit; one that supersedes another is a new exhibit, to be reproduced anew."""
    owner = threads.state.items[number].author.account
    attempts = tuple(item for item in threads.about(number, "reproduction") if item.about == number)
    seen = [
        (item, item.payload) for item in attempts if item.payload is not None and item.author.account != owner
    ]
    agreeing = {
        item.author.account for item, payload in seen if payload["agrees"] and item.author.key is not None
    }
    differing = sum(1 for item in attempts if item.payload is not None and not item.payload["agrees"])
    return Reproductions(attempts, len(agreeing), differing)


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A right of reply.

    Attributes
    ----------
    timer : Logged
    status : str
        ``"replied"``, ``"open"`` or ``"expired"``.
    reply : int or None
        The first reply, in time or late.
    """

    timer: Logged
    status: str
    reply: int | None


def timers(state: CaseState, *, now: str | None = None) -> tuple[TimerRow, ...]:
    """Rights of reply, in order.

    Parameters
    ----------
    now : str, optional
        Time as entries state it; by default the latest that the log states, so that equal logs give equal pages.
    """
    threads, moment = Threads(state), now or state.latest
    rows = []
    for timer in state.timers:
        about = timer.about if timer.about is not None else -1
        replies = [
            item.sequence
            for item in threads.about(about, "reply", "rebuttal", replaced=True)
            if item.author.account == timer.payload["account"] and item.sequence > timer.sequence
        ]
        status = "replied" if replies else "open" if moment < timer.payload["until"] else "expired"
        rows.append(TimerRow(timer, status, replies[0] if replies else None))
    return tuple(rows)


@dataclass(frozen=True, slots=True)
class ModerationRow:
    """A hold, a release or an erasure.

    Attributes
    ----------
    act : Logged
    notices : tuple of Logged
    missing : tuple of str
        Whom no notice went to yet: ``"author"``, ``"affected_party"``.
    overdue : bool
        A hold that is past its end and still in force.
    """

    act: Logged
    notices: tuple[Logged, ...]
    missing: tuple[str, ...]
    overdue: bool


def moderation(state: CaseState, *, now: str | None = None) -> tuple[ModerationRow, ...]:
    """Acts of moderation in order, with the notices that the law asks for."""
    notices: dict[int | None, list[Logged]] = {}
    for act in state.acts:
        if act.kind == "notice":
            notices.setdefault(act.about, []).append(act)
    rows = []
    for act in state.acts:
        if act.kind != "moderation":
            continue
        sent = tuple(notices.get(act.sequence, ()))
        to = {notice.payload["to"] for notice in sent}
        missing = tuple(who for who in OWED[act.payload["asked_by"]] if who not in to)
        in_force = act.about is not None and state.held.get(act.about) == act.sequence
        until = act.payload.get("until")
        overdue = in_force and until is not None and (now or state.latest) > until
        rows.append(ModerationRow(act, sent, missing, overdue))
    return tuple(rows)


def residuals(state: CaseState) -> tuple[Item, ...]:
    """What stays open: residual questions as entered, and published questions that nobody answered."""
    entered = [item for item in standing(state, "residual") if item.withdrawn_by is None]
    covered = {item.about for item in entered}
    asked = [
        item
        for number, item in state.items.items()
        if item.kind == "question" and _live(state, number) and number not in covered
    ]
    return (*entered, *asked)


@dataclass(frozen=True, slots=True)
class Person:
    """An account that is more than public, or that a party entry names."""

    account: str
    role: str
    party: Item | None
    interests: tuple[Item, ...]
    keys: tuple[str, ...]


def people(state: CaseState) -> tuple[Person, ...]:
    """Participants by role and account."""
    parties: dict[str, Item] = {}
    for item in standing(state, "party"):
        if item.payload is not None:
            parties[item.payload["account"]] = item
    interests: dict[str, list[Item]] = {}
    for item in standing(state, "interest"):
        interests.setdefault(item.author.account, []).append(item)
    keys: dict[str, list[str]] = {}
    for keyid, key in state.keys.items():
        if key.valid:
            keys.setdefault(key.account, []).append(keyid)
    order = {role: k for k, role in enumerate(("chair", "moderator", "panel", "claimant", "respondent"))}
    accounts = {a for a, role in state.roles.items() if role != "public"} | parties.keys() | keys.keys()
    found = [
        Person(
            account,
            state.role(account),
            parties.get(account),
            tuple(interests.get(account, ())),
            tuple(sorted(keys.get(account, ()))),
        )
        for account in accounts
    ]
    return tuple(sorted(found, key=lambda person: (order.get(person.role, 9), person.account)))
