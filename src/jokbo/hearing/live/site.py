"""What every view of the live page works with: the room, who asks, and answers with the right headers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from jokbo.errors import JokboError
from jokbo.hearing.live.clock import Clocks
from jokbo.hearing.live.codes import PUBLIC_PREFIX, Codes
from jokbo.hearing.live.devices import Device, Devices
from jokbo.hearing.live.limits import RateLimiter, network
from jokbo.hearing.live.mail import Postbox
from jokbo.hearing.live.pages import Pages
from jokbo.hearing.live.room import Room
from jokbo.hearing.live.sessions import Session, Sessions
from jokbo.hearing.live.upload import TooLargeError
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from starlette.requests import Request

    from jokbo.hearing.live.mail import Sender


log = logging.getLogger("jokbo.hearing.live")


class RefusedError(HTTPException):
    """A request that is refused, with a sentence of the catalogue.

    Parameters
    ----------
    status : int
    code : str
        Key under ``live.refused``.
    retry_seconds : int, optional
    """

    def __init__(self, status: int, code: str, *, retry_seconds: int | None = None) -> None:
        headers = None if retry_seconds is None else {"Retry-After": str(retry_seconds)}
        super().__init__(status, code, headers)
        self.code = code


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks.

    Attributes
    ----------
    session : Session or None
    account : str or None
        None where nobody is signed in.
    role : str or None
        As the case has it now.
    address : str
        The network, as limits count it.
    device : Device or None
        The browser, where it signed in before.
    """

    session: Session | None
    account: str | None
    role: str | None
    address: str
    device: Device | None = None


class Site:
    """The live page of one room.

    Parameters
    ----------
    room : Room
    send_mail : callable
    clocks : Clocks
    people : mapping of str to str
        Account to mail address: who signs in as whom.
    """

    def __init__(
        self,
        room: Room,
        send_mail: Sender,
        *,
        clocks: Clocks | None = None,
        people: Mapping[str, str] | None = None,
    ) -> None:
        self.room, self.settings = room, room.settings
        self.clocks = clocks or Clocks()
        self.postbox = Postbox(send_mail)
        self.limits = room.settings.limits
        self.sessions = Sessions(room.settings, self.clocks.steady)
        self.sessions.ended = room.database.ended_sessions(now=int(self.clocks.steady()))
        self.devices = Devices(room.settings)
        self.codes = Codes(room.settings, room.database, self.clocks.steady, people=people)
        self.limiter = RateLimiter()
        self.pages = Pages(room, self.sessions, self.clocks)
        self._uploading: dict[str, int] = {}
        self._know_names()

    async def start(self) -> None:
        """Open the room, and take back what mailboxes voted before the host named them since the last start."""
        await self.room.start()
        try:
            await self.room.take_back(self.named)
        except JokboError as error:  # a full disk, for example: people can read all the same
            log.error("votes under earlier names could not be taken back: %s", error)

    def name_mailbox(self, account: str, address: str) -> frozenset[str]:
        """Let a mailbox sign in as an account from now on; sessions that it had under another name end.

        Returns
        -------
        frozenset of str
            Accounts that it had before, and that nobody signs in as any more.
        """
        mailbox = self.codes.mailbox(address)
        before = self.codes.account(mailbox)
        self.codes.name(account, address)
        self._know_names()
        had = {before, *self.codes.publics({mailbox: account})}
        return frozenset(had - set(self._mailboxes.values()))

    def _know_names(self) -> None:
        self._mailboxes = self.codes.mailboxes()
        self.named = self.codes.publics(self._mailboxes)

    def now(self, kind: str) -> datetime:
        """This moment, for a term that an entry of a kind sets.

        A hold must not last longer than the law has it by the log's own times, which are the wall's; a right of reply
        lasts as long as it was given for.
        """
        steady, wall = self.clocks.steady(), self.clocks.wall()
        return datetime.fromtimestamp(min(steady, wall) if kind == "moderation" else steady, UTC)

    def visitor(self, request: Request) -> Visitor:
        """Who asks."""
        session = self.sessions.read(request.cookies.get(self.sessions.name))
        account = session.account if session else None
        if session is not None and account is not None and not self._stands(session, account):
            session = account = None
        role = self.room.state.role(account) if account else None
        host = request.client.host if request.client else "unknown"
        device = self.devices.read(request.cookies.get(self.devices.name))
        return Visitor(session, account, role, network(host), device)

    def _stands(self, session: Session, account: str) -> bool:
        """Whether a mailbox still signs in as it did: one person does not vote under two names, and names are taken."""
        if account.startswith(PUBLIC_PREFIX):
            return account not in self.named
        return self._mailboxes.get(session.mailbox or "") == account

    @contextmanager
    def one_more_upload(self, account: str) -> Iterator[None]:
        """Few uploads of one account at a time: each may fill a good part of the disk before it is refused."""
        if self._uploading.get(account, 0) >= self.limits.uploads_at_once:
            raise RefusedError(429, "too_many", retry_seconds=60)
        self._uploading[account] = self._uploading.get(account, 0) + 1
        try:
            yield
        finally:
            self._uploading[account] -= 1
            if not self._uploading[account]:
                del self._uploading[account]

    def limit(self, what: str, who: str, limit: tuple[int, float]) -> None:
        """Count one more; refuse where there were enough."""
        if not self.limiter.allow(what, who, limit):
            raise RefusedError(429, "too_many", retry_seconds=int(limit[1]))

    def check_form(self, request: Request, visitor: Visitor, values: Mapping[str, str]) -> None:
        """Refuse a form that another site sent, or that belongs to another session."""
        self.check_origin(request)
        if not self.sessions.holds(visitor.session, values.get("token", "")):
            raise RefusedError(403, "token")

    def check_origin(self, request: Request) -> None:
        """Refuse what a browser says comes from another site."""
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin", "null")
        # Without a referrer browsers send "null" for our own forms too; then the token decides.
        if site not in (None, "same-origin", "none") or origin.lower() not in ("null", self.settings.origin):
            raise RefusedError(403, "origin")

    async def form(self, request: Request) -> dict[str, str]:
        """The fields of a form without files, bounded."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/x-www-form-urlencoded":
            raise RefusedError(415, "type")
        body = bytearray()
        try:
            async with asyncio.timeout(self.settings.form_seconds):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self.settings.max_form_bytes:
                        raise TooLargeError(f"a form holds at most {self.settings.max_form_bytes:,} bytes.")
        except TimeoutError:
            raise RefusedError(408, "slow") from None
        try:
            pairs = parse_qsl(
                bytes(body).decode("ascii"), keep_blank_values=True, max_num_fields=60, errors="strict"
            )
        except ValueError:
            raise RefusedError(400, "form") from None
        return dict(pairs)

    def see(self, address: str, *, session: Session | None = None) -> Response:
        """Go and look (303), as after every form; with a new cookie where there is one."""
        answer = RedirectResponse(address, status_code=303)
        if session is not None:
            answer.headers.append("Set-Cookie", self.sessions.header(session))
        return private(answer)

    def page(
        self, template: str, lang: str, visitor: Visitor, title: str, *, status: int = 200, **values: Any
    ) -> Response:
        """A page that is made for one visitor."""
        text = self.pages.own(template, lang, visitor.role, title, visitor.session, **values)
        return private(Response(text, status, media_type="text/html"))

    def problem(self, lang: str, visitor: Visitor, status: int, code: str, detail: str = "") -> Response:
        """A page that says what went wrong."""
        t = Texts(lang)
        said = t(f"live.refused.{code}") if t.has(f"live.refused.{code}") else t("live.refused.other")
        return self.page(
            "live/problem.html", lang, visitor, t("live.problem"), status=status, said=said, detail=detail
        )


def private(answer: Response) -> Response:
    """An answer that nobody keeps."""
    answer.headers["Cache-Control"] = "no-store"
    return answer
