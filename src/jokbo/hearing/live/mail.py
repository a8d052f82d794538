"""Codes on their way: by SMTP, or on the console of a rehearsal."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from jokbo.errors import UsageError

Sender = Callable[[str, str, str], None]
"""``send(address, subject, text)``; raises OSError where it cannot."""

TIMEOUT_SECONDS = 20.0


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
    parts = urlsplit(url)
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.password:
        raise UsageError(
            "the mail server is given as smtps://user@host or smtp://user@host:587, its password in "
            "JOKBO_SMTP_PASSWORD."
        )
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    tls = "smtps" if parts.scheme == "smtps" else "none" if local else "starttls"
    port = parts.port or {"smtps": 465, "starttls": 587, "none": 25}[tls]
    return MailServer(parts.hostname, port, unquote(parts.username or ""), tls, sender, password)


def smtp_sender(server: MailServer) -> Sender:
    """Send by SMTP; one connection a message, since codes are few."""

    def send(address: str, subject: str, text: str) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = server.sender, address, subject
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
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
            connection.send_message(message)

    return send
