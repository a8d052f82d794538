"""Write a file whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, *, beside: Path | None = None, sync: bool = True) -> Iterator[BinaryIO]:
    """A file that takes its name once it is written; until then, and after a failure, what was there stays.

    A device or a pipe (``/dev/stdout``) is written to, never replaced; of a link, what it leads to is replaced.

    Parameters
    ----------
    path : pathlib.Path
    beside : pathlib.Path, optional
        Folder of the file while it is written, on the same file system; that of `path` otherwise.
    sync : bool
        Whether it survives a loss of power from the moment it has its name.

    Raises
    ------
    OSError
        It cannot be written; nothing is left.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(Path(folder) / "x") as file:
    ...         there = (Path(folder) / "x").exists()
    ...         _ = file.write(b"whole")
    ...     there, (Path(folder) / "x").read_bytes()
    (False, b'whole')
    """
    target = path.resolve()
    if target.exists() and not target.is_file():
        with target.open("wb") as file:
            yield file
        return
    partial = (beside or target.parent) / f".{secrets.token_hex(8)}.part"
    try:
        with partial.open("xb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


def write_whole(path: Path, data: bytes, *, beside: Path | None = None, sync: bool = True) -> None:
    """The same with bytes that are there already."""
    with whole_file(path, beside=beside, sync=sync) as file:
        file.write(data)
