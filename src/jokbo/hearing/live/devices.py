"""Browsers that signed in before: a signed cookie that says for which mailboxes, and nothing else.

Whoever knows an address can ask for codes to it and guess them, so that limits by mailbox alone would let a stranger
lock its owner out of a hearing. Limits are therefore counted in three places. By *mailbox and address*: tight, and
whoever floods from one place shuts out that place alone. By *mailbox*: looser, so that many places together do not
guess a code. A *browser that signed in to this mailbox before* is counted by itself and by nothing that strangers can
use up; its cookie is no session, opens nothing, and stays when its owner signs out. Whoever speaks for a party does
well to sign in once before the day.

With the limits as they are, strangers have 30 guesses an hour at one mailbox, from however many places: a chance of
3 in 100,000 an hour against a code of six digits.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from dataclasses import dataclass

from jokbo.hearing.live.settings import Settings

MAX_COOKIE = 1024
MAX_MAILBOXES = 8
MARK_DIGITS = 32
KEPT_SECONDS = 180 * 86400


@dataclass(frozen=True, slots=True)
class Device:
    """A browser.

    Attributes
    ----------
    identity : str
        Drawn at random.
    mailboxes : tuple of str
        Marks of those it signed in to, the latest last.
    """

    identity: str
    mailboxes: tuple[str, ...] = ()


class Devices:
    """Makes and reads the cookie.

    Parameters
    ----------
    settings : Settings

    Examples
    --------
    >>> devices = Devices(Settings(secret=b"s" * 32))
    >>> device = devices.with_mailbox(None, "a" * 64)
    >>> devices.knows(devices.read(devices.write(device)), "a" * 64), devices.knows(device, "b" * 64)
    (True, False)
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._key = settings, settings.key("device")

    @property
    def name(self) -> str:
        """Name of the cookie."""
        return "__Host-jokbo-known" if self._settings.https else "jokbo-known"

    def with_mailbox(self, device: Device | None, mailbox: str) -> Device:
        """The browser after it signed in to a mailbox; those of long ago are forgotten."""
        mark = self._mark(mailbox)
        before = () if device is None else tuple(each for each in device.mailboxes if each != mark)
        identity = secrets.token_hex(16) if device is None else device.identity
        return Device(identity, (*before, mark)[-MAX_MAILBOXES:])

    def knows(self, device: Device | None, mailbox: str) -> bool:
        """Whether a browser signed in to a mailbox before."""
        return device is not None and self._mark(mailbox) in device.mailboxes

    def write(self, device: Device) -> str:
        """The cookie's value."""
        body = base64.urlsafe_b64encode(json.dumps([device.identity, *device.mailboxes]).encode()).decode()
        body = body.rstrip("=")
        return f"{body}.{self._mac(body)}"

    def read(self, value: str | None) -> Device | None:
        """The browser of a cookie; None where it is none of ours."""
        if not value or len(value) > MAX_COOKIE or not value.isascii():
            return None
        body, _, mac = value.partition(".")
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        identity, *mailboxes = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return Device(identity, tuple(mailboxes))

    def header(self, device: Device) -> str:
        """The ``Set-Cookie`` header."""
        secure = "; Secure" if self._settings.https else ""
        value = self.write(device)
        return f"{self.name}={value}; Path=/; Max-Age={KEPT_SECONDS}; HttpOnly; SameSite=Lax{secure}"

    def _mark(self, mailbox: str) -> str:
        return self._settings.mark("known", mailbox)[:MARK_DIGITS]

    def _mac(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()
