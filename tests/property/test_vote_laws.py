"""Laws of votes: one voice an account and question, in the group of its present role, whatever came before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.hearing.case.entry import Author, Entry
from jokbo.hearing.case.permissions import OPEN_TO_VOTES, check_permitted
from jokbo.hearing.case.state import CaseState, QuestionState, apply
from jokbo.hearing.case.votes import GROUP_OF, GROUPS, Tally, in_force
from jokbo.hearing.live.naming import votes_taken_back

ACCOUNTS = ("kim", "lee", "p-one", "p-two")
QUESTIONS = (1, 2)
ROLES = ("panel", "claimant", "respondent", "public", "moderator")

acts = st.lists(
    st.one_of(
        st.tuples(
            st.just("vote"),
            st.sampled_from(ACCOUNTS),
            st.sampled_from(QUESTIONS),
            st.sampled_from((-1, 0, 1)),
        ),
        st.tuples(st.just("role"), st.sampled_from(ACCOUNTS), st.sampled_from(ROLES), st.just(0)),
    ),
    max_size=30,
)


def entry(
    sequence: int, kind: str, author: Author, payload: dict[str, Any], about: int | None = None
) -> Entry:
    time = f"2026-01-02T10:00:{sequence:02d}.000Z"
    return Entry(sequence, "", time, author, kind, about, None, "00" * 32, payload, "00" * 16)


def opened(rules: int | None) -> CaseState:
    payload = {"keeper": "", "queue_order": "public"} | ({} if rules is None else {"rules": rules})
    state = apply(CaseState(), entry(0, "case", Author("chair", "chair"), payload))
    for question in QUESTIONS:
        state = apply(state, entry(question, "question", Author("v", "public"), {"text": "?"}))
    return state


def played(state: CaseState, played: list[tuple[Any, ...]]) -> CaseState:
    for k, (kind, account, what, value) in enumerate(played):
        sequence = len(QUESTIONS) + 1 + k
        if kind == "role":
            made = entry(sequence, "role", Author("chair", "chair"), {"account": account, "role": what})
        elif state.role(account) in GROUP_OF:
            author = Author(account, state.role(account))
            made = entry(sequence, "vote", author, {"value": value}, what)
        else:
            continue  # permissions let no moderator vote
        state = apply(state, made)
    return state


@settings(max_examples=200, deadline=None)
@given(acts)
def test_every_vote_counts_once_in_the_group_of_the_present_role(given: list[tuple[Any, ...]]):
    state = played(opened(2), given)
    for question in QUESTIONS:
        counted = {group: [0, 0] for group in GROUPS}
        for account, vote in state.votes.get(question, {}).items():
            assert vote.group == GROUP_OF.get(state.role(account))
            counted[vote.group][0] += vote.value == 1
            counted[vote.group][1] += vote.value == -1
        for group in GROUPS:
            assert state.tallies.get(question, {}).get(group, Tally()) == Tally(*counted[group])
    by_group = in_force(state.tallies)
    assert set(by_group) == set(GROUPS)
    assert sum(t.up + t.down for t in by_group.values()) <= len(ACCOUNTS) * len(QUESTIONS)


@settings(max_examples=100, deadline=None)
@given(acts)
def test_the_last_vote_since_the_last_change_of_group_is_the_one_that_counts(given: list[tuple[Any, ...]]):
    state, known = opened(2), dict[tuple[str, int], int]()
    roles = dict.fromkeys(ACCOUNTS, "public")
    for kind, account, what, value in given:
        if kind == "role":
            if GROUP_OF.get(what) != GROUP_OF.get(roles[account]):
                known = {key: vote for key, vote in known.items() if key[0] != account}
            roles[account] = what
        elif roles[account] in GROUP_OF:
            known[account, what] = value
    state = played(state, given)
    found = {
        (account, question): vote.value
        for question, votes in state.votes.items()
        for account, vote in votes.items()
    }
    assert found == known


def test_somebody_named_to_the_panel_after_voting_has_one_voice():
    acts = [("vote", "p-one", 1, 1), ("role", "p-one", "panel", 0)]
    state = played(opened(2), acts)
    assert state.tallies[1]["public"] == Tally(0, 0)
    assert state.votes[1] == {}
    state = played(opened(2), [*acts, ("vote", "p-one", 1, 1)])
    assert state.tallies[1] == {"public": Tally(0, 0), "panel": Tally(1, 0)}


def test_from_one_party_to_the_other_a_vote_stays():
    acts = [("role", "kim", "claimant", 0), ("vote", "kim", 1, -1), ("role", "kim", "respondent", 0)]
    assert played(opened(2), acts).tallies[1]["parties"] == Tally(0, 1)


def test_a_log_of_the_first_rules_keeps_its_tallies():
    acts = [("vote", "p-one", 1, 1), ("role", "p-one", "panel", 0)]
    for rules in (None, 1):
        assert played(opened(rules), acts).tallies[1]["public"] == Tally(1, 0)


STATES = ("published", "queued", "answering", "answered", "hidden")


@settings(max_examples=150, deadline=None)
@given(
    acts,
    st.lists(st.sampled_from(STATES), min_size=len(QUESTIONS), max_size=len(QUESTIONS)),
    st.sets(st.sampled_from(ACCOUNTS)),
    st.sampled_from((None, 2)),
)
def test_a_mailbox_with_a_new_name_leaves_no_vote_behind(
    given: list[tuple[Any, ...]], states: list[str], former: set[str], rules: int | None
):
    """After the naming, of its former names nothing is in force on any question open to votes; of others, all is."""
    before = played(opened(rules), given)
    shown = {number: QuestionState(found) for number, found in zip(QUESTIONS, states, strict=True)}
    before = after = replace(before, questions=shown)
    for k, draft in enumerate(votes_taken_back(before, former)):
        check_permitted(after, draft)
        made = entry(before.length + k, "vote", draft.author, dict(draft.payload), draft.about)
        after = apply(after, made)
    for number in QUESTIONS:
        for account in ACCOUNTS:
            had, has = (state.votes.get(number, {}).get(account) for state in (before, after))
            if (
                account in former
                and shown[number].state in OPEN_TO_VOTES
                and before.role(account) in GROUP_OF
            ):
                assert has is None or has.value == 0
            else:
                assert has == had
    assert not votes_taken_back(after, former)


def test_a_case_that_is_closed_takes_nothing_back():
    state = played(opened(2), [("vote", "p-one", 1, 1)])
    state = replace(state, questions={number: QuestionState("published") for number in QUESTIONS})
    assert [draft.about for draft in votes_taken_back(state, {"p-one"})] == [1]
    closed = apply(state, entry(state.length, "close", Author("chair", "chair"), {"text": "."}))
    assert votes_taken_back(closed, {"p-one"}) == []
