"""The application: addresses, views, and what happens when something goes wrong."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.routing import Route

from jokbo.errors import JokboError
from jokbo.hearing.live.entering import Entering, status_of
from jokbo.hearing.live.headers import FIXED, SecurityHeaders
from jokbo.hearing.live.links import LANGUAGES
from jokbo.hearing.live.reading import Reading
from jokbo.hearing.live.room import Room
from jokbo.hearing.live.signing import Signing
from jokbo.hearing.live.site import RefusedError, Site
from jokbo.hearing.live.stream import EventStream

if TYPE_CHECKING:
    from starlette.requests import Request

    from jokbo.hearing.live.clock import Clocks
    from jokbo.hearing.live.mail import Sender
    from jokbo.hearing.live.providers import Provider


def make_app(
    room: Room,
    send_mail: Sender,
    *,
    clocks: Clocks | None = None,
    providers: Sequence[Provider] = (),
    people: Mapping[str, str] | None = None,
) -> Starlette:
    """The live page of a room as an ASGI application.

    Parameters
    ----------
    room : Room
        Started and stopped with the application.
    send_mail : callable
        Sends codes.
    clocks : Clocks, optional
    providers : sequence of Provider
        OpenID providers that people may sign in with.
    people : mapping of str to str, optional
        Account to mail address.

    Returns
    -------
    Starlette
        Its ``state.site`` is the :class:`~jokbo.hearing.live.site.Site`.
    """
    site = Site(room, send_mail, clocks=clocks, people=people)
    reading, entering, signing = Reading(site), Entering(site), Signing(site, providers)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await site.start()
        for lang in LANGUAGES:
            site.pages.shared("board", None, lang, None, None)
        try:
            yield
        finally:
            site.postbox.close()
            await room.stop()

    post = ["POST"]
    routes = [
        *_with_providers(signing, providers),
        Route("/", reading.start),
        Route("/log.jsonl", reading.log),
        Route("/head.json", reading.head),
        Route("/health", reading.health),
        Route("/static/{name}", reading.static),
        Route("/file/{name}", reading.file),
        Route("/{lang}", reading.board),
        Route("/{lang}/", reading.page),
        Route("/{lang}/live", EventStream(room)),
        Route("/{lang}/mine", reading.mine),
        Route("/{lang}/sign-in", signing.form),
        Route("/{lang}/sign-in", signing.ask, methods=post),
        Route("/{lang}/sign-in/code", signing.code_form),
        Route("/{lang}/sign-in/code", signing.check, methods=post),
        Route("/{lang}/sign-out", signing.out, methods=post),
        Route("/{lang}/vote", entering.vote, methods=post),
        Route("/{lang}/write/{kind}", entering.form),
        Route("/{lang}/write/{kind}", entering.enter, methods=post),
        Route("/{lang}/{page}", reading.page),
        Route("/{lang}/{page}/{number}", reading.page),
    ]
    app = Starlette(
        routes=routes,
        middleware=[Middleware(SecurityHeaders, settings=room.settings)],
        exception_handlers=_handlers(site),
        lifespan=lifespan,
    )
    # A redirect to the address with or without its last slash would name the scheme that the proxy speaks here: http.
    app.router.redirect_slashes = False
    app.state.site = site
    return app


def _with_providers(signing: Signing, providers: Sequence[Provider]) -> list[Route]:
    """Addresses that there are where the host named a provider; what they need is an extra."""
    if not providers:
        return []
    from jokbo.hearing.live.openid_views import OpenIdViews

    views = OpenIdViews(signing, providers)
    return [
        Route("/sign-in/back/{provider}", views.back),
        Route("/{lang}/sign-in/with/{provider}", views.go),
    ]


def _handlers(site: Site) -> dict[Any, Callable[..., Any]]:
    problems = _Problems(site)
    return {
        HTTPException: problems.refused,
        JokboError: problems.failed,
        SQLAlchemyError: problems.no_database,
        Exception: problems.broken,
    }


class _Problems:
    """Pages for what goes wrong; they never show a traceback."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def refused(self, request: Request, error: HTTPException) -> Response:
        code = (
            error.code
            if isinstance(error, RefusedError)
            else {404: "no_page"}.get(error.status_code, "other")
        )
        answer = self._page(request, error.status_code, code)
        for name, value in (error.headers or {}).items():
            answer.headers[name] = value
        return self._ended(request, answer)

    async def failed(self, request: Request, error: JokboError) -> Response:
        status, code = status_of(error)
        return self._ended(request, self._page(request, status, code, str(error)))

    async def no_database(self, request: Request, error: SQLAlchemyError) -> Response:
        """The log goes on without its index; signing in does not."""
        logging.getLogger("jokbo.hearing.live").error("the database: %s", type(error).__name__)
        return self._ended(request, self._page(request, 503, "database"))

    async def broken(self, request: Request, error: Exception) -> Response:
        logging.getLogger("jokbo.hearing.live").error("a request failed: %s", type(error).__name__)
        answer = self._ended(request, self._page(request, 500, "other"))
        for header, value in FIXED:  # made outside the middleware that puts them on
            answer.headers[header.decode()] = value.decode()
        return answer

    def _page(self, request: Request, status: int, code: str, detail: str = "") -> Response:
        lang = request.path_params.get("lang", "")
        lang = lang if lang in LANGUAGES else request.url.path[1:3]
        lang = lang if lang in LANGUAGES else LANGUAGES[0]
        return self._site.problem(lang, self._site.visitor(request), status, code, detail)

    def _ended(self, request: Request, answer: Response) -> Response:
        """A refused form is not read to its end: the connection ends, so that nothing more is sent."""
        if request.method == "POST":
            answer.headers["Connection"] = "close"
        return answer
