"""What a link commits to: files of a run's folder by digest, growing logs by what is new of them."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from jokbo.errors import ChangedError, NotFoundError, UsageError
from jokbo.records.commit.link import MAX_ITEMS, Item

COMMITMENTS = "commitments"
"""Folder inside a run's folder that holds the chain and its time stamps."""

_CHUNK_BYTES = 8 << 20

_SUFFIXES: Mapping[str, str] = {
    ".safetensors": "weights",
    ".pt": "weights",
    ".pth": "weights",
    ".bin": "weights",
    ".gguf": "weights",
    ".jsonl": "log",
    ".csv": "log",
    ".log": "log",
    ".wandb": "log",
    ".npy": "data",
    ".parquet": "data",
    ".arrow": "data",
    ".py": "code",
    ".sh": "code",
}

_NO_WEIGHTS = ("rng_state", "scheduler.", "scaler.", "training_args.")
"""Beginnings of files that trainers leave beside weights, under the same suffixes."""


def guess_kind(path: str) -> str:
    """What a file is, by its name.

    Examples
    --------
    >>> guess_kind("step-8/optimizer.pt"), guess_kind("runs/events.out.tfevents.1"), guess_kind("config.json")
    ('optimizer', 'log', 'other')
    """
    *folders, name = path.lower().split("/")
    if "tfevents" in name:
        return "log"
    if name.startswith(_NO_WEIGHTS):
        return "other"
    kind = _SUFFIXES.get(os.path.splitext(name)[1], "other")
    return "optimizer" if kind == "weights" and ("optimizer" in name or "optimizer" in folders) else kind


def relative_path(folder: Path, path: str | os.PathLike[str]) -> str:
    """A file's name below the run's folder.

    Raises
    ------
    UsageError
        It lies elsewhere, is reached through a link, or its name is no text.
    """
    whole, inside = Path(os.path.abspath(path)), Path(os.path.abspath(folder))
    if not whole.is_relative_to(inside):
        raise UsageError(f"{path} lies outside {folder}. Commit to files of the run's own folder.")
    name = whole.relative_to(inside)
    for parent in (whole, *whole.parents):
        if parent == inside:
            break
        if parent.is_symlink():
            raise UsageError(
                f"{parent} is a link. Commit to the files themselves, which others can be given."
            )
    try:
        str(name).encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of {str(name)!r} is not UTF-8. Rename the file.") from None
    return name.as_posix()


def digest_file(folder: Path, path: str, *, kind: str = "", start: int = 0) -> Item:
    """Digest a file, or of a log what follows byte `start`.

    Raises
    ------
    NotFoundError, UsageError
        It cannot be read, or a log is shorter than what was committed.
    ChangedError
        It changed while it was read; a log may grow meanwhile, and the rest is left to the next link.
    """
    kind = kind or guess_kind(path)
    growing = kind == "log"
    try:
        with open(folder / path, "rb") as stream:
            before = os.fstat(stream.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise UsageError(f"{folder / path} is no ordinary file.")
            if growing and before.st_size < start:
                raise UsageError(
                    f"the log {path} has {before.st_size:,} bytes, and {start:,} are committed: it was cut or written "
                    "anew. Keep a log as it grows, and give a new one a new name."
                )
            stream.seek(start if growing else 0)
            size = before.st_size - (start if growing else 0)
            sha256, found = _digest(stream, size)
            after = os.fstat(stream.fileno())
    except OSError as error:
        raise NotFoundError(f"cannot read {folder / path}: {error.strerror}.") from None
    changed = after.st_size < before.st_size if growing else _state(before) != _state(after)
    if found != size or changed:
        raise ChangedError(f"{folder / path} changed while it was read. Commit once it is written.")
    if growing:
        return Item(path, size, sha256, kind, start, start + size)
    return Item(path, size, sha256, kind)


def _state(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns


def _digest(stream: io.BufferedIOBase, size: int) -> tuple[str, int]:
    digest, left = hashlib.sha256(), size
    while left and (chunk := stream.read(min(left, _CHUNK_BYTES))):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest(), size - left


def collect_items(
    folder: Path,
    paths: Iterable[str | os.PathLike[str]] | None,
    *,
    committed: Iterable[str] = (),
    log_stops: Mapping[str, int],
) -> tuple[Item, ...]:
    """Digest what is to be committed: the files named, or all that is new.

    Parameters
    ----------
    folder : Path
        Of the run.
    paths : iterable of paths or None
        Files, or folders with all their files; None for every file that no link names yet, and every log
        that grew. Hidden files and the folder of commitments are left out.
    committed : iterable of str
        Names that links have already.
    log_stops : mapping of str to int
        How far each log is committed.

    Raises
    ------
    InputError, UsageError
        A file cannot be read, lies elsewhere, or there are too many.
    """
    known = set(committed)
    if paths is None:
        names = [name for name in _files(folder, folder) if name not in known or name in log_stops]
    else:
        names = sorted({name for path in paths for name in _named(folder, Path(path))})
    if len(names) > MAX_ITEMS:
        raise UsageError(f"{len(names):,} files are to be committed; a link has at most {MAX_ITEMS:,}.")
    items = (
        digest_file(folder, name, kind="log" if name in log_stops else "", start=log_stops.get(name, 0))
        for name in names
    )
    return tuple(item for item in items if item.kind != "log" or item.size)


def _named(folder: Path, path: Path) -> Iterator[str]:
    name = relative_path(folder, path)
    if path.is_dir():
        yield from _files(folder, folder / name)
    else:
        yield name


def _files(folder: Path, below: Path) -> Iterator[str]:
    for place, folders, files in os.walk(below):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        if Path(place) == folder and COMMITMENTS in folders:
            folders.remove(COMMITMENTS)
        for name in folders:
            if Path(place, name).is_symlink():
                raise UsageError(
                    f"{Path(place, name)} is a link to a folder. Commit to the files themselves."
                )
        for name in sorted(files):
            if not name.startswith("."):
                yield relative_path(folder, Path(place, name))
