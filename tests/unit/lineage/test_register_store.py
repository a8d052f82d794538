"""The register: what is entered is found again, what is said of it is kept, and nothing else is."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from pathlib import Path

import pytest

from jokbo.errors import FormatError, NotFoundError, UsageError
from jokbo.evidence.canonical import digest
from jokbo.lineage.register import (
    Facts,
    Register,
    database,
    default_folder,
    files,
    open_register,
    random_salt,
)
from jokbo.lineage.register.check import check_register
from jokbo.testing.registers import small_fingerprint, with_header
from jokbo.views.fingerprint import read_sketch
from jokbo.views.sampling import PUBLIC_SALT


@pytest.fixture
def register(tmp_path: Path) -> Register:
    return open_register(tmp_path / "register", create=True)


def test_an_entry_says_what_its_fingerprint_says(register: Register):
    made = small_fingerprint(1)
    entry = register.add(made, parents=("org/base",), relation="finetune", license="mit")
    header = made.header
    assert entry.key == made.sha256 == hashlib.sha256(made.data).hexdigest()
    assert (entry.name, entry.commit, entry.digest) == (header.name, header.commit, header.digest)
    assert (entry.parameters, entry.hidden_size, entry.num_layers) == (header.parameters, 16, 1)
    assert (entry.family, entry.salt, entry.private) == (header.family, PUBLIC_SALT, False)
    assert (entry.parents, entry.relation, entry.license) == (("org/base",), "finetune", "mit")
    assert entry.size == len(made.data)
    assert register.entries() == (entry,)
    assert register.path(entry).read_bytes() == made.data
    assert register.verified_path(entry) == register.path(entry)


def test_entries_stand_in_order_of_their_keys_and_the_digest_is_theirs(register: Register):
    keys = sorted(register.add(small_fingerprint(seed)).key for seed in range(4))
    assert [entry.key for entry in register.entries()] == keys
    assert register.digest == digest(keys)
    assert len(register) == 4
    register.remove(register.entries()[0])
    assert register.digest == digest(keys[1:])


def test_the_digest_does_not_hang_on_what_is_said(register: Register):
    entry = register.add(small_fingerprint(1))
    before = register.digest
    register.describe(entry, Facts(name="another name", license="mit"))
    assert register.digest == before


def test_adding_again_changes_only_what_is_given(register: Register):
    first = register.add(small_fingerprint(1), license="mit", parents=("a/b",))
    second = register.add(small_fingerprint(1), public_since="2024-07-23", public_since_source="its card")
    assert len(register) == 1
    assert (second.license, second.parents, second.added) == ("mit", ("a/b",), first.added)
    assert (second.public_since, second.public_since_source) == ("2024-07-23", "its card")
    assert register.entries() == (second,)


def test_adding_again_heals_a_damaged_file(register: Register):
    entry = register.add(small_fingerprint(1))
    register.path(entry).write_bytes(b"damaged")
    with pytest.raises(FormatError, match=r"does not have the digest .* Add it again"):
        register.verified_path(entry)
    register.add(small_fingerprint(1))
    assert register.verified_path(entry).read_bytes() == small_fingerprint(1).data


@pytest.mark.parametrize("how", ["name", "key", "prefix"])
def test_an_entry_is_found_by_name_key_or_beginning_of_a_key(register: Register, how: str):
    entry = register.add(small_fingerprint(1))
    register.add(small_fingerprint(2))
    wanted = {"name": entry.name, "key": entry.key, "prefix": entry.key[:8]}[how]
    assert register.get(wanted) == entry


def test_a_name_of_two_models_is_not_guessed(register: Register):
    keys = [register.add(small_fingerprint(seed), name="twin").key for seed in (1, 2)]
    with pytest.raises(UsageError, match=r"holds 2 models 'twin'. Name one by its key") as told:
        register.get("twin")
    assert all(key[:12] in str(told.value) for key in keys)


def test_a_model_called_like_the_beginning_of_another_key_does_not_take_its_place(register: Register):
    entry = register.add(small_fingerprint(1))
    register.add(small_fingerprint(2), name=entry.key[:12])
    with pytest.raises(UsageError, match="holds 2 models"):
        register.get(entry.key[:12])
    assert register.get(entry.key) == entry


def test_a_commit_tells_two_revisions_apart(register: Register):
    for seed, commit in ((1, "a" * 40), (2, "b" * 40)):
        data = with_header(small_fingerprint(seed).data, name="org/m", commit=commit, kind="hub")
        register.add_bytes(data, Facts())
    assert register.get("org/m@aaaa").commit == "a" * 40
    assert register.get("org/m@bbbb").source == f"org/m@{'b' * 40}"


def test_what_is_not_there_is_said(register: Register):
    with pytest.raises(UsageError, match="holds no model 'nobody'"):
        register.get("nobody")
    entry = register.add(small_fingerprint(1))
    register.remove(entry)
    assert register.entries() == ()
    assert not register.path(entry).exists()
    with pytest.raises(UsageError, match="was removed already"):
        register.remove(entry)
    with pytest.raises(UsageError, match="was removed meanwhile"):
        register.describe(entry, Facts(license="mit"))


def test_sketches_are_those_of_the_files_in_order(register: Register):
    for seed in range(3):
        register.add(small_fingerprint(seed))
    expected = [(entry.key, read_sketch(register.path(entry))) for entry in register.entries()]
    assert list(register.sketches()) == expected
    assert [entry.sketch_bytes for entry in register.entries()] == [len(s) for _, s in expected if s]


def test_a_damaged_sketch_ends_the_work_unless_one_keeps_going(register: Register):
    entries = [register.add(small_fingerprint(seed)) for seed in range(3)]
    damaged, missing = sorted(entries, key=lambda entry: entry.key)[:2]
    with sqlite3.connect(register.folder / database.FILE) as connection:
        ((start,),) = connection.execute("SELECT sketch_start FROM entries WHERE key = ?", (damaged.key,))
    connection.close()
    data = bytearray(register.path(damaged).read_bytes())
    data[start + 5] ^= 4
    register.path(damaged).write_bytes(data)
    register.path(missing).unlink()
    with pytest.raises(FormatError, match=f"the fingerprint of {damaged.name}, .* damaged or changed"):
        list(register.sketches())
    told = []
    left = list(register.sketches(keep_going=lambda entry, error: told.append((entry.key, str(error)))))
    assert len(left) == 1
    assert [key for key, _ in told] == [damaged.key, missing.key]
    assert "is missing" in told[1][1]


def test_one_salt_a_register(register: Register, tmp_path: Path):
    other = small_fingerprint(1, salt="another")
    with pytest.raises(UsageError, match="was made with the salt 'another', and this register has 'jokbo-1'"):
        register.add(other)
    assert register.entries() == ()
    assert check_register(register).sound
    mine = open_register(tmp_path / "mine", create=True, salt="another")
    assert mine.add(other).salt == "another"
    # A register keeps its salt, whatever a later call asks for.
    assert open_register(tmp_path / "mine", create=True, salt="third").salt == "another"


def test_random_salts_differ():
    assert len({random_salt() for _ in range(20)}) == 20


@pytest.mark.parametrize("salt", ["", "x" * 129, "a\nb"])
def test_a_salt_is_a_short_text(tmp_path: Path, salt: str):
    with pytest.raises(UsageError, match="the salt is"):
        open_register(tmp_path / "register", create=True, salt=salt)


def test_none_is_begun_by_looking(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"there is no register in .* Begin one"):
        open_register(tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_fingerprints_without_an_index_are_not_taken_for_a_new_register(register: Register):
    entry = register.add(small_fingerprint(1))
    (register.folder / database.FILE).unlink()
    with pytest.raises(UsageError, match="holds fingerprints and no index"):
        open_register(register.folder, create=True)
    assert register.path(entry).is_file()


def test_the_default_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("JOKBO_REGISTRY", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
    monkeypatch.delenv("JOKBO_REGISTRY")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "jokbo" / "register"


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        (Facts(name=" "), "name is ' '"),
        (Facts(name="a\x1b[2J"), "name is"),
        (Facts(name="x" * 256), "name is"),
        (Facts(parents=("a", "a")), "a parent is named twice"),
        (Facts(parents=tuple(map(str, range(65)))), "there are 65 parents"),
        (Facts(parents=("\u202e",)), "a parent is"),
        (Facts(relation="stolen"), "relation is 'stolen'; expected one of adapter"),
        (Facts(license="see the website"), "license is 'see the website'"),
        (Facts(public_since="2024-02-30"), "public_since is '2024-02-30'"),
        (Facts(public_since="20240230"), "public_since is '20240230'"),
        (Facts(public_since="2924-02-03"), "not in the future"),
        (Facts(public_since_source="a page"), "without public_since"),
        (Facts(source="a\nb"), "source is"),
    ],
)
def test_facts_that_are_none_are_refused(register: Register, facts: Facts, message: str):
    with pytest.raises(UsageError, match=message.replace("(", "[(]").replace("[2J", "")):
        register.add_bytes(small_fingerprint(1).data, facts)
    entry = register.add(small_fingerprint(1))
    with pytest.raises(UsageError):
        register.describe(entry, facts)
    assert register.entries() == (entry,)


def test_a_card_that_says_strange_things_is_shown_harmless(register: Register):
    declared = {"base_models": ["a\u202e", " ", "a\u202e", "b"], "relation": "x\u2066y", "license": "l" * 999}
    entry = register.add_bytes(with_header(small_fingerprint(1).data, declared=declared), Facts())
    assert entry.parents == ("a\ufffd", "b")
    assert entry.relation == "x\ufffdy"
    assert len(entry.license or "") == 255


@pytest.mark.parametrize("name", ["", "a\u2066", "\u202eevil", "n" * 300])
def test_a_fingerprint_with_a_name_that_no_terminal_can_show_needs_another(register: Register, name: str):
    data = with_header(small_fingerprint(1).data, name=name)
    with pytest.raises(UsageError, match="Give it another name with --name"):
        register.add_bytes(data, Facts())
    assert register.add_bytes(data, Facts(name="shown")).name == "shown"


def test_a_hub_name_that_is_a_path_opens_nothing(register: Register):
    data = with_header(small_fingerprint(1).data, name="/etc/passwd", kind="hub", commit="a" * 40)
    assert register.add_bytes(data, Facts()).source is None


def test_a_register_that_may_only_be_read_can_be_read(register: Register, monkeypatch: pytest.MonkeyPatch):
    entry = register.add(small_fingerprint(1))
    monkeypatch.setattr(database.os, "access", lambda path, mode: mode != os.W_OK)
    assert register.entries() == (entry,)
    assert list(register.sketches())
    with pytest.raises(UsageError, match="may only be read here"):
        register.describe(entry, Facts(license="mit"))


def test_wal_where_the_file_system_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def mode(folder: Path) -> str:
        connection = sqlite3.connect(folder / database.FILE)
        try:
            return str(connection.execute("PRAGMA journal_mode").fetchone()[0])
        finally:
            connection.close()

    assert mode(open_register(tmp_path / "here", create=True).folder) == "wal"
    monkeypatch.setattr(database, "_on_network", lambda folder: True)
    far = open_register(tmp_path / "far", create=True)
    assert mode(far.folder) == "delete"
    far.add(small_fingerprint(1))
    assert len(far) == 1


@pytest.mark.parametrize(
    ("folder", "far"),
    [("/home/me/register", True), ("/home2/register", False), ("/home/me/local/r", False), ("/tmp/r", False)],
)
def test_network_file_systems_are_told_by_their_mounts(
    monkeypatch: pytest.MonkeyPatch, folder: str, far: bool
):
    mounts = (
        "1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
        "2 1 0:40 / /home rw shared:2 - nfs4 server:/home rw\n"
        "3 2 8:2 / /home/me/local rw - xfs /dev/sdb1 rw\n"
        "damaged line\n"
    )
    monkeypatch.setattr(Path, "read_text", lambda self, **_: mounts)
    assert database._on_network(Path(folder)) is far


def test_a_step_that_was_released_is_never_changed():
    """Registers of the first version are out there; add a step instead of changing this one."""
    assert (
        digest(list(database.STEPS[0])) == "3df3cb983d2a0de5c908e5ba2ab47af14a87c6b1c62cbe114a94a98755ab0956"
    )


def test_an_index_of_too_many_models_is_not_cut(register: Register, monkeypatch: pytest.MonkeyPatch):
    for seed in (1, 2):
        register.add(small_fingerprint(seed))
    monkeypatch.setattr(database, "MAX_ENTRIES", 1)
    with pytest.raises(FormatError, match="the index holds 2 models; expected at most 1"):
        register.entries()


def test_an_older_index_is_brought_up_to_date(register: Register, monkeypatch: pytest.MonkeyPatch):
    entry = register.add(small_fingerprint(1))
    monkeypatch.setattr(database, "STEPS", (*database.STEPS, ("CREATE TABLE more (x)",)))
    assert open_register(register.folder).entries() == (entry,)
    monkeypatch.undo()
    with pytest.raises(
        FormatError, match=r"is of version 2; this Jokbo reads up to version 1. Install a newer"
    ):
        open_register(register.folder)


def test_a_key_that_is_none_names_no_file(tmp_path: Path):
    for key in ("../../etc/passwd", "A" * 64, "ab"):
        with pytest.raises(UsageError, match="is not the key of a fingerprint"):
            files.fingerprint_path(tmp_path, key)


def test_a_private_fingerprint_is_entered_as_one(register: Register):
    entry = register.add(small_fingerprint(1, private=True))
    assert entry.private
    assert register.path(entry).read_bytes() == small_fingerprint(1, private=True).data
    # The same model with its rows is another fingerprint.
    register.add(small_fingerprint(1))
    assert len(register) == 2
    assert check_register(register).problems == ()
