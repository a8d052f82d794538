"""The log's file: one writer, whole lines, nothing acknowledged that is not on the disk.

JSON Lines is the truth; everything else can be made again from it. A writer holds a lock as long as it lives. An
append is one write of whole lines and one flush to the disk, whatever the number of entries (group commit); when it
fails, as on a full disk, what was written of it is cut off again. A kill can leave an incomplete last line, which was
never acknowledged: the next writer cuts it off. Anything else that is wrong with the file is an error, never mended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jokbo.errors import FormatError, NotFoundError, UsageError
from jokbo.hearing.case.chain import Unreadable
from jokbo.hearing.case.entry import MAX_LINE_BYTES, Entry, parse_entry
from jokbo.sources.regular_files import open_regular

LOG = "log.jsonl"
LOCK = "lock"
MAX_LOG_BYTES = 4 << 30
MAX_ENTRIES = 500_000
WAIT_SECONDS = 5.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class LogLines:
    """A log as read.

    Attributes
    ----------
    lines : tuple of Entry or Unreadable
    torn : int
        Bytes of an incomplete last line; 0 where the file ends as it should.
    size : int
        Bytes of whole lines.
    """

    lines: tuple[Entry | Unreadable, ...]
    torn: int
    size: int


def read_log(path: Path) -> LogLines:
    """Read a log; what is no entry is kept as such, for :func:`~jokbo.hearing.case.chain.verify_log` to name.

    Raises
    ------
    NotFoundError
        There is no such file.
    FormatError
        It is larger than any log.
    """
    lines: list[Entry | Unreadable] = []
    size = torn = 0
    for line in _lines(path):
        if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
            torn = len(line)
            break
        if len(lines) >= MAX_ENTRIES or size > MAX_LOG_BYTES:
            raise FormatError(
                f"{path} has more than {MAX_ENTRIES:,} entries or is too large; no log of ours is."
            )
        size += len(line)
        try:
            lines.append(parse_entry(line.removesuffix(b"\n"), f"{path.name}, line {len(lines) + 1}"))
        except FormatError as error:
            lines.append(Unreadable(len(lines), str(error)))
            if len(line) > MAX_LINE_BYTES:
                break  # nothing after a line without an end can be told apart
    return LogLines(tuple(lines), torn, size)


def _lines(path: Path) -> Iterator[bytes]:
    if not path.is_symlink() and not path.exists():
        raise NotFoundError(
            f"there is no log {path}. Make a case with `jokbo hearing new`, or give another folder."
        )
    # An ordinary file and nothing else: a pipe of that name would keep a reader waiting for good.
    with open_regular(path) as stream:
        while line := stream.readline(MAX_LINE_BYTES + 2):
            yield line


class LogWriter:
    """The one writer of a log.

    Parameters
    ----------
    folder : Path
        Of the case; it exists.
    wait_seconds : float
        How long to wait for another writer to end.

    Attributes
    ----------
    repaired : int
        Bytes of an incomplete last line that were cut off.

    Raises
    ------
    UsageError
        Another process writes this log, or the file cannot be opened.
    FormatError
        The log ends in something that no crash leaves.
    """

    def __init__(self, folder: Path, *, wait_seconds: float = WAIT_SECONDS) -> None:
        self.path = folder / LOG
        self._lock = _locked(folder / LOCK, wait_seconds)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
            self._file = os.open(self.path, flags, 0o600)
            self._size, self.repaired = self._repair()
            _sync_folder(folder)
        except OSError as error:
            os.close(self._lock)
            raise UsageError(f"cannot write the log {self.path}: {error.strerror}.") from None
        except FormatError:
            os.close(self._file)
            os.close(self._lock)
            raise
        self._broken = False

    def append(self, lines: Sequence[bytes]) -> None:
        """Append lines (without newlines), all or none, and return once they are on the disk.

        Raises
        ------
        UsageError
            The disk is full or failing, or somebody else changed the file; the log is as it was before.
        """
        if not lines:
            return
        self._check()
        view = memoryview(b"".join(line + b"\n" for line in lines))
        total = len(view)
        try:
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError as error:
            self._roll_back()
            raise UsageError(
                f"cannot write the log {self.path}: {error.strerror}. Nothing was entered; make room and try again."
            ) from None
        self._size += total

    def rewrite(self, lines: Sequence[bytes]) -> None:
        """Put other lines in the place of all: for a text that the law takes away. Atomic: the old file or the new.

        Raises
        ------
        UsageError
            The new file cannot be written; the old one stands.
        """
        self._check()
        temporary = self.path.with_name(LOG + ".new")
        fresh = -1
        try:
            temporary.unlink(missing_ok=True)
            # Opened before it takes the place of the other: what is entered next cannot go to a file without a name.
            fresh = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            with open(fresh, "wb", closefd=False) as stream:
                size = sum(stream.write(line + b"\n") for line in lines)
            os.fsync(fresh)
            temporary.replace(self.path)
            os.close(self._file)
            self._file, self._size, fresh = fresh, size, -1
            _sync_folder(self.path.parent)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            if fresh >= 0:
                os.close(fresh)
            raise UsageError(
                f"cannot rewrite the log {self.path}: {error.strerror}. Make room and open the case again."
            ) from None

    def close(self) -> None:
        """Let another process write."""
        for handle in (self._file, self._lock):
            with contextlib.suppress(OSError):
                os.close(handle)

    def _check(self) -> None:
        if self._broken:
            raise UsageError(
                f"the log {self.path} could not be brought back after a failure. Open the case again."
            )
        if os.fstat(self._file).st_size != self._size:
            raise UsageError(
                f"something else wrote to {self.path}, past the lock. Nothing was entered; verify the case."
            )

    def _roll_back(self) -> None:
        try:
            os.ftruncate(self._file, self._size)
            os.fsync(self._file)
        except OSError:
            self._broken = True

    def _repair(self) -> tuple[int, int]:
        """Cut off an incomplete last line; the size then, and how much was cut."""
        size = os.fstat(self._file).st_size
        start = max(size - MAX_LINE_BYTES - 1, 0)
        tail = os.pread(self._file, size - start, start)
        if not tail or tail.endswith(b"\n"):
            return size, 0
        end = tail.rfind(b"\n")
        if end < 0 and start > 0:
            raise FormatError(
                f"{self.path} ends in more than {MAX_LINE_BYTES:,} bytes that are no entry; no crash leaves that. "
                "Restore it from the archive."
            )
        whole = start + end + 1
        os.ftruncate(self._file, whole)
        os.fsync(self._file)
        return whole, size - whole


def _locked(path: Path, wait_seconds: float) -> int:
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(f"cannot open {path}: {error.strerror}. Give the folder of a case.") from None
    until = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= until:
                os.close(handle)
                raise UsageError(
                    f"another process writes the case in {path.parent}. A log has one writer; end the other first."
                ) from None
            time.sleep(POLL_SECONDS)
        else:
            return handle


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
