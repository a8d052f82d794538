"""Ordinary files of folders that somebody else filled: opened without following links, digested piece by piece."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jokbo.errors import NotFoundError

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class FileFacts:
    """Size and SHA-256 of a file."""

    size: int
    sha256: str


def open_regular(path: Path) -> IO[bytes]:
    """Open an ordinary file; never a link, a device or a pipe.

    Raises
    ------
    NotFoundError
        There is none.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotFoundError(f"cannot read {path}: it is a link. Give the file itself.") from None
        raise NotFoundError(f"cannot read {path}: {error.strerror}.") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise NotFoundError(f"{path} is no ordinary file. Give a file.")
    return os.fdopen(handle, "rb")


def file_facts(path: Path) -> FileFacts:
    """Size and digest of a file, read piece by piece.

    Raises
    ------
    NotFoundError
        There is none, or it is no ordinary file.
    """
    digest, size = hashlib.sha256(), 0
    with open_regular(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return FileFacts(size, digest.hexdigest())
