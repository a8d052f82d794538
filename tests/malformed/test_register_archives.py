"""Archives that somebody else wrote: whatever is wrong is named, and nothing is entered."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jokbo.errors import FormatError, JokboError, NotFoundError, UsageError
from jokbo.evidence.canonical import canonical_bytes, digest
from jokbo.lineage.register import open_register
from jokbo.lineage.register.archive import END, member_header, padding
from jokbo.lineage.register.check import check_register
from jokbo.lineage.register.files import INCOMING
from jokbo.lineage.register.transfer import export_register, import_register
from jokbo.testing.registers import flipped, small_fingerprint, with_header
from jokbo.views.fingerprint import SUFFIX

Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A sound archive of two models."""
    folder = tmp_path_factory.mktemp("sound")
    register = open_register(folder / "register", create=True)
    for seed in (1, 2):
        register.add(small_fingerprint(seed), public_since="2023-01-02", parents=("org/base",))
    export_register(register, folder / "archive.tar")
    return (folder / "archive.tar").read_bytes()


def manifest_of(archive: bytes) -> dict[str, Any]:
    size = int(archive[124:135], 8)
    document: dict[str, Any] = json.loads(archive[512 : 512 + size])
    return document


def sealed(manifest: dict[str, Any]) -> bytes:
    """With the digest of what it says now: somebody who changes a manifest on purpose does that too."""
    said = {name: value for name, value in manifest.items() if name != "sha256"}
    return canonical_bytes({**said, "sha256": digest(said)})


def archive_of(manifest: bytes | dict[str, Any], members: list[tuple[str, bytes]]) -> bytes:
    raw = manifest if isinstance(manifest, bytes) else sealed(manifest)
    pieces = [member_header("manifest.json", len(raw)), raw, padding(len(raw))]
    for name, data in members:
        pieces += [member_header(name, len(data)), data, padding(len(data))]
    return b"".join([*pieces, END])


def members_of(manifest: dict[str, Any]) -> list[tuple[str, bytes]]:
    prints = {small_fingerprint(seed).sha256: small_fingerprint(seed).data for seed in (1, 2)}
    return [(f"models/{e['key']}{SUFFIX}", prints[e["key"]]) for e in manifest["entries"]]


def refuse(tmp_path: Path, archive: bytes, match: str, error: type[JokboError] = FormatError) -> None:
    (tmp_path / "archive.tar").write_bytes(archive)
    with pytest.raises(error, match=match):
        import_register(tmp_path / "archive.tar", tmp_path / "register")
    if (tmp_path / "register").exists():
        register = open_register(tmp_path / "register")
        assert register.entries() == ()
        assert list((register.folder / INCOMING).iterdir()) == []
        assert check_register(register).problems == ()


def test_the_helper_builds_what_is_exported(sound: bytes):
    manifest = manifest_of(sound)
    assert archive_of(manifest, members_of(manifest)) == sound


def test_an_archive_cut_anywhere_is_refused(tmp_path: Path, sound: bytes):
    size = 512 + int(sound[124:135], 8)
    for stop in (0, 1, 511, 512, 600, size, size + 20, 3000, len(sound) - 1025, len(sound) - 1):
        refuse(tmp_path, sound[:stop], r"archive.tar")


def test_an_archive_with_more_behind_is_refused(tmp_path: Path, sound: bytes):
    refuse(tmp_path, sound + bytes(512), "its manifest describes")


@pytest.mark.parametrize("where", ["manifest", "header", "first", "last", "padding", "end"])
def test_a_flipped_bit_is_found(tmp_path: Path, sound: bytes, where: str):
    size = int(sound[124:135], 8)
    first = 512 + size + (-size % 512)
    position = {
        "manifest": 512 + size // 2,
        "header": first + 3,
        "first": first + 512 + 1000,
        "last": len(sound) - 1024 - 600,
        "padding": 512 + size + 1,
        "end": len(sound) - 5,
    }[where]
    refuse(tmp_path, flipped(sound, position), "archive.tar", JokboError)


def test_every_flipped_bit_of_a_manifest_is_found(tmp_path: Path, sound: bytes):
    size = int(sound[124:135], 8)
    for position in range(0, 512 + size, 23):
        refuse(tmp_path, flipped(sound, position), "archive.tar", JokboError)


def test_a_fingerprint_that_is_not_what_its_name_says(tmp_path: Path, sound: bytes):
    manifest = manifest_of(sound)
    names, prints = zip(*members_of(manifest), strict=True)
    if len(prints[0]) == len(prints[1]):
        swapped = list(zip(names, reversed(prints), strict=True))
        refuse(tmp_path, archive_of(manifest, swapped), "does not have the digest of its name")
    changed = [(names[0], flipped(prints[0], len(prints[0]) - 1)), (names[1], prints[1])]
    refuse(tmp_path, archive_of(manifest, changed), "does not have the digest of its name")


def test_the_last_of_many_decides_for_all(tmp_path: Path, sound: bytes):
    manifest = manifest_of(sound)
    members = members_of(manifest)
    members[-1] = (members[-1][0], flipped(members[-1][1], 5000))
    refuse(tmp_path, archive_of(manifest, members), "nothing was entered")


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda m: m.update(schema="jokbo.register/2"), "A newer one needs a newer Jokbo"),
        (lambda m: m.update(more=1), "is not one that `jokbo registry export` writes"),
        (lambda m: m.update(salt=""), "is not one that"),
        (lambda m: m.update(salt=7), "is not one that"),
        (lambda m: m.update(entries={}), "is not one that"),
        (lambda m: m["entries"][0].update(more=1), "entry 1 of its manifest does not have the fields"),
        (lambda m: m["entries"][1].pop("license"), "entry 2 of its manifest does not have the fields"),
        (lambda m: m["entries"].__setitem__(0, 3), "entry 1 of its manifest does not have the fields"),
        (lambda m: m["entries"][0].update(key="../../../etc/passwd"), "holds something else than texts"),
        (lambda m: m["entries"][0].update(name=None), "holds something else than texts"),
        (lambda m: m["entries"][0].update(parents="org/base"), "holds something else than texts"),
        (lambda m: m["entries"][0].update(size=-1), "has the size -1"),
        (lambda m: m["entries"][0].update(size=True), "has the size True"),
        (lambda m: m["entries"][0].update(size=10**18), "has the size 10"),
        (lambda m: m["entries"][0].update(name="a\x1b[2J"), "name is"),
        (lambda m: m["entries"][0].update(license="see site"), "license is 'see site'"),
        (lambda m: m["entries"][0].update(claimed_since="9999-01-01"), "claimed_since is '9999-01-01'"),
        (lambda m: m["entries"][0].update(source="/etc"), "expected a hub id, org/name@commit, alone"),
        (lambda m: m["entries"].reverse(), "names a key twice, or not in order"),
        (lambda m: m["entries"].append(m["entries"][1]), "names a key twice, or not in order"),
    ],
)
def test_a_manifest_that_was_changed(tmp_path: Path, sound: bytes, make: Change, match: str):
    manifest = manifest_of(sound)
    members = members_of(manifest)
    make(manifest)
    refuse(tmp_path, archive_of(manifest, members), match)


def test_the_exporter_vouches_for_nothing(tmp_path: Path, sound: bytes):
    """An archive has no word for a date that the reader would have to believe."""
    manifest = manifest_of(sound)
    assert all("public_since" not in entry for entry in manifest["entries"])
    members = members_of(manifest)
    manifest["entries"][0]["public_since"] = "2020-01-01"
    refuse(tmp_path, archive_of(manifest, members), "does not have the fields")


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (b"{}", "has the schema 'None'"),
        (b"[]", "has the schema 'None'"),
        (b"not JSON", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"schema": "jokbo.register/1", "salt": "s", "entries": []}', "is not one that"),
        (b'{"entries":[],"salt":"\\ud800","schema":"jokbo.register/1"}', "is not JSON"),
    ],
)
def test_a_manifest_that_is_none(tmp_path: Path, raw: bytes, match: str):
    refuse(tmp_path, archive_of(raw, []), match)


def test_absurd_sizes_are_refused_before_anything_is_read(tmp_path: Path):
    refuse(tmp_path, member_header("manifest.json", (64 << 20) + 1), "is no archive of a register")
    header = bytearray(member_header("manifest.json", 5))
    header[124:135] = b"-0000000001"
    refuse(tmp_path, bytes(header), "is no archive of a register")


def test_a_count_without_members_is_refused(tmp_path: Path, sound: bytes):
    manifest = manifest_of(sound)
    entry = manifest["entries"][0]
    manifest["entries"] = [{**entry, "key": f"{k:064x}"} for k in range(500)]
    refuse(tmp_path, archive_of(manifest, []), "its manifest describes")
    manifest["entries"] = [{**entry, "key": f"{k:064x}"} for k in range(100_001)]
    refuse(tmp_path, archive_of(manifest, []), "is not one that")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_LONGNAME]
)
@pytest.mark.parametrize("name", ["manifest.json", "../escape", "/absolute"])
def test_links_folders_and_other_names_are_refused(tmp_path: Path, sound: bytes, kind: bytes, name: str):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, "/etc/passwd"
        tar.addfile(info)
    refuse(tmp_path, buffer.getvalue() + sound, "is no archive of a register")
    # In the place of a fingerprint, too.
    size = int(sound[124:135], 8)
    first = 512 + size + (-size % 512)
    changed = sound[:first] + buffer.getvalue()[:512] + sound[first + 512 :]
    refuse(tmp_path, changed, "the header of models/")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive.tar", "register"]


def test_compressed_archives_are_refused(tmp_path: Path, sound: bytes):
    import gzip

    refuse(tmp_path, gzip.compress(sound), "is no archive of a register")


def test_a_fingerprint_of_another_salt_or_a_newer_version(tmp_path: Path, sound: bytes):
    import hashlib

    manifest = manifest_of(sound)
    entry = manifest["entries"][0]
    for data, match, error in (
        (small_fingerprint(1, salt="another").data, "was made with the salt 'another'", UsageError),
        (with_header(small_fingerprint(1).data, version=99), "is a fingerprint of version 99", FormatError),
        (b"no fingerprint at all", "models", FormatError),
    ):
        key = hashlib.sha256(data).hexdigest()
        manifest["entries"] = [{**entry, "key": key, "size": len(data)}]
        refuse(tmp_path, archive_of(manifest, [(f"models/{key}{SUFFIX}", data)]), match, error)


def test_an_archive_that_is_not_there(tmp_path: Path):
    with pytest.raises(NotFoundError, match=r"the archive .*none.tar cannot be read"):
        import_register(tmp_path / "none.tar", tmp_path / "register")
    assert not (tmp_path / "register").exists()


def test_an_exporter_with_a_name_that_no_terminal_can_show(tmp_path: Path, sound: bytes):
    (tmp_path / "archive.tar").write_bytes(sound)
    with pytest.raises(UsageError, match="claimed_by is"):
        import_register(tmp_path / "archive.tar", tmp_path / "register", exporter="a\x1b[2J")
