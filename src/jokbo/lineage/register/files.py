"""Fingerprints in a folder by digest, and the place where files stand before they are entered.

::

    fingerprints/3f/3f9c…e1.fingerprint.safetensors   entered: its name is its SHA-256
    incoming/<random>.lock                            held by the process that is writing, with the keys it will enter
    incoming/<random>/                                its files, under temporary names

A file becomes visible by a rename, inside the transaction that enters it. Whoever is killed loses its lock; the next
writer finds the lock free and removes what was left: the temporary files, and those of the keys named that were renamed
and never entered. No file is removed that is not named so.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType

from jokbo.errors import FormatError, NotFoundError, UsageError
from jokbo.lineage.register.entries import KEY
from jokbo.views.fingerprint import MAX_FINGERPRINT_BYTES, SUFFIX

FINGERPRINTS = "fingerprints"
INCOMING = "incoming"

MAX_INTENDED = 1 << 20
_CHUNK = 1 << 20
_STAGE = re.compile(r"[0-9a-f]{32}")
_DEEP_ENOUGH = 2


def fingerprint_path(folder: Path, key: str) -> Path:
    """Where the fingerprint of a key lies."""
    if not KEY.fullmatch(key):
        raise UsageError(f"{key[:40]!r} is not the key of a fingerprint; expected a SHA-256.")
    return folder / FINGERPRINTS / key[:_DEEP_ENOUGH] / f"{key}{SUFFIX}"


def read_fingerprint_file(path: Path) -> bytes:
    """A whole fingerprint file that somebody names.

    Raises
    ------
    NotFoundError
        There is no such file.
    FormatError
        It is larger than any fingerprint.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FINGERPRINT_BYTES + 1)
    except OSError as error:
        raise NotFoundError(
            f"the fingerprint {path} cannot be read: {error.strerror}. Check its name and permissions."
        ) from None
    if len(data) > MAX_FINGERPRINT_BYTES:
        raise FormatError(
            f"{path} is larger than {MAX_FINGERPRINT_BYTES:,} bytes; no fingerprint is. Check the file."
        )
    return data


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(folder: Path, key: str, size: int) -> str | None:
    """What is wrong with the file of an entry: ``"missing"``, ``"damaged"``, or None."""
    path = fingerprint_path(folder, key)
    try:
        if path.stat().st_size != size:
            return "damaged"
        return None if file_digest(path) == key else "damaged"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"


def stored_files(folder: Path) -> Iterator[tuple[str | None, Path]]:
    """Every file below ``fingerprints``: its key, or None for what does not belong there."""
    for path in sorted((folder / FINGERPRINTS).rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        key = path.name.removesuffix(SUFFIX)
        known = bool(KEY.fullmatch(key)) and path == fingerprint_path(folder, key) and not path.is_symlink()
        yield (key if known else None), path


class Staging:
    """A place of one process for files that are not entered yet; used as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._token = ""
        self._lock = -1

    def __enter__(self) -> Staging:
        parent = self._folder / INCOMING
        parent.mkdir(exist_ok=True)
        while True:
            self._token = secrets.token_hex(16)
            self._lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # Between these two lines another process may take it for abandoned, and remove it.
            if _try_lock(self._lock) and os.fstat(self._lock).st_nlink == 1:
                break
            os.close(self._lock)
        try:
            self._place.mkdir()
        except OSError:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._place, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._lock_path.unlink()
        os.close(self._lock)

    @property
    def _lock_path(self) -> Path:
        return self._folder / INCOMING / f"{self._token}.lock"

    @property
    def _place(self) -> Path:
        return self._folder / INCOMING / self._token

    def write(self, key: str, pieces: Iterable[bytes]) -> Path:
        """Write a file that survives a loss of power, under a temporary name."""
        path = self._place / f"{key}.part"
        with path.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        return path

    def intend(self, keys: Iterable[str]) -> None:
        """Note which keys will be entered or removed, so that whoever comes after a kill can clear up."""
        rest = "".join(f"{key}\n" for key in keys).encode()
        while rest:
            rest = rest[os.write(self._lock, rest) :]
        os.fsync(self._lock)

    def place(self, staged: Path, key: str) -> None:
        """Give a file its name; only inside the transaction that enters it."""
        path = fingerprint_path(self._folder, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, path)
        for parent in (path.parent, path.parent.parent):
            sync_folder(parent)


def abandoned(folder: Path) -> Iterator[tuple[list[str], Path]]:
    """Stagings whose process is gone: the keys they noted, and their lock file, held while one looks."""
    try:
        locks = sorted((folder / INCOMING).glob("*.lock"))
    except OSError:
        return
    for lock in locks:
        if not _STAGE.fullmatch(lock.stem):
            continue
        try:
            held = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # its owner was faster
        try:
            if _try_lock(held):
                text = os.read(held, MAX_INTENDED * 65).decode("ascii", "replace")
                yield [line for line in text.splitlines() if KEY.fullmatch(line)], lock
        finally:
            os.close(held)


def remove_abandoned(lock: Path) -> None:
    """Remove what a staging left, its lock last."""
    shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
    lock.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames in a folder survive a loss of power."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(held)
    finally:
        os.close(held)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
