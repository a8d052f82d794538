"""Views that enter something: a form of a kind, votes, and what a filled form becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from jokbo.errors import InputError, JokboError, UsageError
from jokbo.hearing.case.entry import Author, Draft, Entry
from jokbo.hearing.intake import with_dates
from jokbo.hearing.live.codes import PUBLIC_PREFIX, normal_address
from jokbo.hearing.live.filed import Filed, read_filed
from jokbo.hearing.live.forms import FORMS, UPLOADS, may_write, payload_of
from jokbo.hearing.live.links import LANGUAGES
from jokbo.hearing.live.reading import language_of
from jokbo.hearing.live.site import RefusedError, Site, Visitor, private
from jokbo.hearing.live.upload import TooLargeError, Uploaded, at_some_speed, read_upload
from jokbo.hearing.live.wording import about_options
from jokbo.hearing.live.writer import BusyError, StorageError
from jokbo.report.texts import Texts

if TYPE_CHECKING:
    from starlette.requests import Request

OWN_FIELDS = ("token", "about", "supersedes")

STATUS: tuple[tuple[type[JokboError], int, str], ...] = (
    (TooLargeError, 413, "too_large"),
    (BusyError, 503, "busy"),
    (StorageError, 503, "storage"),
    (InputError, 422, "not_entered"),
    (UsageError, 422, "not_entered"),
)
"""What kept something from being entered, the status that says so, and its sentence."""


def status_of(error: JokboError) -> tuple[int, str]:
    """Status and sentence of an error."""
    return next(((status, code) for kind, status, code in STATUS if isinstance(error, kind)), (500, "other"))


class Entering:
    """Takes entries in.

    Parameters
    ----------
    site : Site
    """

    def __init__(self, site: Site) -> None:
        self.site, self.room = site, site.room

    async def form(self, request: Request) -> Response:
        """An empty form of a kind."""
        lang, kind, visitor = language_of(request), self._kind(request), self.site.visitor(request)
        if visitor.account is None or visitor.role is None:
            return self.site.see(f"/{lang}/sign-in")
        if not may_write(self.room.state, visitor.role, kind):
            raise RefusedError(403, "role")
        values = {key: value for key, value in request.query_params.items() if key in ("about", "supersedes")}
        return self._show(lang, kind, visitor, values)

    async def enter(self, request: Request) -> Response:
        """A filled form."""
        lang, kind, visitor = language_of(request), self._kind(request), self.site.visitor(request)
        if visitor.account is None or visitor.role is None:
            raise RefusedError(403, "role")
        values: Mapping[str, str] = {}
        try:
            if kind in UPLOADS:
                uploaded = await self._upload(request, visitor, kind)
                values = uploaded.values
                entry = await self._enter_filed(request, visitor, kind, uploaded)
            else:
                values = await self.site.form(request)
                self._still(request, visitor)
                self._check(request, visitor, kind, values)
                entry = await self._enter_plain(visitor, kind, values)
        except JokboError as error:
            status, code = status_of(error)
            return self._show(lang, kind, visitor, values, status=status, code=code, detail=str(error))
        return self.site.see(where_to(lang, entry))

    async def vote(self, request: Request) -> Response:
        """A vote: acknowledged once it is on the disk."""
        site, lang = self.site, language_of(request)
        values = await site.form(request)
        # Who asks is who it is now: a form that took its time is not from before a mailbox got another name.
        visitor = site.visitor(request)
        site.check_form(request, visitor, values)
        if visitor.account is None or visitor.role is None:
            raise RefusedError(403, "role")
        site.limit("vote by account", visitor.account, site.limits.votes_by_account)
        site.limit("vote by address", visitor.address, site.limits.votes_by_address)
        about, value = values.get("about", ""), values.get("value", "")
        if not (about.isascii() and about.isdigit() and len(about) < 10) or value not in ("-1", "0", "1"):
            raise RefusedError(400, "form")
        author = Author(visitor.account, visitor.role)
        try:
            await self._take_back_before(visitor.account, int(about))
            entry = await self.room.enter(Draft("vote", {"value": int(value)}, author, int(about)))
        except JokboError as error:
            status, code = status_of(error)
            return site.problem(lang, visitor, status, code, str(error))
        if request.headers.get("accept") == "application/json":
            return private(JSONResponse({"entry": entry.sequence, "digest": entry.digest}))
        return site.see(f"/{lang}/questions#e{about}")

    async def _take_back_before(self, account: str, question: int) -> None:
        """Take back what a mailbox voted as one of the public before the host named it: it has one vote, not two."""
        if account.startswith(PUBLIC_PREFIX):
            return
        for former, now in self.site.named.items():
            vote = self.room.state.votes.get(question, {}).get(former)
            if now == account and vote is not None and vote.value:
                author = Author(former, self.room.state.role(former))
                await self.room.enter(Draft("vote", {"value": 0}, author, question))

    def _kind(self, request: Request) -> str:
        kind = str(request.path_params["kind"])
        if kind not in FORMS:
            raise RefusedError(404, "no_page")
        return kind

    def _still(self, request: Request, visitor: Visitor) -> None:
        """Refuse a form whose sender signed out, or got another name, while it was on its way."""
        if self.site.visitor(request).account != visitor.account:
            raise RefusedError(403, "role")

    def _check(self, request: Request, visitor: Visitor, kind: str, values: Mapping[str, str]) -> None:
        """Token, permission and limits, before anything is kept."""
        assert visitor.account is not None and visitor.role is not None
        self.site.check_form(request, visitor, values)
        if not may_write(self.room.state, visitor.role, kind):
            raise RefusedError(403, "role")
        limits = self.site.limits
        limit = limits.entries_by_public if visitor.role == "public" else limits.entries_by_role
        self.site.limit("entry by account", visitor.account, limit)
        if kind in UPLOADS:
            most = limits.uploads_by_public if visitor.role == "public" else limits.uploads_by_account
            self.site.limit("upload by account", visitor.account, most)

    async def _upload(self, request: Request, visitor: Visitor, kind: str) -> Uploaded:
        settings = self.site.settings
        public = visitor.role == "public"
        most = (
            min(settings.max_upload_bytes, settings.max_public_upload_bytes)
            if public
            else settings.max_upload_bytes
        )
        length = request.headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > most + (1 << 20):
            raise TooLargeError(f"{length[:20]} bytes were announced; at most {most:,} are taken.")
        checked: list[bool] = []

        def allowed(values: Mapping[str, str]) -> None:
            if not checked:
                self._check(request, visitor, kind, values)
                checked.append(True)

        with self.site.one_more_upload(visitor.account or ""):
            uploaded = await read_upload(
                at_some_speed(request.stream(), settings.form_seconds, settings.least_upload_bytes_a_second),
                request.headers.get("content-type", ""),
                self.room.exhibits,
                max_bytes=most,
                allowed=allowed,
            )
        allowed(uploaded.values)
        return uploaded

    async def _enter_filed(self, request: Request, visitor: Visitor, kind: str, uploaded: Uploaded) -> Entry:
        """An entry that comes with files; what no entry names in the end is not kept."""
        filed = Filed(kind, uploaded, visitor.account or "", visitor.role or "", self.site.now(kind))
        try:
            self._still(request, visitor)
            draft = await run_in_threadpool(read_filed, filed, self.room.state, self.room.exhibits)
            if draft.kind == "vote" and draft.about is not None:  # signed elsewhere, it counts as any other
                await self._take_back_before(draft.author.account, draft.about)
            return await self.room.enter(draft)
        finally:
            for _, stored in uploaded.files.values():
                await self.room.forget_file(stored.sha256)

    async def _enter_plain(self, visitor: Visitor, kind: str, values: Mapping[str, str]) -> Entry:
        assert visitor.account is not None and visitor.role is not None
        now = self.site.now(kind)
        payload: dict[str, Any] = with_dates(
            kind, payload_of(kind, values, now=now), self.room.state, now, number(values, "about")
        )
        mailbox = values.get("mailbox", "").strip() if kind == "role" else ""
        if mailbox:
            if payload["account"].startswith(PUBLIC_PREFIX):
                raise UsageError(f"names that begin with {PUBLIC_PREFIX!r} are the public's. Choose another.")
            normal_address(mailbox)  # refused before anything is entered
        draft = Draft(
            kind,
            payload,
            Author(visitor.account, visitor.role),
            number(values, "about"),
            number(values, "supersedes"),
        )
        entry = await self.room.enter(draft)
        if mailbox:
            former = await run_in_threadpool(self.site.name_mailbox, payload["account"], mailbox)
            await self.room.take_back(former)
        return entry

    def _show(
        self,
        lang: str,
        kind: str,
        visitor: Visitor,
        values: Mapping[str, str],
        *,
        status: int = 200,
        code: str = "",
        detail: str = "",
    ) -> Response:
        t, other = Texts(lang), LANGUAGES[1 - LANGUAGES.index(lang)]
        seen = self.room.state if visitor.role in ("chair", "moderator") else self.room.public
        options = about_options(seen, kind, visitor.account or "", lang) if kind != "signed" else []
        query = "&".join(
            f"{key}={values[key]}" for key in ("about", "supersedes") if values.get(key, "").isdigit()
        )
        answer = self.site.page(
            "live/write.html",
            lang,
            visitor,
            t.code("live.do", kind),
            status=status,
            kind=kind,
            fields=FORMS[kind],
            values={name: values.get(name, "") for name in (*OWN_FIELDS, *(f.name for f in FORMS[kind]))},
            upload=kind in UPLOADS,
            about=options,
            about_needed=bool(options) and _about_needed(kind),
            languages=spoken_languages(lang),
            problem=t(f"live.refused.{code}") if code else "",
            detail=detail,
            most=t.bytes(self.site.settings.max_upload_bytes),
            other_href=f"/{other}/write/{kind}" + (f"?{query}" if query else ""),
        )
        if code and kind in UPLOADS:
            answer.headers["Connection"] = "close"  # whatever of the file is still to come is not taken
        return answer


def _about_needed(kind: str) -> bool:
    from jokbo.hearing.case.kinds import KINDS

    return KINDS[kind].about_needed


def number(values: Mapping[str, str], name: str) -> int | None:
    """A number of an entry from a form; None where the field is empty.

    Raises
    ------
    UsageError
        It is no number.
    """
    text = values.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f"the field {name!r} needs the number of an entry.")
    return int(text)


def where_to(lang: str, entry: Entry) -> str:
    """Where a visitor sees what was entered."""
    if entry.kind in ("claim", "exhibit"):
        return f"/{lang}/{entry.kind}/{entry.sequence}"
    if entry.kind == "question":
        return f"/{lang}/mine#e{entry.sequence}"
    if entry.kind in ("question_state", "pin", "answer"):
        return f"/{lang}/questions#e{entry.about}"
    return f"/{lang}/entries#e{entry.sequence}"


def spoken_languages(lang: str) -> list[tuple[str, str]]:
    """Languages that a form offers, by name; the page's own first."""
    from jokbo.hearing.pages.wording import language_name

    tags = [lang, *(tag for tag in ("ko", "en", "zh", "ja", "fr", "de", "es", "vi") if tag != lang)]
    return [(tag, language_name(tag, lang)) for tag in tags]
