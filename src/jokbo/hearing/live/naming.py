"""A mailbox that speaks under another name from now on takes back what it voted under the one before.

One mailbox has one vote. Whoever the host names, after they voted as one of the public or under another name, would
have two: one of each account. So the naming itself takes the earlier ones back, by entries that everybody can read.
"""

from __future__ import annotations

from collections.abc import Collection

from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.case.permissions import MAY, OPEN_TO_VOTES
from jokbo.hearing.case.state import CaseState


def votes_taken_back(state: CaseState, accounts: Collection[str]) -> list[Draft]:
    """Entries by which accounts take back each vote that they have on a question open to votes.

    A question that is answered or hidden takes no vote, to take one back neither; should it be opened again, the vote
    under the new name takes the earlier one back (:meth:`jokbo.hearing.live.entering.Entering.vote`).

    Parameters
    ----------
    state : CaseState
    accounts : collection of str
        That nobody signs in as any more.
    """
    if state.closed is not None:
        return []
    return [
        Draft("vote", {"value": 0}, Author(account, state.role(account)), question)
        for question, votes in sorted(state.votes.items())
        if state.questions[question].state in OPEN_TO_VOTES
        for account in sorted(accounts)
        if account in votes and votes[account].value and state.role(account) in MAY["vote"]
    ]
