"""A register survives a full disk, flipped bits, newer versions, and an index that was damaged."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from jokbo.errors import FormatError, UsageError
from jokbo.lineage.register import Facts, Register, database, files, open_register
from jokbo.lineage.register.check import check_register
from jokbo.testing.registers import flipped, leftovers, small_fingerprint, with_header
from jokbo.views.fingerprint import SUFFIX
from jokbo.views.fingerprint_header import FINGERPRINT_VERSION


@pytest.fixture
def register(tmp_path: Path) -> Register:
    made = open_register(tmp_path / "register", create=True)
    made.add(small_fingerprint(0))
    return made


def test_a_writer_waits_for_another_and_says_so_when_it_takes_too_long(
    register: Register, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    with database.writing(register.folder):
        assert len(register) == 1  # readers do not wait
        with pytest.raises(UsageError, match=r"was held by another process for 0 seconds. Try again"):
            register.add(small_fingerprint(1))
    assert leftovers(register) == []
    register.add(small_fingerprint(1))


def failing(after: int, calls: list[int]) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return fail


@pytest.mark.parametrize("after", range(4))
def test_a_full_disk_gives_a_sentence_and_changes_nothing(
    register: Register, monkeypatch: pytest.MonkeyPatch, after: int
):
    """Every place where a file or folder is synced fails in turn."""
    before, calls = register.entries(), []
    monkeypatch.setattr(files.os, "fsync", failing(after, calls))
    with pytest.raises(
        UsageError, match=r"the disk is full: nothing was changed, .* is as it was. Free some space"
    ):
        register.add(small_fingerprint(1))
    monkeypatch.undo()
    assert len(calls) == after + 1
    assert register.entries() == before
    assert leftovers(register) == []
    assert check_register(register).problems == ()
    register.add(small_fingerprint(1))


@pytest.mark.parametrize("owner", ["mkdir", "rename"])
def test_a_disk_too_full_for_a_folder_or_a_name(
    register: Register, monkeypatch: pytest.MonkeyPatch, owner: str
):
    full = failing(0, [])
    if owner == "mkdir":
        monkeypatch.setattr(Path, "mkdir", full)
    else:
        monkeypatch.setattr(files.os, "replace", full)
    with pytest.raises(UsageError, match="the disk is full"):
        register.add(small_fingerprint(1))
    monkeypatch.undo()
    assert leftovers(register) == []
    assert check_register(register).problems == ()


def test_an_index_that_cannot_grow(register: Register, monkeypatch: pytest.MonkeyPatch):
    """SQLite's own answer to a full disk."""
    connect = database._connect

    def bounded(folder: Path) -> sqlite3.Connection:
        connection = connect(folder)
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")
        return connection

    monkeypatch.setattr(database, "_connect", bounded)
    facts = Facts(parents=tuple(f"{k:0200}" for k in range(64)))
    with pytest.raises(UsageError, match="the disk is full: nothing was changed"):
        register.add_bytes(small_fingerprint(1).data, facts)
    monkeypatch.undo()
    assert [entry.name for entry in register.entries()] == ["model-0"]
    assert leftovers(register) == []


def test_a_flipped_bit_is_found_by_the_digest_wherever_it_is(register: Register):
    entry = register.entries()[0]
    data = small_fingerprint(0).data
    for position in (9, len(data) // 2, len(data) - 1):
        register.path(entry).write_bytes(flipped(data, position))
        (problem,) = check_register(register).problems
        assert (problem.code, problem.name) == ("damaged", "model-0")
        assert "Add it again to replace it" in problem.sentence
        with pytest.raises(FormatError, match="the fingerprint of model-0, "):
            register.verified_path(entry)


def test_a_flipped_bit_in_a_file_to_be_added_is_found(register: Register):
    data = small_fingerprint(1).data
    with pytest.raises(FormatError, match=r"given.fingerprint.safetensors: block .* the file is damaged"):
        register.add_bytes(flipped(data, len(data) - 1), Facts(), where="given.fingerprint.safetensors")
    assert len(register) == 1
    assert leftovers(register) == []


def test_a_fingerprint_of_a_newer_version_is_named_and_what_to_do(
    register: Register, monkeypatch: pytest.MonkeyPatch
):
    newer = with_header(small_fingerprint(1).data, version=FINGERPRINT_VERSION + 1)
    with pytest.raises(FormatError, match=r"newer.fingerprint.safetensors .*[Nn]ewer"):
        register.add_bytes(newer, Facts(), where="newer.fingerprint.safetensors")
    assert len(register) == 1
    # One that a newer Jokbo entered here is sound, and cannot be read by this one.
    path = register.path(register.entries()[0])
    monkeypatch.setattr(
        "jokbo.lineage.register.check.check_fingerprint",
        lambda given: (_ for _ in ()).throw(FormatError(f"{given} is of version 2. Install a newer Jokbo.")),
    )
    (problem,) = check_register(register).problems
    assert (problem.code, problem.path) == ("unreadable_format", path)
    assert "Install a newer Jokbo" in problem.sentence


def test_what_does_not_belong_there_is_told_and_left(register: Register):
    strange = register.folder / files.FINGERPRINTS / "notes.txt"
    strange.write_text("mine")
    link = register.folder / files.FINGERPRINTS / "ab" / f"{'ab' * 32}{SUFFIX}"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(strange)
    found = check_register(register, repair=True)
    assert [problem.code for problem in found.problems] == ["foreign", "foreign"]
    assert not found.sound
    assert strange.read_text() == "mine"
    assert link.is_symlink()


def test_orphans_are_found_and_removed_only_when_asked(register: Register):
    data = small_fingerprint(5).data
    orphan = files.fingerprint_path(register.folder, small_fingerprint(5).sha256)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(data)
    assert [problem.code for problem in check_register(register).problems] == ["orphan"]
    assert orphan.exists()
    register.add(small_fingerprint(1))  # no add removes what no killed writer has noted
    assert orphan.exists()
    assert check_register(register, repair=True).sound
    assert not orphan.exists()


def test_an_index_that_says_something_else_is_found(register: Register):
    with sqlite3.connect(register.folder / database.FILE) as connection:
        connection.execute("UPDATE entries SET parameters = 7")
    connection.close()
    (problem,) = check_register(register).problems
    assert problem.code == "disagrees"
    assert "another parameters" in problem.sentence


@pytest.mark.parametrize("damage", ["noise", "cut", "other", "key", "parents", "salt"])
def test_a_damaged_index_is_told(register: Register, damage: str):
    file = register.folder / database.FILE
    if damage == "noise":
        file.write_bytes(b"noise" * 4000)
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:5000])
    else:
        change = {
            "other": "PRAGMA application_id = 7",
            "key": "UPDATE entries SET key = '../../x'",
            "parents": "UPDATE entries SET parents = '{'",
            "salt": "DELETE FROM settings",
        }[damage]
        with sqlite3.connect(file) as connection:
            connection.execute(change)
        connection.close()
    with pytest.raises(FormatError, match=r"index|is a database, and not a register's"):
        use(register.folder)


def use(folder: Path) -> None:
    """Read all that an index holds."""
    found = open_register(folder)
    found.entries()
    assert found.salt
    check_register(found)
