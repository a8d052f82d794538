"""Votes on questions: one vote an account and question, counted in the group of its role, in three tallies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

GROUPS = ("panel", "parties", "public")
"""Whose votes are counted together. The three tallies are never summed."""

GROUP_OF: Mapping[str, str] = {
    "panel": "panel",
    "claimant": "parties",
    "respondent": "parties",
    "public": "public",
}
"""The group in which a role votes; chair and moderator do not vote."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Votes of one group."""

    up: int = 0
    down: int = 0


@dataclass(frozen=True, slots=True)
class Vote:
    """The vote of one account on one question, in the group that the account had when it voted."""

    group: str
    value: int
    sequence: int


Votes = Mapping[int, Mapping[str, Vote]]
"""Question -> account -> vote."""

Tallies = Mapping[int, Mapping[str, Tally]]
"""Question -> group -> tally."""


def with_vote(
    votes: Votes, tallies: Tallies, question: int, account: str, vote: Vote
) -> tuple[Votes, Tallies]:
    """Votes and tallies with one more vote, in the place of the account's earlier one.

    Examples
    --------
    >>> _, tallies = with_vote({}, {}, 3, "kim", Vote("panel", 1, 7))
    >>> tallies[3]["panel"]
    Tally(up=1, down=0)
    """
    votes, tallies = _without(votes, tallies, question, account)
    counted = dict(tallies.get(question, {}))
    counted[vote.group] = _counted(counted.get(vote.group, Tally()), vote.value, 1)
    mine = {**votes.get(question, {}), account: vote}
    return {**votes, question: mine}, {**tallies, question: counted}


def without_other_groups(
    votes: Votes, tallies: Tallies, account: str, group: str | None
) -> tuple[Votes, Tallies]:
    """Votes and tallies without what an account voted in other groups than the one that it has now.

    Who is named to the panel or a party after voting as one of the public has one voice, not two.

    Parameters
    ----------
    group : str or None
        Group of the account's new role; None where it does not vote.
    """
    for question in tuple(votes):
        vote = votes[question].get(account)
        if vote is not None and vote.group != group:
            votes, tallies = _without(votes, tallies, question, account)
    return votes, tallies


def in_force(tallies: Tallies) -> Mapping[str, Tally]:
    """Votes in force on all questions, by group; the three are not added.

    Examples
    --------
    >>> in_force({3: {"panel": Tally(1, 0)}, 5: {"panel": Tally(2, 1)}})["panel"]
    Tally(up=3, down=1)
    """
    found = {}
    for group in GROUPS:
        mine = [counted[group] for counted in tallies.values() if group in counted]
        found[group] = Tally(sum(tally.up for tally in mine), sum(tally.down for tally in mine))
    return found


def _without(votes: Votes, tallies: Tallies, question: int, account: str) -> tuple[Votes, Tallies]:
    before = votes.get(question, {}).get(account)
    if before is None:
        return votes, tallies
    counted = dict(tallies[question])
    counted[before.group] = _counted(counted[before.group], before.value, -1)
    others = {name: vote for name, vote in votes[question].items() if name != account}
    return {**votes, question: others}, {**tallies, question: counted}


def _counted(tally: Tally, value: int, by: int) -> Tally:
    return Tally(tally.up + by * (value == 1), tally.down + by * (value == -1))
