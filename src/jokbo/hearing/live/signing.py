"""Views of signing in and out: an address, a code, a new session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from jokbo.errors import UsageError
from jokbo.hearing.live.links import LANGUAGES
from jokbo.hearing.live.mail import UnsentError
from jokbo.hearing.live.reading import language_of
from jokbo.hearing.live.sessions import Session
from jokbo.hearing.live.site import RefusedError, Site, Visitor
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from starlette.requests import Request

    from jokbo.hearing.live.providers import Provider

ASKED = "/sign-in/code"
COUNTED_BY = ("device", "pair", "mailbox", "address")


class Signing:
    """Lets people in.

    Parameters
    ----------
    site : Site
    providers : sequence of Provider
        OpenID providers that people may sign in with instead.
    """

    def __init__(self, site: Site, providers: Sequence[Provider] = ()) -> None:
        self.site, self.providers = site, tuple(providers)

    async def form(self, request: Request) -> Response:
        """Ask for an address."""
        lang, visitor = language_of(request), self.site.visitor(request)
        return self.show("live/sign_in.html", lang, visitor, "")

    async def ask(self, request: Request) -> Response:
        """Send a code; the answer is the same whoever asks."""
        site, lang, visitor = self.site, language_of(request), self.site.visitor(request)
        values = await site.form(request)
        site.check_form(request, visitor, values)
        try:
            address = values.get("address", "")
            mailbox = site.codes.mailbox(address)
        except UsageError:
            said = Texts(lang)("live.sign.no_address")
            return self.show("live/sign_in.html", lang, visitor, said, status=422)
        counted = self._count("code", mailbox, visitor)
        session = site.sessions.begin(waiting=mailbox)
        code = await run_in_threadpool(site.codes.make, mailbox, session.identity)
        try:
            await self._send(await run_in_threadpool(site.codes.destination, address), lang, code)
        except UnsentError:
            # Nobody is kept out of a hearing because the mail server was down when they asked.
            for what, who in counted:
                site.limiter.give_back(what, who)
            await run_in_threadpool(site.codes.forget, mailbox, session.identity)
            return self.show("live/sign_in.html", lang, visitor, Texts(lang)("live.sign.unsent"), status=503)
        return site.see(f"/{lang}{ASKED}", session=session)

    def _count(self, what: str, mailbox: str, visitor: Visitor) -> list[tuple[str, str]]:
        """Count a code or a try wherever it counts; refuse where there were enough."""
        site, limits = self.site, self.site.limits
        by = {each: getattr(limits, f"{what}s_by_{each}".replace("trys", "tries")) for each in COUNTED_BY}
        if visitor.device is not None and site.devices.knows(visitor.device, mailbox):
            wanted = [("device", f"{visitor.device.identity} {mailbox}", by["device"])]
        else:
            wanted = [
                ("address", visitor.address, by["address"]),
                ("pair", f"{visitor.address} {mailbox}", by["pair"]),
                ("mailbox", mailbox, by["mailbox"]),
            ]
            if what == "code":
                # Last: what was refused already does not count here, or one machine could use up everybody's codes.
                wanted.append(("all", "", limits.codes_in_all))
        for place, who, limit in wanted:
            site.limit(f"{what} by {place}", who, limit)
        return [(f"{what} by {place}", who) for place, who, _ in wanted]

    async def code_form(self, request: Request) -> Response:
        """Ask for the code."""
        lang, visitor = language_of(request), self.site.visitor(request)
        if visitor.session is None or visitor.session.waiting is None:
            return self.site.see(f"/{lang}/sign-in")
        return self.show("live/code.html", lang, visitor, "")

    async def check(self, request: Request) -> Response:
        """Check the code; right, and the browser has a new session."""
        site, lang, visitor = self.site, language_of(request), self.site.visitor(request)
        values = await site.form(request)
        site.check_form(request, visitor, values)
        session = visitor.session
        if session is None or session.waiting is None:
            return site.see(f"/{lang}/sign-in")
        counted = self._count("try", session.waiting, visitor)
        right = await run_in_threadpool(
            site.codes.check, session.waiting, session.identity, values.get("code", "")
        )
        if not right:
            return self.show("live/code.html", lang, visitor, Texts(lang)("live.sign.wrong"), status=422)
        for what, who in counted:
            site.limiter.give_back(what, who)
        return await self.admit(lang, visitor, session, session.waiting)

    async def admit(self, lang: str, visitor: Visitor, session: Session, mailbox: str) -> Response:
        """Let somebody in whose mailbox is proven: a new session, and a browser that is known from now on."""
        site = self.site
        account = await run_in_threadpool(site.codes.account, mailbox)
        await self.end(session)
        answer = site.see(f"/{lang}/", session=site.sessions.begin(account, mailbox=mailbox))
        device = site.devices.with_mailbox(visitor.device, mailbox)
        answer.headers.append("Set-Cookie", site.devices.header(device))
        return answer

    async def out(self, request: Request) -> Response:
        """Sign out, in this browser and in every copy of its cookie."""
        site, lang, visitor = self.site, language_of(request), self.site.visitor(request)
        values = await site.form(request)
        site.check_form(request, visitor, values)
        if visitor.session is None:
            raise RefusedError(403, "token")
        if visitor.session.account is not None:
            # One that was never signed in is worth nothing already; anybody has as many of them as they like.
            await self.end(visitor.session)
        answer = site.see(f"/{lang}/")
        answer.headers.append("Set-Cookie", site.sessions.header(None))
        return answer

    async def end(self, session: Session) -> None:
        """From now on a session is worth nothing, whoever kept a copy of its cookie."""
        self.site.sessions.end(session)
        await run_in_threadpool(self.site.room.database.end_session, session.identity, session.expires)

    def show(
        self, template: str, lang: str, visitor: Visitor, problem: str, *, status: int = 200
    ) -> Response:
        """A form of signing in; a browser that has no session yet is given one to bind the form to."""
        site, session = self.site, visitor.session
        fresh = session is None
        if session is None:
            session = site.sessions.begin()
        bound = replace(visitor, session=session)
        other = LANGUAGES[1 - LANGUAGES.index(lang)]
        path = "sign-in" if template == "live/sign_in.html" else "sign-in/code"
        answer = site.page(
            template,
            lang,
            bound,
            Texts(lang)("live.sign.title"),
            status=status,
            problem=problem,
            providers=[(each.name, each.label) for each in self.providers],
            minutes=int(site.settings.code_seconds // 60),
            other_href=f"/{other}/{path}",
        )
        if fresh:
            answer.headers.append("Set-Cookie", site.sessions.header(session))
        return answer

    async def _send(self, address: str, lang: str, code: str) -> None:
        """To whatever address was asked for, so that nobody learns from the time whether there is such an account."""
        t = Texts(lang)
        text = t("live.mail.text", code=code, minutes=int(self.site.settings.code_seconds // 60))
        await self.site.postbox.post(address, t("live.mail.subject", code=code), text)
