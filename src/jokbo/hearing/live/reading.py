"""Views that only show: pages, files as attachments, the public log, what pages load."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from jokbo.errors import JokboError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing.case.withheld import public_entries
from jokbo.hearing.case.witness import make_head
from jokbo.hearing.live.links import LANGUAGES
from jokbo.hearing.live.pages import static_files
from jokbo.hearing.live.site import RefusedError, Site

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_NUMBER_DIGITS = 9
PIECE_BYTES = 64 << 10


class Reading:
    """Shows a room.

    Parameters
    ----------
    site : Site
    """

    def __init__(self, site: Site) -> None:
        self.site, self.room = site, site.room

    async def start(self, request: Request) -> Response:
        """The address without a language: on to the one that the browser asks for first."""
        facts = self.room.state.facts
        fallback = facts.payload["language"][:2] if facts else LANGUAGES[0]
        wanted = [part.strip()[:2].lower() for part in request.headers.get("accept-language", "").split(",")]
        lang = next((each for each in [*wanted, fallback] if each in LANGUAGES), LANGUAGES[0])
        return RedirectResponse(f"/{lang}/", status_code=303, headers={"Vary": "Accept-Language"})

    async def board(self, request: Request) -> Response:
        """The board's address without its slash."""
        return RedirectResponse(f"/{language_of(request)}/", status_code=303)

    async def page(self, request: Request) -> Response:
        """A page of the hearing."""
        lang, name = language_of(request), request.path_params.get("page", "board")
        number = number_of(request)
        if not self.site.pages.exists(name, number):
            raise RefusedError(404, "no_page")
        visitor = self.site.visitor(request)
        kept = self.site.pages.shared(name, number, lang, visitor.role, visitor.session)
        # What somebody sees who is signed in stays in no cache: not after signing out, not on a shared machine.
        keep = "private, no-cache" if visitor.account is None else "no-store"
        headers = {"ETag": f'"{kept.tag}"', "Cache-Control": keep, "Vary": "Cookie"}
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        return Response(kept.body, media_type="text/html", headers=headers)

    async def file(self, request: Request) -> Response:
        """A file of an exhibit: always an attachment, of a type that no browser opens."""
        name = request.path_params["name"].removesuffix(".bin")
        found = self._named(name)
        if found is None:
            raise RefusedError(404, "no_file")
        headers = {
            "Content-Disposition": f'attachment; filename="{name[:16]}.bin"',
            "Content-Length": str(found),
            "Cache-Control": "no-cache",
        }
        return StreamingResponse(
            self.room.exhibits.chunks(name), media_type="application/octet-stream", headers=headers
        )

    def _named(self, sha256: str) -> int | None:
        """Size of a file that a shown entry names; others are not handed out."""
        for item in self.room.public.items.values():
            if item.kind in ("exhibit", "reproduction") and item.payload is not None:
                file = item.payload["file"]
                if file["sha256"] == sha256 and self.room.exhibits.has(sha256, file["size"]):
                    return int(file["size"])
        return None

    async def static(self, request: Request) -> Response:
        """The style and the script."""
        found = static_files().get(request.path_params["name"])
        if found is None:
            raise RefusedError(404, "no_file")
        body, kind = found
        return Response(
            body, media_type=kind, headers={"Cache-Control": "public, max-age=31536000, immutable"}
        )

    async def log(self, request: Request) -> Response:
        """The public log, as it is now."""
        # Each is the whole log, made anew: the dearest page that anybody may ask for.
        self.site.limit(
            "log by address", self.site.visitor(request).address, self.site.limits.logs_by_address
        )

        def lines() -> Iterator[bytes]:
            piece = bytearray()
            for entry in public_entries(entries, state):
                piece += entry.to_line() + b"\n"
                if len(piece) > PIECE_BYTES:  # each piece is one way through a thread
                    yield bytes(piece)
                    piece.clear()
            yield bytes(piece)

        entries, state = await self.room.writer.with_case(lambda case: (list(case.entries), case.state))
        return StreamingResponse(
            lines(), media_type="application/x-ndjson", headers={"Cache-Control": "no-cache"}
        )

    async def head(self, request: Request) -> Response:
        """The head of the log, for witnesses to keep."""
        facts, last = self.room.state.facts, self.room.entries[-1]
        assert facts is not None, "a case has a first entry"
        return Response(
            canonical_bytes(make_head(facts.case, last).to_document()) + b"\n",
            media_type="application/json",
            headers={"Cache-Control": "no-cache"},
        )

    async def health(self, request: Request) -> Response:
        """Whether the server works, and how much it holds."""
        state = self.room.state
        return JSONResponse(
            {
                "entries": state.length,
                "readers": len(self.room.hub),
                "dropped": self.room.hub.dropped,
                "archived": self.room.archived,
            },
            headers={"Cache-Control": "no-store"},
        )

    async def mine(self, request: Request) -> Response:
        """What the visitor entered, each with what can be done about it."""
        lang, visitor = language_of(request), self.site.visitor(request)
        if visitor.account is None:
            return self.site.see(f"/{lang}/sign-in")
        from jokbo.hearing.live.wording import own_entries

        numbers = await self.room.of_account(visitor.account)
        try:
            votes = await run_in_threadpool(self.room.database.votes_of, visitor.account)
        except JokboError:
            votes = 0
        rows = own_entries(self.room.state, numbers, lang)
        from jokbo.report.texts import Texts

        t = Texts(lang)
        return self.site.page(
            "live/mine.html",
            lang,
            visitor,
            t("live.mine.title"),
            rows=rows,
            votes=votes,
            account=visitor.account,
            other_href=f"/{LANGUAGES[1 - LANGUAGES.index(lang)]}/mine",
        )


def language_of(request: Request) -> str:
    """The language in the address."""
    lang = request.path_params.get("lang", LANGUAGES[0])
    if lang not in LANGUAGES:
        raise RefusedError(404, "no_page")
    return str(lang)


def number_of(request: Request) -> int | None:
    """The number in the address."""
    text = request.path_params.get("number")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= MAX_NUMBER_DIGITS):
        raise RefusedError(404, "no_page")
    return int(text)
