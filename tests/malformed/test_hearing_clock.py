"""The clock is set back, or forth, while a hearing is live: the log says so, and nothing that lasts is hurt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import PEOPLE, WIDE, People, hearing, token
from starlette.testclient import TestClient

from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.chain import verify_log
from jokbo.hearing.case.log import read_log
from jokbo.hearing.case.state import instant
from jokbo.hearing.live.clock import Clocks
from jokbo.hearing.live.server import build
from jokbo.hearing.live.settings import Settings, read_secret
from jokbo.records.commit.keys import load_signer

HOUR, DAY = 3600.0, 86400.0
NOON = 1_900_000_000.0
"""After the real clock of whoever runs this: the case itself was opened by that one."""


class Machine:
    """A machine whose clock somebody sets."""

    def __init__(self, wall: float = NOON) -> None:
        self.wall, self.passed = wall, 50.0
        self.clocks = Clocks(wall=lambda: self.wall, elapsed=lambda: self.passed)

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.passed += seconds

    def step(self, seconds: float) -> None:
        self.wall += seconds


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture
def people(tmp_path: Path, machine: Machine) -> Iterator[People]:
    with hearing(tmp_path, clocks=machine.clocks) as found:
        yield found


def signed_in(people: People) -> bool:
    return people.client.get("/en/mine").url.path == "/en/mine"


def test_the_log_says_that_the_clock_stepped_and_order_is_the_chains(
    people: People, machine: Machine, tmp_path: Path
):
    people.sign_in("pan")
    numbers = [people.vote(7, 1).json()["entry"]]
    machine.wait(5)
    numbers.append(people.vote(7, -1).json()["entry"])
    machine.step(-HOUR)
    numbers.append(people.vote(7, 1).json()["entry"])
    machine.wait(10)
    numbers.append(people.vote(7, 0).json()["entry"])
    assert numbers == sorted(numbers) == list(range(9, 13))
    steps = dict(people.room.state.clock_steps)
    assert steps == {11: 3_600_000, 12: 3_590_000}
    assert people.room.state.votes[7]["pan"].value == 0  # the last one, whatever its time
    for lang, said in (("en", "At entry 11 the clock stood 3,600 s behind"), ("ko", "11")):
        assert said in people.client.get(f"/{lang}/moderation").text
    people.client.__exit__(None, None, None)
    read = read_log(tmp_path / "case" / "log.jsonl")
    assert verify_log(read.lines, torn=read.torn).problems == ()
    assert not verify_folder(tmp_path / "archive").problems
    people.client.__enter__ = lambda: None  # the fixture's exit has nothing left to do


@pytest.mark.parametrize("step", [-10 * 365 * DAY, -DAY, -HOUR, HOUR, DAY, 10 * 365 * DAY])
def test_sessions_neither_end_wrongly_nor_last_for_ever(people: People, machine: Machine, step: float):
    people.sign_in("pan")
    machine.step(step)
    assert signed_in(people)
    assert people.vote(7, 1).status_code == 200
    machine.wait(11.9 * HOUR)
    assert signed_in(people)
    machine.wait(0.2 * HOUR)
    assert not signed_in(people)


@pytest.mark.parametrize("step", [-DAY, DAY])
def test_a_code_is_good_for_its_ten_minutes(people: People, machine: Machine, step: float):
    def typed(wait: float) -> int:
        people.client.cookies.clear()
        page = people.client.get("/en/sign-in")
        data = {"token": token(page.text), "address": PEOPLE["kim"]}
        page = people.client.post("/en/sign-in", data=data)
        machine.step(step)
        machine.wait(wait)
        data = {"token": token(page.text), "code": people.mail[-1][1][:6]}
        return int(people.client.post("/en/sign-in/code", data=data).status_code)

    assert typed(9 * 60) == 200
    assert typed(11 * 60) == 422


@pytest.mark.parametrize("step", [-10 * 365 * DAY, -HOUR, DAY])
def test_a_right_of_reply_lasts_as_long_as_it_was_given_for(people: People, machine: Machine, step: float):
    people.sign_in("kim")
    made = people.write("reply_timer", {"about": 6, "account": "accused", "hours": "2"})
    assert made.status_code == 303

    def status() -> str:
        machine.wait(15)  # pages are drawn anew
        page = people.client.get("/en/").text
        return "open" if "<strong>Open" in timer_of(page) else "over"

    assert status() == "open"
    machine.step(step)
    assert status() == "open"
    machine.wait(1.9 * HOUR)
    assert status() == "open"
    machine.wait(0.2 * HOUR)
    assert status() == "over"


def timer_of(page: str) -> str:
    """What the board says of the one right of reply."""
    (found,) = re.findall(r'<section id="timers".*?</section>', page, flags=re.DOTALL)
    return str(found)


def test_a_right_of_reply_given_after_a_step_has_its_whole_time(people: People, machine: Machine):
    people.sign_in("kim")
    machine.step(-DAY)
    people.write("reply_timer", {"about": 6, "account": "accused", "hours": "2"})
    machine.wait(1.9 * HOUR)
    assert "<strong>Open" in timer_of(people.client.get("/en/").text)
    machine.wait(0.2 * HOUR)
    assert "<strong>Open" not in timer_of(people.client.get("/en/").text)


@pytest.mark.parametrize("step", [-DAY, DAY])
def test_a_hold_of_thirty_days_is_never_refused_nor_longer(people: People, machine: Machine, step: float):
    """The law's thirty days are held against the log's times, which are the wall's."""
    people.sign_in("mod")
    machine.step(step)
    held = {"about": 7, "action": "hold", "reason": "privacy", "asked_by": "affected_party"}
    assert people.write("moderation", held).status_code == 303
    act = people.room.state.acts[-1]
    lasts = instant(act.payload["until"]) - instant(act.time)
    assert timedelta(days=28.9) < lasts <= timedelta(days=30)


def again(folder: Path, machine: Machine) -> Any:
    """The same hearing, started anew."""
    settings = Settings(
        secret=read_secret(folder / "live" / "secret"), base_url="http://testserver", limits=WIDE
    )
    app = build(
        folder / "case",
        load_signer(folder / "host.pem"),
        settings,
        lambda *sent: None,
        database=f"sqlite:///{folder / 'live' / 'live.sqlite'}",
        people=PEOPLE,
        clocks=machine.clocks,
    )
    return TestClient(app)


@pytest.mark.parametrize(("step", "stays"), [(-0.5 * HOUR, True), (-DAY, False), (-3650 * DAY, False)])
def test_a_clock_that_was_set_back_between_two_starts(tmp_path: Path, step: float, stays: bool):
    """A small step ends nobody's session; after a large one people sign in again, and no session lasts for years."""
    with hearing(tmp_path, clocks=Machine().clocks) as people:
        people.sign_in("pan")
        cookies = dict(people.client.cookies)
        people.sign_in("mod")
        ended = dict(people.client.cookies)
        people.client.post("/en/sign-out", data={"token": people.tokens["mod"]})
    machine = Machine(NOON + step)
    with again(tmp_path, machine) as client:
        client.cookies.update(cookies)
        assert (client.get("/en/mine").url.path == "/en/mine") is stays
        client.cookies.clear()
        client.cookies.update(ended)
        assert client.get("/en/mine").url.path == "/en/sign-in"  # signed out is signed out
        client.cookies.clear()
        client.cookies.update(cookies)
        machine.wait(13 * HOUR)
        assert client.get("/en/mine").url.path == "/en/sign-in"


def test_the_steady_clock_is_the_walls_where_nothing_steps():
    import time

    clocks = Clocks()
    assert abs(clocks.steady() - time.time()) < 0.5
    assert abs(clocks.wall() - time.time()) < 0.5
