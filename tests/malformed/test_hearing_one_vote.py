"""One person, one vote: other spellings of a mailbox, other browsers, other accounts, another role."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import PEOPLE, WIDE, People, hearing, token
from starlette.testclient import TestClient

from jokbo.errors import UsageError
from jokbo.hearing.case.chain import sign_draft
from jokbo.hearing.case.drafts import draft_to_bytes
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.live.codes import Codes
from jokbo.hearing.live.server import build
from jokbo.records.commit.keys import load_signer, make_key


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with hearing(tmp_path) as found:
        yield found


def tallies(people: People) -> dict[str, tuple[int, int]]:
    found = people.room.state.tallies.get(7, {})
    return {
        group: (tally.up, tally.down) for group, tally in found.items() if (tally.up, tally.down) != (0, 0)
    }


SPELLINGS = [
    "lee.ji@gmail.com",
    "leeji@gmail.com",
    "l.e.e.j.i+x@gmail.com",
    "LeeJi@GoogleMail.com",
    " leeji+@gmail.com ",
]


def test_a_mailbox_has_one_vote_however_it_is_spelled(people: People):
    for k, spelling in enumerate(SPELLINGS):
        people.sign_in(f"v{k}", spelling)
        assert people.vote(7, 1).status_code == 200
    assert tallies(people) == {"public": (1, 0)}
    people.sign_in("dots", "lee.ji@example.org")  # elsewhere a dot is a letter
    people.sign_in("none", "leeji@example.org")
    for who in ("dots", "none"):
        assert people.become(who).vote(7, 1).status_code == 200
    assert tallies(people) == {"public": (3, 0)}


def test_a_code_for_a_named_mailbox_goes_to_its_one_spelling(tmp_path: Path):
    """At some hosts kim+x@ is somebody else's: they get no code for kim's account by asking for it in another way."""
    sent: list[str] = []
    with hearing(tmp_path, send_mail=lambda address, *rest: sent.append(address)) as people:
        for address in ("kim+x@example.org", "KIM@example.org", "voter+x@example.org"):
            people.become(address)
            page = people.client.get("/en/sign-in")
            people.client.post("/en/sign-in", data={"token": token(page.text), "address": address})
    assert sent == ["kim@example.org", "kim@example.org", "voter+x@example.org"]


def test_who_is_named_after_voting_as_the_public_votes_once(people: People):
    people.sign_in("expert", "expert@example.org")
    assert people.vote(7, -1).status_code == 200
    assert tallies(people) == {"public": (0, 1)}
    people.sign_in("kim")
    role = {"account": "expert", "role": "panel", "mailbox": "expert@example.org"}
    assert people.write("role", role).status_code == 303
    # The old session is over: the mailbox has another name now.
    people.become("expert")
    assert people.vote(7, -1).status_code == 403
    assert people.client.get("/en/mine").url.path == "/en/sign-in"
    people.client.cookies.clear()
    people.sign_in("expert", "expert@example.org")
    assert people.vote(7, 1).status_code == 200
    assert tallies(people) == {"panel": (1, 0)}
    assert people.vote(7, -1).status_code == 200
    assert tallies(people) == {"panel": (0, 1)}
    # What was taken back is in the log, by the account that had voted.
    votes = [entry for entry in people.room.entries if entry.kind == "vote"]
    assert [entry.payload["value"] for entry in votes] == [-1, 0, 1, -1]
    assert votes[0].author.account == votes[1].author.account


def test_a_kept_cookie_does_not_vote_beside_the_new_name(people: People):
    people.sign_in("expert", "expert@example.org")
    kept, sent = dict(people.client.cookies), people.tokens["expert"]
    people.sign_in("kim")
    people.write("role", {"account": "expert", "role": "panel", "mailbox": "expert@example.org"})
    people.sign_in("new", "expert@example.org")
    assert people.vote(7, 1).status_code == 200
    people.client.cookies.clear()
    people.client.cookies.update(kept)
    answer = people.client.post("/en/vote", data={"token": sent, "about": 7, "value": 1})
    assert answer.status_code == 403
    assert tallies(people) == {"panel": (1, 0)}


def test_one_account_in_two_browsers_has_one_vote(people: People):
    for browser in ("one", "two"):
        people.sign_in(browser, "pan@example.org")
        assert people.vote(7, 1).status_code == 200
    assert tallies(people) == {"panel": (1, 0)}


def test_a_role_that_changes_takes_its_vote_along(people: People):
    people.sign_in("pan")
    people.vote(7, 1)
    people.sign_in("kim")
    assert people.write("role", {"account": "pan", "role": "claimant"}).status_code == 303
    people.become("pan")
    assert people.vote(7, 1).status_code == 200
    assert tallies(people) == {"parties": (1, 0)}
    people.become("kim")
    people.write("role", {"account": "pan", "role": "moderator"})
    people.become("pan")
    assert people.vote(7, 1).status_code == 422


def test_names_of_the_public_are_given_to_nobody(tmp_path: Path, people: People):
    people.sign_in("kim")
    role = {"account": "p-0123456789abcdef", "role": "panel", "mailbox": "x@example.org"}
    assert people.write("role", role).status_code == 422
    codes = people.client.app.state.site.codes
    with pytest.raises(UsageError, match="are the public's"):
        codes.name("p-0123456789abcdef", "x@example.org")
    length = people.room.state.length
    assert people.write("role", role | {"account": "x", "mailbox": "no address"}).status_code == 422
    assert people.room.state.length == length


def test_a_line_that_the_host_takes_out_is_taken_away(tmp_path: Path):
    """A mailbox that somebody broke into: out of the file, and neither it nor its sessions are the account's."""
    with hearing(tmp_path) as people:
        people.sign_in("pan")
        kept = dict(people.client.cookies)
    for named, stays in ((PEOPLE, True), ({**PEOPLE, "pan": "new@example.org"}, False)):
        settings = people.room.settings
        app = build(
            tmp_path / "case",
            load_signer(tmp_path / "host.pem"),
            settings,
            lambda *sent: None,
            database=f"sqlite:///{tmp_path / 'live' / 'live.sqlite'}",
            people=named,
        )
        with TestClient(app) as client:
            client.cookies.update(kept)
            assert (client.get("/en/mine").url.path == "/en/mine") is stays
            codes = app.state.site.codes
            assert (codes.account(codes.mailbox(PEOPLE["pan"])) == "pan") is stays
            assert (codes.account(codes.mailbox("new@example.org")) == "pan") is not stays


def test_two_accounts_have_two_mailboxes(people: People):
    site = people.client.app.state.site
    with pytest.raises(UsageError, match="'a' and 'b' have one mail address"):
        Codes(site.settings, site.room.database, people={"a": "x@example.org", "b": "X+2@example.org"})


@pytest.mark.parametrize(
    "url", ["postgresql://u:pw@h/d", "postgresql://h/d?password=pw", "postgresql://[::1"]
)
def test_no_password_stands_in_a_command(url: str, tmp_path: Path):
    from jokbo.cli.hearing.serve_options import database_of

    with pytest.raises(UsageError, match=r"PGPASSWORD|no URL"):
        database_of(url, tmp_path)
    assert database_of("postgresql://u@h/d", tmp_path) == "postgresql://u@h/d"
    assert database_of(None, tmp_path).startswith("sqlite:///")


def test_votes_at_the_same_moment_are_one_vote(people: People):
    people.sign_in("pan")
    site = people.client.app.state.site

    async def many() -> list[Any]:
        drafts = [Draft("vote", {"value": 1 if k % 2 else -1}, Author("pan", "panel"), 7) for k in range(50)]
        return await asyncio.gather(*(site.room.enter(draft) for draft in drafts))

    people.client.portal.call(many)
    assert sum(tallies(people)["panel"]) == 1


def test_what_somebody_sees_who_is_signed_in_is_kept_nowhere(people: People):
    assert people.client.get("/en/").headers["cache-control"] == "private, no-cache"
    people.sign_in("mod")
    for page in ("", "questions", "people", "mine", "write/question", "sign-in", "nothing"):
        answer = people.client.get(f"/en/{page}")
        assert answer.headers["cache-control"] == "no-store", page
    assert people.client.get("/en/").headers["vary"] == "Cookie"


def upload(people: People, started: list[int], go: asyncio.Event) -> Any:
    """A file that has begun to come, and waits; gives the task."""
    fields = {
        "token": people.tokens["accuser"],
        "about": "6",
        "title": "x",
        "form": "file",
        "command": "make",
    }
    head = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    pieces = [head.encode()]

    async def receive() -> dict[str, Any]:
        if pieces:
            return {"type": "http.request", "body": pieces.pop(), "more_body": True}
        await go.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.append(message["status"])

    headers = {
        "host": "testserver",
        "cookie": f"jokbo={people.client.cookies['jokbo']}",
        "content-type": "multipart/form-data; boundary=b",
    }
    scope = {
        "type": "http", "method": "POST", "path": "/en/write/exhibit", "raw_path": b"", "query_string": b"",
        "headers": [(k.encode(), v.encode()) for k, v in headers.items()], "client": ("192.0.2.1", 1),
        "server": ("testserver", 80), "scheme": "http", "http_version": "1.1", "root_path": "", "state": {},
    }  # fmt: skip
    return people.client.portal.start_task_soon(people.client.app, scope, receive, send)


def test_one_account_fills_no_disk_with_files_at_the_same_time(people: People):
    people.sign_in("accuser")
    go, started = people.client.portal.call(asyncio.Event), list[int]()
    tasks = [upload(people, started, go) for _ in range(3)]
    while not started:
        people.client.get("/health")
    assert started == [429]
    assert len(list((people.folder / "case" / "exhibits").iterdir())) <= 2
    people.client.portal.call(go.set)
    for task in tasks:
        task.exception(timeout=10)
    assert not people.client.app.state.site._uploading
    made = people.write(
        "exhibit", {"about": 6, "title": "x", "form": "file", "command": "make"}, {"file": ("a", b"a")}
    )
    assert made.status_code == 303


def test_the_public_sends_small_files_and_few(tmp_path: Path):
    limits = replace(WIDE, uploads_by_public=(3, 600.0))
    with hearing(tmp_path, max_public_upload_bytes=200_000, limits=limits) as people:
        people.sign_in("accuser")
        exhibit = {"about": 6, "title": "x", "form": "file", "command": "make"}
        made = people.write("exhibit", exhibit, {"file": ("a", b"a" * 1_000_000)})
        assert made.status_code == 303
        number = made.headers["location"].rpartition("/")[2]
        people.sign_in("v", "v@example.org")
        large = {"file": ("a.json", b"a" * 1_000_000)}
        statuses = [people.write("reproduction", {"about": number}, large).status_code for _ in range(5)]
        assert statuses == [413] * 3 + [429] * 2


def test_the_whole_log_is_not_asked_for_without_end(tmp_path: Path):
    with hearing(tmp_path, limits=replace(WIDE, logs_by_address=(3, 60.0))) as people:
        assert [people.client.get("/log.jsonl").status_code for _ in range(5)] == [200] * 3 + [429] * 2


def test_the_log_in_pieces_is_the_log(people: People, monkeypatch: pytest.MonkeyPatch):
    from jokbo.hearing.live import reading

    whole = people.client.get("/log.jsonl").content
    monkeypatch.setattr(reading, "PIECE_BYTES", 10)
    assert people.client.get("/log.jsonl").content == whole
    assert whole.count(b"\n") == people.room.state.length


def test_a_vote_that_was_signed_elsewhere_is_no_second_one(people: People):
    """Somebody who voted as one of the public, and then hands in a vote that they signed as a panel member."""
    people.sign_in("expert", "expert@example.org")
    people.vote(7, 1)
    people.sign_in("kim")
    people.write("role", {"account": "expert", "role": "panel", "mailbox": "expert@example.org"})
    key = make_key(people.folder / "expert.pem")
    der = base64.b64encode(key.public.der).decode()
    assert people.write("key", {"account": "expert", "key": der, "valid": "yes"}).status_code == 303
    people.become("again")
    people.sign_in("again", "expert@example.org")
    case = people.room.state.facts.case
    signed = sign_draft(Draft("vote", {"value": 1}, Author("expert", "panel"), 7), case, key)
    answer = people.write("signed", {}, {"draft_file": ("vote.json", draft_to_bytes(signed, case))})
    assert answer.status_code == 303, answer.text
    assert tallies(people) == {"panel": (1, 0)}


@pytest.mark.parametrize("given", ["*", "0.0.0.0/0", "::/0", "proxy.example.org", ""])
def test_a_proxy_is_one_and_not_anybody(given: str):
    from jokbo.cli.hearing.serve_options import proxy_of

    with pytest.raises(UsageError, match="no address of a proxy"):
        proxy_of(given, https=True)
    assert proxy_of("10.1.0.0/16", https=False) == "10.1.0.0/16"
    assert proxy_of(None, https=True) == "127.0.0.1"
    assert proxy_of(None, https=False) is None
