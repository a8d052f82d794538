"""Codes on their way: by SMTP, or on the console of a rehearsal.

A mail server that is down or slow holds up whoever waits for a code, and nobody else: mail has threads of its own, a
bounded number may wait for one, and whoever cannot be served is told so at once.
"""

from __future__ import annotations

import asyncio
import logging
import smtplib
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, localtime, make_msgid, parseaddr
from urllib.parse import unquote, urlsplit

from jokbo.errors import UsageError

Sender = Callable[[str, str, str], None]
"""``send(address, subject, text)``; raises OSError where it cannot."""

TIMEOUT_SECONDS = 10.0
WAIT_SECONDS = 15.0
"""How long somebody waits to be told whether the mail server took the code; after that it may still come."""

THREADS = 16
MOST_WAITING = 400

log = logging.getLogger("jokbo.hearing.live")


class UnsentError(OSError):
    """The mail server did not take a message, or cannot be reached."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in.

    Attributes
    ----------
    host, port, user, password
    tls : str
        ``"smtps"``: TLS from the first byte; ``"starttls"``: asked for and needed; ``"none"``: this machine only.
    """

    host: str
    port: int
    user: str
    tls: str
    sender: str
    password: str = field(repr=False, default="")


def parse_mail_server(url: str, sender: str, *, password: str = "") -> MailServer:
    """Read ``smtps://user@host:465``, ``smtp://user@host:587`` (STARTTLS) or ``smtp://localhost``.

    Raises
    ------
    UsageError
        It is none of these; a password does not belong in it.
    """
    try:
        parts = urlsplit(url)
        given = parts.port
    except ValueError:
        parts, given = urlsplit(""), None
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.password:
        raise UsageError(
            "the mail server is given as smtps://user@host or smtp://user@host:587, its password in "
            "JOKBO_SMTP_PASSWORD."
        )
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    tls = "smtps" if parts.scheme == "smtps" else "none" if local else "starttls"
    port = given or {"smtps": 465, "starttls": 587, "none": 25}[tls]
    return MailServer(parts.hostname, port, unquote(parts.username or ""), tls, sender, password)


def smtp_sender(server: MailServer) -> Sender:
    """Send by SMTP; one connection a message, since codes are few."""

    def send(address: str, subject: str, text: str) -> None:
        message = letter(server.sender, address, subject, text)
        context = ssl.create_default_context()
        if server.tls == "smtps":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=TIMEOUT_SECONDS, context=context
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
        with connection:
            if server.tls == "starttls":
                connection.starttls(context=context)
            if server.user:
                connection.login(server.user, server.password)
            # To the address itself: as a header it could be one in disguise (RFC 2047), and reach another mailbox.
            connection.send_message(message, parseaddr(server.sender)[1], [address])

    return send


def letter(sender: str, address: str, subject: str, text: str) -> EmailMessage:
    """A message.

    Raises
    ------
    ValueError
        A line end in a header: headers cannot be added through one.
    """
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, address, subject
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


class Postbox:
    """Hands messages to a sender in threads of its own.

    Parameters
    ----------
    send : Sender
    wait_seconds : float
    """

    def __init__(self, send: Sender, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self._send, self._wait_seconds = send, wait_seconds
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="jokbo-mail")
        self._waiting = 0

    async def post(self, address: str, subject: str, text: str) -> None:
        """Send a message; returns once the mail server has it, or where that is not known in time.

        A server that says of this one mailbox that it is none counts as having it: whoever asks learns nothing of
        who has a mailbox where.

        Raises
        ------
        UnsentError
            The mail server cannot be reached, does not do as it was told, or too much waits for it.
        """
        if self._waiting >= MOST_WAITING:
            raise UnsentError("too many messages wait for the mail server")
        self._waiting += 1
        sent = asyncio.get_running_loop().run_in_executor(self._pool, self._sent, address, subject, text)
        sent.add_done_callback(self._over)
        done, _ = await asyncio.wait({sent}, timeout=self._wait_seconds)
        if done and (problem := sent.result()):
            raise UnsentError(problem)

    def close(self) -> None:
        """Let go of the threads; what none of them has begun is not sent."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _sent(self, address: str, subject: str, text: str) -> str:
        """In a thread: what went wrong, or nothing."""
        try:
            self._send(address, subject, text)
        except smtplib.SMTPRecipientsRefused:
            log.warning("the mail server does not take mail for an address that asked for a code")
        except (OSError, ValueError) as error:
            log.error("a code could not be sent: %s", type(error).__name__)
            return type(error).__name__
        return ""

    def _over(self, sent: asyncio.Future[str]) -> None:
        self._waiting -= 1
