"""The state of a case: a pure fold of its entries.

:func:`apply` takes a state and the next entry and returns a new state; nothing is changed in place, so a page may
keep the state it was drawn from. Texts of people are kept in :attr:`CaseState.items` and nowhere else: what is shown
with a text taken away is what would be shown had it never been there (:mod:`jokbo.hearing.case.withheld`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from jokbo.hearing.case.entry import Author, Entry
from jokbo.hearing.case.kinds import KINDS
from jokbo.hearing.case.votes import GROUP_OF as GROUP_OF
from jokbo.hearing.case.votes import GROUPS as GROUPS
from jokbo.hearing.case.votes import Tallies, Vote, Votes, with_vote, without_other_groups

RULES = 2
"""Set of rules that new cases are held under; a log says in its first entry under which it was, and keeps them."""


@dataclass(frozen=True, slots=True)
class Item:
    """An entry with a text of a person, as it stands now.

    Attributes
    ----------
    sequence, kind, time, author, about, supersedes, payload_sha256, digest
        As in the entry.
    payload : mapping or None
        None where the text is withheld.
    replaced_by, withdrawn_by : int or None
        Number of the entry that took its place, or withdrew it.
    """

    sequence: int
    kind: str
    time: str
    author: Author
    about: int | None
    supersedes: int | None
    payload: Mapping[str, Any] | None
    payload_sha256: str
    digest: str
    replaced_by: int | None = None
    withdrawn_by: int | None = None


@dataclass(frozen=True, slots=True)
class CaseFacts:
    """What the first entry fixes.

    Attributes
    ----------
    case : str
        Digest of the first entry: the name of the case.
    keeper : str
        First public key of the host in base64 (DER): it signs every entry until another takes its place.
    chair : str
        Account that opened the case.
    payload : mapping
        Title, summary, language, ``queue_order``, ``reply_hours``, ``rules``, ``recovery``.
    time : str
    """

    case: str
    keeper: str
    chair: str
    payload: Mapping[str, Any]
    time: str


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key of an account, as the chair entered it."""

    account: str
    der: str
    valid: bool
    sequence: int


@dataclass(frozen=True, slots=True)
class QuestionState:
    """Where a question is: ``pending``, ``published``, ``hidden``, ``queued``, ``answering`` or ``answered``."""

    state: str
    reason: str | None = None
    duplicate_of: int | None = None
    sequence: int | None = None


@dataclass(frozen=True, slots=True)
class Logged:
    """An act of the chair or a moderator: pins, states of questions, timers, moderation, notices, roles and keys.

    Attributes
    ----------
    sequence, kind, time, author, about, payload
        As in the entry; the payload is never withheld.
    """

    sequence: int
    kind: str
    time: str
    author: Author
    about: int | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CaseState:
    """A case after some number of entries.

    Attributes
    ----------
    length : int
        Entries so far.
    head : str
        Digest of the last one.
    latest : str
        Latest time that any entry states.
    facts : CaseFacts or None
        None before the first entry.
    keepers : tuple of str
        Keys of the host in base64 (DER), each in the place of the one before; the last one signs now.
    items : mapping of int to Item
        Everything that people said, by number, in order.
    roles : mapping of str to str
        Account to role; every other account is ``public``.
    keys : mapping of str to KeyFacts
        By digest of the key.
    questions : mapping of int to QuestionState
    pins : mapping of int to int
        Question to the entry that pinned it.
    votes : mapping of int to mapping of str to Vote
        Question to account to vote.
    tallies : mapping of int to mapping of str to Tally
        Question to group (:data:`GROUPS`) to tally.
    timers : tuple of Logged
    acts : tuple of Logged
        All other acts, in order: ``role``, ``key``, ``key_rotated``, ``question_state``, ``pin``, ``moderation``,
        ``notice``.
    held : mapping of int to int
        Entry whose text is held or erased, to the moderation that says so.
    erased : frozenset of int
    clock_steps : tuple of (int, int)
        Entry and milliseconds by which the clock stood behind the latest time stated before.
    closed : Item or None
        The entry that closed the case.
    """

    length: int = 0
    head: str = ""
    latest: str = ""
    facts: CaseFacts | None = None
    keepers: tuple[str, ...] = ()
    items: Mapping[int, Item] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, KeyFacts] = field(default_factory=dict)
    questions: Mapping[int, QuestionState] = field(default_factory=dict)
    pins: Mapping[int, int] = field(default_factory=dict)
    votes: Votes = field(default_factory=dict)
    tallies: Tallies = field(default_factory=dict)
    timers: tuple[Logged, ...] = ()
    acts: tuple[Logged, ...] = ()
    held: Mapping[int, int] = field(default_factory=dict)
    erased: frozenset[int] = frozenset()
    clock_steps: tuple[tuple[int, int], ...] = ()
    closed: Logged | None = None

    @property
    def rules(self) -> int:
        """Set of rules that this log is under: 1 where its first entry names none (see :data:`RULES`)."""
        return 1 if self.facts is None else int(self.facts.payload.get("rules", 1))

    def role(self, account: str) -> str:
        """The role of an account now."""
        return self.roles.get(account, "public")

    def kind(self, sequence: int) -> str | None:
        """Kind of an earlier entry that others can be about; None where it is none."""
        if sequence in self.items:
            return self.items[sequence].kind
        return next((act.kind for act in self.acts if act.sequence == sequence), None)


def fold(entries: Iterable[Entry], state: CaseState | None = None) -> CaseState:
    """The state after some entries."""
    state = state if state is not None else CaseState()
    for entry in entries:
        state = apply(state, entry)
    return state


def apply(state: CaseState, entry: Entry) -> CaseState:
    """The state after one more entry, which is taken to be permitted and to follow the schema of its kind.

    Examples
    --------
    >>> apply(CaseState(), Entry(0, "", "2026-01-01T00:00:00.000Z", Author("kim", "chair"), "role", None, None,
    ...     "00" * 32, {"account": "lee", "role": "panel"}, "00" * 16)).role("lee")
    'panel'
    """
    step = _step_back(state.latest, entry.time)
    state = replace(
        state,
        length=entry.sequence + 1,
        head=entry.digest,
        latest=max(state.latest, entry.time),
        clock_steps=(*state.clock_steps, (entry.sequence, step)) if step else state.clock_steps,
    )
    if KINDS[entry.kind].holdable:
        state = _with_item(state, entry)
    act = _ACTS.get(entry.kind)
    return state if act is None else act(state, entry)


def _step_back(latest: str, time: str) -> int:
    """Milliseconds by which a time is before the latest one."""
    return 0 if time >= latest else round(1000 * (instant(latest) - instant(time)).total_seconds())


def instant(time: str) -> datetime:
    """A time of an entry as a moment; a date that no calendar has counts as the first of its month."""
    try:
        return datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.strptime(time[:8] + "01" + time[10:], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def stamp(moment: datetime) -> str:
    """A moment as entries state it.

    Examples
    --------
    >>> stamp(datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC))
    '2026-01-02T03:04:05.678Z'
    """
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def _with_item(state: CaseState, entry: Entry) -> CaseState:
    items = dict(state.items)
    items[entry.sequence] = Item(
        entry.sequence,
        entry.kind,
        entry.time,
        entry.author,
        entry.about,
        entry.supersedes,
        entry.payload,
        entry.payload_sha256,
        entry.digest,
    )
    if entry.supersedes in items:
        items[entry.supersedes] = replace(items[entry.supersedes], replaced_by=entry.sequence)
    if entry.kind == "withdrawal" and entry.about in items:
        items[entry.about] = replace(items[entry.about], withdrawn_by=entry.sequence)
    if entry.kind == "question":
        return replace(
            state, items=items, questions={**state.questions, entry.sequence: QuestionState("pending")}
        )
    return replace(state, items=items)


def _payload(entry: Entry) -> Mapping[str, Any]:
    assert entry.payload is not None, "kinds that make the state keep their payload"
    return entry.payload


def _logged(entry: Entry) -> Logged:
    return Logged(entry.sequence, entry.kind, entry.time, entry.author, entry.about, _payload(entry))


def _opened(state: CaseState, entry: Entry) -> CaseState:
    payload = _payload(entry)
    facts = CaseFacts(entry.digest, payload["keeper"], entry.author.account, payload, entry.time)
    return replace(state, facts=facts, keepers=(payload["keeper"],), roles={entry.author.account: "chair"})


def _key_rotated(state: CaseState, entry: Entry) -> CaseState:
    return _act(replace(state, keepers=(*state.keepers, _payload(entry)["keeper"])), entry)


def _role(state: CaseState, entry: Entry) -> CaseState:
    payload = _payload(entry)
    account, role = payload["account"], payload["role"]
    votes, tallies = state.votes, state.tallies
    if state.rules >= 2:
        votes, tallies = without_other_groups(votes, tallies, account, GROUP_OF.get(role))
    state = replace(state, roles={**state.roles, account: role}, votes=votes, tallies=tallies)
    return _act(state, entry)


def _key(state: CaseState, entry: Entry) -> CaseState:
    import base64
    import hashlib

    payload = _payload(entry)
    keyid = hashlib.sha256(base64.b64decode(payload["key"])).hexdigest()
    facts = KeyFacts(payload["account"], payload["key"], payload["valid"], entry.sequence)
    return _act(replace(state, keys={**state.keys, keyid: facts}), entry)


def _question_state(state: CaseState, entry: Entry) -> CaseState:
    payload = _payload(entry)
    found = QuestionState(
        payload["state"], payload.get("reason"), payload.get("duplicate_of"), entry.sequence
    )
    return _act(replace(state, questions={**state.questions, _about(entry): found}), entry)


def _pin(state: CaseState, entry: Entry) -> CaseState:
    pins = {question: pinned for question, pinned in state.pins.items() if question != entry.about}
    if _payload(entry)["pinned"]:
        pins[_about(entry)] = entry.sequence
    return _act(replace(state, pins=pins), entry)


def _vote(state: CaseState, entry: Entry) -> CaseState:
    vote = Vote(GROUP_OF[entry.author.role], _payload(entry)["value"], entry.sequence)
    votes, tallies = with_vote(state.votes, state.tallies, _about(entry), entry.author.account, vote)
    return replace(state, votes=votes, tallies=tallies)


def _timer(state: CaseState, entry: Entry) -> CaseState:
    return replace(state, timers=(*state.timers, _logged(entry)))


def _moderation(state: CaseState, entry: Entry) -> CaseState:
    target, action = _about(entry), _payload(entry)["action"]
    held = {number: by for number, by in state.held.items() if number != target}
    if action != "release":
        held[target] = entry.sequence
    erased = state.erased | {target} if action == "erase" else state.erased
    return _act(replace(state, held=held, erased=erased), entry)


def _act(state: CaseState, entry: Entry) -> CaseState:
    return replace(state, acts=(*state.acts, _logged(entry)))


def _close(state: CaseState, entry: Entry) -> CaseState:
    return replace(state, closed=_logged(entry))


def _about(entry: Entry) -> int:
    assert entry.about is not None, "permissions ask for what an entry is about"
    return entry.about


_ACTS: Mapping[str, Callable[[CaseState, Entry], CaseState]] = {
    "case": _opened,
    "role": _role,
    "key": _key,
    "key_rotated": _key_rotated,
    "question_state": _question_state,
    "pin": _pin,
    "vote": _vote,
    "reply_timer": _timer,
    "moderation": _moderation,
    "notice": _act,
    "close": _close,
}
