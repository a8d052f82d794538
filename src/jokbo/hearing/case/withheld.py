"""What the public does not see, and why; and the log and the state without it.

The host's log keeps what is held or not yet reviewed, for it may have to be shown again; what it publishes leaves
the payload out. The chain is over digests of payloads, so both logs verify, and every hole in the public one is
explained by an entry: a hold, an erasure, a question not yet published or hidden.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from jokbo.hearing.case.entry import Entry
from jokbo.hearing.case.state import CaseState


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a text is not shown.

    Attributes
    ----------
    cause : str
        ``"held"``, ``"erased"``, ``"pending"`` or ``"hidden"``.
    by : int or None
        Entry that says so; None while a question waits to be reviewed.
    """

    cause: str
    by: int | None


def withheld(state: CaseState) -> Mapping[int, Withheld]:
    """Entries whose text the public does not see, by number.

    The words with which somebody takes back a question that nobody reviewed wait with it: else they would be a way
    to have any text shown.
    """
    found = {
        number: Withheld(question.state, question.sequence)
        for number, question in state.questions.items()
        if question.state in ("pending", "hidden")
    }
    for number in tuple(found):
        taken_back = state.items[number].withdrawn_by if number in state.items else None
        if taken_back is not None:
            found[taken_back] = found[number]
    for number, by in state.held.items():
        found[number] = Withheld("erased" if number in state.erased else "held", by)
    return found


def public_state(state: CaseState) -> CaseState:
    """The state as the public sees it: that of the public log."""
    holes = withheld(state).keys() & state.items.keys()
    if not holes:
        return state
    items = {
        number: replace(item, payload=None) if number in holes else item
        for number, item in state.items.items()
    }
    return replace(state, items=items)


def public_entries(entries: Iterable[Entry], state: CaseState) -> Iterator[Entry]:
    """The entries as the public sees them."""
    holes = withheld(state)
    for entry in entries:
        yield entry.without_payload() if entry.sequence in holes else entry
