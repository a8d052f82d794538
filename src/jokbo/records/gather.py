"""Files of a record: found without following links, hashed and copied in pieces."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from jokbo.errors import AccessError, ChangedError, FormatError, NotFoundError, SourceError, UsageError
from jokbo.records.manifest import MAX_FILES, check_path
from jokbo.records.record import PackFile

PIECE_BYTES = 4 << 20
MAX_FOLDERS_DEEP = 32


def regular_file(root: Path, path: str, *, where: str) -> os.stat_result:
    """Status of a regular file below `root` that no link on the way leads out of it.

    Parameters
    ----------
    root : Path
        The pack, or the folder that a declaration's paths are relative to.
    path : str
        Checked by :func:`~jokbo.records.manifest.check_path`.

    Raises
    ------
    NotFoundError
        Nothing is there.
    AccessError
        It is no regular file, may not be read, or a link leads out of the folder.
    """
    try:
        real = Path(os.path.realpath(root / path, strict=True))
        status = os.stat(real)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{where}: there is no file {path!r}. Complete the download.") from None
    except OSError as error:
        raise AccessError(
            f"{where}: {path!r} cannot be opened: {error.strerror}. Check it and its permissions."
        ) from None
    if not real.is_relative_to(os.path.realpath(root)):
        raise AccessError(
            f"{where}: {path!r} is a link, or lies behind one, that leads out of the record's folder; expected a file "
            "inside. Put the file itself there."
        )
    if not stat.S_ISREG(status.st_mode):
        raise AccessError(f"{where}: {path!r} is no regular file; expected one. Put the file itself there.")
    return status


def walk(root: Path, path: str, *, where: str) -> Iterator[str]:
    """Names of all files at or below a path, sorted, relative to `root`; links and special files are errors.

    Raises
    ------
    NotFoundError
        Nothing is there, or an empty folder.
    AccessError
        A link or a special file is among them.
    FormatError
        More files or deeper folders than a record has, or a name that no pack may hold.
    """
    check_path(path, where=where)
    if os.path.realpath(root / path) != os.path.join(os.path.realpath(root), path):
        raise AccessError(
            f"{where}: {path!r} is a link, or lies behind one; expected the file itself, so that what is packed is "
            "what was declared. Copy it there."
        )
    found = sorted(_walk(root, path, where, 0))
    if not found:
        raise NotFoundError(f"{where}: the folder {path!r} holds no files. Name what is to be disclosed.")
    if len(found) > MAX_FILES:
        raise FormatError(f"{where}: {path!r} holds more than {MAX_FILES:,} files. Name a smaller folder.")
    yield from found


def _walk(root: Path, path: str, where: str, depth: int) -> Iterator[str]:
    check_path(path, where=where)
    if depth > MAX_FOLDERS_DEEP:
        raise FormatError(
            f"{where}: {path!r} is more than {MAX_FOLDERS_DEEP} folders deep. Name a smaller folder."
        )
    try:
        mode = os.lstat(root / path).st_mode
        names = sorted(os.listdir(root / path)) if stat.S_ISDIR(mode) else []
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(
            f"{where}: there is no file or folder {path!r} in {root}. Correct the path in the declaration."
        ) from None
    except OSError as error:
        raise AccessError(
            f"{where}: {path!r} cannot be read: {error.strerror}. Check its permissions."
        ) from None
    if stat.S_ISLNK(mode):
        raise AccessError(
            f"{where}: {path!r} is a link; expected the file itself, so that what is packed is what was declared. "
            "Copy the file there."
        )
    if stat.S_ISREG(mode):
        yield path
    elif stat.S_ISDIR(mode):
        for name in names:
            yield from _walk(root, f"{path}/{name}", where, depth + 1)
    else:
        raise AccessError(f"{where}: {path!r} is neither a file nor a folder. Leave it out.")


def hash_file(file: Path) -> PackFile:
    """Size and SHA-256 of a file, read in pieces of 4 MiB.

    Raises
    ------
    SourceError
        It cannot be read.
    ChangedError
        It was written to meanwhile.
    """
    return _pour(file, None)


def copy_file(file: Path, target: Path, *, copy: bool = True) -> PackFile:
    """Copy a file, or link it hard, and say what was copied.

    Raises
    ------
    SourceError
        It cannot be read or written.
    ChangedError
        It was written to meanwhile.
    UsageError
        The two places are on different disks, where no hard link can be made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if copy:
        return _pour(file, target)
    try:
        os.link(file, target, follow_symlinks=False)
    except OSError as error:
        raise UsageError(
            f"{file} cannot be linked into the pack: {error.strerror}. Copy the files, or pack on the disk they are on."
        ) from None
    return _pour(target, None)


def _pour(file: Path, target: Path | None) -> PackFile:
    digest = hashlib.sha256()
    size = 0
    try:
        # Without O_NONBLOCK, opening a pipe that was put here meanwhile would wait for ever.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        with open(os.open(file, flags), "rb") as source:
            before = os.fstat(source.fileno())
            out = open(target, "xb") if target is not None else None  # noqa: SIM115  (closed below)
            try:
                while piece := source.read(PIECE_BYTES):
                    digest.update(piece)
                    size += len(piece)
                    if out is not None:
                        out.write(piece)
            finally:
                if out is not None:
                    out.close()
            after = os.fstat(source.fileno())
    except OSError as error:
        raise SourceError(
            f"{file} cannot be read or copied: {error.strerror}. Check the disk and run again."
        ) from None
    if size != before.st_size or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ChangedError(f"{file} changed while it was read. Run again when nothing writes to it.")
    return PackFile(size, digest.hexdigest())
