"""Whether a register is sound: every entry has its file, every file its entry, and both say the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jokbo.errors import InputError
from jokbo.lineage.register import database, files
from jokbo.lineage.register.entries import Entry
from jokbo.lineage.register.prepared import damage
from jokbo.lineage.register.store import Register
from jokbo.views.fingerprint import check_fingerprint


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes
    ----------
    code : str
        ``missing``, ``damaged``, ``unreadable``: the file of an entry. ``unreadable_format``: its digest is right,
        and this version cannot read it (a newer one made it, or it never was a fingerprint). ``disagrees``: the
        index says of it what it does not say. ``orphan``: a fingerprint without an entry. ``leftover``: what a
        killed writer left. ``foreign``: a file that does not belong here; never removed.
    path : pathlib.Path
    key, name : str or None
        Of the entry.
    sentence : str
    repaired : bool
        Whether it is gone now.
    """

    code: str
    path: Path
    key: str | None
    name: str | None
    sentence: str
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Soundness:
    """What :func:`check_register` found.

    Attributes
    ----------
    entries : int
        Looked at.
    size : int
        Bytes of their fingerprints.
    problems : tuple of Problem
    """

    entries: int
    size: int
    problems: tuple[Problem, ...]

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong now."""
        return all(problem.repaired for problem in self.problems)


def check_register(
    register: Register, *, repair: bool = False, tell: Callable[[int, int], None] | None = None
) -> Soundness:
    """Read every fingerprint and hold it against its key, its blocks and the index.

    Parameters
    ----------
    register : Register
    repair : bool
        Remove what no entry names: orphans, and what killed writers left. Entries are never removed.
    tell : callable, optional
        Called with the number of entries done and in all.

    Raises
    ------
    FormatError
        The index itself is damaged.
    """
    _check_index(register)
    entries = register.entries()
    problems: list[Problem] = []
    for k, entry in enumerate(entries):
        problem = _check_entry(register, entry)
        if problem is not None and register.holds(entry.key):  # else it was removed meanwhile
            problems.append(problem)
        if tell is not None:
            tell(k + 1, len(entries))
    problems += _check_files(register, {entry.key for entry in entries}, repair)
    problems += _check_incoming(register, repair)
    return Soundness(len(entries), sum(entry.size for entry in entries), tuple(problems))


def _check_index(register: Register) -> None:
    with database.reading(register.folder) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(found)


def _check_entry(register: Register, entry: Entry) -> Problem | None:
    path = register.path(entry)
    wrong = files.check_file(register.folder, entry.key, entry.size)
    if wrong is not None:
        return Problem(wrong, path, entry.key, entry.name, damage(entry, path, wrong))
    try:
        header = check_fingerprint(path)
    except InputError as error:
        return Problem("unreadable_format", path, entry.key, entry.name, str(error))
    for field in ("digest", "parameters", "hidden_size", "num_layers", "salt", "private"):
        if getattr(header, field) != getattr(entry, field):
            return Problem(
                "disagrees",
                path,
                entry.key,
                entry.name,
                f"the index says of {entry.name} another {field} than its fingerprint {path}. The index was changed: "
                f"remove the model with `jokbo registry remove {entry.key[:12]}` and add it again.",
            )
    return None


def _check_files(register: Register, keys: set[str], repair: bool) -> Iterator[Problem]:
    for key, path in files.stored_files(register.folder):
        if key is None:
            yield Problem(
                "foreign", path, None, None, f"{path} is no fingerprint of this register. Move it away."
            )
        elif key not in keys:
            # One that another process has just entered is no orphan: under the write lock it has an entry.
            if repair:
                gone = bool(register.drop_unentered([key]))
                if not gone:
                    continue
            elif register.holds(key):
                continue
            yield Problem(
                "orphan",
                path,
                key,
                None,
                f"{path} has no entry: a writer was killed. Remove it with `jokbo registry check --repair`.",
                repair,
            )


def _check_incoming(register: Register, repair: bool) -> Iterator[Problem]:
    for _, lock in files.abandoned(register.folder):
        yield Problem(
            "leftover",
            lock,
            None,
            None,
            f"{lock} was left by a writer that was killed. The next `jokbo registry add` removes it, or "
            "`jokbo registry check --repair`.",
            repair,
        )
    if repair:
        register.sweep()
