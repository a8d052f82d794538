"""A text is held 30 days in all for one who asks, unless a finding begins the time anew."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import UsageError
from jokbo.hearing.case.case import Case, new_case
from jokbo.hearing.case.chain import verify_log
from jokbo.hearing.case.entry import Author, Draft, Entry
from jokbo.hearing.case.holds import held_before, latest_end
from jokbo.hearing.case.log import read_log
from jokbo.hearing.case.state import stamp
from jokbo.hearing.intake import with_dates
from jokbo.testing.hearings import fixed_signer, words

CASE = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 24}
BEGIN = datetime(2026, 1, 2, 10, 0, tzinfo=UTC)


class Hall:
    """A case with a claim and a rebuttal, and a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.now = BEGIN
        self.case: Case = new_case(
            folder, CASE, chair="chair", signer=fixed_signer("host"), clock=lambda: self.now
        )
        for account, role in (("lab", "claimant"), ("ahn", "panel"), ("mod", "moderator")):
            self.say("chair", "role", {"account": account, "role": role})
        self.claim = self.say("lab", "claim", {"title": "t", **words("x")}).sequence
        self.rebuttal = self.say("ahn", "rebuttal", words("y"), self.claim).sequence

    def say(self, account: str, kind: str, payload: dict[str, object], about: int | None = None) -> Entry:
        return self.case.add(Draft(kind, payload, Author(account, self.case.state.role(account)), about))

    def hold(self, days: float, about: int | None = None, *, asked_by: str = "affected_party") -> Entry:
        until = stamp(self.now + timedelta(days=days))
        payload: dict[str, object] = {
            "action": "hold", "reason": "privacy", "asked_by": asked_by, "until": until
        }  # fmt: skip
        return self.say("mod", "moderation", payload, self.rebuttal if about is None else about)

    def release(self) -> Entry:
        payload: dict[str, object] = {"action": "release", "reason": "privacy", "asked_by": "moderator"}
        return self.say("mod", "moderation", payload, self.rebuttal)

    def later(self, days: float) -> None:
        self.now += timedelta(days=days)

    def find(self, about: int | None = None) -> Entry:
        payload: dict[str, object] = {"outcome": "refuted", **words("no")}
        return self.say("ahn", "finding", payload, self.claim if about is None else about)


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path / "case")
    yield made
    made.case.close()


def test_a_hold_is_renewed_up_to_thirty_days_in_all(hall: Hall):
    hall.hold(10)
    hall.later(10)
    hall.hold(15)
    hall.later(15)
    with pytest.raises(UsageError, match=r"30 days in all .* until 2026-02-01T10:00:00.000Z is what is left"):
        hall.hold(6)
    hall.hold(5)
    hall.later(5)
    with pytest.raises(UsageError, match="release or erase it, or let the panel enter a finding"):
        hall.hold(1)


def test_days_on_which_the_text_was_shown_do_not_count(hall: Hall):
    hall.hold(30)
    hall.later(4)
    hall.release()
    hall.later(100)
    with pytest.raises(UsageError, match="30 days in all"):
        hall.hold(27)
    hall.hold(26)
    assert held_before(hall.case.state, hall.rebuttal, "affected_party", stamp(hall.now)) == timedelta(days=4)


def test_a_hold_past_its_end_counts_until_it_is_ended(hall: Hall):
    hall.hold(2)
    hall.later(12)
    hall.release()
    with pytest.raises(UsageError, match="30 days in all"):
        hall.hold(19)
    hall.hold(18)


def test_each_who_asks_and_each_entry_has_days_of_its_own(hall: Hall):
    hall.hold(30)
    hall.later(30)
    with pytest.raises(UsageError, match="for this request already"):
        hall.hold(1)
    hall.hold(30, asked_by="authority")
    hall.hold(30, hall.claim)


def test_a_finding_on_the_claim_begins_the_days_anew(hall: Hall):
    hall.hold(30)
    hall.later(30)
    newer = hall.case.add(
        Draft("claim", {"title": "t", **words("z")}, Author("lab", "claimant"), None, hall.claim)
    )
    hall.find(newer.sequence)
    hall.hold(30)
    hall.later(30)
    with pytest.raises(UsageError, match="for this request already"):
        hall.hold(1)


def test_a_finding_on_another_claim_does_not(hall: Hall):
    other = hall.say("lab", "claim", {"title": "t", **words("other")}).sequence
    hall.hold(30)
    hall.later(30)
    hall.find(other)
    with pytest.raises(UsageError, match="for this request already"):
        hall.hold(1)


def test_what_belongs_to_no_claim_is_never_held_anew(hall: Hall):
    question = hall.say("v", "question", words("?")).sequence
    hall.hold(30, question)
    hall.later(30)
    hall.find()
    with pytest.raises(UsageError, match="for this request already"):
        hall.hold(1, question)


def test_an_end_that_nobody_stated_is_what_is_left(hall: Hall):
    hall.hold(10)
    hall.later(10)
    payload = {"action": "hold", "reason": "privacy", "asked_by": "affected_party"}
    dated = with_dates("moderation", payload, hall.case.state, hall.now, hall.rebuttal)
    assert dated["until"] == stamp(BEGIN + timedelta(days=30))
    hall.say("mod", "moderation", dated, hall.rebuttal)
    whole = with_dates("moderation", payload, hall.case.state, hall.now)
    assert whole["until"] == stamp(hall.now + timedelta(days=30))


def test_a_clock_that_steps_back_gives_no_days(hall: Hall):
    hall.hold(30)
    hall.later(20)
    hall.hold(10)
    hall.later(-15)
    assert latest_end(
        hall.case.state, hall.rebuttal, "affected_party", stamp(hall.now)
    ) == hall.now + timedelta(days=10)
    with pytest.raises(UsageError, match="30 days in all"):
        hall.hold(11)


def test_the_law_is_held_against_a_log_that_somebody_else_wrote(hall: Hall, tmp_path: Path):
    """A host that permits itself a longer hold writes a log that does not verify."""
    from jokbo.hearing.case import permissions

    hall.hold(30)
    hall.later(30)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permissions, "_hold_too_long", lambda *given: iter(()))
        number = hall.hold(30).sequence
    found = verify_log(read_log(tmp_path / "case" / "log.jsonl").lines)
    assert [(each.code, each.values["sequence"]) for each in found.problems] == [("not_permitted", number)]
