"""An archive: equal content gives equal bytes, everything is checked before anything is entered, claims stay claims."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from jokbo.errors import FormatError, UsageError
from jokbo.lineage.register import Facts, Register, open_register
from jokbo.lineage.register.check import check_register
from jokbo.lineage.register.transfer import export_register, import_register
from jokbo.testing.registers import small_fingerprint, with_header


@pytest.fixture
def register(tmp_path: Path) -> Register:
    made = open_register(tmp_path / "register", create=True)
    for seed in range(3):
        made.add(small_fingerprint(seed), license="mit", source=f"/home/someone/model-{seed}")
    made.add(
        small_fingerprint(3), public_since="2023-01-02", public_since_source="my notes", parents=("model-0",)
    )
    return made


def exported(register: Register, name: str = "archive.tar") -> Path:
    path = register.folder.parent / name
    export_register(register, path)
    return path


def test_what_is_exported_is_imported(register: Register, tmp_path: Path):
    archive = exported(register)
    told: list[tuple[int, int]] = []
    outcome = import_register(
        archive, tmp_path / "other", tell=lambda done, total: told.append((done, total))
    )
    other = open_register(tmp_path / "other")
    assert (outcome.added, outcome.known, outcome.salt) == (4, 0, register.salt)
    assert told[-1] == (4, 4)
    assert other.digest == register.digest
    for mine, theirs in zip(register.entries(), other.entries(), strict=True):
        assert register.path(mine).read_bytes() == other.path(theirs).read_bytes()
        assert (mine.name, mine.parents, mine.license) == (theirs.name, theirs.parents, theirs.license)
    assert list(other.sketches()) == list(register.sketches())
    assert check_register(other).sound


def test_equal_content_gives_equal_bytes_whatever_the_order(register: Register, tmp_path: Path):
    other = open_register(tmp_path / "other", create=True)
    other.add(small_fingerprint(3), public_since="2023-01-02", parents=("model-0",))
    for seed in (2, 0, 1):
        other.add(small_fingerprint(seed), license="mit")
    assert exported(register, "a.tar").read_bytes() == exported(other, "b.tar").read_bytes()


def test_the_summary_is_that_of_the_file(register: Register, tmp_path: Path):
    made = export_register(register, tmp_path / "a.tar")
    data = (tmp_path / "a.tar").read_bytes()
    assert (made.models, made.size, made.sha256) == (4, len(data), hashlib.sha256(data).hexdigest())


def test_other_programs_can_read_it_and_no_path_of_this_machine_is_in_it(register: Register):
    archive = exported(register)
    with tarfile.open(archive) as tar:
        names = tar.getnames()
        assert names[0] == "manifest.json"
        assert names[1:] == [f"models/{entry.key}.fingerprint.safetensors" for entry in register.entries()]
        member = tar.extractfile(names[1])
        assert member is not None
        assert member.read() == register.path(register.entries()[0]).read_bytes()
    assert b"/home/someone" not in archive.read_bytes()
    assert b"my notes" not in archive.read_bytes()


def test_some_models_alone(register: Register, tmp_path: Path):
    chosen = [register.get("model-2"), register.get("model-0")]
    assert export_register(register, tmp_path / "some.tar", entries=chosen).models == 2
    import_register(tmp_path / "some.tar", tmp_path / "other")
    names = {entry.name for entry in open_register(tmp_path / "other").entries()}
    assert names == {"model-0", "model-2"}


def test_a_date_of_an_archive_is_a_claim_of_its_exporter(register: Register, tmp_path: Path):
    import_register(exported(register), tmp_path / "other", exporter="The other office")
    other = open_register(tmp_path / "other")
    entry = other.get("model-3")
    assert (entry.public_since, entry.claimed_since, entry.claimed_by) == (
        None,
        "2023-01-02",
        "The other office",
    )
    # Whoever takes it from there learns through whom it came.
    import_register(exported(other, "again.tar"), tmp_path / "third")
    third = open_register(tmp_path / "third").get("model-3")
    assert (third.public_since, third.claimed_since) == (None, "2023-01-02")
    assert third.claimed_by == "The other office, again.tar"


def test_an_import_leaves_what_the_owner_said(register: Register, tmp_path: Path):
    other = open_register(tmp_path / "other", create=True)
    mine = other.add(small_fingerprint(3), name="mine", license="apache-2.0", public_since="2022-02-02")
    outcome = import_register(exported(register), other.folder)
    assert (outcome.added, outcome.known) == (3, 1)
    kept = other.get("mine")
    assert (kept.name, kept.license, kept.public_since, kept.parents) == (
        "mine",
        "apache-2.0",
        "2022-02-02",
        (),
    )
    assert (kept.claimed_since, kept.claimed_by) == ("2023-01-02", "archive.tar")
    assert kept.added == mine.added
    import_register(exported(register, "second.tar"), other.folder)
    assert other.get("mine").claimed_by == "archive.tar"


def test_importing_twice_changes_nothing(register: Register, tmp_path: Path):
    archive = exported(register)
    import_register(archive, tmp_path / "other")
    before = open_register(tmp_path / "other").entries()
    outcome = import_register(archive, tmp_path / "other")
    assert (outcome.added, outcome.known) == (0, 4)
    assert open_register(tmp_path / "other").entries() == before


def test_an_import_begins_a_register_of_the_archives_salt_and_no_other_takes_it(tmp_path: Path):
    mine = open_register(tmp_path / "mine", create=True, salt="secret")
    mine.add(small_fingerprint(1, salt="secret"))
    archive = exported(mine)
    import_register(archive, tmp_path / "new")
    assert open_register(tmp_path / "new").salt == "secret"
    open_register(tmp_path / "public", create=True)
    with pytest.raises(UsageError, match=r"share no rows. Import it into another register"):
        import_register(archive, tmp_path / "public")


def test_a_damaged_fingerprint_is_not_exported_unless_one_keeps_going(register: Register, tmp_path: Path):
    victim = register.get("model-1")
    data = bytearray(register.path(victim).read_bytes())
    data[-3] ^= 1
    register.path(victim).write_bytes(data)
    with pytest.raises(FormatError, match=r"the fingerprint of model-1, .* does not have the digest"):
        export_register(register, tmp_path / "a.tar")
    assert list(tmp_path.glob("a.tar*")) == []
    told = []
    made = export_register(
        register, tmp_path / "a.tar", keep_going=lambda entry, error: told.append(entry.name)
    )
    assert (made.models, told) == (3, ["model-1"])


def test_an_archive_that_cannot_be_written_leaves_nothing(register: Register, tmp_path: Path):
    with pytest.raises(UsageError, match="cannot write"):
        export_register(register, tmp_path / "no" / "a.tar")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot write"):
        export_register(register, tmp_path / "folder")
    assert list(tmp_path.glob("folder*")) == [tmp_path / "folder"]


def test_an_empty_register_travels_too(tmp_path: Path):
    archive = exported(open_register(tmp_path / "empty", create=True))
    assert import_register(archive, tmp_path / "other").added == 0


def test_a_hub_source_travels_and_a_path_does_not(tmp_path: Path):
    mine = open_register(tmp_path / "mine", create=True)
    data = with_header(small_fingerprint(1).data, name="org/m", commit="c" * 40, kind="hub")
    mine.add_bytes(data, Facts())
    import_register(exported(mine), tmp_path / "other")
    assert open_register(tmp_path / "other").get("org/m").source == f"org/m@{'c' * 40}"


def test_the_tar_is_the_one_that_python_writes(register: Register):
    """The header's layout, against a second implementation."""
    from jokbo.lineage.register.archive import member_header

    info = tarfile.TarInfo("models/a.bin")
    info.size, info.mode = 12345, 0o444
    written = io.BytesIO(info.tobuf(tarfile.USTAR_FORMAT))
    theirs = bytearray(written.getvalue()[:512])
    ours = bytearray(member_header("models/a.bin", 12345))
    theirs[148:156] = ours[148:156] = bytes(8)  # checksums are of the bytes below
    theirs[329:345] = ours[329:345]  # device numbers, which only devices have
    assert ours == theirs
    assert tarfile.TarInfo.frombuf(member_header("models/a.bin", 12345), "ascii", "strict").size == 12345
