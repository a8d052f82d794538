"""Signing in by a six-digit code sent by mail: hashed, few tries, a short life, one use.

Not a link: mail scanners open links, and some run their scripts.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable

from jokbo.errors import UsageError
from jokbo.hearing.live.database import Database
from jokbo.hearing.live.settings import Settings

_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}")
PUBLIC_PREFIX = "p-"
"""Accounts of people whom the host did not name; the host gives no such names."""


def normal_address(address: str) -> str:
    """One spelling for one mailbox: lower case, without the part after a plus sign.

    Raises
    ------
    UsageError
        It is no mail address.

    Examples
    --------
    >>> normal_address(" Kim+vote2@Example.ORG ")
    'kim@example.org'
    """
    text = address.strip()
    if len(text) > 254 or not _ADDRESS.fullmatch(text):
        raise UsageError("this is no mail address. Write one such as name@example.org.")
    local, _, domain = text.lower().rpartition("@")
    return f"{local.partition('+')[0] or local}@{domain}"


class Codes:
    """Makes codes and checks them.

    Parameters
    ----------
    settings : Settings
    database : Database
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self, settings: Settings, database: Database, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings, self._database, self._clock = settings, database, clock

    def mailbox(self, address: str) -> str:
        """The mark of a mailbox: what is kept in its place."""
        return self._settings.mark("mailbox", normal_address(address))

    def account(self, mailbox: str) -> str:
        """The account of a mailbox: the one that the host named, or always the same one of the public."""
        return (
            self._database.account_of(mailbox) or PUBLIC_PREFIX + self._settings.mark("public", mailbox)[:16]
        )

    def make(self, mailbox: str, browser: str) -> str:
        """A new code for a mailbox, good in one browser alone; the one before it there is void.

        So nobody voids a code that somebody else waits for by asking for another, and a code that was read over a
        shoulder is worth nothing elsewhere.
        """
        code = f"{secrets.randbelow(1_000_000):06d}"
        place = self._place(mailbox, browser)
        self._database.keep_code(
            place,
            self._mark(place, code),
            expires=self._clock() + self._settings.code_seconds,
            tries=self._settings.code_tries,
        )
        return code

    def check(self, mailbox: str, browser: str, code: str) -> bool:
        """Whether this is the code; every wrong one costs a try, and the right one is used up."""
        place = self._place(mailbox, browser)
        kept = self._database.spend_try(place, now=self._clock())
        found = self._mark(place, "".join(code.split())[:16])
        if kept is None or not hmac.compare_digest(kept, found):
            return False
        return self._database.void_code(place, kept)

    def _place(self, mailbox: str, browser: str) -> str:
        return self._settings.mark("place", f"{mailbox} {browser}")

    def _mark(self, place: str, code: str) -> str:
        return self._settings.mark("code", f"{place} {code}")
