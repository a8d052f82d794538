"""Write the archive of a case: again and again while it is live, only what changed, each file whole or not at all.

Order matters for a crash: the log first, then files and pages, the manifest last. Whatever a crash leaves, the log in
the archive verifies, and the next export makes the rest right.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jokbo import __version__
from jokbo.errors import InputError, NotFoundError, UsageError
from jokbo.hearing.archive.manifest import Manifest, is_archive_path, read_manifest
from jokbo.hearing.archive.site import FILES, LOG, MANIFEST, exhibit_files, pages
from jokbo.hearing.case.entry import Entry
from jokbo.hearing.case.state import CaseState
from jokbo.hearing.case.withheld import public_entries, public_state, withheld
from jokbo.hearing.exhibits import ExhibitStore
from jokbo.sources.regular_files import FileFacts, file_facts

_UNFINISHED = ".unfinished"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export did.

    Attributes
    ----------
    manifest : Manifest
    written, removed : tuple of str
        Paths that changed and paths that went.
    """

    manifest: Manifest
    written: tuple[str, ...]
    removed: tuple[str, ...]


class Exporter:
    """Writes one archive, and remembers what it wrote, so that the next time costs only what changed.

    Parameters
    ----------
    folder : Path
        Of the archive: empty, new, or one of ours.

    Raises
    ------
    UsageError
        The folder holds something that is no archive of ours, or cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._facts: dict[str, FileFacts] = {}
        self._contexts: dict[str, Mapping[str, Any]] = {}
        self._written: list[str] = []
        self._log: tuple[int, Mapping[int, Any], Any, int] | None = None
        self._prepare()

    def export(self, entries: Sequence[Entry], state: CaseState, exhibits: ExhibitStore) -> Exported:
        """Bring the archive to a state.

        Parameters
        ----------
        entries : sequence of Entry
            The host's log.
        state : CaseState
            After these entries.
        exhibits : ExhibitStore

        Raises
        ------
        UsageError
            The archive cannot be written: a full disk, for example.
        InputError
            A file of an exhibit is missing or damaged.
        """
        assert state.facts is not None, "a case has a first entry"
        self._written = []
        public = public_state(state)
        now: dict[str, FileFacts] = {LOG: self._put_log(entries, state)}
        for path, (sequence, sha256, size) in sorted(exhibit_files(public).items()):
            now[path] = self._put_file(path, sequence, sha256, size, exhibits)
        for page in pages(public):
            if self._contexts.get(page.path) != page.context or page.path not in self._facts:
                self._facts[page.path] = self._put(page.path, page.draw())
                self._contexts[page.path] = page.context
            now[page.path] = self._facts[page.path]
        manifest = Manifest(__version__, state.facts.case, state.head, state.length, now)
        removed = self._remove_all_but(now)
        self._put(MANIFEST, manifest.to_bytes())
        return Exported(manifest, tuple(self._written), removed)

    def _prepare(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            present = [path for path in self.folder.iterdir() if not path.name.endswith(_UNFINISHED)]
            ours = {"en", "ko", FILES, LOG, MANIFEST, "index.html"}
            foreign = sorted(path.name for path in present if path.name not in ours)
            if foreign:
                raise UsageError(
                    f"{self.folder} holds {foreign[0]!r}, which no archive does. Choose an empty folder."
                )
            for below in ("en", "ko", FILES):
                (self.folder / below).mkdir(exist_ok=True)
                if (self.folder / below).is_symlink():
                    raise UsageError(f"{self.folder / below} is a link; an archive has none.")
        except OSError as error:
            raise UsageError(f"cannot make the archive {self.folder}: {error.strerror}.") from None
        with contextlib.suppress(InputError):
            read_manifest(self.folder)

    def _put_log(self, entries: Sequence[Entry], state: CaseState) -> FileFacts:
        """The public log: appended to while no earlier line changes, else written anew."""
        holes = withheld(state)
        known = self._log
        if known is not None and known[0] <= len(entries):
            count, before, digest, size = known
            same = {n: w for n, w in holes.items() if n < count} == before
            if same and self._size(LOG) == size:
                data = _lines(public_entries(entries[count:], state))
                if data:
                    self._append(LOG, data)
                    digest.update(data)
                self._log = (len(entries), dict(holes), digest, size + len(data))
                return FileFacts(size + len(data), digest.hexdigest())
        data = _lines(public_entries(entries, state))
        facts = self._put(LOG, data)
        self._log = (len(entries), dict(holes), hashlib.sha256(data), len(data))
        return facts

    def _size(self, path: str) -> int:
        try:
            return (self.folder / path).stat().st_size
        except OSError:
            return -1

    def _append(self, path: str, data: bytes) -> None:
        try:
            with (self.folder / path).open("ab") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            self._log = None
            raise self._failed(error) from None
        self._written.append(path)

    def _put(self, path: str, data: bytes) -> FileFacts:
        """Write a file whole, unless it has these very bytes already."""
        target = self.folder / path
        facts = FileFacts(len(data), hashlib.sha256(data).hexdigest())
        if self._size(path) == len(data) and not target.is_symlink() and target.read_bytes() == data:
            return facts
        temporary = target.with_name(target.name + _UNFINISHED)
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as stream:  # never through a link that somebody left there
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise self._failed(error) from None
        self._written.append(path)
        return facts

    def _put_file(self, path: str, sequence: int, sha256: str, size: int, store: ExhibitStore) -> FileFacts:
        """Copy a file of an exhibit, its digest checked on the way."""
        wanted = FileFacts(size, sha256)
        if self._facts.get(path) == wanted and self._size(path) == size:
            return wanted
        target = self.folder / path
        with contextlib.suppress(NotFoundError):
            if file_facts(target) == wanted:
                self._facts[path] = wanted
                return wanted
        temporary = target.with_name(target.name + _UNFINISHED)
        digest = hashlib.sha256()
        try:
            temporary.unlink(missing_ok=True)
            with temporary.open("xb") as stream:  # never through a link that somebody left there
                for chunk in store.chunks(sha256):
                    digest.update(chunk)
                    stream.write(chunk)
                stream.flush()
                os.fsync(stream.fileno())
            if digest.hexdigest() != sha256:
                raise InputError(
                    f"the file of entry {sequence} in {store.folder} is damaged: expected SHA-256 {sha256[:16]}…, "
                    f"found {digest.hexdigest()[:16]}…. Restore it, then export again."
                )
            temporary.replace(target)
        except OSError as error:
            raise self._failed(error) from None
        finally:
            temporary.unlink(missing_ok=True)
        self._facts[path] = wanted
        self._written.append(path)
        return wanted

    def _remove_all_but(self, kept: Mapping[str, FileFacts]) -> tuple[str, ...]:
        """Take away pages and files that the log no longer gives: those of a text that was taken away, above all."""
        removed = []
        for path in sorted(self.folder.glob("*")) + sorted(self.folder.glob("*/*")):
            name = path.relative_to(self.folder).as_posix()
            stale = name.endswith(_UNFINISHED) or (is_archive_path(name) and name not in kept)
            if stale and not path.is_dir():
                path.unlink(missing_ok=True)
                self._facts.pop(name, None)
                self._contexts.pop(name, None)
                removed.append(name)
        return tuple(removed)

    def _failed(self, error: OSError) -> UsageError:
        return UsageError(
            f"cannot write the archive {self.folder}: {error.strerror}. Make room and export again: the log is whole."
        )


def export(entries: Sequence[Entry], state: CaseState, exhibits: ExhibitStore, folder: Path) -> Exported:
    """Write an archive once; see :class:`Exporter`."""
    return Exporter(folder).export(entries, state, exhibits)


def _lines(entries: Iterable[Entry]) -> bytes:
    return b"".join(entry.to_line() + b"\n" for entry in entries)
