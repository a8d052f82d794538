"""Hostile lines, names, files, keys and texts."""

from __future__ import annotations

import itertools
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import FormatError, JokboError, NotFoundError, UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing.archive.export import export
from jokbo.hearing.archive.manifest import read_manifest
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.entry import MAX_LINE_BYTES, parse_entry
from jokbo.hearing.case.log import LOG
from jokbo.hearing.exhibits import ExhibitStore, describe_evidence, display_name
from jokbo.hearing.intake import parse_fields, read_payload, with_file
from jokbo.testing.hearings import fixed_signer, small_hearing, words

EVIDENCE = Path(__file__).parents[1] / "compat/evidence/0.3.0-base0-base1.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("malformed")
    stage = small_hearing(folder / "case", EVIDENCE.read_bytes())
    export(stage.case.entries, stage.case.state, stage.case.exhibits, folder / "archive")
    stage.case.close()
    return folder


@pytest.fixture
def archive(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made / "archive", tmp_path / "archive"))


@pytest.fixture(scope="module")
def line(made: Path) -> dict[str, Any]:
    return json.loads((made / "case" / LOG).read_bytes().splitlines()[20])


DEEP = "[" * 2000 + "]" * 2000


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is not JSON"),
        (b"[]", "expected an object"),
        (b"{}", "is missing"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"a":NaN}', "NaN is no JSON number"),
        (b'{"a":1e999}', "is not JSON"),
        (b'{"a":1,"a":2}', "named twice"),
        (b'{"a":"\\ud800"}', "is not JSON"),
        (f'{{"a":{DEEP}}}'.encode(), "nested deeper than 24"),
        (b'{"a":' + b"9" * 5000 + b"}", "is not JSON"),
        (b" " * (MAX_LINE_BYTES + 1), "is longer than"),
    ],
)
def test_lines_that_are_no_entry(data: bytes, problem: str):
    with pytest.raises(FormatError, match=problem):
        parse_entry(data, "log.jsonl, line 1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", "jokbo.hearing-entry/2"),
        ("sequence", -1),
        ("sequence", True),
        ("sequence", 1.0),
        ("sequence", 1 << 50),
        ("previous", "xyz"),
        ("time", "2026-01-01"),
        ("time", "2026-13-01T00:00:00.000Z"),
        ("clock", "author"),
        ("author", "kim"),
        ("author", {"account": "Kim", "role": "panel", "key": None}),
        ("author", {"account": "kim", "role": "judge", "key": None}),
        ("author", {"account": "kim", "role": "panel", "key": "ab" * 32}),
        ("kind", "../x"),
        ("about", "1"),
        ("supersedes", -3),
        ("payload", []),
        ("salt", None),
        ("salt", "00"),
        ("payload_sha256", "00" * 31),
        ("signature", "AA=="),
        ("digest", "00" * 32),
        ("payload", {"title": "other"}),
        ("extra", 1),
    ],
)
def test_fields_that_are_wrong(line: dict[str, Any], field: str, value: Any):
    with pytest.raises(FormatError, match=r"log\.jsonl, line 21"):
        parse_entry(canonical_bytes({**line, field: value}), "log.jsonl, line 21")


def test_a_signature_has_one_spelling(line: dict[str, Any]):
    """The last letter of base64 has bits that decode to nothing."""
    text = line["signature"]
    twin = text[:85] + chr(ord(text[85]) + 1) + "=="
    with pytest.raises(FormatError, match="signature"):
        parse_entry(canonical_bytes({**line, "signature": twin}), "x")


def test_other_spellings_of_the_same_json_are_refused(line: dict[str, Any]):
    with pytest.raises(FormatError, match="not in canonical form"):
        parse_entry(json.dumps(line).encode(), "x")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\windows\\x.bat", "x.bat"),
        ("..", "file"),
        ("", "file"),
        ("a\x00b\n.csv", "ab.csv"),
        ("표.csv", "표.csv"),
        ("x" * 500, "x" * 200),
    ],
)
def test_names_of_files_are_for_people_alone(tmp_path: Path, name: str, shown: str):
    assert display_name(name) == shown
    store = ExhibitStore(tmp_path / "exhibits")
    with store.receive() as receiving:
        receiving.write(b"data")
        kept = receiving.finish()
    assert with_file({}, kept, name)["file"]["name"] == shown
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [kept.sha256]


@pytest.mark.parametrize("digest", ["../../x", "", "AB" * 32, "ab" * 31, "ab" * 32 + "/.."])
def test_only_a_digest_becomes_a_path(tmp_path: Path, digest: str):
    with pytest.raises(FormatError, match=r"is no SHA-256"):
        ExhibitStore(tmp_path).path(digest)


def test_an_upload_without_end_is_cut_and_leaves_nothing(tmp_path: Path):
    store = ExhibitStore(tmp_path / "exhibits")
    endless = itertools.repeat(bytes(1 << 20))  # as many gigabytes as somebody cares to send

    def upload() -> None:
        with store.receive(max_bytes=8 << 20) as receiving:
            for chunk in endless:
                receiving.write(chunk)

    with pytest.raises(UsageError, match="larger than 8,388,608 bytes"):
        upload()
    assert list((tmp_path / "exhibits").iterdir()) == []


def test_devices_links_and_folders_are_no_exhibits(tmp_path: Path):
    store = ExhibitStore(tmp_path / "exhibits")
    (tmp_path / "link").symlink_to(EVIDENCE)
    for path in (Path("/dev/zero"), tmp_path / "link", tmp_path, tmp_path / "absent"):
        with pytest.raises(NotFoundError):
            store.add(path)


def test_evidence_that_is_none_is_refused():
    data = EVIDENCE.read_bytes()
    for wrong in (b"{}", data[:-20], data.replace(b'"verdict"', b'"verdikt"')):
        with pytest.raises(JokboError):
            describe_evidence(wrong, where="evidence.json")


def test_an_exhibit_cannot_say_other_than_its_evidence(tmp_path: Path):
    stage = small_hearing(tmp_path / "case", EVIDENCE.read_bytes())
    exhibit, repeated = (stage.case.state.items[stage.numbers[n]] for n in ("exhibit", "by_ahn"))
    payload = dict(exhibit.payload)
    boast = {**payload, "evidence": {**payload["evidence"], "verdict": "derived"}}
    absent = {**payload, "file": {**payload["file"], "sha256": "00" * 32}}
    with pytest.raises(JokboError, match="says something else"):
        stage.say("maker", "exhibit", boast, about=exhibit.about)
    with pytest.raises(UsageError, match="is not kept in this case"):
        stage.say("maker", "exhibit", absent, about=exhibit.about)
    lying = {**repeated.payload, "agrees": False, "differences": 3}
    with pytest.raises(JokboError, match="differs in 0 places"):
        stage.say("ahn", "reproduction", lying, about=exhibit.sequence, signed=True)
    stage.case.close()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../../../etc/passwd", "expected text like"),
        ("/etc/passwd", "expected text like"),
        ("en/../../x.html", "expected text like"),
        ("files/x.html", "expected text like"),
        ("en/index.html\n", "expected text like"),
    ],
)
def test_a_manifest_names_only_paths_of_archives(archive: Path, path: str, problem: str):
    manifest = json.loads((archive / "manifest.json").read_bytes())
    manifest["files"][path] = {"size": 1, "sha256": "00" * 32}
    (archive / "manifest.json").write_bytes(canonical_bytes(manifest))
    with pytest.raises(FormatError, match=problem):
        read_manifest(archive)


@pytest.mark.parametrize("data", [b"", b"[" * 5000, b'{"schema":1,"schema":1}', b"null"])
def test_manifests_that_are_none(archive: Path, data: bytes):
    (archive / "manifest.json").write_bytes(data)
    with pytest.raises(FormatError, match="damaged or edited"):
        verify_folder(archive)


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def test_a_changed_page_file_or_extra_file_is_named(archive: Path):
    change(archive / "ko/index.html", "성립하지 않음을 확인".encode(), "증명됨".encode())
    file = next((archive / "files").iterdir())
    file.write_bytes(file.read_bytes() + b" ")
    (archive / "en/extra.html").write_bytes(b"x")
    (archive / "link").symlink_to("/etc")
    (archive / "en/moderation.html").unlink()
    found = {(p.code, p.values.get("path")) for p in verify_folder(archive).problems}
    assert found >= {
        ("file_differs", "ko/index.html"),
        ("file_differs", f"files/{file.name}"),
        ("file_extra", "en/extra.html"),
        ("file_extra", "link"),
        ("file_missing", "en/moderation.html"),
    }


def test_a_page_that_the_manifest_vouches_for_is_drawn_again(archive: Path):
    """Whoever changes a page can change the manifest, too; the log they cannot."""
    from jokbo.sources.regular_files import file_facts

    change(archive / "ko/index.html", "성립하지 않음을 확인".encode(), "증명됨".encode())
    manifest = read_manifest(archive)
    files = {**manifest.files, "ko/index.html": file_facts(archive / "ko/index.html")}
    (archive / "manifest.json").write_bytes(replace(manifest, files=files).to_bytes())
    assert [(p.code, p.values["path"]) for p in verify_folder(archive).problems] == [
        ("page_differs", "ko/index.html")
    ]


def test_a_held_text_put_back_into_an_archive_is_named(made: Path, archive: Path):
    from jokbo.sources.regular_files import file_facts

    shutil.copy(made / "case" / LOG, archive / LOG)
    manifest = read_manifest(archive)
    files = {**manifest.files, LOG: file_facts(archive / LOG)}
    (archive / "manifest.json").write_bytes(replace(manifest, files=files).to_bytes())
    assert {p.values["path"] for p in verify_folder(archive).problems} == {LOG}


def test_pages_of_another_version_are_said_not_to_be_checked(archive: Path):
    manifest = read_manifest(archive)
    (archive / "manifest.json").write_bytes(replace(manifest, jokbo="0.0.1").to_bytes())
    found = verify_folder(archive)
    assert ([u.code for u in found.unchecked], found.exit_status) == (["other_version"], 11)


def test_payload_files(tmp_path: Path):
    good = tmp_path / "reply.yaml"
    good.write_text("text: |\n  no\n  yes\nlanguage: en\n", encoding="utf-8")
    assert read_payload(good, "reply") == words("no\nyes\n")
    for name, data, problem in (
        ("a.json", b'{"text":1,"text":2}', "named twice"),
        ("b.json", b"[1]", "holds no mapping"),
        ("c.yaml", b"a: &x 1\nb: *x\n", "anchor or alias"),
        ("d.yaml", b"- 1\n", "holds no mapping"),
        ("e.json", b"[" * 3000, "is not JSON"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=problem):
            read_payload(tmp_path / name, "reply")
    with pytest.raises(UsageError, match="expected FIELD=VALUE"):
        parse_fields(["text"], "reply")
    with pytest.raises(UsageError, match="no kind of entry"):
        parse_fields(["text=1"], "verdict")
    assert parse_fields(["start_seconds=1.5", "speaker=7", "text=no"], "transcript") == {
        "start_seconds": 1.5,
        "speaker": "7",
        "text": "no",
    }


def test_a_pipe_in_the_place_of_the_log_does_not_keep_anybody_waiting(archive: Path):
    (archive / LOG).unlink()
    os.mkfifo(archive / LOG)
    with pytest.raises(NotFoundError, match="is no ordinary file"):
        verify_folder(archive)


def test_a_foreign_key_opens_nothing(made: Path, tmp_path: Path):
    shutil.copytree(made / "case", tmp_path / "case")
    with pytest.raises(UsageError, match="Give the key that the case was made with"):
        open_case(tmp_path / "case", fixed_signer("stranger"))
