"""Parts of the live page alone: limits, sessions, codes, readers, events, forms, mail, the database."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("starlette")

from hypothesis import given
from hypothesis import strategies as st

from jokbo.errors import UsageError
from jokbo.hearing.case.case import new_case
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.case.kinds import check_payload
from jokbo.hearing.live.codes import Codes, normal_address
from jokbo.hearing.live.database import Database, open_database
from jokbo.hearing.live.events import missed
from jokbo.hearing.live.forms import FORMS, may_write, payload_of
from jokbo.hearing.live.hub import Hub
from jokbo.hearing.live.limits import RateLimiter, network
from jokbo.hearing.live.links import links
from jokbo.hearing.live.mail import parse_mail_server
from jokbo.hearing.live.sessions import Sessions
from jokbo.hearing.live.settings import Settings, read_secret
from jokbo.records.commit.keys import make_key
from jokbo.report.texts import Texts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = Settings(secret=b"s" * 32)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 5))
def test_a_limit_holds_in_every_window(waits: list[float], most: int):
    clock = Clock()
    limiter = RateLimiter(clock)
    taken = []
    for wait in waits:
        clock.now += wait
        if limiter.allow("x", "kim", (most, 60.0)):
            taken.append(clock.now)
    for k, begin in enumerate(taken):
        # Two windows overlap at worst: never more than twice the limit within one.
        assert sum(1 for each in taken[k:] if each < begin + 60) <= 2 * most
    clock.now += 200
    assert limiter.allow("x", "kim", (most, 60.0))


def test_limits_of_one_do_not_touch_another():
    limiter = RateLimiter(Clock())
    assert limiter.allow("x", "kim", (1, 60.0))
    assert not limiter.allow("x", "kim", (1, 60.0))
    assert limiter.allow("x", "lee", (1, 60.0))
    assert limiter.allow("y", "kim", (1, 60.0))
    assert network("2001:db8::1") == network("2001:db8::ffff")
    assert network("nonsense") == "unknown"


def test_a_cookie_is_bound_to_its_server_and_its_time():
    clock = Clock()
    sessions = Sessions(SETTINGS, clock)
    session = sessions.begin("kim")
    cookie = sessions.write(session)
    assert sessions.read(cookie) == session
    assert Sessions(replace(SETTINGS, secret=b"t" * 32), clock).read(cookie) is None
    assert sessions.begin("kim").identity != session.identity
    assert sessions.holds(session, sessions.token(session))
    assert not sessions.holds(sessions.begin("kim"), sessions.token(session))
    assert not sessions.holds(None, sessions.token(session))
    clock.now += SETTINGS.session_seconds + 1
    assert sessions.read(cookie) is None


@given(st.text(max_size=80))
def test_no_other_text_is_a_cookie(text: str):
    assert Sessions(SETTINGS, Clock()).read(text) is None


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return open_database(f"sqlite:///{tmp_path / 'live.sqlite'}")


def test_a_code_is_good_once_and_for_a_time(database: Database):
    clock = Clock()
    codes = Codes(SETTINGS, database, clock)
    box = codes.mailbox("kim@example.org")
    code = codes.make(box, "browser")
    assert not codes.check(box, "other browser", code)
    assert codes.check(box, "browser", f" {code[:3]} {code[3:]} ")
    assert not codes.check(box, "browser", code)
    late = codes.make(box, "browser")
    clock.now += SETTINGS.code_seconds + 1
    assert not codes.check(box, "browser", late)


def test_tries_of_a_code_run_out(database: Database):
    codes = Codes(SETTINGS, database, Clock())
    box = codes.mailbox("kim@example.org")
    code = codes.make(box, "b")
    wrong = f"{(int(code) + 1) % 10**6:06d}"
    assert [codes.check(box, "b", wrong) for _ in range(SETTINGS.code_tries)] == [False] * SETTINGS.code_tries
    assert not codes.check(box, "b", code)


def test_a_mailbox_has_one_account_after_the_database_is_lost(database: Database, tmp_path: Path):
    codes = Codes(SETTINGS, database, Clock())
    box = codes.mailbox("Kim+x@Example.org")
    again = Codes(SETTINGS, open_database(f"sqlite:///{tmp_path / 'new.sqlite'}"), Clock())
    assert again.account(again.mailbox("kim@example.org")) == codes.account(box)
    database.name_mailbox(box, "kim")
    assert codes.account(box) == "kim"


def test_a_domain_with_letters_of_another_script_has_one_spelling():
    assert normal_address("Kim+x@XN--9N2BP8Q.XN--3E0B707E") == "kim@xn--9n2bp8q.xn--3e0b707e"
    for address in (
        "kim@\ub124\uc774\ubc84.\ud55c\uad6d",
        "k\u0456m@example.org",
        "kim@example.xn--",
        "\uff4bim@example.org",
    ):
        with pytest.raises(UsageError, match="no mail address"):
            normal_address(address)


def test_a_line_of_the_hosts_file_that_is_wrong_is_named(database: Database):
    with pytest.raises(UsageError, match="'kim': this is no mail address"):
        Codes(SETTINGS, database, Clock(), people={"lee": "lee@example.org", "kim": "kim at example.org"})


@pytest.mark.parametrize(
    "address", ["", "kim", "kim@", "@x.org", "a b@x.org", "a@x", "a@x.org\nBcc: b@x.org", "é@x.org"]
)
def test_what_is_no_address_is_refused(address: str):
    with pytest.raises(UsageError, match="no mail address"):
        normal_address(address)


def test_the_secret_is_made_once_for_its_owner(tmp_path: Path):
    path = tmp_path / "live" / "secret"
    first = read_secret(path)
    assert read_secret(path) == first
    assert len(first) == 32
    path.chmod(0o644)
    with pytest.raises(UsageError, match="chmod 600"):
        read_secret(path)


@pytest.mark.parametrize("url", ["http://x", "smtp://", "smtps://user:password@host"])
def test_mail_servers_that_are_none_are_refused(url: str):
    with pytest.raises(UsageError, match="JOKBO_SMTP_PASSWORD"):
        parse_mail_server(url, "a@example.org")


def test_mail_goes_encrypted_but_on_this_machine():
    assert parse_mail_server("smtp://mail.example.org", "a@x.org").tls == "starttls"
    assert parse_mail_server("smtps://mail.example.org", "a@x.org").port == 465
    assert parse_mail_server("smtp://localhost", "a@x.org").tls == "none"


def test_a_reader_that_does_not_keep_up_is_dropped_and_others_are_not():
    async def run() -> None:
        hub, dropped = Hub(10, 4), []
        slow = hub.join("en", lambda: dropped.append("slow"))
        quick = hub.join("en", lambda: dropped.append("quick"))
        got = b""
        for k in range(8):
            hub.publish("en", b"%d" % k)
            got += await quick.take()
        assert got == b"01234567"
        assert dropped == ["slow"]
        assert slow.closed
        assert (hub.dropped, len(hub)) == (1, 1)
        assert await slow.take() == b""

    asyncio.run(run())


def test_a_reader_is_written_to_directly_once_nothing_waits():
    async def run() -> None:
        hub, written, dropped = Hub(10, 4), [], []
        reader = hub.join("en", lambda: dropped.append(1))
        hub.publish("en", b"one")
        assert reader.now_directly(written.append) == b"one"  # type: ignore[arg-type]
        room = [True, True, False]

        def write(frame: bytes) -> bool:
            written.append(frame)
            return room.pop(0)

        assert reader.now_directly(write) == b""
        for event in (b"two", b"three", b"four", b"five"):
            hub.publish("en", event)
        assert written == [b"3\r\ntwo\r\n", b"5\r\nthree\r\n", b"4\r\nfour\r\n"]
        assert dropped == [1]

    asyncio.run(run())


def test_whatever_a_reader_saw_last_it_is_told_the_rest(tmp_path: Path):
    chair = Author("kim", "chair")
    payload = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 1}
    signer, rng = make_key(tmp_path / "k.pem"), random.Random(0)
    with new_case(tmp_path / "case", payload, chair="kim", signer=signer) as case:
        asked = case.add(Draft("question", {"text": "q", "language": "en"}, chair)).sequence
        case.add(Draft("question_state", {"state": "published"}, chair, asked))
        for k in range(40):
            if rng.random() < 0.6:
                case.add(Draft("vote", {"value": 1}, Author(f"p-{k}", "public"), asked))
            else:
                case.add(Draft("residual", {"text": f"r{k}", "language": "en"}, chair))
        told = [entry.sequence for entry in case.entries if entry.kind != "vote"]
        for last in range(-1, len(case.entries)):
            events = missed(case.entries, case.public, last, "en", links("en")).decode().split("\n\n")[:-1]
            documents = [json.loads(event.split("data: ")[1]) for event in events if "event: entry" in event]
            assert [each["number"] for each in documents] == [n for n in told if n > last]
            for each in documents:
                place = told.index(each["number"])
                assert each["after"] == (told[place - 1] if place else -1)
            votes_after = any(entry.kind == "vote" for entry in case.entries[last + 1 :])
            assert any("event: tally" in event for event in events) is votes_after
        assert b"event: reset" in missed(case.entries, case.public, 10_000, "en", links("en"))


def test_the_index_follows_the_log_and_is_made_again(tmp_path: Path, database: Database):
    chair = Author("kim", "chair")
    payload = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 1}
    logs = []
    for name in ("a", "b"):
        signer = make_key(tmp_path / f"{name}.pem")
        with new_case(tmp_path / name, payload, chair="kim", signer=signer) as case:
            for k in range(5):
                case.add(Draft("residual", {"text": f"r{k}", "language": "en"}, chair))
            logs.append(list(case.entries))
    assert database.follow(logs[0][:3]) == 3
    assert database.follow(logs[0]) == 3
    assert database.follow(logs[0]) == 0
    assert database.by_account("kim") == [5, 4, 3, 2, 1, 0]
    assert database.follow(logs[1]) == 6, "another log: made again"


def test_every_form_has_its_words_in_both_languages():
    for lang in ("en", "ko"):
        t = Texts(lang)
        for kind, fields in FORMS.items():
            assert t.has(f"live.do.{kind}"), kind
            for field in fields:
                assert t.has(f"live.field.{field.name}"), field.name
                for option in field.options:
                    assert t.has(f"{field.group}.{option}"), (field.name, option)


def test_filled_forms_follow_the_schema_of_their_kind():
    filled = {
        "question": {"text": "a\r\nb", "language": "en", "translation": "나", "translation_language": "ko"},
        "reply_timer": {"account": "kim", "hours": "72"},
        "moderation": {"action": "hold", "reason": "privacy", "asked_by": "author", "days": "3"},
        "transcript": {"start_seconds": "1.5", "stop_seconds": "2", "speaker": "Kim", "text": "t", "language": "ko",
                       "questions": "3, 4"},
        "pin": {"pinned": "yes", "why": "asked twice"},
        "finding": {"outcome": "not_proven", "text": "t", "language": "en", "would_settle": "logs", "exhibits": "3"},
    }  # fmt: skip
    for kind, values in filled.items():
        check_payload(kind, payload_of(kind, values, now=NOW), where=kind)
    assert payload_of("question", filled["question"], now=NOW)["text"] == "a\nb"
    assert payload_of("reply_timer", filled["reply_timer"], now=NOW)["until"] == "2026-01-04T00:00:00.000Z"


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        ("question", {"language": "en"}, "'text' is empty"),
        ("reply_timer", {"account": "kim", "hours": "never"}, "needs a number"),
        ("reply_timer", {"account": "kim", "hours": "-1"}, "above 0"),
        ("transcript", {"start_seconds": "1e9"}, "needs a number"),
        ("finding", {"outcome": "stolen", "text": "t", "language": "en"}, "has no choice"),
        (
            "finding",
            {"outcome": "proven", "text": "t", "language": "en", "exhibits": "3; 4"},
            "numbers of entries",
        ),
        ("question", {"text": "t", "language": "en", "translation": "t"}, "needs its language"),
    ],
)
def test_forms_that_are_filled_wrongly_say_where(kind: str, values: dict[str, str], said: str):
    with pytest.raises(UsageError, match=said):
        payload_of(kind, values, now=NOW)


def test_only_roles_that_may_write_are_offered_a_form(tmp_path: Path):
    payload = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 1}
    with new_case(tmp_path / "case", payload, chair="kim", signer=make_key(tmp_path / "k")) as case:
        assert may_write(case.state, "panel", "finding")
        assert not may_write(case.state, "public", "finding")
        assert may_write(case.state, "public", "question")
        case.add(Draft("close", {"text": "done", "language": "en"}, Author("kim", "chair")))
        assert not may_write(case.state, "panel", "finding")
        assert may_write(case.state, "respondent", "reply")
