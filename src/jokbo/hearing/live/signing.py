"""Views of signing in and out: an address, a code, a new session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from jokbo.errors import UsageError
from jokbo.hearing.live.links import LANGUAGES
from jokbo.hearing.live.reading import language_of
from jokbo.hearing.live.sessions import Session
from jokbo.hearing.live.site import RefusedError, Site, Visitor
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from starlette.requests import Request

ASKED = "/sign-in/code"


class Signing:
    """Lets people in.

    Parameters
    ----------
    site : Site
    """

    def __init__(self, site: Site) -> None:
        self.site = site

    async def form(self, request: Request) -> Response:
        """Ask for an address."""
        lang, visitor = language_of(request), self.site.visitor(request)
        return self._show("live/sign_in.html", lang, visitor, "")

    async def ask(self, request: Request) -> Response:
        """Send a code; the answer is the same whoever asks."""
        site, lang, visitor = self.site, language_of(request), self.site.visitor(request)
        values = await site.form(request)
        site.check_form(request, visitor, values)
        try:
            address = values.get("address", "")
            mailbox = site.codes.mailbox(address)
        except UsageError:
            return self._show(
                "live/sign_in.html", lang, visitor, Texts(lang)("live.sign.no_address"), status=422
            )
        site.limit("code by address", visitor.address, site.limits.codes_by_address)
        site.limit("code by mailbox", mailbox, site.limits.codes_by_mailbox)
        # Last: what was refused already does not count here, or one machine could use up everybody's codes.
        site.limit("code in all", "", site.limits.codes_in_all)
        session = site.sessions.begin(waiting=mailbox)
        code = await run_in_threadpool(site.codes.make, mailbox, session.identity)
        answer = site.see(f"/{lang}{ASKED}", session=session)
        answer.background = BackgroundTask(self._send, address.strip(), lang, code)
        return answer

    async def code_form(self, request: Request) -> Response:
        """Ask for the code."""
        lang, visitor = language_of(request), self.site.visitor(request)
        if visitor.session is None or visitor.session.waiting is None:
            return self.site.see(f"/{lang}/sign-in")
        return self._show("live/code.html", lang, visitor, "")

    async def check(self, request: Request) -> Response:
        """Check the code; right, and the browser has a new session."""
        site, lang, visitor = self.site, language_of(request), self.site.visitor(request)
        values = await site.form(request)
        site.check_form(request, visitor, values)
        session = visitor.session
        if session is None or session.waiting is None:
            return site.see(f"/{lang}/sign-in")
        site.limit("try by address", visitor.address, site.limits.tries_by_address)
        site.limit("try by mailbox", session.waiting, site.limits.tries_by_mailbox)
        right = await run_in_threadpool(
            site.codes.check, session.waiting, session.identity, values.get("code", "")
        )
        if not right:
            return self._show("live/code.html", lang, visitor, Texts(lang)("live.sign.wrong"), status=422)
        account = await run_in_threadpool(site.codes.account, session.waiting)
        await self._end(session)
        return site.see(f"/{lang}/", session=site.sessions.begin(account))

    async def out(self, request: Request) -> Response:
        """Sign out, in this browser and in every copy of its cookie."""
        site, lang, visitor = self.site, language_of(request), self.site.visitor(request)
        values = await site.form(request)
        site.check_form(request, visitor, values)
        if visitor.session is None:
            raise RefusedError(403, "token")
        await self._end(visitor.session)
        answer = site.see(f"/{lang}/")
        answer.headers.append("Set-Cookie", site.sessions.header(None))
        return answer

    async def _end(self, session: Session) -> None:
        self.site.sessions.end(session)
        await run_in_threadpool(self.site.room.database.end_session, session.identity, session.expires)

    def _show(
        self, template: str, lang: str, visitor: Visitor, problem: str, *, status: int = 200
    ) -> Response:
        """A form of signing in; a browser that has no session yet is given one to bind the form to."""
        site, session = self.site, visitor.session
        fresh = session is None
        if session is None:
            session = site.sessions.begin()
        bound = Visitor(session, visitor.account, visitor.role, visitor.address)
        other = LANGUAGES[1 - LANGUAGES.index(lang)]
        path = "sign-in" if template == "live/sign_in.html" else "sign-in/code"
        answer = site.page(
            template,
            lang,
            bound,
            Texts(lang)("live.sign.title"),
            status=status,
            problem=problem,
            minutes=int(site.settings.code_seconds // 60),
            other_href=f"/{other}/{path}",
        )
        if fresh:
            answer.headers.append("Set-Cookie", site.sessions.header(session))
        return answer

    def _send(self, address: str, lang: str, code: str) -> None:
        """In a thread, after the answer: nobody learns from its time whether there is such an account."""
        import logging

        t = Texts(lang)
        text = t("live.mail.text", code=code, minutes=int(self.site.settings.code_seconds // 60))
        try:
            self.site.send_mail(address, t("live.mail.subject", code=code), text)
        except OSError as error:
            logging.getLogger("jokbo.hearing.live").error(
                "a code could not be sent: %s", type(error).__name__
            )
