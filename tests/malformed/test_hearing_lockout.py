"""Strangers who ask for codes and guess at them do not keep the owner of a mailbox out; live updates by address."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import PEOPLE, People, hearing, token

from jokbo.hearing.live.devices import Devices
from jokbo.hearing.live.settings import Limits, Settings

HOME, HALL = "192.0.2.10", "198.51.100.7"


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with hearing(tmp_path, limits=Limits()) as found:
        yield found


def at(people: People, address: str) -> People:
    """Connect from an address from now on."""
    people.client._transport.client = (address, 50000)
    return people


def ask(people: People, address: str = PEOPLE["kim"]) -> int:
    page = people.client.get("/en/sign-in")
    return people.client.post("/en/sign-in", data={"token": token(page.text), "address": address}).status_code


def guess(people: People, code: str | None = None) -> int:
    """A wrong code, or the right one."""
    page = people.client.get("/en/sign-in/code")
    wrong = f"{(int(people.mail[-1][1][:6]) + 1) % 10**6:06d}"
    data = {"token": token(page.text), "code": code or wrong}
    return people.client.post("/en/sign-in/code", data=data).status_code


def attack(people: People, *, addresses: int, each: int) -> None:
    """Ask for the chair's codes and guess at them from many places, until nothing is answered any more."""
    for place in range(addresses):
        at(people, f"203.0.113.{place}").become(f"stranger {place}")
        for _ in range(each):
            if ask(people) == 200:
                for _ in range(5):
                    guess(people)


def owner_signs_in(people: People) -> bool:
    if ask(people) != 200:
        return False
    return (
        guess(people, people.mail[-1][1][:6]) == 200 and people.client.get("/en/mine").url.path == "/en/mine"
    )


def test_whoever_floods_from_one_place_shuts_out_that_place_alone(people: People):
    attack(people, addresses=1, each=8)
    assert ask(people) == 429
    at(people, HOME).become("owner")
    assert owner_signs_in(people)


def test_a_browser_that_signed_in_before_is_not_shut_out_by_a_flood_from_everywhere(people: People):
    at(people, HOME).become("owner")
    assert owner_signs_in(people)
    people.client.post("/en/sign-out", data={"token": token(people.client.get("/en/sign-in").text)})
    people.client.cookies.delete("jokbo")
    attack(people, addresses=12, each=4)
    at(people, HOME).become("owner on a browser that nobody knows")
    assert not owner_signs_in(people)  # many places together: from nowhere new, until it is over
    at(people, HOME).become("owner")
    assert owner_signs_in(people)


def test_a_known_browser_is_not_shut_out_of_a_hall_either(people: People):
    at(people, HALL).become("owner")
    assert owner_signs_in(people)
    for place in range(2):
        people.become(f"neighbour {place}")
        for _ in range(8):
            ask(people)
    assert ask(people) == 429
    people.become("owner")
    people.client.cookies.delete("jokbo")
    assert owner_signs_in(people)


def test_a_known_browser_has_limits_of_its_own(people: People):
    at(people, HOME).become("owner")
    assert owner_signs_in(people)
    people.client.cookies.delete("jokbo")
    statuses = [ask(people) for _ in range(6)]
    assert statuses == [200] * 4 + [429] * 2


def test_it_is_known_for_its_own_mailboxes_alone(people: People):
    """Somebody who is known, for a mailbox of their own, guesses at another's as slowly as anybody."""
    at(people, HOME).become("stranger")
    ask(people, "stranger@example.org")
    assert guess(people, people.mail[-1][1][:6]) == 200
    people.client.cookies.delete("jokbo")
    tries = 0
    for _ in range(8):
        if ask(people) == 200:
            tries += sum(guess(people) == 422 for _ in range(5))
    assert tries == 10


def test_strangers_have_few_guesses_from_however_many_places(people: People):
    tries = 0
    for place in range(40):
        at(people, f"203.0.113.{place}").become(f"s{place}")
        if ask(people) == 200:
            tries += sum(guess(people) == 422 for _ in range(6))
    assert tries == 30


def test_right_codes_cost_nothing(tmp_path: Path):
    """A hall is one address: hundreds sign in from it."""
    limits = Limits(tries_by_address=(5, 3600.0), tries_by_pair=(2, 3600.0))
    with hearing(tmp_path, limits=limits) as people:
        at(people, HALL)
        for k in range(12):
            people.become(f"voter {k}")
            assert ask(people, f"v{k}@example.org") == 200
            assert guess(people, people.mail[-1][1][:6]) == 200


def test_the_cookie_of_a_known_browser_is_ours_and_opens_nothing(people: People):
    at(people, HOME).become("owner")
    assert owner_signs_in(people)
    known = people.client.cookies["jokbo-known"]
    body, _, mac = known.partition(".")
    people.become("thief")
    for value in (known, f"{body}.{'0' * 64}", body, "x" * 3000, "", f"{body[:-2]}AA.{mac}"):
        people.client.cookies.clear()
        people.client.cookies.set("jokbo-known", value)
        assert people.client.get("/en/mine").url.path == "/en/sign-in"
        people.client.cookies.clear()
        people.client.cookies.set("jokbo", value)
        assert people.client.get("/en/mine").url.path == "/en/sign-in"
    devices = Devices(Settings(secret=b"other" * 8))
    assert devices.read(known) is None
    assert PEOPLE["kim"] not in known


def test_a_browser_remembers_its_latest_mailboxes():
    devices = Devices(Settings(secret=b"s" * 32))
    device = None
    for k in range(12):
        device = devices.with_mailbox(device, f"{k}")
    device = devices.with_mailbox(device, "5")
    assert [k for k in range(12) if devices.knows(device, f"{k}")] == [4, 5, 6, 7, 8, 9, 10, 11]
    device = devices.with_mailbox(device, "new")
    assert not devices.knows(device, "4")
    assert devices.knows(device, "5")
    assert len(devices.write(device)) < 1024


class Stream:
    """A stream as a server hands it over, without a socket."""

    def __init__(self, people: People, address: str, lang: str = "en", query: bytes = b"") -> None:
        import asyncio

        self.people, self.status, self.body = people, 0, b""
        self.gone = people.client.portal.call(asyncio.Event)
        scope = {
            "type": "http", "method": "GET", "path": f"/{lang}/live", "raw_path": b"", "query_string": query,
            "headers": [(b"host", b"testserver")], "client": (address, 1), "server": ("testserver", 80),
            "scheme": "http", "http_version": "1.1", "root_path": "", "state": {},
        }  # fmt: skip
        self.task = people.client.portal.start_task_soon(people.client.app, scope, self._receive, self._send)
        while not self.status:
            people.client.get("/health")

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)
        self.body += message.get("body", b"")

    def close(self) -> None:
        self.people.client.portal.call(self.gone.set)
        self.task.result(timeout=10)


def test_streams_of_one_address_are_limited_and_the_page_goes_on(tmp_path: Path):
    with hearing(tmp_path, streams_by_address=3) as people:
        hall = [Stream(people, HALL) for _ in range(3)]
        assert [each.status for each in hall] == [200] * 3
        for lang, said in (("en", "from your network"), ("ko", "이 네트워크")):
            more = Stream(people, HALL, lang)
            assert more.status == 503
            more.task.result(timeout=10)
            assert said in more.body.decode()
        elsewhere = Stream(people, HOME)
        assert elsewhere.status == 200
        at(people, HALL)
        assert people.client.get("/en/").status_code == 200  # polling works
        assert people.client.get("/head.json").status_code == 200
        hall.pop().close()
        hall.append(Stream(people, HALL))  # somebody left, and there is room again
        assert hall[-1].status == 200
        for each in [*hall, elsewhere]:
            each.close()
        assert not people.room.hub._addresses


def test_an_ipv6_customer_is_one_address(tmp_path: Path):
    with hearing(tmp_path, streams_by_address=1) as people:
        one = Stream(people, "2001:db8:0:1::1")
        other = Stream(people, "2001:db8:0:1:ffff::2")
        assert (one.status, other.status) == (200, 503)
        one.close()


def test_readers_that_ask_for_much_hold_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Missed events that nobody takes wait in memory: beyond a bound a reader is told to load the page anew."""
    from jokbo.hearing.live import stream

    with hearing(tmp_path) as people:
        whole = len(people.room.missed("en", 0))
        monkeypatch.setattr(stream, "MAX_REPLAY_BYTES", whole + 100)
        readers = [Stream(people, HALL, query=b"after=0") for _ in range(3)]
        for each in readers:  # each takes what it is given, and there is room again
            assert each.body.count(b"event: entry") == 8
        monkeypatch.setattr(stream, "MAX_REPLAY_BYTES", whole - 1)
        over = Stream(people, HALL, query=b"after=0")
        assert b"event: reset" in over.body
        assert b"event: entry" not in over.body
        for each in [*readers, over]:
            each.close()
