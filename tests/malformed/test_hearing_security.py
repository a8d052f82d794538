"""What somebody hostile does to a live hearing: scripts, forged forms, guessed codes, stuffed votes, huge files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import PEOPLE, People, hearing, token

from jokbo.hearing.live.settings import Limits

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><a href=javascript:alert(3)>x</a>{{7*7}}"


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with hearing(tmp_path) as found:
        yield found


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(page: str) -> None:
    tags = Tags(page).found
    for tag, attributes in tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (
            tag,
            attributes,
        )
        assert not (attributes.get("href") or "").lower().startswith(("javascript:", "http", "//"))
        assert tag not in ("img", "iframe", "object", "embed", "style", "base"), tag
    scripts = [attributes for tag, attributes in tags if tag == "script"]
    assert [s.get("src", "").partition("?")[0] for s in scripts] == ["/static/live.js"]
    assert "49" not in re.findall(r"x(\d+)", page)


def test_a_script_in_every_field_is_shown_as_text(people: People):
    people.sign_in("kim")
    line = {"language": "en", "translation_language": "ko", "translation": SCRIPT}
    people.write("party", {"account": "kim", "name": SCRIPT, "affiliation": SCRIPT})
    people.write("interest", {"text": SCRIPT, **line})
    people.write("artefact", {"name": SCRIPT, "repository": SCRIPT})
    people.write("question", {"text": SCRIPT, "to": "kim", **line})
    people.write("answer", {"about": 7, "text": SCRIPT, **line})
    people.write(
        "transcript", {"start_seconds": 1, "stop_seconds": 2, "speaker": SCRIPT, "text": SCRIPT, **line}
    )
    people.write("residual", {"text": SCRIPT, "would_settle": SCRIPT, **line})
    people.write(
        "finding", {"about": 6, "outcome": "not_proven", "text": SCRIPT, "would_settle": SCRIPT, **line}
    )
    people.write("pin", {"about": 7, "pinned": "yes", "why": SCRIPT})
    people.write("moderation", {"about": 7, "action": "release", "reason": "other", "asked_by": "author"})
    people.sign_in("accuser")
    people.write("claim", {"title": SCRIPT, "text": SCRIPT, "artefacts": "5", **line})
    made = people.write(
        "exhibit",
        {"about": 6, "title": SCRIPT, "form": "file", "command": SCRIPT, "versions": SCRIPT, "note": SCRIPT},
        {"file": (SCRIPT, SCRIPT.encode())},
    )
    assert made.status_code == 303
    exhibit = made.headers["location"].rpartition("/")[2]
    people.write("rebuttal", {"about": 6, "text": SCRIPT, **line})
    claims = [n for n, item in people.room.state.items.items() if item.kind == "claim"]
    pages = ["", "questions", "transcript", "people", "moderation", "entries", "mine", f"exhibit/{exhibit}"]
    shown = 0
    for who in ("nobody", "kim", "accuser"):
        people.become(who)
        for page in [*pages, *(f"claim/{n}" for n in claims), f"write/answer?about={SCRIPT}"]:
            for lang in ("en", "ko"):
                text = people.client.get(f"/{lang}/{page}").text
                assert_harmless(text)
                shown += "&lt;script&gt;" in text
    assert shown > 30


def test_events_carry_what_people_wrote_as_data(people: People):
    people.sign_in("accuser")
    people.write(
        "rebuttal", {"about": 6, "text": "x\n\nevent: reset\ndata: 1\r\n" + SCRIPT, "language": "en"}
    )
    events = people.room.missed("en", 8).decode()
    assert events.count("\nevent: ") == events.count("\n\n")
    for event in events.strip().split("\n\n"):
        number, kind, data = event.split("\n")
        assert number.startswith("id: ")
        assert kind == "event: entry"
        json.loads(data.removeprefix("data: "))


def test_a_question_that_waits_is_told_to_nobody(people: People):
    people.sign_in("voter", "somebody@example.org")
    assert people.write("question", {"text": "a secret libel", "language": "en"}).status_code == 303
    assert "libel" not in people.room.missed("en", 0).decode()
    people.become("nobody")
    for page in ("", "questions", "entries"):
        assert "libel" not in people.client.get(f"/en/{page}").text
    assert "libel" not in people.client.get("/log.jsonl").text
    people.sign_in("mod")
    assert "libel" in people.client.get("/en/questions").text


@pytest.mark.parametrize("address", ["/en/vote", "/en/write/question", "/en/write/exhibit", "/en/sign-out"])
@pytest.mark.parametrize("sent", ["", "0" * 64, "é", "other"])
def test_a_form_without_the_token_of_its_session_is_refused(people: People, address: str, sent: str):
    other = people.sign_in("mod")
    people.sign_in("pan")
    before = people.room.state.length
    data = {
        "token": other if sent == "other" else sent,
        "about": "7",
        "value": "1",
        "text": "t",
        "language": "en",
    }
    files = {"file": ("a", b"a")} if address.endswith("exhibit") else None
    answer = people.client.post(address, data=data, files=files)
    assert answer.status_code == 403
    assert people.room.state.length == before
    assert people.client.get("/en/mine").url.path == "/en/mine"


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
def test_a_form_from_another_site_is_refused(people: People, headers: dict[str, str]):
    sent = people.sign_in("pan")
    answer = people.client.post("/en/vote", data={"token": sent, "about": 7, "value": 1}, headers=headers)
    assert answer.status_code == 403
    assert not people.room.state.votes


def test_a_planted_cookie_never_becomes_a_session(people: People):
    """Session fixation: the attacker's own cookie before signing in, whatever it is, is not the one after."""
    client = people.client
    client.get("/en/sign-in")
    planted = dict(client.cookies)
    page = client.post(
        "/en/sign-in", data={"token": token(client.get("/en/sign-in").text), "address": PEOPLE["kim"]}
    )
    waiting = dict(client.cookies)
    client.post("/en/sign-in/code", data={"token": token(page.text), "code": people.mail[-1][1][:6]})
    signed = dict(client.cookies)
    assert len({c["jokbo"] for c in (planted, waiting, signed)}) == 3
    for old in (planted, waiting):
        client.cookies.clear()
        client.cookies.update(old)
        assert client.get("/en/mine").url.path == "/en/sign-in"


def test_cookies_are_ours_and_end_when_signed_out(people: People):
    sent = people.sign_in("pan")
    cookie = people.client.cookies["jokbo"]
    body, _, mac = cookie.partition(".")
    for forged in (f"{body}.{'0' * 64}", f"{body[:-2]}AA.{mac}", body, "x" * 5000, "é"):
        people.client.cookies.clear()
        headers = {"Cookie": b"jokbo=" + forged.encode("latin-1")}
        assert people.client.get("/en/mine", headers=headers).url.path == "/en/sign-in"
    people.client.cookies.clear()
    people.client.cookies.set("jokbo", cookie)
    people.client.post("/en/sign-out", data={"token": sent})
    people.client.cookies.clear()
    people.client.cookies.set("jokbo", cookie)
    assert people.client.get("/en/mine").url.path == "/en/sign-in"


def test_cookies_are_hidden_from_scripts_and_other_sites(tmp_path: Path):
    with hearing(tmp_path, base_url="https://testserver") as people:
        people.client.base_url = "https://testserver"
        answer = people.client.get("/en/sign-in")
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-jokbo=")
        for word in ("HttpOnly", "SameSite=Lax", "Secure", "Path=/"):
            assert word in cookie
        assert "max-age=" in answer.headers["strict-transport-security"]


def test_codes_are_few_and_not_guessed(tmp_path: Path):
    limits = Limits(
        codes_by_mailbox=(100, 900.0), tries_by_mailbox=(8, 3600.0), tries_by_address=(20, 3600.0)
    )
    with hearing(tmp_path, limits=limits) as people:
        statuses = []
        for _ in range(2):
            page = people.client.get("/en/sign-in")
            data = {"token": token(page.text), "address": PEOPLE["kim"]}
            page = people.client.post("/en/sign-in", data=data)
            right = people.mail[-1][1][:6]
            wrong = f"{(int(right) + 1) % 1_000_000:06d}"
            sent = token(page.text)
            for _ in range(5):
                answer = people.client.post("/en/sign-in/code", data={"token": sent, "code": wrong})
                statuses.append(answer.status_code)
            # After five wrong ones even the right one is worth nothing.
            answer = people.client.post("/en/sign-in/code", data={"token": sent, "code": right})
            statuses.append(answer.status_code)
        assert people.client.get("/en/mine").url.path == "/en/sign-in"
        assert statuses[:6] == [422] * 6
        assert statuses[-2:] == [429, 429]


def test_a_code_is_good_once_in_one_browser_and_kept_hashed(people: People):
    client = people.client
    page = client.get("/en/sign-in")
    page = client.post("/en/sign-in", data={"token": token(page.text), "address": PEOPLE["kim"]})
    code, waiting = people.mail[-1][1][:6], dict(client.cookies)
    database = (people.folder / "live" / "live.sqlite").read_bytes()
    wal = people.folder / "live" / "live.sqlite-wal"
    assert code.encode() not in database + (wal.read_bytes() if wal.exists() else b"")
    assert b"kim@example.org" not in database
    client.cookies.clear()
    other = client.get("/en/sign-in")
    other = client.post("/en/sign-in", data={"token": token(other.text), "address": PEOPLE["kim"]})
    second = people.mail[-1][1][:6]
    if second != code:
        answer = client.post("/en/sign-in/code", data={"token": token(other.text), "code": code})
        assert answer.status_code == 422
    client.cookies.clear()
    client.cookies.update(waiting)
    data = {"token": token(page.text), "code": code}
    assert client.post("/en/sign-in/code", data=data).status_code == 200
    client.cookies.clear()
    client.cookies.update(waiting)
    client.post("/en/sign-in/code", data=data)
    assert client.get("/en/mine").url.path == "/en/sign-in"


def test_the_answer_does_not_tell_who_has_an_account(people: People):
    answers = []
    for address in (PEOPLE["kim"], "nobody@example.org"):
        people.client.cookies.clear()
        page = people.client.get("/en/sign-in")
        page = people.client.post("/en/sign-in", data={"token": token(page.text), "address": address})
        answers.append((page.status_code, page.text.replace(token(page.text), "")))
    assert answers[0] == answers[1]


def test_mail_is_not_sent_without_end(tmp_path: Path):
    with hearing(tmp_path, limits=Limits(codes_by_mailbox=(2, 900.0))) as people:
        statuses = []
        for _ in range(4):
            page = people.client.get("/en/sign-in")
            data = {"token": token(page.text), "address": "victim@example.org"}
            statuses.append(people.client.post("/en/sign-in", data=data).status_code)
        assert statuses == [200, 200, 429, 429]
        assert len(people.mail) == 2


def test_one_mailbox_has_one_vote(people: People):
    for k, address in enumerate(["a@example.org", "A@Example.org", "a+1@example.org", "a+2@example.org"]):
        people.sign_in(f"v{k}", address)
        assert people.vote(7, 1).status_code == 200
    (tally,) = people.room.state.tallies[7].values()
    assert (tally.up, tally.down) == (1, 0)


def test_votes_are_limited_and_of_the_role_that_the_case_gives(tmp_path: Path):
    with hearing(tmp_path, limits=Limits(votes_by_account=(5, 60.0))) as people:
        people.sign_in("v", "v@example.org")
        statuses = [
            people.vote(7, 1, role="panel", account="pan", group="panel").status_code for _ in range(8)
        ]
        assert statuses == [200] * 5 + [429] * 3
        assert set(people.room.state.tallies[7]) == {"public"}
        people.sign_in("kim")
        assert people.vote(7, 1).status_code == 422
        people.become("nobody")
        assert people.vote(7, 1).status_code == 403


@pytest.mark.parametrize(
    ("about", "value"), [("7", "2"), ("7", "1e3"), ("-1", "1"), ("x", "1"), ("9" * 30, "1")]
)
def test_odd_votes_are_refused(people: People, about: str, value: str):
    people.sign_in("pan")
    data = {"token": people.tokens["pan"], "about": about, "value": value}
    assert people.client.post("/en/vote", data=data).status_code == 400


@pytest.mark.parametrize(
    "kind", ["finding", "role", "question_state", "moderation", "close", "transcript", "claim"]
)
def test_the_public_enters_nothing_that_its_role_does_not(people: People, kind: str):
    people.sign_in("v", "v@example.org")
    before = people.room.state.length
    fields = {"about": 6, "outcome": "proven", "text": "t", "language": "en", "account": "v", "role": "chair"}
    answer = people.write(kind, fields, {"claim_file": ("c", b"x")} if kind == "claim" else None)
    assert answer.status_code == 403
    assert people.client.get(f"/en/write/{kind}").status_code == 403
    assert people.room.state.length == before
