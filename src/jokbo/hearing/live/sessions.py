"""Who is signed in: a signed cookie, new at every sign-in, and tokens that only our own forms know.

A cookie says which account, which session and until when, and carries a keyed digest (HMAC-SHA-256) under a key of
this server. It never says a role: roles are looked up in the case at every request. Before anybody signs in, a
cookie without an account binds the forms of signing in to a browser; signing in puts a new one in its place, so a
cookie that somebody else planted never becomes a session.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from jokbo.hearing.case.entry import is_account
from jokbo.hearing.live.settings import Settings

MAX_COOKIE = 1024
STEP_SECONDS = 3600
"""A clock that was set back by this much between two starts of the server ends no session."""


@dataclass(frozen=True, slots=True)
class Session:
    """A browser; with an account once somebody signed in.

    Attributes
    ----------
    identity : str
        Drawn at random for each sign-in.
    account : str or None
    expires : int
        Seconds since 1970.
    waiting : str or None
        Mark of the mailbox that a code was sent to.
    provider : str or None
        Name of the OpenID provider that this browser was sent to, and the language it came in: ``"name/ko"``.
    mailbox : str or None
        Mark of the mailbox that was proven: once it signs in as somebody else, this session is over.
    """

    identity: str
    account: str | None
    expires: int
    waiting: str | None = None
    provider: str | None = None
    mailbox: str | None = None


class Sessions:
    """Makes and reads cookies.

    Parameters
    ----------
    settings : Settings
    clock : callable
        Seconds since 1970, steady (:mod:`jokbo.hearing.live.clock`).
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.time) -> None:
        self.settings, self._clock = settings, clock
        self._key, self._token_key = settings.key("cookie"), settings.key("form")
        self.ended: dict[str, int] = {}

    @property
    def name(self) -> str:
        """Name of the cookie; with TLS browsers refuse to let another host set it."""
        return "__Host-jokbo" if self.settings.https else "jokbo"

    def begin(
        self,
        account: str | None = None,
        *,
        waiting: str | None = None,
        provider: str | None = None,
        mailbox: str | None = None,
    ) -> Session:
        """A new session, never one that was seen before."""
        expires = int(self._clock() + self._life(account))
        return Session(secrets.token_hex(16), account, expires, waiting, provider, mailbox)

    def _life(self, account: str | None) -> float:
        return self.settings.session_seconds if account else self.settings.code_seconds * 6

    def end(self, session: Session) -> None:
        """Sign out: the cookie is worth nothing from now on, whoever kept a copy."""
        now = int(self._clock())
        self.ended = {each: until for each, until in self.ended.items() if until > now}
        self.ended[session.identity] = session.expires

    def write(self, session: Session) -> str:
        """The cookie's value."""
        fields = [getattr(session, each.name) for each in dataclasses.fields(session)]
        body = base64.urlsafe_b64encode(json.dumps(fields).encode()).decode().rstrip("=")
        return f"{body}.{self._mac(body)}"

    def read(self, value: str | None) -> Session | None:
        """The session of a cookie; None where it is none of ours, is over, or was ended."""
        if not value or len(value) > MAX_COOKIE or not value.isascii():
            return None
        body, _, mac = value.partition(".")
        if not hmac.compare_digest(mac, self._mac(body)):
            return None
        fields = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        session = Session(*fields)
        left = session.expires - self._clock()
        if left <= 0 or session.identity in self.ended:
            return None
        if left > self._life(session.account) + STEP_SECONDS:
            return None  # made when the clock was far ahead of now: it would last far too long
        if session.account is not None and not is_account(session.account):
            return None
        return session

    def header(self, session: Session | None) -> str:
        """The ``Set-Cookie`` header; without a session it takes the cookie away."""
        value, age = (
            ("", 0) if session is None else (self.write(session), session.expires - int(self._clock()))
        )
        secure = "; Secure" if self.settings.https else ""
        return f"{self.name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}"

    def token(self, session: Session) -> str:
        """What every form of this session carries."""
        return hmac.new(self._token_key, session.identity.encode(), hashlib.sha256).hexdigest()

    def holds(self, session: Session | None, token: str) -> bool:
        """Whether a form was one of ours, given to this session."""
        if session is None or not token.isascii():
            return False
        return hmac.compare_digest(self.token(session), token)

    def _mac(self, body: str) -> str:
        return hmac.new(self._key, body.encode(), hashlib.sha256).hexdigest()
