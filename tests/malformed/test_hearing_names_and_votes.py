"""Mailboxes that get another name while people vote, and forms that are on their way meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import PEOPLE, People, hearing, token
from starlette.testclient import TestClient

from jokbo.errors import UsageError
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.entry import Draft
from jokbo.hearing.case.rotation import make_rotation
from jokbo.hearing.case.votes import Tally
from jokbo.hearing.live.codes import Codes
from jokbo.hearing.live.database import open_database
from jokbo.hearing.live.entering import Entering
from jokbo.hearing.live.server import build
from jokbo.hearing.live.settings import Settings
from jokbo.records.commit.keys import load_signer, make_key

EXPERT = {"account": "expert", "role": "panel", "mailbox": "expert@example.org"}


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with hearing(tmp_path) as found:
        yield found


def in_force(people: People) -> dict[str, Tally]:
    tallies: dict[str, Tally] = people.room.state.tallies.get(7, {})
    return {group: tally for group, tally in tallies.items() if tally != Tally()}


def test_the_naming_takes_the_votes_of_the_former_name_back(people: People):
    people.sign_in("expert", "expert@example.org")
    people.vote(7, 1)
    people.sign_in("other", "other@example.org")
    people.vote(7, 1)
    people.sign_in("kim")
    assert people.write("role", EXPERT).status_code == 303
    assert in_force(people) == {"public": Tally(1, 0)}  # the other's; nobody has voted as expert yet
    last = people.room.entries[-1]
    assert (last.kind, last.payload) == ("vote", {"value": 0})


def test_a_question_that_takes_no_votes_keeps_them_until_it_does_again(people: People):
    people.sign_in("expert", "expert@example.org")
    people.vote(7, 1)
    people.sign_in("kim")
    for state in ("answering", "answered"):
        people.write("question_state", {"about": 7, "state": state})
    assert people.write("role", EXPERT).status_code == 303
    assert in_force(people) == {"public": Tally(1, 0)}
    people.write("question_state", {"about": 7, "state": "answering"})
    people.sign_in("expert-now", "expert@example.org")
    assert people.vote(7, 1).status_code == 200
    assert in_force(people) == {"panel": Tally(1, 0)}


def test_a_mailbox_that_gets_a_second_name_has_no_second_vote(people: People):
    people.sign_in("kim")
    for name in ("one", "two"):
        people.become("kim")
        people.write("role", {**EXPERT, "account": name})
        people.sign_in(f"as-{name}", "expert@example.org")
        assert people.vote(7, 1).status_code == 200
    assert in_force(people) == {"panel": Tally(1, 0)}


def test_a_mistyped_mailbox_is_nobodys_once_the_right_one_is_named(people: People):
    people.sign_in("kim")
    people.write("role", {**EXPERT, "mailbox": "mistyped@example.org"})
    people.sign_in("stranger", "mistyped@example.org")
    assert people.vote(7, 1).status_code == 200
    people.become("kim")
    people.write("role", EXPERT)
    assert people.become("stranger").vote(7, -1).status_code == 403  # the session is over
    people.client.cookies.clear()
    people.sign_in("stranger", "mistyped@example.org")
    people.vote(7, -1)
    assert people.room.entries[-1].author.role == "public"
    people.sign_in("expert", "expert@example.org")
    people.vote(7, 1)
    assert people.room.entries[-1].author.account == "expert"


def test_a_line_of_the_hosts_file_gives_way_to_what_the_chair_names(people: People):
    people.sign_in("kim")
    people.write("role", {"account": "pan", "role": "panel", "mailbox": "new@example.org"})
    people.sign_in("old", PEOPLE["pan"])
    people.vote(7, 1)
    assert people.room.entries[-1].author.role == "public"


def test_whom_the_host_names_between_two_starts_has_one_vote(tmp_path: Path):
    with hearing(tmp_path) as people:
        people.sign_in("expert", "expert@example.org")
        people.vote(7, 1)
        settings = people.room.settings
    app = build(
        tmp_path / "case",
        load_signer(tmp_path / "host.pem"),
        settings,
        lambda *sent: None,
        database=f"sqlite:///{tmp_path / 'live' / 'live.sqlite'}",
        people={**PEOPLE, "expert": "expert@example.org"},
    )
    with TestClient(app):
        assert app.state.site.room.state.tallies[7]["public"] == Tally(0, 0)


def while_on_its_way(people: People, monkeypatch: pytest.MonkeyPatch, act: Any) -> None:
    """Let something happen after a form was begun, and before it came whole."""
    site, form = people.client.app.state.site, type(people.client.app.state.site).form  # type: ignore[attr-defined]

    async def slow(self: Any, request: Any) -> Any:
        act(site)
        return await form(self, request)

    monkeypatch.setattr(type(site), "form", slow)


def test_a_vote_that_drips_is_none_of_a_name_that_is_gone(people: People, monkeypatch: pytest.MonkeyPatch):
    people.sign_in("expert", "expert@example.org")
    while_on_its_way(people, monkeypatch, lambda site: site.name_mailbox("expert", "expert@example.org"))
    assert people.vote(7, 1).status_code == 403
    assert in_force(people) == {}


def test_a_form_that_drips_is_none_of_a_session_that_ended(people: People, monkeypatch: pytest.MonkeyPatch):
    people.sign_in("pan")
    session = people.client.app.state.site.sessions.read(people.client.cookies["jokbo"])  # type: ignore[attr-defined]
    length = people.room.state.length
    while_on_its_way(people, monkeypatch, lambda site: site.sessions.end(session))
    assert people.write("question", {"text": "?", "language": "en"}).status_code == 403
    assert people.room.state.length == length


def test_a_file_that_drips_is_none_of_a_session_that_ended(people: People, monkeypatch: pytest.MonkeyPatch):
    people.sign_in("accuser")
    site = people.client.app.state.site  # type: ignore[attr-defined]
    session, upload = site.sessions.read(people.client.cookies["jokbo"]), Entering._upload

    async def slow(self: Any, *given: Any) -> Any:
        found = await upload(self, *given)
        site.sessions.end(session)
        return found

    monkeypatch.setattr(Entering, "_upload", slow)
    length = people.room.state.length
    fields = {"about": 6, "title": "T", "form": "file", "command": "true"}
    answer = people.write("exhibit", fields, {"file": ("t.csv", b"1,2\n")})
    assert answer.status_code == 403
    assert people.room.state.length == length
    assert list(people.room.exhibits.folder.iterdir()) == []


def test_a_chair_does_not_make_itself_the_host(tmp_path: Path):
    """A rotation that a chair signed and the new key countersigned: the server would sign it, and nothing after it."""
    with hearing(tmp_path) as people:
        state, mine = people.room.state, make_key(people.folder / "mine.pem")
        draft = make_rotation(state, mine, signed_by="keeper", account="kim")
        with pytest.raises(UsageError, match="by no draft"):
            people.client.portal.call(people.room.enter, draft)  # type: ignore[union-attr]
        people.sign_in("v", "v@example.org")
        assert people.vote(7, 1).status_code == 200
        assert people.room.state.keepers == state.keepers
    assert verify_folder(tmp_path / "archive").problems == ()


def test_signing_out_of_nothing_keeps_nothing(people: People):
    """Anybody may have such sessions without end: each that was remembered would cost everybody."""
    site = people.client.app.state.site  # type: ignore[attr-defined]
    for _ in range(3):
        people.client.cookies.clear()
        sent = token(people.client.get("/en/sign-in").text)
        answer = people.client.post("/en/sign-out", data={"token": sent}, follow_redirects=False)
        assert answer.status_code == 303
        assert "Max-Age=0" in answer.headers["set-cookie"]
    assert site.sessions.ended == {}
    assert site.room.database.ended_sessions(now=0) == {}


@pytest.mark.parametrize(
    "address", ["/en", "/ko", "/en/mine/", "/en/questions/", "//evil.example/", "/en//x/"]
)
def test_no_redirect_names_a_scheme_or_a_host(tmp_path: Path, address: str):
    """Behind a proxy the server speaks http: a redirect made from what it sees would leave TLS."""
    with hearing(tmp_path) as people:
        answer = people.client.get(f"http://testserver{address}", follow_redirects=False)
        if address in ("/en", "/ko"):
            assert (answer.status_code, answer.headers["location"]) == (303, f"{address}/")
        else:
            assert answer.status_code == 404
            assert "location" not in answer.headers


def test_the_database_is_asked_for_every_mailbox_alike(tmp_path: Path):
    """How long an answer takes says nothing on who is on the host's list."""
    database = open_database(f"sqlite:///{tmp_path / 'live.sqlite'}")
    codes, asked = Codes(Settings(secret=b"s" * 32), database, people=PEOPLE), list[str]()
    found = database.account_of

    def counted(mailbox: str) -> str | None:
        asked.append(mailbox)
        return found(mailbox)

    database.account_of = counted  # type: ignore[method-assign]
    for address in ("pan@example.org", "nobody@example.org"):
        codes.destination(address)
        assert len(asked) == 1
        asked.clear()
    database.close()


def test_exhibits_of_an_answer_are_on_the_live_page(tmp_path: Path):
    with hearing(tmp_path) as people:
        people.sign_in("accuser")
        assert people.write("answer", {"about": 7, "text": "So.", "language": "en"}).status_code == 303
        number = people.room.state.length
        fields = {"about": number - 1, "title": "A <b>", "form": "file", "command": "true", "language": "en"}
        assert people.write("exhibit", fields, {"file": ("t.csv", b"1,2\n")}).status_code == 303
        for who in ("accuser", "nobody"):
            page = people.become(who).client.get("/en/questions").text
            assert f'<li><a href="/en/exhibit/{number}">Exhibit {number}: <span lang="en"' in page
            assert "A &lt;b&gt;" in page
    # In the archive as before, where its address is a file.
    kept = (tmp_path / "archive" / "en" / "questions.html").read_text()
    assert f'<li><a href="exhibit-{number}.html">' in kept


def test_what_is_taken_back_late_is_said(people: People, caplog: pytest.LogCaptureFixture):
    """A question that closes between the look and the entry ends nothing, and the terminal says so."""
    room = people.room
    people.sign_in("expert", "expert@example.org")
    people.vote(7, 1)
    account = room.entries[-1].author.account

    async def closing(draft: Draft) -> None:
        raise UsageError("the question is answered")

    room.enter = closing
    with caplog.at_level(logging.ERROR):
        people.client.portal.call(room.take_back, {account})  # type: ignore[union-attr]
    assert "could not be taken back" in caplog.text
