"""What pages show: the queue, the board, reproductions, timers, moderation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cryptography")

from jokbo.hearing.case.case import new_case
from jokbo.hearing.case.views import (
    Threads,
    board,
    moderation,
    people,
    queue,
    reproductions,
    residuals,
    timers,
    wilson_lower_bound,
)
from jokbo.testing.hearings import BEGIN, Stage, fixed_signer, open_stage, small_hearing, words

EVIDENCE = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-base1.json"
OTHER = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-sft0.json"


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("views") / "case"
    stage = small_hearing(folder, EVIDENCE.read_bytes(), differing=OTHER.read_bytes())
    stage.case.close()
    return stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = open_stage(tmp_path / "case", queue_order="panel")
    yield made
    made.case.close()


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_wilson_bound_solves_its_equation(up: int, down: int):
    """The bound is the smaller root of (p - x)² = z² x (1 - x) / n, which is where the score test stops rejecting."""
    n = up + down
    bound = wilson_lower_bound(up, down)
    if n == 0:
        assert bound == 0
        return
    p, z = up / n, 1.959963984540054
    assert 0 <= bound <= p
    assert (p - bound) ** 2 == pytest.approx(z * z * bound * (1 - bound) / n, abs=1e-9)


def test_wilson_bound_agrees_with_scipy():
    from scipy.stats import binomtest

    for up, down in ((1, 0), (90, 10), (5, 1), (0, 7)):
        expected = binomtest(up, up + down).proportion_ci(0.95, method="wilson").low
        assert wilson_lower_bound(up, down) == pytest.approx(expected, abs=1e-9)


def test_the_queue_is_ordered_by_pins_states_one_groups_bound_and_time(stage: Stage):
    numbers = []
    for k in range(5):
        number = stage.say(f"q{k}", "question", words(str(k))).sequence
        stage.say("mod", "question_state", {"state": "published"}, about=number)
        numbers.append(number)
    a, b, c, d, e = numbers
    stage.say("ahn", "vote", {"value": 1}, about=c)
    stage.say("choi", "vote", {"value": 1}, about=c)
    stage.say("ahn", "vote", {"value": 1}, about=b)
    for k in range(20):  # the public's votes are not what orders this queue
        stage.say(f"v{k}", "vote", {"value": 1}, about=a)
    assert [row.item.sequence for row in queue(stage.case.state)] == [c, b, a, d, e]
    assert next(row.item.sequence for row in queue(stage.case.state, order="public")) == a
    stage.say("mod", "question_state", {"state": "queued"}, about=e)
    stage.say("mod", "pin", {"pinned": True, "why": "x"}, about=d)
    stage.say("mod", "question_state", {"state": "answering"}, about=a)
    assert [row.item.sequence for row in queue(stage.case.state)] == [a, d, e, c, b]
    stage.say("mod", "pin", {"pinned": False, "why": "x"}, about=d)
    assert [row.item.sequence for row in queue(stage.case.state)] == [a, e, c, b, d]


def test_tallies_are_kept_apart(hearing: Stage):
    (row,) = [row for row in queue(hearing.case.state) if row.item.sequence == hearing.numbers["queued"]]
    assert {group: (tally.up, tally.down) for group, tally in row.tallies.items()} == {
        "panel": (1, 0),
        "parties": (1, 0),
        "public": (5, 1),
    }


def test_the_board_says_what_is_settled(hearing: Stage, stage: Stage):
    rows = {row.claim.sequence: row for row in board(hearing.case.state)}
    assert rows[hearing.numbers["claim"]].outcome == "refuted"
    assert rows[hearing.numbers["claim"]].settled
    assert rows[hearing.numbers["second"]].outcome == "not_proven"
    number = stage.say("lab", "claim", {"title": "t", **words("x")}).sequence
    assert [row.outcome for row in board(stage.case.state)] == ["unheard"]
    finding = stage.say("ahn", "finding", {"outcome": "proven", **words("x")}, about=number).sequence
    assert [row.outcome for row in board(stage.case.state)] == ["proven"]
    new = stage.say("lab", "claim", {"title": "t", **words("more precisely")}, supersedes=number).sequence
    (row,) = board(stage.case.state)
    assert (row.claim.sequence, row.finding.sequence) == (new, finding)
    stage.say("choi", "finding", {"outcome": "refuted", **words("x")}, about=number, supersedes=finding)
    assert [row.outcome for row in board(stage.case.state)] == ["refuted"]
    stage.say("lab", "withdrawal", words("sorry"), about=new)
    assert [row.outcome for row in board(stage.case.state)] == ["withdrawn"]


def test_reproductions_count_other_people_with_a_key(hearing: Stage):
    threads = Threads(hearing.case.state)
    found = reproductions(threads, hearing.numbers["exhibit"])
    assert (len(found.attempts), found.agreeing, found.differing) == (2, 1, 1)


def test_unsigned_and_own_reproductions_are_shown_and_not_counted(tmp_path: Path):
    stage = small_hearing(tmp_path / "case", EVIDENCE.read_bytes())
    exhibit, state = stage.numbers["exhibit"], stage.case.state
    assert reproductions(Threads(state), exhibit).agreeing == 2
    payload = state.items[stage.numbers["by_ahn"]].payload
    stage.say("somebody", "reproduction", payload, about=exhibit)
    stage.say("maker", "reproduction", payload, about=exhibit, signed=True)
    stage.say("ahn", "reproduction", {**payload, "machine": "again"}, about=exhibit, signed=True)
    found = reproductions(Threads(stage.case.state), exhibit)
    stage.case.close()
    assert (len(found.attempts), found.agreeing) == (5, 2)


def test_threads_go_as_deep_as_people_like(stage: Stage):
    number = stage.say("lab", "claim", {"title": "t", **words("x")}).sequence
    last = stage.say("maker", "rebuttal", words("no"), about=number).sequence
    for k in range(1200):
        last = stage.case.state.length
        stage.case.state = _with_reply(stage, last - 1, k)
    assert [depth for depth, _ in Threads(stage.case.state).flat(number)] == list(range(1, 1202))


def _with_reply(stage: Stage, about: int, k: int):
    from jokbo.hearing.case.entry import Author, Entry
    from jokbo.hearing.case.state import apply

    account, role = (("lab", "claimant"), ("maker", "respondent"))[k % 2]
    time = stage.case.state.latest
    entry = Entry(
        about + 1, "", time, Author(account, role), "reply", about, None, "0" * 64, words("r"), "0" * 32
    )
    return apply(stage.case.state, entry)


def test_a_right_of_reply_is_open_then_replied_or_expired(hearing: Stage, stage: Stage):
    (row,) = timers(hearing.case.state)
    assert (row.status, row.reply) == ("replied", hearing.numbers["rebuttal"])
    number = stage.say("lab", "claim", {"title": "t", **words("x")}).sequence
    until = "2026-01-04T10:00:00.000Z"
    stage.say("chair", "reply_timer", {"account": "maker", "until": until}, about=number)
    stage.say("lab", "reply", words("another's reply"), about=number)
    assert timers(stage.case.state)[0].status == "open"
    assert timers(stage.case.state, now="2026-01-04T10:00:00.001Z")[0].status == "expired"


def test_moderation_owes_notices_and_holds_end(hearing: Stage):
    held, erased = moderation(hearing.case.state)
    assert held.missing == ("affected_party",)
    assert not held.overdue
    assert erased.missing == ()  # its author asked for it
    later = moderation(hearing.case.state, now="2026-02-01T00:00:00.000Z")
    assert [row.overdue for row in later] == [True, False]


def test_what_nobody_answered_stays(hearing: Stage):
    numbers = hearing.numbers
    assert [item.sequence for item in residuals(hearing.case.state)] == [
        numbers["residual"],
        numbers["queued"],
        numbers["published"],
    ]


def test_people_are_listed_by_role(hearing: Stage):
    assert [person.account for person in people(hearing.case.state)] == [
        "chair",
        "mod",
        "ahn",
        "choi",
        "lab",
        "maker",
    ]


def test_a_clock_that_steps_back_is_recorded_and_orders_nothing(tmp_path: Path):
    times = iter([BEGIN, BEGIN + timedelta(hours=1), BEGIN - timedelta(days=1), BEGIN + timedelta(hours=2)])
    payload = {"title": "t", "summary": "s", "language": "en", "queue_order": "panel", "reply_hours": 1}
    case = new_case(
        tmp_path / "c", payload, chair="chair", signer=fixed_signer("host"), clock=lambda: next(times)
    )
    stage = Stage(case)
    for account in ("a", "b", "c"):
        stage.say("chair", "role", {"account": account, "role": "panel"})
    case.close()
    assert case.state.clock_steps == ((2, 25 * 3600 * 1000),)
    assert case.state.latest == "2026-01-02T12:00:00.000Z"
