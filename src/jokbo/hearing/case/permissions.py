"""Who may enter what, and when: one table, and a few rules that a table cannot say.

Permissions are a pure function of the state and a draft, so that a page asks before it shows a form, the log before
it appends, and a stranger with the archive afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from jokbo.errors import UsageError
from jokbo.hearing.case.entry import ROLES, Author
from jokbo.hearing.case.holds import hold_problems
from jokbo.hearing.case.kinds import KINDS
from jokbo.hearing.case.state import CaseState

MAY: Mapping[str, frozenset[str]] = {
    kind: frozenset(roles.split())
    for kind, roles in {
        "case": "chair",
        "party": "chair moderator",
        "role": "chair",
        "key": "chair",
        "key_rotated": "chair",
        "interest": "chair moderator panel claimant respondent",
        "artefact": "chair moderator claimant respondent",
        "claim": "claimant respondent",
        "exhibit": "chair panel claimant respondent",
        "reproduction": "panel claimant respondent public",
        "rebuttal": "panel claimant respondent",
        "reply": "claimant respondent",
        "reply_timer": "chair moderator",
        "question": " ".join(ROLES),
        "question_state": "chair moderator",
        "pin": "chair moderator",
        "vote": "panel claimant respondent public",
        "answer": "chair panel claimant respondent",
        "transcript": "chair moderator",
        "finding": "chair panel",
        "residual": "chair moderator panel claimant respondent",
        "withdrawal": " ".join(ROLES),
        "moderation": "chair moderator",
        "notice": "chair moderator",
        "close": "chair",
    }.items()
}
"""Kind -> roles that may write it."""

AFTER_CLOSE = frozenset({"moderation", "notice", "reply", "key_rotated"})
"""What the law and the right of reply may still ask for once the case is closed, and the key that signs it."""

SHARED = frozenset({"transcript", "finding", "party"})
"""Kinds of an office, not of a person: whoever may write one may supersede one."""

TRANSITIONS: Mapping[str, frozenset[str]] = {
    state: frozenset(after.split())
    for state, after in {
        "pending": "published hidden",
        "published": "queued hidden answering",
        "hidden": "published",
        "queued": "answering published hidden",
        "answering": "answered queued hidden",
        "answered": "answering hidden",
    }.items()
}
"""State of a question -> states that may follow."""

OPEN_TO_VOTES = frozenset({"published", "queued", "answering"})


class Proposed(Protocol):
    """What a draft and an entry have in common."""

    @property
    def kind(self) -> str:
        """Its kind."""

    @property
    def payload(self) -> Mapping[str, Any] | None:
        """Its payload; None where it was taken away since."""

    @property
    def author(self) -> Author:
        """Who speaks."""

    @property
    def about(self) -> int | None:
        """What it is about."""

    @property
    def supersedes(self) -> int | None:
        """What it takes the place of."""


def check_permitted(state: CaseState, draft: Proposed, *, time: str | None = None) -> None:
    """Refuse what a state does not permit.

    Parameters
    ----------
    state : CaseState
        Before the entry.
    draft : Draft or Entry
    time : str, optional
        The entry's; the latest that the log states by default.

    Raises
    ------
    UsageError
        The message says what is refused, why, and what would be permitted.
    """
    problem = next(_problems(state, draft, time or state.latest), None)
    if problem is not None:
        raise UsageError(f"{draft.kind[:40]} by {draft.author.account!r}: {problem}.")


def may(state: CaseState, account: str, kind: str) -> bool:
    """Whether an account's role may write a kind now, whatever it would be about: for showing a form or not."""
    if state.closed is not None and kind not in AFTER_CLOSE:
        return False
    return state.facts is not None and state.role(account) in MAY.get(kind, frozenset())


def _problems(state: CaseState, draft: Proposed, time: str) -> Iterator[str]:
    kind = KINDS.get(draft.kind)
    if kind is None:
        yield f"there is no such kind; one of {', '.join(KINDS)}"
        return
    if (state.facts is None) is not (draft.kind == "case"):
        yield "a log begins with the entry that opens the case, and has only one"
        return
    if draft.kind == "case":
        if draft.author.role != "chair":
            yield "a case is opened by its chair"
        return
    role = state.role(draft.author.account)
    if draft.author.role != role:
        yield f"this account has the role {role}, not {draft.author.role}"
    if role not in MAY[draft.kind]:
        yield f"the role {role} does not write this; {', '.join(sorted(MAY[draft.kind]))} may"
    if state.closed is not None and draft.kind not in AFTER_CLOSE:
        yield f"the case was closed by entry {state.closed.sequence}; what is new needs a new case"
    yield from _target_problems(state, draft)
    yield from _supersede_problems(state, draft)
    yield from _key_problems(state, draft)
    rule = _RULES.get(draft.kind)
    if rule is not None:
        yield from rule(state, draft)
    if draft.kind == "moderation":
        yield from _hold_too_long(state, draft, time)


def _target_problems(state: CaseState, draft: Proposed) -> Iterator[str]:
    kind = KINDS[draft.kind]
    if draft.about is None:
        if kind.about_needed:
            yield f"it has to be about an entry ({', '.join(sorted(kind.about))})"
        return
    if not kind.about:
        yield "it is about no other entry"
        return
    found = state.kind(draft.about)
    if found not in kind.about:
        yield (
            f"entry {draft.about} is {f'a {found}' if found else 'nothing that can be spoken of'}; "
            f"expected one of {', '.join(sorted(kind.about))}"
        )


def _supersede_problems(state: CaseState, draft: Proposed) -> Iterator[str]:
    if draft.supersedes is None:
        return
    old = state.items.get(draft.supersedes)
    if not KINDS[draft.kind].replaceable:
        yield "entries of this kind are not superseded"
    elif old is None or old.kind != draft.kind:
        yield f"entry {draft.supersedes} is no {draft.kind}, and only a {draft.kind} takes its place"
    elif old.replaced_by is not None:
        yield f"entry {draft.supersedes} is superseded by entry {old.replaced_by} already; supersede that one"
    elif old.withdrawn_by is not None:
        yield f"entry {draft.supersedes} is withdrawn; enter a new one"
    elif draft.kind not in SHARED and old.author.account != draft.author.account:
        yield f"entry {draft.supersedes} is by {old.author.account!r}, who alone may supersede it"
    elif old.about != draft.about:
        yield f"entry {draft.supersedes} is about {old.about}, and what takes its place is too"


def _key_problems(state: CaseState, draft: Proposed) -> Iterator[str]:
    if draft.author.key is None:
        return
    key = state.keys.get(draft.author.key)
    if key is None or not key.valid or key.account != draft.author.account:
        yield "it is signed with a key that is not this account's; the chair enters keys"


def _withdrawal(state: CaseState, draft: Proposed) -> Iterator[str]:
    old = state.items.get(draft.about if draft.about is not None else -1)
    if old is None:
        return
    if old.author.account != draft.author.account:
        yield f"entry {old.sequence} is by {old.author.account!r}, who alone may withdraw it"
    elif old.withdrawn_by is not None or old.replaced_by is not None:
        yield f"entry {old.sequence} is withdrawn or superseded already"


def _question_state(state: CaseState, draft: Proposed) -> Iterator[str]:
    if draft.payload is None or draft.about is None or draft.about not in state.questions:
        return
    now, wanted = state.questions[draft.about].state, draft.payload["state"]
    if wanted not in TRANSITIONS[now]:
        yield f"the question is {now}; it can become {', '.join(sorted(TRANSITIONS[now]))}, not {wanted}"
    twin = draft.payload.get("duplicate_of")
    if twin is not None and (twin not in state.questions or twin == draft.about):
        yield f"entry {twin} is no other question"


def _on_open_question(state: CaseState, draft: Proposed) -> Iterator[str]:
    found = state.questions.get(draft.about if draft.about is not None else -1)
    if found is not None and found.state not in OPEN_TO_VOTES:
        yield f"the question is {found.state}; this needs it {', '.join(sorted(OPEN_TO_VOTES))}"


def _moderation(state: CaseState, draft: Proposed) -> Iterator[str]:
    if draft.payload is None or draft.about is None:
        return
    action = draft.payload["action"]
    if draft.about in state.erased:
        yield f"the text of entry {draft.about} is erased, which is final"
    elif action == "release" and draft.about not in state.held:
        yield f"entry {draft.about} is not held"


def _hold_too_long(state: CaseState, draft: Proposed, time: str) -> Iterator[str]:
    payload = draft.payload
    if payload is not None and payload["action"] == "hold":
        yield from hold_problems(state, draft.about, payload["asked_by"], payload["until"], time)


def _role(state: CaseState, draft: Proposed) -> Iterator[str]:
    if draft.payload is None or state.facts is None:
        return
    chairs = [account for account, role in state.roles.items() if role == "chair"]
    if chairs == [draft.payload["account"]] and draft.payload["role"] != "chair":
        yield "it would leave the case without a chair; appoint another first"


def _key(state: CaseState, draft: Proposed) -> Iterator[str]:
    """A key belongs to one account for good: reproductions by one key must not look like several persons'."""
    if draft.payload is None:
        return
    for known in state.keys.values():
        if known.der == draft.payload["key"] and known.account != draft.payload["account"]:
            yield f"this key is {known.account!r}'s"


def _key_rotated(state: CaseState, draft: Proposed) -> Iterator[str]:
    """A key that was the host's is never the host's again: who holds it still could write on from where it ended."""
    if draft.payload is None or state.facts is None:
        return
    recovery = state.facts.payload.get("recovery")
    if draft.payload["keeper"] in state.keepers:
        yield "this key is or was the host's already; make a new one"
    elif draft.payload["keeper"] == recovery:
        yield "this is the recovery key, which stays apart; make a new one"
    if draft.payload["signed_by"] == "recovery" and recovery is None:
        yield "the case declared no recovery key when it was opened"


def _references(state: CaseState, draft: Proposed) -> Iterator[str]:
    """Numbers in payloads name entries of the right kind that are there already."""
    payload = draft.payload or {}
    fields = {"claim": ("artefacts", "artefact"), "finding": ("exhibits", "exhibit")}
    field, kind = fields.get(draft.kind, ("questions", "question"))
    for number in payload.get(field, ()):
        if state.kind(number) != kind:
            yield f"entry {number} is no {kind}"


_RULES = {
    "withdrawal": _withdrawal,
    "question_state": _question_state,
    "vote": _on_open_question,
    "pin": _on_open_question,
    "moderation": _moderation,
    "role": _role,
    "key": _key,
    "key_rotated": _key_rotated,
    "claim": _references,
    "finding": _references,
    "transcript": _references,
}
