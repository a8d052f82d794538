"""What a watch knows, on disk: one small file that is replaced whole, a log of reports, and a lock.

::

    state.json      canonical JSON: of each repository the commit that was dealt with last
    reports.jsonl   every report, a line each; only ever appended to
    lock            held while a watch runs

A watch that is killed between writing a report and noting that it did finds the report at the next start and does
not write it again; a line that was cut is taken away.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.sources.whole_files import write_whole

SCHEMA = "jokbo.watch_state/1"
MAX_STATE_BYTES = 64 << 20
MAX_REPORT_BYTES = 64 << 20
STATE, REPORTS, LOCK = "state.json", "reports.jsonl", "lock"


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one repository.

    Attributes
    ----------
    commit : str or None
        The revision that was dealt with last; None when none was yet.
    key : str or None
        Of its fingerprint in the register.
    etag : str or None
        Of the hub's last answer.
    etag_commit : str or None
        The commit that answer named, which may not have been dealt with.
    looked : str or None
        Day of the last look at which `commit` was still the newest.
    refused : str or None
        A commit that cannot be read as a model; it was told once and is not tried again.
    """

    commit: str | None = None
    key: str | None = None
    etag: str | None = None
    etag_commit: str | None = None
    looked: str | None = None
    refused: str | None = None


@dataclass(slots=True)
class WatchState:
    """The state of a watch, in a folder.

    Parameters
    ----------
    folder : pathlib.Path
        Made if need be.
    """

    folder: Path
    repositories: dict[str, Known] = field(default_factory=dict)
    reported: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[WatchState]:
        """Open a state for as long as a watch runs; no other can meanwhile.

        Raises
        ------
        UsageError
            The folder cannot be used, or another watch uses it.
        FormatError
            The state is damaged.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / LOCK).open("w")
        except OSError as error:
            raise UsageError(
                f"cannot keep the state of the watch in {folder}: {error.strerror}. Choose another with --state."
            ) from None
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise UsageError(
                    f"another watch is running with the state {folder}. End it first, or give this one its own "
                    "with --state."
                ) from None
            state = cls(folder)
            state.repositories.update(_read_state(folder / STATE))
            state.reported.update(_read_reports(folder / REPORTS))
            yield state

    def known(self, repository: str) -> Known:
        """What is known of a repository; nothing at first."""
        return self.repositories.get(repository, Known())

    def note(self, repository: str, **changes: str | None) -> None:
        """Change what is known of a repository, on disk too.

        Raises
        ------
        UsageError
            The state cannot be written.
        """
        before = self.repositories.get(repository)
        self.repositories[repository] = replace(self.known(repository), **changes)
        if self.repositories[repository] == before:
            return  # the file is written whole each time, and most looks find nothing new
        document = {
            "schema": SCHEMA,
            "repositories": {name: asdict(known) for name, known in self.repositories.items()},
        }
        path = self.folder / STATE
        try:
            write_whole(path, canonical_bytes(document) + b"\n")
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}. Make room and run again.") from None

    def report(self, document: Mapping[str, Any]) -> None:
        """Append a report, unless this revision has one.

        Raises
        ------
        UsageError
            It cannot be written.
        """
        revision = (document["repository"], document["commit"])
        if revision in self.reported:
            return
        path = self.folder / REPORTS
        try:
            with path.open("ab") as file:
                file.write(canonical_bytes(dict(document)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}. Make room and run again.") from None
        self.reported.add(revision)


def _read_state(path: Path) -> dict[str, Known]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_STATE_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}.") from None
    try:
        document = json.loads(data)
        if len(data) > MAX_STATE_BYTES or document["schema"] != SCHEMA or len(document) != 2:
            raise ValueError(SCHEMA)
        return {str(name): _known(row) for name, row in document["repositories"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise FormatError(
            f"{path} is no state of a watch, is damaged, or is a newer version's. Move it away to begin anew: models "
            "that are registered are not fingerprinted again."
        ) from None


def _known(row: Mapping[str, Any]) -> Known:
    known = Known(**row)
    if not all(value is None or isinstance(value, str) for value in asdict(known).values()):
        raise TypeError(row)
    return known


def _read_reports(path: Path) -> Iterator[tuple[str, str]]:
    """Revisions that have a report; a last line that was cut is taken off the file."""
    try:
        with path.open("r+b") as file:
            whole = 0
            for line in iter(lambda: file.readline(MAX_REPORT_BYTES), b""):
                if not line.endswith(b"\n"):
                    file.truncate(whole)
                    return
                whole += len(line)
                yield _revision(line, path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}. Choose another with --state.") from None


def _revision(line: bytes, path: Path) -> tuple[str, str]:
    try:
        document = json.loads(line)
        return str(document["repository"]), str(document["commit"])
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError(
            f"{path} holds a line that is no report. Move it away to begin a new log."
        ) from None
