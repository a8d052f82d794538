"""Codes by mail, held against a real mail server: encryption, certificates, headers, and a server that is down."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiosmtpd")
pytest.importorskip("starlette")
pytest.importorskip("sqlalchemy")
pytest.importorskip("python_multipart")

from live_room import PEOPLE, People, hearing, token
from mail_room import Box, certificate, mail_server

from jokbo.errors import UsageError
from jokbo.hearing.live import mail
from jokbo.hearing.live.codes import normal_address
from jokbo.hearing.live.mail import MailServer, Postbox, UnsentError, letter, parse_mail_server, smtp_sender
from jokbo.hearing.live.settings import Limits
from jokbo.report.texts import Texts

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of aiosmtpd itself

SENDER = "공개 검증 <hearing@example.org>"


def server(port: int, tls: str, *, user: str = "", password: str = "") -> MailServer:
    return MailServer("127.0.0.1", port, user, tls, SENDER, password)


def test_a_korean_code_arrives_as_it_was_written():
    box, t = Box(), Texts("ko")
    subject, text = t("live.mail.subject", code="012345"), t("live.mail.text", code="012345", minutes=10)
    with mail_server(box) as port:
        smtp_sender(server(port, "none"))("kim@example.org", subject, text)
    (message,) = box.messages
    assert message["Subject"] == subject
    assert "로그인 코드" in message["Subject"]
    assert message.get_content().strip() == text
    assert message["From"] == SENDER
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Date"].datetime is not None
    assert message["Message-ID"].endswith("@example.org>")
    assert box.envelopes == [("hearing@example.org", ["kim@example.org"])]


def test_starttls_is_asked_for_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    box, context = Box(), certificate(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "127.0.0.1.pem"))
    with mail_server(box, tls_context=context, auth_required=True, authenticator=box.authenticate) as port:
        smtp_sender(server(port, "starttls", user="hearing", password="right"))("a@x.org", "s", "t")
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp_sender(server(port, "starttls", user="hearing", password="wrong"))("a@x.org", "s", "t")
    assert box.encrypted == [True]
    assert box.users[0] == ("hearing", "right")


def test_a_server_without_starttls_is_given_nothing():
    """Also somebody on the way who takes the offer out of what the server says."""
    box = Box()
    with (
        mail_server(box, auth_require_tls=False, authenticator=box.authenticate) as port,
        pytest.raises(smtplib.SMTPNotSupportedError),
    ):
        smtp_sender(server(port, "starttls", user="hearing", password="right"))("a@x.org", "s", "t")
    assert box.messages == []
    assert box.users == []  # the password was not shown either


@pytest.mark.parametrize(
    ("name", "days", "known"),
    [("127.0.0.1", 2, False), ("mail.example.org", 2, True), ("127.0.0.1", -1, True)],
)
def test_a_wrong_certificate_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, days: int, known: bool
):
    """Of nobody that is known, of another name, or over."""
    box, context = Box(), certificate(tmp_path, name, days=days)
    if known:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / f"{name}.pem"))
    with (
        mail_server(box, tls_context=context) as port,
        pytest.raises(OSError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        smtp_sender(server(port, "starttls"))("a@x.org", "s", "t")
    assert box.messages == []


def test_headers_cannot_be_added_through_one():
    for sender, address, subject in (
        ("a@x.org", "b@x.org\r\nBcc: c@x.org", "s"),
        ("a@x.org", "b@x.org", "s\nBcc: c@x.org"),
        ("a@x.org\r\nBcc: c@x.org", "b@x.org", "s"),
    ):
        with pytest.raises(ValueError, match=r"linefeed|newline|carriage"):
            letter(sender, address, subject, "t")


@pytest.mark.parametrize(
    "address",
    [
        "kim@example.org\r\nBcc: evil@example.org",
        "kim@example.org%0d%0aBcc: evil@example.org",
        "kim@example.org, evil@example.org",
        "kim@example.org>\r\nRCPT TO:<evil@example.org",
        '"kim evil"@example.org',
        "=?utf-8?q?evil?=@example.org",
        "evil%example.org@relay.example.org",
        "relay.example.org!evil@example.org",
    ],
)
def test_no_address_reaches_anybody_else(tmp_path: Path, address: str):
    box = Box()
    with mail_server(box) as port, hearing(tmp_path, send_mail=smtp_sender(server(port, "none"))) as people:
        page = people.client.get("/en/sign-in")
        answer = people.client.post("/en/sign-in", data={"token": token(page.text), "address": address})
        assert answer.status_code in (200, 422)
    assert all(rcpt == [address.strip()] for _, rcpt in box.envelopes)
    assert not any("evil" in str(each) for each in box.envelopes)
    assert all(message["Bcc"] is None for message in box.messages)


@pytest.mark.parametrize(
    "address", ["=?utf-8?q?=6bim?=@example.org", "kim%example.org@x.org", "x!kim@example.org"]
)
def test_an_address_in_disguise_is_none(address: str):
    """Headers and some servers read these as kim@: one mailbox would have as many names, and votes, as one likes."""
    with pytest.raises(UsageError, match="no mail address"):
        normal_address(address)


def ask(people: People, lang: str = "en", who: str = "kim") -> Any:
    page = people.client.get(f"/{lang}/sign-in")
    return people.client.post(f"/{lang}/sign-in", data={"token": token(page.text), "address": PEOPLE[who]})


@pytest.mark.parametrize(("lang", "said"), [("en", "could not be sent"), ("ko", "코드를 보내지 못했습니다")])
def test_a_server_that_is_down_is_said_to_be_and_shuts_nobody_out(tmp_path: Path, lang: str, said: str):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    box = Box()
    with hearing(tmp_path, send_mail=smtp_sender(server(port, "none")), limits=Limits()) as people:
        for _ in range(8):  # twice what the limit would allow
            answer = ask(people, lang)
            assert answer.status_code == 503
            assert said in answer.text
        people.client.app.state.site.postbox = Postbox(lambda *sent: None)
        assert ask(people, lang).status_code == 200
    assert box.messages == []


def test_a_server_that_refuses_a_mailbox_tells_nobody_who_has_one(tmp_path: Path):
    box = Box()
    with mail_server(box) as port, hearing(tmp_path, send_mail=smtp_sender(server(port, "none"))) as people:
        taken = ask(people)
        box.refuse = "550 no such mailbox"
        people.become("another browser")
        refused = ask(people)
        assert refused.status_code == taken.status_code == 200
        assert refused.text.replace(token(refused.text), "") == taken.text.replace(token(taken.text), "")


def test_a_server_that_says_nothing_holds_up_nobody_but_who_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr(mail, "TIMEOUT_SECONDS", 0.6)
    sender = smtp_sender(server(silent.getsockname()[1], "none"))
    with silent, hearing(tmp_path, send_mail=sender) as people:
        people.client.app.state.site.postbox._wait_seconds = 0.2
        began = time.monotonic()
        answer = ask(people)  # not known in time: the code may still come
        assert answer.status_code == 200
        assert time.monotonic() - began < 5
        assert people.client.get("/en/").status_code == 200


def test_few_wait_for_a_slow_server_and_the_others_are_told_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mail, "MOST_WAITING", 20)
    go = threading.Event()

    async def run() -> list[Any]:
        postbox = Postbox(lambda *sent: go.wait(10) and None, wait_seconds=5.0)
        asked = [asyncio.create_task(postbox.post("a@x.org", "s", "t")) for _ in range(30)]
        await asyncio.sleep(0.2)
        go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(run())
    assert sum(isinstance(each, UnsentError) for each in found) == 10
    assert found.count(None) == 20


@pytest.mark.parametrize("url", ["smtp://mail.example.org:x", "smtp://[::1", "smtp://h:99999999"])
def test_addresses_of_mail_servers_that_are_none_are_refused(url: str):
    with pytest.raises(UsageError, match="JOKBO_SMTP_PASSWORD"):
        parse_mail_server(url, "a@example.org")
