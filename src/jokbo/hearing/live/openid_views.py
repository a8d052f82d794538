"""Views of signing in with an OpenID provider: off to it, and back.

Nothing of an attempt is kept on the server: state, nonce and verifier are drawn from the browser's session by a keyed
digest, and coming back ends that session, whatever comes of it. So an answer is good once, in the browser that asked.
The way back proves a mailbox, as a code does: one mailbox is one account, however it was proven.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from jokbo.errors import InputError, UsageError
from jokbo.hearing.live.links import LANGUAGES
from jokbo.hearing.live.openid import Attempt, OpenId, UnverifiedError
from jokbo.hearing.live.outward import ForbiddenError, UnreachableError
from jokbo.hearing.live.providers import Provider
from jokbo.hearing.live.reading import language_of
from jokbo.hearing.live.sessions import Session
from jokbo.hearing.live.signing import Signing
from jokbo.hearing.live.site import RefusedError, Visitor
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_CODE = 4096

log = logging.getLogger("jokbo.hearing.live")

SAID: tuple[tuple[type[InputError], int, str], ...] = (
    (UnreachableError, 503, "down"),
    (ForbiddenError, 503, "down"),
    (UnverifiedError, 403, "unverified"),
    (InputError, 403, "unbelieved"),
)
"""What kept somebody from being signed in, the status that says so, and its sentence."""


class OpenIdViews:
    """Lets people in whom a provider vouches for.

    Parameters
    ----------
    signing : Signing
    providers : sequence of Provider
    """

    def __init__(self, signing: Signing, providers: Sequence[Provider]) -> None:
        self.signing, self.site = signing, signing.site
        base = self.site.settings.base_url.rstrip("/")
        self.known = {
            each.name: OpenId(each, f"{base}/sign-in/back/{each.name}", clock=self.site.clocks.wall)
            for each in providers
        }

    async def go(self, request: Request) -> Response:
        """Off to the provider; a link of our own page leads here, and no other site's."""
        site, lang, visitor = self.site, language_of(request), self.site.visitor(request)
        site.check_origin(request)
        found = self._named(request)
        # Counted apart from tries of codes: a link that anybody may follow keeps nobody of one hall from those.
        site.limit("provider by address", visitor.address, site.limits.tries_by_address)
        session = site.sessions.begin(provider=f"{found.provider.name}/{lang}")
        try:
            there = await found.address_to_ask(self._attempt(session), lang)
        except InputError as error:
            return self._problem(lang, visitor, found, error)
        return site.see(there, session=session)

    async def back(self, request: Request) -> Response:
        """Back from the provider, with a code or without."""
        visitor, found = self.site.visitor(request), self._named(request)
        session, given = visitor.session, request.query_params
        name, _, lang = ((session.provider if session else None) or "").partition("/")
        if session is None or name != found.provider.name:
            wanted = request.headers.get("accept-language", "")[:2].lower()
            lang = wanted if wanted in LANGUAGES else LANGUAGES[0]
            return self._say(lang, visitor, found, 403, "state")
        # Over, whatever comes now: an answer is handed in once.
        await self.signing.end(session)
        visitor = replace(visitor, session=None)
        attempt = self._attempt(session)
        if not hmac.compare_digest(given.get("state", "").encode(), attempt.state.encode()):
            return self._say(lang, visitor, found, 403, "state")
        code = given.get("code", "")
        if "error" in given or not 0 < len(code) <= MAX_CODE:
            return self._say(lang, visitor, found, 403, "refused")
        try:
            address = await found.address_of(code, attempt, issuer=given.get("iss"))
            mailbox = await run_in_threadpool(self._mailbox, address)
        except InputError as error:
            return self._problem(lang, visitor, found, error)
        self.site.limiter.give_back("provider by address", visitor.address)  # a hall is one address
        return await self.signing.admit(lang, visitor, session, mailbox)

    def _mailbox(self, address: str) -> str:
        """The mark of a mailbox; another spelling of one that the host named is not believed to be it."""
        codes = self.site.codes
        try:
            mailbox = codes.mailbox(address)
            if "+" in address.partition("@")[0] and codes.destination(address) != address.strip():
                raise UnverifiedError("another spelling of a mailbox that the host named.")
        except UsageError:
            raise UnverifiedError("no mail address that this server takes.") from None
        return mailbox

    def _named(self, request: Request) -> OpenId:
        found = self.known.get(request.path_params["provider"])
        if found is None:
            raise RefusedError(404, "no_page")
        return found

    def _attempt(self, session: Session) -> Attempt:
        def draw(what: str) -> str:
            return self.site.settings.mark(f"openid {what}", f"{session.provider} {session.identity}")

        return Attempt(draw("state"), draw("nonce"), draw("verifier"))

    def _problem(self, lang: str, visitor: Visitor, found: OpenId, error: InputError) -> Response:
        log.error("signing in with a provider failed: %s", error)
        status, code = next((status, code) for kind, status, code in SAID if isinstance(error, kind))
        return self._say(lang, visitor, found, status, code)

    def _say(self, lang: str, visitor: Visitor, found: OpenId, status: int, code: str) -> Response:
        """The page of signing in, with what went wrong and the other ways to do it."""
        said = Texts(lang)(f"live.openid.{code}", name=found.provider.label)
        return self.signing.show("live/sign_in.html", lang, visitor, said, status=status)
