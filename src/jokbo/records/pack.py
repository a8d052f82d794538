"""Packs: a training record in one folder, with a manifest of digests (``docs/reference/disclosure-pack.md``).

:func:`write_pack` gathers what a declaration names, :func:`open_pack` reads it back and believes none of
it: no path or link leads out of the folder, nothing is executed, nothing is written.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jokbo.errors import FormatError, NotFoundError, SourceError, UsageError
from jokbo.records.declaration import Declaration
from jokbo.records.gather import copy_file, hash_file, regular_file, walk
from jokbo.records.manifest import (
    MANIFEST,
    MAX_DECLARATION_BYTES,
    MAX_FILES,
    MAX_MANIFEST_BYTES,
    check_path,
    manifest_bytes,
    named_paths,
    parse_manifest,
    read_declaration,
)
from jokbo.records.record import DEFAULT_BUDGET_BYTES, PackFile, Record
from jokbo.records.reduce import CONFIG, is_model_file, reduce_checkpoints
from jokbo.records.sampled_rows import MAX_ROWS

DECLARATION = "record.toml"
BESIDE = (CONFIG, "tokenizer.json", "adapter_config.json")
"""What a single weights file is read together with, if it lies beside it."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A file whose bytes are not those of the manifest."""

    path: str
    claimed: PackFile
    found: PackFile


def open_pack(
    folder: str | os.PathLike[str],
    *,
    seed: int = 0,
    budget_bytes: int = DEFAULT_BUDGET_BYTES,
    partial: bool = False,
) -> Record:
    """Open a pack: its manifest is read and checked, sizes are compared, and nothing is written.

    Parameters
    ----------
    folder : path
    seed : int
        Decides which rows of the checkpoints are read.
    budget_bytes : int
        How much of the checkpoints may be read in all.
    partial : bool
        Files of the manifest may be absent: the parts that need them then count as not disclosed, weights
        as known by their digests alone.

    Raises
    ------
    NotFoundError
        There is no pack, or a file of its manifest is absent.
    AccessError
        A link leads out of the pack, or what should be a file is none.
    FormatError
        The manifest is malformed, a size is not that of the file, or a folder of the declaration holds a
        file that the manifest does not list.
    """
    root = Path(folder)
    manifest = parse_manifest(
        _read_small(root, MANIFEST, MAX_MANIFEST_BYTES), where=f"{root.name}/{MANIFEST}"
    )
    absent: set[str] = set()
    for path, file in manifest.files.items():
        try:
            status = regular_file(root, path, where=root.name)
        except NotFoundError:
            absent.add(path)
            continue
        if status.st_size != file.size:
            raise FormatError(
                f"{root.name}: {path} has {status.st_size:,} bytes; the manifest says {file.size:,}. "
                "It is cut off or was changed: fetch the pack again."
            )
    declaration = manifest.declaration
    if absent:
        if not partial:
            raise NotFoundError(
                f"{root.name}: the manifest lists {min(absent)!r}, which is not there "
                f"({len(absent):,} of {len(manifest.files):,} files are absent). Complete the download, or open "
                "what there is as a partial pack (--partial)."
            )
        from jokbo.records.held import held_declaration

        declaration = held_declaration(declaration, manifest.files, absent)
    _refuse_strays(root, declaration, manifest.files)
    held = {path: file for path, file in manifest.files.items() if path not in absent}
    return Record(root, declaration, held, manifest.digest, seed, budget_bytes)


def write_pack(
    declaration_file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    copy: bool = True,
    root: str | os.PathLike[str] | None = None,
    digest_only: bool = False,
    sample_rows: int = 0,
    whole: Sequence[str] = (),
    seed: int = 0,
    tell: Tell | None = None,
) -> Record:
    """Gather all that a declaration names into a new folder, with the digest of every file.

    The folder is written beside its final place and renamed when it is complete: a pack that was killed
    leaves no pack. Of a checkpoint's folder only weights and small texts (configuration, tokenizer) are
    taken; optimizer states are taken where they are declared.

    Parameters
    ----------
    declaration_file : path
        ``record.toml``, or the same as JSON.
    out : path
        Must not exist.
    copy : bool
        Copy files; else link them hard, which needs no space and follows later changes of the file.
    root : path, optional
        What the declaration's paths are relative to; else its own folder.
    digest_only : bool
        Keep only the digest of each checkpoint's weights.
    sample_rows : int
        Keep the digest and this many rows of each tensor; 0 for none.
    whole : sequence of str
        Names of checkpoints that are kept whole all the same.
    seed : int
        Which rows are kept follows from it and from all weights.
    tell : callable, optional
        Told each file.

    Raises
    ------
    UsageError
        `out` exists, or options contradict each other.
    FormatError
        The declaration is malformed or names a path outside `root`.
    SourceError
        A file is absent, a link, unreadable, or changed while it was read.
    """
    source = Path(declaration_file)
    target = Path(os.path.abspath(out))
    told = tell or (lambda _: None)
    _check_call(target, digest_only, sample_rows)
    declaration = _read_declaration_file(source)
    base = source.parent if root is None else Path(root)
    unknown = sorted(set(whole) - {entry.name for entry in declaration.checkpoint})
    if unknown:
        raise UsageError(f"no checkpoint is called {unknown[0]!r}; name one that the declaration holds.")
    gathered = dict.fromkeys(
        _gather(declaration, base, digest_only or sample_rows > 0, set(whole), source.name)
    )
    temporary = target.parent / f".{target.name}.part-{os.getpid()}"
    try:
        temporary.mkdir()
    except OSError as error:
        raise UsageError(f"cannot write {temporary}: {error.strerror}. Choose another place.") from None
    try:
        files: dict[str, PackFile] = {}
        for path in gathered:
            told(path)
            files[path] = copy_file(base / path, temporary / path, copy=copy)
        if digest_only or sample_rows:
            declaration, made = reduce_checkpoints(
                declaration, base, temporary, n_rows=sample_rows, whole=set(whole), seed=seed, tell=told
            )
            files |= made
        data = manifest_bytes(declaration, files)
        parse_manifest(data)  # what is written can be read
        _write_durably(temporary / MANIFEST, data)
        os.rename(temporary, target)
    except OSError as error:
        raise SourceError(
            f"cannot write {target}: {error.strerror}. Make room, or choose another place."
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return open_pack(target)


def find_mismatches(
    record: Record, paths: Sequence[str] | None = None, *, tell: Tell | None = None
) -> tuple[Mismatch, ...]:
    """Read files whole and compare their digests with those of the manifest.

    Parameters
    ----------
    record : Record
    paths : sequence of str, optional
        Which files; else all that are held.
    tell : callable, optional
        Told each file.
    """
    found = []
    for path in sorted(record.files) if paths is None else paths:
        if tell is not None:
            tell(path)
        own = hash_file(record.path(path))
        if own != record.files[path]:
            found.append(Mismatch(path, record.files[path], own))
    return tuple(found)


def _check_call(target: Path, digest_only: bool, sample_rows: int) -> None:
    if os.path.lexists(target):
        raise UsageError(
            f"{target} exists already, and a pack never replaces anything. Choose another place."
        )
    if digest_only and sample_rows:
        raise UsageError("either digests alone or sampled rows can be kept of a checkpoint; choose one.")
    if not 0 <= sample_rows <= MAX_ROWS:
        raise UsageError(f"sample_rows is {sample_rows!r}; expected 1 to {MAX_ROWS:,} rows of each tensor.")


def _read_declaration_file(source: Path) -> Declaration:
    if not source.is_file():
        near = " Give the file in it." if source.is_dir() else ""
        raise NotFoundError(
            f"{source}: there is no such declaration ({DECLARATION}).{near or ' Check the path.'}"
        )
    return read_declaration(_read_small(source.parent, source.name, MAX_DECLARATION_BYTES), where=source.name)


def _read_small(root: Path, name: str, most: int) -> bytes:
    if not root.is_dir():
        raise NotFoundError(f"{root}: there is no such folder. Give the folder that holds {MANIFEST}.")
    try:
        status = regular_file(root, name, where=root.name or str(root))
    except NotFoundError:
        if (root / DECLARATION).is_file():
            raise NotFoundError(
                f"{root} holds {DECLARATION} and no {MANIFEST}: it is not packed yet. "
                f"Run `jokbo record pack {root / DECLARATION} -o PACK`."
            ) from None
        raise NotFoundError(f"{root} holds no {MANIFEST}, so it is not a pack. Check the path.") from None
    if status.st_size > most:
        raise FormatError(f"{root.name}: {name} has {status.st_size:,} bytes; expected at most {most:,}.")
    with (root / name).open("rb") as file:
        return file.read(most + 1)


def _gather(
    declaration: Declaration, base: Path, reduced: bool, whole: set[str], where: str
) -> Iterator[str]:
    """Every file to be copied, in the order of the declaration; a file that two fields name comes twice."""
    weights = {f"checkpoint[{k}].path": entry.name for k, entry in enumerate(declaration.checkpoint)}
    for field, path in named_paths(declaration):
        here = f"{where}: field {field}"
        check_path(path, where=here)
        name = weights.get(field)
        if name is None:
            yield from walk(base, path, where=here)
        elif not reduced or name in whole:
            yield from _model_files(base, path, here)


def _model_files(base: Path, path: str, where: str) -> Iterator[str]:
    """Weights and what a model needs beside them; what else a trainer leaves there is not taken."""
    found = list(walk(base, path, where=where))
    if found == [path]:
        yield path
        config = f"{path.rpartition('/')[0]}/{CONFIG}".lstrip("/")
        if (base / config).exists():
            yield from walk(base, config, where=where)
        return
    taken = [
        file for file in found if file.rpartition("/")[0] == path and is_model_file(file.rpartition("/")[2])
    ]
    if not taken:
        raise NotFoundError(f"{where}: the folder {path!r} holds no weights. Name the folder that does.")
    yield from taken


def _refuse_strays(root: Path, declaration: Declaration, files: Mapping[str, PackFile]) -> None:
    """What readers of a folder would read too, though it has no digest, is an error."""
    folders = {path for _, path in named_paths(declaration) if path not in files}
    beside = {
        entry.path.rpartition("/")[0]
        for entry in declaration.checkpoint
        if entry.path and entry.path in files
    }
    candidates = (f"{folder}/{name}".lstrip("/") for folder in sorted(beside) for name in BESIDE)
    strays = (path for path in candidates if path not in files and os.path.lexists(root / path))
    for path in (*strays, *_listed(root, folders)):
        if path not in files:
            raise FormatError(
                f"{root.name}: the pack holds {path!r} in a folder of the declaration, and the manifest does not list "
                "it; what reads the folder would read it too. Take it out, or pack the record again."
            )


def _listed(root: Path, folders: Collection[str]) -> Iterator[str]:
    """Everything below these folders that is no folder; links are not followed."""
    count = 0
    for folder in sorted(folders):
        for here, _, names in os.walk(root / folder):
            count += len(names)
            if count > MAX_FILES:
                raise FormatError(
                    f"{root.name}: folders of the declaration hold more than {MAX_FILES:,} files."
                )
            yield from (os.path.relpath(os.path.join(here, name), root) for name in names)


def _write_durably(file: Path, data: bytes) -> None:
    with file.open("xb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
