"""The register: an index and a folder of fingerprints, used by several processes at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jokbo.errors import FormatError, InputError, JokboError, NotFoundError, UsageError
from jokbo.evidence.canonical import digest
from jokbo.lineage.register import database, files
from jokbo.lineage.register.entries import Entry, Facts, check_facts, find_entry, tidy
from jokbo.lineage.register.prepared import MAX_SKETCH_BYTES, Prepared, damage, prepare, renewed
from jokbo.views.sampling import MAX_SALT_LENGTH, PUBLIC_SALT

if TYPE_CHECKING:
    import sqlite3

    from jokbo.lineage.fingerprint import Fingerprint

Skipped = Callable[[Entry, InputError], None]
"""Told of a damaged entry that is left out."""

Change = Callable[[Entry, Entry], Entry]
"""From the entry that is there and the one offered to the one that stays."""


def default_folder() -> Path:
    """``JOKBO_REGISTRY``, or ``jokbo/register`` in the user's data folder."""
    if chosen := os.environ.get("JOKBO_REGISTRY"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_DATA_HOME") or "~/.local/share").expanduser() / "jokbo" / "register"


def random_salt() -> str:
    """A salt that nobody can foresee."""
    return secrets.token_hex(16)


def open_register(
    directory: str | os.PathLike[str] | None = None, *, create: bool = False, salt: str = PUBLIC_SALT
) -> Register:
    """Open a register, or begin one.

    Parameters
    ----------
    directory : path-like, optional
        Its folder; :func:`default_folder` otherwise.
    create : bool
        Whether to begin one where none is.
    salt : str
        Of a register that is begun: the public one, or :func:`random_salt`. Decides which rows of a model its
        fingerprints hold; one that is there keeps its own.

    Raises
    ------
    NotFoundError
        There is none, and `create` is false.
    UsageError
        The folder cannot be used.
    FormatError
        The index is of a newer version, or is damaged.
    """
    folder = Path(directory).expanduser() if directory is not None else default_folder()
    if not (folder / database.FILE).is_file():
        if not create:
            raise NotFoundError(
                f"there is no register in {folder}. Begin one with `jokbo registry add`, or name another with "
                "--registry."
            )
        _begin(folder, salt)
    return Register(folder)


def _begin(folder: Path, salt: str) -> None:
    if not 0 < len(salt) <= MAX_SALT_LENGTH or salt != tidy(salt, MAX_SALT_LENGTH):
        raise UsageError(
            f"the salt is {tidy(salt, 40)!r}; expected 1 to {MAX_SALT_LENGTH} characters on one line."
        )
    with database.telling(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if next(files.stored_files(folder), None) is not None:
            raise UsageError(
                f"{folder} holds fingerprints and no index. Take the index from a backup, or build another register: "
                f"`jokbo registry add {folder}/{files.FINGERPRINTS}/*/* --registry NEW`."
            )
        database.create_index(folder, salt)
        for name in (files.FINGERPRINTS, files.INCOMING):
            (folder / name).mkdir(exist_ok=True)


class Register:
    """Models by their fingerprints; made by :func:`open_register`.

    Attributes
    ----------
    folder : pathlib.Path
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with database.reading(folder):
            pass  # whatever is wrong with the index is told now

    @property
    def salt(self) -> str:
        """What the rows of every fingerprint here were chosen by."""
        with database.reading(self.folder) as connection:
            return database.read_salt(connection)

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON list of all keys in order: what evidence of a search names."""
        with database.reading(self.folder) as connection:
            return digest(database.read_keys(connection))

    def __len__(self) -> int:
        with database.reading(self.folder) as connection:
            (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
        return int(count)

    def entries(self) -> tuple[Entry, ...]:
        """Every entry, in order of its key."""
        with database.reading(self.folder) as connection:
            return tuple(database.read_entries(connection))

    def get(self, wanted: str) -> Entry:
        """The entry of a key, of the beginning of a key, of a name, or of ``name@commit``.

        Raises
        ------
        UsageError
            None is meant, or more than one.
        """
        return find_entry(self.entries(), wanted, where=f"the register {self.folder}")

    def path(self, entry: Entry) -> Path:
        """Where the fingerprint of an entry lies; what reads it checks the digests of its blocks."""
        return files.fingerprint_path(self.folder, entry.key)

    def verified_path(self, entry: Entry) -> Path:
        """The same, once the file's digest is its key.

        Raises
        ------
        FormatError
            The file is missing or was changed.
        """
        wrong = files.check_file(self.folder, entry.key, entry.size)
        if wrong is not None:
            raise FormatError(damage(entry, self.path(entry), wrong))
        return self.path(entry)

    def sketches(self, *, keep_going: Skipped | None = None) -> Iterator[tuple[str, bytes]]:
        """Key and sketch of every entry that has one, in order of the keys; nothing else of the files is read.

        Parameters
        ----------
        keep_going : callable, optional
            Called with each damaged entry, which is then left out; without it the first one ends the work.

        Raises
        ------
        FormatError
            A sketch does not have the digest that the index names.
        """
        with database.reading(self.folder) as connection:
            places = database.read_sketch_places(connection)
        for key, start, size, sha256 in places:
            data = self._sketch(key, start, size)
            if hashlib.sha256(data).hexdigest() == sha256:
                yield key, data
                continue
            with database.reading(self.folder) as connection:
                entry = next(iter(database.read_entries(connection, key)), None)
            if entry is None:
                continue  # removed meanwhile
            error = FormatError(
                damage(entry, self.path(entry), "damaged" if self.path(entry).is_file() else "missing")
            )
            if keep_going is None:
                raise error
            keep_going(entry, error)

    def _sketch(self, key: str, start: int, size: int) -> bytes:
        with contextlib.suppress(OSError), files.fingerprint_path(self.folder, key).open("rb") as file:
            return os.pread(file.fileno(), min(size, MAX_SKETCH_BYTES), start)
        return b""

    def add(
        self,
        fingerprint: Fingerprint,
        *,
        name: str | None = None,
        parents: tuple[str, ...] = (),
        relation: str | None = None,
        license: str | None = None,
        public_since: str | None = None,
        public_since_source: str | None = None,
        source: str | None = None,
    ) -> Entry:
        """Enter a fingerprint, whole or not at all; one that is there takes the facts that are given.

        Raises
        ------
        FormatError
            The fingerprint is damaged.
        UsageError
            It was made with another salt, a fact is none, or the disk is full: nothing was changed.
        """
        facts = Facts(
            name, tuple(parents), relation, license, public_since, public_since_source, None, None, source
        )
        return self.add_bytes(fingerprint.data, facts)

    def add_file(self, path: str | os.PathLike[str], facts: Facts | None = None) -> Entry:
        """The same with a fingerprint file."""
        path = Path(path)
        return self.add_bytes(files.read_fingerprint_file(path), facts or Facts(), where=path.name)

    def add_bytes(self, data: bytes, facts: Facts, *, where: str = "fingerprint.safetensors") -> Entry:
        """The same with a fingerprint's bytes; `where` is what messages call them."""
        self.sweep()
        prepared = prepare(data, facts, salt=self.salt, where=where)
        with database.telling(self.folder), files.Staging(self.folder) as staging:
            staged = staging.write(prepared.entry.key, [data])
            return self.enter(staging, [(prepared, staged)], change=lambda known, _: renewed(known, facts))[0]

    def enter(
        self, staging: files.Staging, prepared: Sequence[tuple[Prepared, Path]], *, change: Change
    ) -> list[Entry]:
        """Enter files that were staged and checked: all in one transaction, or none.

        Parameters
        ----------
        staging : Staging
        prepared : sequence of (Prepared, pathlib.Path)
            Entry and staged file of each.
        change : callable
            What becomes of an entry that is there already, given it and the one offered.
        """
        placed: list[str] = []
        staging.intend(one.entry.key for one, _ in prepared)
        try:
            with database.writing(self.folder) as connection:
                return [self._enter(connection, staging, *each, change, placed) for each in prepared]
        except BaseException:
            with contextlib.suppress(JokboError):  # the failure that is told is the first
                self.drop_unentered(placed)
            raise

    def _enter(
        self,
        connection: sqlite3.Connection,
        staging: files.Staging,
        one: Prepared,
        staged: Path,
        change: Change,
        placed: list[str],
    ) -> Entry:
        known = next(iter(database.read_entries(connection, one.entry.key)), None)
        if known is None:
            placed.append(one.entry.key)
            staging.place(staged, one.entry.key)
            database.write_entry(connection, one.entry, one.sketch_start, one.sketch_sha256)
            return one.entry
        if files.check_file(self.folder, known.key, known.size) is not None:
            staging.place(staged, known.key)  # heals a damaged file
        changed = change(known, one.entry)
        database.update_entry(connection, changed)
        return changed

    def describe(self, entry: Entry, facts: Facts) -> Entry:
        """Change what is said of a model that is there; what is not given stays."""
        check_facts(facts)
        with database.writing(self.folder) as connection:
            known = database.read_entries(connection, entry.key)
            if not known:
                raise UsageError(f"{entry.name} ({entry.key[:12]}…) was removed meanwhile. Add it again.")
            changed = renewed(known[0], facts)
            database.update_entry(connection, changed)
        return changed

    def remove(self, wanted: str | Entry) -> Entry:
        """Remove a model and its fingerprint.

        Raises
        ------
        UsageError
            None is meant, or more than one.
        """
        entry = wanted if isinstance(wanted, Entry) else self.get(wanted)
        with database.telling(self.folder), files.Staging(self.folder) as staging:
            staging.intend([entry.key])
            with database.writing(self.folder) as connection:
                if not database.delete_entry(connection, entry.key):
                    raise UsageError(f"{entry.name} ({entry.key[:12]}…) was removed already.")
            self.drop_unentered([entry.key])
        return entry

    def holds(self, key: str) -> bool:
        """Whether a key is entered."""
        with database.reading(self.folder) as connection:
            return bool(database.read_entries(connection, key))

    def drop_unentered(self, keys: Sequence[str]) -> list[str]:
        """Remove files of keys that no entry has, while nobody writes."""
        dropped = []
        with database.writing(self.folder) as connection:
            for key in keys:
                if not database.read_entries(connection, key):
                    path = files.fingerprint_path(self.folder, key)
                    dropped += [key] if path.exists() else []
                    path.unlink(missing_ok=True)
        return dropped

    def sweep(self) -> int:
        """Remove what killed writers left behind; how many there were."""
        found = 0
        with database.telling(self.folder):
            for keys, lock in files.abandoned(self.folder):
                self.drop_unentered(keys)
                files.remove_abandoned(lock)
                found += 1
        return found
