"""The room: a case that is open to write, its readers, its archive and its index, kept in step."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jokbo.errors import JokboError, UsageError
from jokbo.hearing.case.case import Case
from jokbo.hearing.case.entry import Draft, Entry
from jokbo.hearing.case.state import CaseState
from jokbo.hearing.case.withheld import public_state
from jokbo.hearing.exhibits import ExhibitStore
from jokbo.hearing.live.database import Database
from jokbo.hearing.live.events import encode, entry_events, missed, tally_event
from jokbo.hearing.live.hub import Hub
from jokbo.hearing.live.links import links
from jokbo.hearing.live.naming import votes_taken_back
from jokbo.hearing.live.settings import Settings
from jokbo.hearing.live.writer import Writer

if TYPE_CHECKING:
    from jokbo.hearing.archive.export import Exporter

log = logging.getLogger("jokbo.hearing.live")

EXPORT_SECONDS = 2.0
PING = b": ping\n\n"


class Room:
    """A case while it is live.

    Parameters
    ----------
    case : Case
        Open to write.
    settings : Settings
    database : Database
    archive : Path, optional
        Where the archive is written while the hearing goes on.

    Attributes
    ----------
    hub : Hub
    archived : int
        Entries that the archive covers.
    """

    def __init__(
        self, case: Case, settings: Settings, database: Database, *, archive: Path | None = None
    ) -> None:
        self._case, self.settings, self.database, self._archive = case, settings, database, archive
        self.hub = Hub(settings.max_readers, settings.reader_backlog, settings.streams_by_address)
        self.archived = 0
        self._writer = Writer(case, self._entered)
        self._voted: set[int] = set()
        self._public: tuple[CaseState, CaseState] | None = None
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._exporter: Exporter | None = None
        self._told, self._indexed = len(case.entries), 0

    @property
    def state(self) -> CaseState:
        """Everything that the host knows."""
        return self._case.state

    @property
    def entries(self) -> Sequence[Entry]:
        """The log."""
        return self._case.entries

    @property
    def exhibits(self) -> ExhibitStore:
        """Files of the case."""
        return self._case.exhibits

    @property
    def public(self) -> CaseState:
        """The state as the public sees it."""
        state = self._case.state
        if self._public is None or self._public[0] is not state:
            self._public = (state, public_state(state))
        return self._public[1]

    async def start(self) -> None:
        """Open: write, tell, archive."""
        self.database.follow(self._case.entries)
        self._writer.start()
        self._tasks = [asyncio.create_task(self._tell()), asyncio.create_task(self._follow())]
        if self._archive is not None:
            from jokbo.hearing.archive.export import Exporter

            self._exporter = Exporter(self._archive)
            await self._export(self._exporter)  # whole before anybody comes; from then on only what changed
            self._tasks.append(asyncio.create_task(self._keep_archive()))
        self._changed.set()

    async def stop(self) -> None:
        """Close: what waits is entered, and the archive is brought to the end."""
        self.hub.close()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._exporter is not None:
            await self._export(self._exporter)
        await self._writer.stop()
        with contextlib.suppress(Exception):
            self.database.follow(self._case.entries)
        self._case.close()

    async def enter(self, draft: Draft) -> Entry:
        """Enter one thing; it is on the disk when this returns. Raises what the writer raises."""
        return await self._writer.enter(draft)

    async def take_back(self, accounts: Collection[str]) -> None:
        """Take back the votes of accounts that nobody signs in as any more, what waits to be entered included."""
        state = await self._writer.with_case(lambda case: case.state)
        for draft in votes_taken_back(state, accounts):
            try:
                await self.enter(draft)
            except UsageError as error:  # the question was closed to votes in this moment
                log.error("a vote could not be taken back: %s", error)

    @property
    def writer(self) -> Writer:
        """The one writer."""
        return self._writer

    async def forget_file(self, sha256: str) -> None:
        """Delete a file that no entry names."""

        def forget(case: Case) -> None:
            named = (
                item.payload is not None
                and item.kind in ("exhibit", "reproduction")
                and item.payload["file"]["sha256"] == sha256
                for item in case.state.items.values()
            )
            if not any(named):
                case.exhibits.remove(sha256)

        await self._writer.with_case(forget)

    async def of_account(self, account: str) -> list[int]:
        """Numbers of what an account entered, newest first, without votes: from the index, and what it lacks yet."""
        known = self._indexed
        found = await asyncio.to_thread(self.database.by_account, account)
        fresh = [
            e.sequence for e in self._case.entries[known:] if e.author.account == account and e.kind != "vote"
        ]
        return sorted({*found, *fresh}, reverse=True)

    def missed(self, lang: str, last: int) -> bytes:
        """Events after one that a reader saw last."""
        # What was entered and not told yet comes to the reader as everybody's event, and not a second time here.
        return missed(self._case.entries[: self._told], self.public, last, lang, links(lang))

    def start_over(self) -> bytes:
        """The event that tells a reader to load the page anew."""
        return encode("reset", {"length": self._told}, number=self._told - 1)

    def _entered(self, entries: Sequence[Entry]) -> None:
        """In the event loop, after each batch."""
        self._told = entries[-1].sequence + 1
        self._voted |= {each.about for each in entries if each.kind == "vote" and each.about is not None}
        if any(each.kind == "role" for each in entries):
            self._voted |= set(self.state.tallies)  # with another group an account's votes are withdrawn
        fresh = [each for each in entries if each.kind != "vote"]
        if fresh:
            state, known = self.public, self._case.entries
            for lang in self.hub.languages:
                for _, event in entry_events(known, fresh, state, lang, links(lang)):
                    self.hub.publish(lang, event)
        self._changed.set()

    async def _tell(self) -> None:
        """Tallies a few times a second, and a sign of life to streams that are quiet."""
        quiet = 0.0
        while True:
            await asyncio.sleep(self.settings.tally_seconds)
            quiet += self.settings.tally_seconds
            if self._voted:
                voted, self._voted = self._voted, set()
                event = tally_event(self.state, voted, number=self._told - 1)
                for lang in self.hub.languages:
                    self.hub.publish(lang, event)
            if quiet >= self.settings.ping_seconds:
                quiet = 0.0
                for lang in self.hub.languages:
                    self.hub.publish(lang, PING)

    async def _follow(self) -> None:
        """Keep the index near the log; it is no part of what is acknowledged."""
        while True:
            await asyncio.sleep(1.0)
            entries = list(self._case.entries)
            if len(entries) > self._indexed:
                try:
                    await asyncio.to_thread(self.database.follow, entries)
                    self._indexed = len(entries)
                except (
                    Exception
                ) as error:  # whatever it is, the log goes on, and the index is made from it later
                    log.error("the index is not written at the moment: %s", type(error).__name__)

    async def _keep_archive(self) -> None:
        assert self._exporter is not None
        while True:
            await self._changed.wait()
            self._changed.clear()
            began = time.monotonic()
            await self._export(self._exporter)
            # An archive that takes long is written less often, so that it never takes the hearing's time.
            await asyncio.sleep(max(EXPORT_SECONDS, 4 * (time.monotonic() - began)))

    async def _export(self, exporter: Exporter) -> None:
        try:
            entries, state = await self._writer.with_case(lambda case: (list(case.entries), case.state))
            await asyncio.to_thread(exporter.export, entries, state, self._case.exhibits)
            self.archived = len(entries)
        except (JokboError, OSError) as error:
            log.error("the archive could not be written: %s", error)
