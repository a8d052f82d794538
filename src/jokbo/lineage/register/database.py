"""The register's index: one SQLite file, opened for each piece of work and closed after it.

Several processes may work at once: a writer holds SQLite's write lock from its first statement on, others
wait. The file is in WAL mode where the file system allows; on a network file system, where WAL would be
unsafe, it is not. ``user_version`` counts the steps of :data:`STEPS` that were taken.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jokbo.errors import FormatError, JokboError, UsageError
from jokbo.lineage.register.entries import KEY, Entry, Facts

FILE = "index.sqlite"
LOCK_FILE = "index.lock"
"""Held while an index is made; empty."""

APPLICATION_ID = 0x4A4F4B42
"""``JOKB``: what tells this file from any other database."""

BUSY_SECONDS = 60.0
MAX_ENTRIES = 1_000_000

STEPS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE entries (
            key TEXT PRIMARY KEY, name TEXT NOT NULL, "commit" TEXT, digest TEXT NOT NULL, family TEXT NOT NULL,
            parameters INTEGER NOT NULL, hidden_size INTEGER NOT NULL, num_layers INTEGER NOT NULL,
            salt TEXT NOT NULL, private INTEGER NOT NULL, size INTEGER NOT NULL, sketch_bytes INTEGER NOT NULL,
            parents TEXT NOT NULL, relation TEXT, license TEXT, public_since TEXT, public_since_source TEXT,
            claimed_since TEXT, claimed_by TEXT, source TEXT, added TEXT NOT NULL,
            sketch_start INTEGER NOT NULL, sketch_sha256 TEXT NOT NULL
        ) WITHOUT ROWID""",
        "CREATE INDEX entries_name ON entries (name)",
    ),
)
"""Statements of each version of the index, oldest first; a step that was released is never changed."""

COLUMNS = Entry.__slots__
_NUMBERS = frozenset({"parameters", "hidden_size", "num_layers", "private", "size", "sketch_bytes"})
_OPTIONAL = frozenset({"commit", *Facts.__slots__} - {"name", "parents"})
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "lustre", "gpfs", "beegfs", "glusterfs", "fuse.sshfs")


def create_index(folder: Path, salt: str) -> None:
    """Write a new index, whole or not at all; one that is there is left as it is.

    Raises
    ------
    UsageError
        The folder cannot be written.
    """
    file, made = folder / FILE, folder / f"{FILE}.new"
    with telling(folder), (folder / LOCK_FILE).open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if file.exists():
            return
        for leftover in folder.glob(f"{made.name}*"):
            leftover.unlink()
        connection = sqlite3.connect(made, isolation_level=None)
        try:
            if not _on_network(folder):
                connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            _take_steps(connection)
            connection.execute("INSERT INTO settings VALUES ('salt', ?)", (salt,))
        finally:
            connection.close()
        os.replace(made, file)


def _take_steps(connection: sqlite3.Connection) -> None:
    """Bring an index to the version of this program, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    for step in STEPS[taken:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={len(STEPS)}")
    connection.execute("COMMIT")


@contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection for one look at the index."""
    with telling(folder):
        connection = _connect(folder)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def writing(folder: Path) -> Iterator[sqlite3.Connection]:
    """One transaction that nobody else writes beside: whole, or, after any failure, not at all."""
    with telling(folder):
        connection = _connect(folder)
        try:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        finally:
            connection.close()


def _connect(folder: Path) -> sqlite3.Connection:
    file = folder / FILE
    writable = os.access(folder, os.W_OK) and os.access(file, os.W_OK)
    # Without write access SQLite cannot make its shared memory; nobody else writes there either, unless it exists.
    still = not writable and not file.with_name(f"{FILE}-wal").exists()
    mode = "rw" if writable else "ro&immutable=1" if still else "ro"
    connection = sqlite3.connect(
        f"{file.resolve().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_SECONDS
    )
    try:
        for setting in ("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {setting}")
        _check_version(connection, folder)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection, folder: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise FormatError(
            f"{folder / FILE} is a database, and not a register's. Name a register's folder, or an empty one."
        )
    if version > len(STEPS):
        raise FormatError(
            f"the register {folder} is of version {version}; this Jokbo reads up to version {len(STEPS)}. "
            "Install a newer Jokbo; nothing was changed."
        )
    if version < len(STEPS):
        _take_steps(connection)


@contextmanager
def telling(folder: Path) -> Iterator[None]:
    """Turn what the disk and SQLite answer into a sentence."""
    try:
        yield
    except JokboError:
        raise
    except sqlite3.OperationalError as error:
        raise _explained(folder, error) from None
    except sqlite3.DatabaseError as error:
        raise FormatError(
            f"the index {folder / FILE} is damaged ({error}). Take it from a backup, or build the register again from "
            "its fingerprints: `jokbo registry add FOLDER/fingerprints/*/* --registry NEW`."
        ) from None
    except OSError as error:
        raise _unwritable(folder, error) from None


def _explained(folder: Path, error: sqlite3.OperationalError) -> JokboError:
    text = str(error)
    if "locked" in text or "busy" in text:
        return UsageError(
            f"the register {folder} was held by another process for {BUSY_SECONDS:.0f} seconds. "
            "Try again when it is done."
        )
    if "full" in text or ("I/O" in text and _is_full(folder)):
        return _unwritable(folder, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    if "readonly" in text:
        return UsageError(f"the register {folder} may only be read here. Choose another with --registry.")
    return FormatError(
        f"the index {folder / FILE} cannot be used: {text}. Check the disk and the folder's permissions."
    )


def _is_full(folder: Path) -> bool:
    """Whether there is no room: SQLite calls it an input/output error where it cannot make its shared memory."""
    try:
        return os.statvfs(folder).f_bavail == 0
    except OSError:
        return False


def _unwritable(folder: Path, error: OSError) -> UsageError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UsageError(
            f"the disk is full: nothing was changed, and the register {folder} is as it was. Free some space and try "
            "again."
        )
    return UsageError(
        f"the register {folder} cannot be used: {error.strerror or error}. Check its permissions or choose another."
    )


def read_salt(connection: sqlite3.Connection) -> str:
    """The salt of every fingerprint here."""
    row = connection.execute("SELECT value FROM settings WHERE name = 'salt'").fetchone()
    if row is None:
        raise FormatError("the index names no salt: it is damaged. Take it from a backup.")
    return str(row[0])


def read_keys(connection: sqlite3.Connection) -> list[str]:
    """Every key, in order."""
    _check_count(connection)
    return [_checked_key(row[0]) for row in connection.execute("SELECT key FROM entries ORDER BY key")]


def _check_count(connection: sqlite3.Connection) -> None:
    (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
    if count > MAX_ENTRIES:
        raise FormatError(
            f"the index holds {count:,} models; expected at most {MAX_ENTRIES:,}. Divide them among several registers."
        )


def read_entries(connection: sqlite3.Connection, key: str | None = None) -> list[Entry]:
    """Every entry in order of its key, or the one of a key."""
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    if key is not None:
        rows = connection.execute(f"SELECT {names} FROM entries WHERE key = ?", (key,))
    else:
        _check_count(connection)
        rows = connection.execute(f"SELECT {names} FROM entries ORDER BY key")
    return [_entry(dict(zip(COLUMNS, row, strict=True))) for row in rows]


def read_sketch_places(connection: sqlite3.Connection) -> list[tuple[str, int, int, str]]:
    """Key, start, size and SHA-256 of every sketch, in order of the keys."""
    rows = connection.execute(
        "SELECT key, sketch_start, sketch_bytes, sketch_sha256 FROM entries WHERE sketch_bytes > 0 ORDER BY key"
    )
    return [
        (_checked_key(key), _place(key, start), _place(key, size), str(sha256))
        for key, start, size, sha256 in rows
    ]


def _place(key: str, number: Any) -> int:
    if type(number) is not int or not 0 <= number < 1 << 40:
        raise FormatError(
            f"the index does not say where the sketch of {key[:12]}… lies. Take it from a backup."
        )
    return number


def write_entry(connection: sqlite3.Connection, entry: Entry, sketch_start: int, sketch_sha256: str) -> None:
    """Enter or replace."""
    values: Sequence[Any] = [_stored(getattr(entry, name)) for name in COLUMNS]
    names = ", ".join(f'"{name}"' for name in (*COLUMNS, "sketch_start", "sketch_sha256"))
    marks = ", ".join("?" * (len(COLUMNS) + 2))
    connection.execute(
        f"INSERT OR REPLACE INTO entries ({names}) VALUES ({marks})", (*values, sketch_start, sketch_sha256)
    )


def update_entry(connection: sqlite3.Connection, entry: Entry) -> None:
    """Replace what is said of a model that is there."""
    names = ", ".join(f'"{name}" = ?' for name in COLUMNS)
    connection.execute(
        f"UPDATE entries SET {names} WHERE key = ?",
        (*(_stored(getattr(entry, n)) for n in COLUMNS), entry.key),
    )


def delete_entry(connection: sqlite3.Connection, key: str) -> bool:
    """Whether there was one."""
    return connection.execute("DELETE FROM entries WHERE key = ?", (key,)).rowcount == 1


def _stored(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else value


def _checked_key(key: Any) -> str:
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise FormatError(
            f"the index holds the key {str(key)[:40]!r}; expected a SHA-256. Take it from a backup."
        )
    return key


def _entry(row: dict[str, Any]) -> Entry:
    """An entry of an index that somebody else may have written: SQLite keeps any type in any column."""
    _checked_key(row["key"])
    for name, value in row.items():
        whole = type(value) is int and value >= 0
        if not (
            whole if name in _NUMBERS else isinstance(value, str) or (value is None and name in _OPTIONAL)
        ):
            raise FormatError(
                f"the index says {name} = {str(value)[:40]!r} of {row['key'][:12]}…, which nothing entered. "
                "Take it from a backup."
            )
    try:
        parents = tuple(json.loads(row["parents"]))
        if not all(isinstance(parent, str) for parent in parents):
            raise TypeError("parents")
    except (ValueError, TypeError, RecursionError):
        raise FormatError(
            f"the index holds no list of parents of {row['key'][:12]}…. Take it from a backup."
        ) from None
    return Entry(**{**row, "private": bool(row["private"]), "parents": parents})


def _on_network(folder: Path) -> bool:
    """Whether a folder lies on a file system whose locks and memory other machines do not share."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    place, best = str(folder.resolve()), ("", "")
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(" "), after.split(" ")
        if len(fields) > 4 and len(fields[4]) >= len(best[0]):
            point = fields[4].replace("\\040", " ")
            if place == point or place.startswith(point.rstrip("/") + "/"):
                best = (point, kinds[0])
    return best[1].startswith(_NETWORK)
