"""How long a text may be held: 30 days in all for one entry and who asked, unless the panel has found since.

Korean Network Act, Art. 44-2 (4): a measure while facts are unclear lasts 30 days at most. Renewed without end it would
be an erasure that nobody decided; so time held before counts, and only a finding on the claim begins it anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from jokbo.hearing.case.state import CaseState, Item, instant, stamp

MAX_HOLD_DAYS = 30
"""In all, for one entry and one of ``affected_party``, ``author``, ``moderator``, ``authority``."""


def latest_end(state: CaseState, target: int | None, asked_by: str, time: str) -> datetime:
    """Until when an entry may be held from now on.

    Parameters
    ----------
    state : CaseState
    target : int or None
        The entry.
    asked_by : str
        Who asks.
    time : str
        Now, as entries state it.

    Returns
    -------
    datetime
        The time of now, and nothing later, where no hold is left.
    """
    now = instant(time)
    left = timedelta(days=MAX_HOLD_DAYS)
    if state.rules >= 2 and target is not None:
        left -= held_before(state, target, asked_by, time)
    return now + max(left, timedelta(0))


def held_before(state: CaseState, target: int, asked_by: str, time: str) -> timedelta:
    """How long an entry was held already for who asked, since the last finding on its claim.

    A hold lasts until it is released, replaced or followed by an erasure, also where that is past the end that it
    stated: what counts is how long nobody could read the text.
    """
    acts = [act for act in state.acts if act.kind == "moderation" and act.about == target]
    since = _last_finding(state, target)
    total = timedelta(0)
    for k, act in enumerate(acts):
        if act.payload["action"] != "hold" or act.payload["asked_by"] != asked_by or act.sequence < since:
            continue
        end = instant(acts[k + 1].time if k + 1 < len(acts) else time)
        total += max(end - instant(act.time), timedelta(0))
    return total


def hold_problems(
    state: CaseState, target: int | None, asked_by: str, until: str, time: str
) -> Iterator[str]:
    """Why a hold may not last so long."""
    latest = latest_end(state, target, asked_by, time)
    if instant(until) <= latest:
        return
    if latest == instant(time) + timedelta(days=MAX_HOLD_DAYS):
        yield f"a hold lasts {MAX_HOLD_DAYS} days at most; then it is released or erased"
    elif latest > instant(time):
        yield (
            f"an entry is held {MAX_HOLD_DAYS} days in all for one who asks, and this one was held before; "
            f"until {stamp(latest)} is what is left"
        )
    else:
        yield (
            f"this entry was held {MAX_HOLD_DAYS} days for this request already; release or erase it, or let the panel "
            "enter a finding on the claim first"
        )


def _last_finding(state: CaseState, target: int) -> int:
    """Number of the last finding on the claim in whose thread an entry stands; -1 where there is none."""
    claim = _claim_of(state, target)
    if claim is None:
        return -1
    versions = {claim.sequence}
    for item in state.items.values():  # in order, so that later versions come after those they replace
        if item.kind == "claim" and item.supersedes in versions:
            versions.add(item.sequence)
    found = [
        item.sequence for item in state.items.values() if item.kind == "finding" and item.about in versions
    ]
    return max(found, default=-1)


def _claim_of(state: CaseState, target: int) -> Item | None:
    """The first version of the claim that an entry is, or is about by way of others."""
    item = state.items.get(target)
    while item is not None and item.kind != "claim":
        item = None if item.about is None else state.items.get(item.about)
    while item is not None and item.supersedes is not None and item.supersedes in state.items:
        item = state.items[item.supersedes]
    return item
