"""Signing in by a six-digit code sent by mail: hashed, few tries, a short life, one use.

Not a link: mail scanners open links, and some run their scripts.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections.abc import Callable, Mapping

from jokbo.errors import UsageError
from jokbo.hearing.live.database import Database
from jokbo.hearing.live.settings import Settings

_ADDRESS = re.compile(
    r"[A-Za-z0-9.#$&'*+/^_`{|}~-]{1,64}@([A-Za-z0-9-]{1,63}\.){1,8}([A-Za-z]{2,24}|[Xx][Nn]--[A-Za-z0-9-]{2,59})"
)
"""RFC 5321 without ``% ! = ?``: ways to spell another mailbox (routes of old relays, encoded words of headers)."""
PUBLIC_PREFIX = "p-"
"""Accounts of people whom the host did not name; the host gives no such names."""


WITHOUT_DOTS = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}
"""Domains that deliver a.b@ and ab@ to one mailbox (Google's account help), and the name that they share."""


def normal_address(address: str) -> str:
    """One spelling for one mailbox: lower case, without the part after a plus sign, or dots where they say nothing.

    Raises
    ------
    UsageError
        It is no mail address.

    Examples
    --------
    >>> normal_address(" Kim+vote2@Example.ORG ")
    'kim@example.org'
    >>> normal_address("Kim.Min.ji@googlemail.com")
    'kimminji@gmail.com'
    """
    text = address.strip()
    if len(text) > 254 or not _ADDRESS.fullmatch(text):
        raise UsageError("this is no mail address. Write one such as name@example.org.")
    local, _, domain = text.lower().rpartition("@")
    local = local.partition("+")[0] or local
    if domain in WITHOUT_DOTS:
        return f"{local.replace('.', '') or local}@{WITHOUT_DOTS[domain]}"
    return f"{local}@{domain}"


def _own(account: str) -> str:
    if account.startswith(PUBLIC_PREFIX):
        raise UsageError(f"names that begin with {PUBLIC_PREFIX!r} are the public's. Choose another.")
    return account


class Codes:
    """Makes codes and checks them.

    Parameters
    ----------
    settings : Settings
    database : Database
    clock : callable
        Seconds since 1970, steady (:mod:`jokbo.hearing.live.clock`).
    people : mapping of str to str
        Account to mail address, as the host's file has it now: a line that is taken out is taken away. What the chair
        names while the hearing goes on is in the database.

    Raises
    ------
    UsageError
        Something is no address or that of two accounts, or a name is one of the public's.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: Callable[[], float] = time.time,
        *,
        people: Mapping[str, str] | None = None,
    ) -> None:
        self._settings, self._database, self._clock = settings, database, clock
        self._people: dict[str, str] = {}
        for account, address in (people or {}).items():
            try:
                mailbox = self.mailbox(address)
            except UsageError as error:
                raise UsageError(f"{account!r}: {error}") from None
            if mailbox in self._people:
                raise UsageError(
                    f"{self._people[mailbox]!r} and {account!r} have one mail address. Give each account its own."
                )
            self._people[mailbox] = _own(account)

    def mailbox(self, address: str) -> str:
        """The mark of a mailbox: what is kept in its place."""
        return self._settings.mark("mailbox", normal_address(address))

    def account(self, mailbox: str) -> str:
        """The account of a mailbox: the one that the host named, or always the same one of the public."""
        return self._named(mailbox) or self._public(mailbox)

    def _named(self, mailbox: str) -> str | None:
        # The database is asked in any case: else an answer that comes sooner would say who is on the host's list.
        found = self._database.account_of(mailbox)
        return self._people.get(mailbox) or found

    def _public(self, mailbox: str) -> str:
        return PUBLIC_PREFIX + self._settings.mark("public", mailbox)[:16]

    def name(self, account: str, address: str) -> None:
        """Let a mailbox sign in as an account, and no other mailbox: one that was mistyped before is nobody's again.

        Raises
        ------
        UsageError
            It is no address, or the name is one of the public's.
        """
        mailbox = self.mailbox(address)
        self._database.name_mailbox(mailbox, _own(account))
        # The latest word counts.
        self._people = {box: name for box, name in self._people.items() if account != name and box != mailbox}

    def destination(self, address: str) -> str:
        """Where a code goes that somebody asks for by an address.

        As it was typed; but where the mailbox has an account that the host named, in that mailbox's one spelling: at
        some hosts kim+x@ is somebody else's than kim@, and must not get codes for it.
        """
        named = self._named(self.mailbox(address)) is not None
        return normal_address(address) if named else address.strip()

    def mailboxes(self) -> dict[str, str]:
        """Mark of each mailbox that the host named -> its account."""
        return {**self._database.named_mailboxes(), **self._people}

    def publics(self, mailboxes: Mapping[str, str]) -> dict[str, str]:
        """The public account that a mailbox had before the host named it -> the account it has now."""
        return {self._public(mailbox): account for mailbox, account in mailboxes.items()}

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
            now=self._clock(),
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

    def forget(self, mailbox: str, browser: str) -> None:
        """Take a code back that could not be sent."""
        self._database.forget_code(self._place(mailbox, browser))

    def _place(self, mailbox: str, browser: str) -> str:
        return self._settings.mark("place", f"{mailbox} {browser}")

    def _mark(self, place: str, code: str) -> str:
        return self._settings.mark("code", f"{place} {code}")
