"""One round of a watch: look at every repository, deal with what is new, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jokbo.errors import AccessError, ChangedError, InputError, JokboError, OfflineError, TransferError
from jokbo.lineage.watch.lookout import Lookout, Newest
from jokbo.lineage.watch.report_document import build_report, check
from jokbo.lineage.watch.state import WatchState
from jokbo.lineage.watch.watchlist import Watchlist
from jokbo.lineage.work import PATIENCE_SECONDS
from jokbo.sources.base import OpenOptions

if TYPE_CHECKING:
    from jokbo.lineage.register import Entry, Register
    from jokbo.lineage.search_document import SearchResult

MAY_PASS = (TransferError, OfflineError, AccessError, ChangedError)
"""Failures that another day may not have; others are the revision's own, and it is not tried again."""


@dataclass(frozen=True, slots=True)
class Round:
    """What one round brought.

    Attributes
    ----------
    reports : tuple of mapping
        One for each new revision, in the order of the list.
    failed : tuple of (str, str)
        Repository or organisation, and one sentence on why it could not be dealt with.
    unchanged : int
        Repositories without a new revision.
    """

    reports: tuple[Mapping[str, Any], ...]
    failed: tuple[tuple[str, str], ...]
    unchanged: int

    @property
    def exit_status(self) -> int:
        """10 where a new revision shows undeclared dependence, 11 where something could not be decided, else 0."""
        found = {report["exit_status"] for report in self.reports}
        return 10 if 10 in found else 11 if 11 in found or self.failed else 0


@dataclass(slots=True)
class Watch:
    """A watch: what is watched, what is known, and where it is registered.

    Attributes
    ----------
    watchlist : Watchlist
    register : Register
    state : WatchState
    options : OpenOptions
        How the hub is reached; one request at a time whatever they say.
    private : bool
        Register fingerprints without raw rows.
    report : callable, optional
        Called with each report as it is made.
    tell : callable, optional
        Called with (stage, repository).
    now : callable
        The time that reports carry.
    """

    watchlist: Watchlist
    register: Register
    state: WatchState
    options: OpenOptions = field(default_factory=OpenOptions)
    private: bool = False
    report: Callable[[Mapping[str, Any]], None] | None = None
    tell: Callable[[str, str], None] | None = None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lookout: Lookout | None = None

    def __post_init__(self) -> None:
        self.options = replace(
            self.options,
            connections=1,
            patience_seconds=max(self.options.patience_seconds, PATIENCE_SECONDS),
            progress=None,
        )
        self.lookout = self.lookout or Lookout(self.options)

    def round(self) -> Round:
        """Look at everything once.

        Raises
        ------
        UsageError
            The state cannot be written; what was done before stands.
        """
        reports: list[Mapping[str, Any]] = []
        failed: list[tuple[str, str]] = []
        unchanged = 0
        for repository, commit in self._targets(failed):
            newest = None
            try:
                newest = self._look(repository, commit)
                made = None if newest is None else self._deal(repository, newest)
            except JokboError as error:
                failed.append((repository, str(error)))
                self._give_up(repository, newest, error)
                continue
            if made is None:
                unchanged += 1
                self.state.note(repository, looked=self._today())
                continue
            self.state.report(made)
            self._done(repository, made)
            reports.append(made)
            if self.report is not None:
                self.report(made)
        return Round(tuple(reports), tuple(failed), unchanged)

    def _targets(self, failed: list[tuple[str, str]]) -> Iterator[tuple[str, str | None]]:
        """Repositories with the newest commit where a list told it, each once, with a pause between."""
        seen: set[str] = set()
        for repository, commit in self._named(failed):
            if repository.casefold() in seen:
                continue
            if seen:
                self._lookout.pause(self.watchlist.pause_seconds)
            seen.add(repository.casefold())
            yield repository, commit

    def _named(self, failed: list[tuple[str, str]]) -> Iterator[tuple[str, str | None]]:
        for repository in self.watchlist.repositories:
            yield repository, None
        for organisation in self.watchlist.organisations:
            self._say("list", organisation)
            try:
                listed: Sequence[tuple[str, str | None]] = list(self._lookout.list_models(organisation))
            except JokboError as error:
                # Its list may be back tomorrow; what is known of it is looked at all the same.
                failed.append((organisation, str(error)))
                listed = [
                    (name, None) for name in self.state.repositories if name.startswith(f"{organisation}/")
                ]
            for repository, commit in listed:
                if not self.watchlist.leaves_out(repository):
                    yield repository, commit

    def _look(self, repository: str, commit: str | None) -> Newest | None:
        """The newest revision, if it is new; None when it was dealt with."""
        known = self.state.known(repository)
        self._say("look", repository)
        if commit is not None:
            newest = Newest(commit)
        else:
            before = Newest(known.etag_commit, known.etag) if known.etag_commit else None
            newest = self._lookout.look(repository, before)
            if newest != before:
                self.state.note(repository, etag=newest.etag, etag_commit=newest.commit)
        return None if newest.commit in (known.commit, known.refused) else newest

    def _deal(self, repository: str, newest: Newest) -> dict[str, Any]:
        """Fingerprint, register and compare a new revision."""
        entry = self._register(repository, newest.commit)
        known = self.state.known(repository)
        entries = self.register.entries()
        previous = next((each for each in entries if each.key == known.key), None)
        pair = None if previous is None else self._compare(previous, entry)
        self._say("search", repository)
        # A revision that was not there at the last look is younger than what its owner dates before that.
        not_before = None if previous is None else known.looked
        searched = self._search(entry, not_before) if len(entries) > 1 else None
        made = build_report(
            entry,
            repository=repository,
            previous=previous,
            pair=pair,
            searched=searched,
            entries=entries,
            register=self.register.digest,
            seen=self.now().isoformat(timespec="seconds"),
            not_before=not_before,
        )
        check(made, where=f"the report on {repository}")
        return made

    def _register(self, repository: str, commit: str) -> Entry:
        name = repository.partition("@")[0]
        source = f"{name}@{commit}"
        for entry in self.register.entries():
            if entry.source == source:
                return entry  # a run that was stopped here goes on here
        from jokbo.lineage.fingerprint import make_fingerprint

        self._say("fingerprint", repository)
        made = make_fingerprint(source, salt=self.register.salt, private=self.private, options=self.options)
        return self.register.add(made, name=name, source=source)

    def _compare(self, previous: Entry, entry: Entry) -> dict[str, Any]:
        from jokbo.lineage.pairs import compare_pair

        self._say("compare", entry.name)
        paths = self.register.path(previous), self.register.path(entry)
        return compare_pair(*paths, options=self.options)

    def _search(self, entry: Entry, not_before: str | None) -> SearchResult:
        from jokbo.lineage.search import search

        # A damaged fingerprint of another model is named in the report, and is no reason not to watch.
        return search(
            self.register.path(entry),
            self.register,
            measured=0,
            candidate_since=not_before,
            keep_going=True,
            options=self.options,
        )

    def _done(self, repository: str, made: Mapping[str, Any]) -> None:
        self.state.note(repository, commit=made["commit"], key=made["fingerprint"], looked=self._today())

    def _today(self) -> str:
        return self.now().date().isoformat()

    def _give_up(self, repository: str, newest: Newest | None, error: JokboError) -> None:
        """A revision that cannot be read at all is not tried again until there is a newer one."""
        if newest is not None and isinstance(error, InputError) and not isinstance(error, MAY_PASS):
            self.state.note(repository, refused=newest.commit)

    def _say(self, stage: str, repository: str) -> None:
        if self.tell is not None:
            self.tell(stage, repository)

    @property
    def _lookout(self) -> Lookout:
        assert self.lookout is not None
        return self.lookout
