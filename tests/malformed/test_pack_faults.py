"""Packs and declarations that lie or attack: each is one clear error, and nothing outside is written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jokbo.errors import AccessError, FormatError, InputError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.records import manifest as manifest_module
from jokbo.records.manifest import MANIFEST, parse_manifest, read_declaration
from jokbo.records.pack import find_mismatches, open_pack, write_pack
from jokbo.testing.packs import write_tiny_run


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Everything below a folder, links not followed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        found[str(path)] = (status.st_mode, data)
    return found


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "run")


@pytest.fixture
def pack(run: Path, tmp_path: Path) -> Path:
    return write_pack(run, tmp_path / "pack").folder


@pytest.fixture(autouse=True)
def _nothing_outside_is_written(tmp_path: Path) -> Iterator[None]:
    """What lies beside the pack and the run stays as it was."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("not part of any record")
    before = snapshot(outside)
    yield
    assert snapshot(outside) == before
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {"outside", "run", "pack", "elsewhere"}, names


def rewrite(pack: Path, change: Any) -> None:
    """Change a manifest as somebody with a text editor would, in canonical form."""
    document = json.loads((pack / MANIFEST).read_bytes())
    change(document)
    (pack / MANIFEST).write_bytes(canonical_bytes(document))


def refuse(pack: Path, match: str, kind: type[Exception] = FormatError) -> None:
    before = snapshot(pack)
    with pytest.raises(kind, match=match) as caught:
        open_pack(pack)
    assert len(str(caught.value)) < 600
    assert snapshot(pack) == before


HOSTILE_PATHS = [
    ("../outside/secret.txt", r"holds '\.\.'"),
    ("a/../../outside/secret.txt", r"holds '\.\.'"),
    ("/etc/passwd", "is absolute"),
    ("~/secret", "is absolute"),
    ("C:/secret", "is absolute"),
    ("a\\..\\secret", r"holds '\\\\'"),
    ("./a", "is not normalised"),
    ("a//b", "is not normalised"),
    ("a/", "is not normalised"),
    ("", "is empty"),
    ("a\u0000b", r"holds '\\x00'"),
    ("a\nb", r"holds '\\n'"),
    ("a\u202eb", "holds a character that is not seen"),
    ("x" * 300, "holds a name longer than 255 bytes"),
    ("a/" * 40 + "b", "more than 32 folders deep"),
    ("a/" * 600 + "b", "is longer than 1,024 bytes"),
]


@pytest.mark.parametrize(("path", "match"), HOSTILE_PATHS)
def test_a_manifest_that_lists_a_path_outside(pack: Path, path: str, match: str):
    rewrite(pack, lambda d: d["files"].update({path: {"size": 22, "sha256": "0" * 64}}))
    refuse(pack, match)


@pytest.mark.parametrize(("path", "match"), [row for row in HOSTILE_PATHS if row[0]])
def test_a_manifest_whose_declaration_names_a_path_outside(pack: Path, path: str, match: str):
    rewrite(pack, lambda d: d["declaration"]["log"][0].update(path=path))
    refuse(pack, rf"field log\[0\]\.path: the path .* {match}")


@pytest.mark.parametrize(("path", "match"), [row for row in HOSTILE_PATHS if row[0]])
def test_a_declaration_that_names_a_path_outside(run: Path, tmp_path: Path, path: str, match: str):
    text = run.read_text().replace('path = "log.jsonl"', f"path = {json.dumps(path)}")
    run.write_text(text)
    with pytest.raises(FormatError, match=rf"record.toml: field log\[0\]\.path: the path .* {match}"):
        write_pack(run, tmp_path / "pack")
    assert not (tmp_path / "pack").exists()


def test_names_that_are_one_where_case_does_not_count(pack: Path):
    rewrite(pack, lambda d: d["files"].update({"LOG.jsonl": {"size": 0, "sha256": "0" * 64}}))
    refuse(pack, "'log.jsonl' and 'LOG.jsonl' are one file where case does not count")


def test_a_file_that_is_a_folder_as_well(pack: Path):
    rewrite(pack, lambda d: d["files"].update({"log.jsonl/a": {"size": 0, "sha256": "0" * 64}}))
    refuse(pack, "'log.jsonl' is a file and the folder of 'log.jsonl/a' at once")


def test_a_file_that_is_listed_twice(pack: Path):
    data = (pack / MANIFEST).read_bytes()
    entry = b'"log.jsonl":{"sha256":"' + b"0" * 64 + b'","size":1},'
    (pack / MANIFEST).write_bytes(data.replace(b'"files":{', b'"files":{' + entry))
    refuse(pack, "the field 'log.jsonl' is named twice in one object")


def test_a_manifest_that_lists_itself(pack: Path):
    rewrite(pack, lambda d: d["files"].update({MANIFEST: {"size": 0, "sha256": "0" * 64}}))
    refuse(pack, "the manifest lists itself")


@pytest.mark.parametrize("path", ["log.jsonl", "data/windows.npy", "checkpoints/step-0/model.safetensors"])
def test_a_file_that_is_a_link_out_of_the_pack(pack: Path, tmp_path: Path, path: str):
    shutil.copy(pack / path, tmp_path / "elsewhere")
    (pack / path).unlink()
    (pack / path).symlink_to(tmp_path / "elsewhere")
    refuse(
        pack, f"{path!r} is a link, or lies behind one, that leads out of the record's folder", AccessError
    )


def test_a_folder_that_is_a_link_out_of_the_pack(pack: Path, tmp_path: Path):
    shutil.move(pack / "data", tmp_path / "elsewhere")
    (pack / "data").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    refuse(pack, "'data/.*' is a link, or lies behind one", AccessError)


def test_a_manifest_that_is_a_link_out_of_the_pack(pack: Path, tmp_path: Path):
    shutil.move(pack / MANIFEST, tmp_path / "elsewhere")
    (pack / MANIFEST).symlink_to(tmp_path / "elsewhere")
    refuse(pack, "is a link, or lies behind one", AccessError)


def test_a_link_that_leads_nowhere_or_round(pack: Path):
    (pack / "log.jsonl").unlink()
    (pack / "log.jsonl").symlink_to("log.jsonl")
    refuse(pack, "log.jsonl", InputError)


def test_a_link_that_stays_inside_is_followed(pack: Path):
    (pack / "log.jsonl").rename(pack / "moved")
    (pack / "log.jsonl").symlink_to("moved")
    assert find_mismatches(open_pack(pack)) == ()


def test_a_pipe_in_place_of_a_file(pack: Path):
    (pack / "log.jsonl").unlink()
    os.mkfifo(pack / "log.jsonl")
    refuse(pack, "'log.jsonl' is no regular file", AccessError)


@pytest.mark.parametrize("target", ["../outside/secret.txt", "log.jsonl"])
def test_links_are_not_packed(run: Path, tmp_path: Path, target: str):
    (run.parent / "linked.jsonl").symlink_to(target)
    run.write_text(run.read_text().replace('path = "log.jsonl"', 'path = "linked.jsonl"'))
    with pytest.raises(AccessError, match=r"'linked\.jsonl' is a link, or lies behind one"):
        write_pack(run, tmp_path / "pack")


def test_links_inside_a_folder_are_not_packed(run: Path, tmp_path: Path):
    (run.parent / "checkpoints/step-0/tokenizer.json").symlink_to("../../../outside/secret.txt")
    for options in ({}, {"digest_only": True}):
        with pytest.raises(AccessError, match=r"'checkpoints/step-0/tokenizer\.json' is a link"):
            write_pack(run, tmp_path / "pack", **options)


def test_a_pipe_is_not_packed(run: Path, tmp_path: Path):
    (run.parent / "log.jsonl").unlink()
    os.mkfifo(run.parent / "log.jsonl")
    with pytest.raises(AccessError, match=r"'log\.jsonl' is neither a file nor a folder"):
        write_pack(run, tmp_path / "pack")


def test_sizes_that_lie(pack: Path):
    rewrite(pack, lambda d: d["files"]["log.jsonl"].update(size=1 << 40))
    refuse(pack, "log.jsonl has .* bytes; the manifest says 1,099,511,627,776")


def test_a_file_that_was_cut_off(pack: Path):
    (pack / "log.jsonl").write_bytes((pack / "log.jsonl").read_bytes()[:-1])
    refuse(pack, "log.jsonl has .* bytes; the manifest says .* cut off or was changed")


def test_digests_that_lie_are_found_by_reading(pack: Path):
    data = bytearray((pack / "log.jsonl").read_bytes())
    data[0] ^= 1
    (pack / "log.jsonl").write_bytes(data)
    (found,) = find_mismatches(open_pack(pack))
    assert found.path == "log.jsonl"
    assert found.found.sha256 == hashlib.sha256(data).hexdigest() != found.claimed.sha256


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({"size": -1, "sha256": "0" * 64}, "expected a size in bytes, found -1"),
        ({"size": 1.0, "sha256": "0" * 64}, "expected a size in bytes, found 1.0"),
        ({"size": True, "sha256": "0" * 64}, "expected a size in bytes, found true"),
        ({"size": 1 << 60, "sha256": "0" * 64}, "expected a size in bytes"),
        ({"size": 1, "sha256": "0" * 63}, "expected a SHA-256 of 64 hexadecimal digits"),
        ({"size": 1, "sha256": "G" * 64}, "expected a SHA-256 of 64 hexadecimal digits"),
        ({"size": 1, "sha256": None}, "expected a SHA-256 of 64 hexadecimal digits, found null"),
        ({"size": 1}, "expected exactly size and sha256"),
        ({"size": 1, "sha256": "0" * 64, "mode": 7}, "expected exactly size and sha256"),
        ([], "expected exactly size and sha256, found a list"),
    ],
)
def test_entries_that_are_malformed(pack: Path, entry: Any, match: str):
    rewrite(pack, lambda d: d["files"].update({"log.jsonl": entry}))
    refuse(pack, match)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda d: d.update(schema="jokbo.record/9"),
            "expected the schema 'jokbo.record/1', found 'jokbo.record/9'",
        ),
        (lambda d: d.pop("schema"), "expected the schema 'jokbo.record/1', found null"),
        (lambda d: d.pop("jokbo"), "'jokbo' is missing"),
        (lambda d: d.update(note=""), "'note' is unknown"),
        (lambda d: d.update(jokbo=1), "field jokbo: expected a version, found 1"),
        (lambda d: d.update(files=[]), "field files: expected a table"),
        (lambda d: d.update(declaration=[]), "expected a table of fields, found a list"),
        (lambda d: d["declaration"].update(author="x"), "unknown field 'author'"),
        (
            lambda d: d["declaration"]["checkpoint"][0].update(size=1),
            r"checkpoint\[0\]: unknown field 'size'",
        ),
        (
            lambda d: d["declaration"].update(steps=10**40),
            "field steps: expected a number from 0 to 10,000,000",
        ),
        (
            lambda d: d["declaration"]["log"][0].update(path="absent"),
            "names 'absent', which is not among the files",
        ),
        (lambda d: d["declaration"]["optimizer"].update(betas=[0.9, 2]), r"field optimizer.betas\[1\]"),
    ],
)
def test_manifests_that_are_malformed(pack: Path, change: Any, match: str):
    rewrite(pack, change)
    refuse(pack, match)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"[" * 1_000_000, "nested deeper than any record"),
        (b'{"a":' * 1_000_000, "nested deeper than any record"),
        (b'{"schema": NaN}', "NaN is no JSON number"),
        (b'{"schema": -Infinity}', "-Infinity is no JSON number"),
        (b'{"schema": ' + b"9" * 10_000 + b"}", "is not JSON"),
        (b'{"schema": "a", "schema": "b"}', "the field 'schema' is named twice in one object"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"", "is not JSON"),
        (b"null", "expected the schema"),
        (b'"jokbo.record/1"', "expected the schema"),
    ],
)
def test_json_that_attacks(pack: Path, data: bytes, match: str):
    (pack / MANIFEST).write_bytes(data)
    refuse(pack, match)


def test_a_manifest_of_absurd_size_is_not_read(pack: Path, monkeypatch: pytest.MonkeyPatch):
    with (pack / MANIFEST).open("r+b") as file:
        file.truncate(1 << 40)  # sparse: takes no space
    with pytest.raises(FormatError, match=r"manifest\.json has 1,099,511,627,776 bytes; expected at most"):
        open_pack(pack)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"a = " + b"[" * 100_000, "nested deeper than any declaration"),
        (b"a" + b".a" * 1_000_000 + b" = 1", "line 1: more than 40 dots in one line"),
        (b"[a" + b".a" * 1_000_000 + b"]", "line 1: more than 40 dots in one line"),
        (b"steps = " + b"9" * 10_000, "number of absurd length"),
        (b"name = 'a'\nname = 'b'", "not TOML .*overwrite"),
        (b"\xff", "offset 0: not UTF-8"),
        (b"name = ", "not TOML"),
        (b"", "expected a value, found nothing"),
    ],
)
def test_toml_that_attacks(run: Path, tmp_path: Path, data: bytes, match: str):
    run.write_bytes(data)
    with pytest.raises(FormatError, match=match):
        write_pack(run, tmp_path / "pack")


def test_a_declaration_of_absurd_size_is_not_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifest_module, "MAX_DECLARATION_BYTES", 10)
    with pytest.raises(FormatError, match="is 11 bytes; a declaration has at most 10"):
        read_declaration(b"name = 'a' ", where="record.toml")


@pytest.mark.parametrize(
    "name",
    ["checkpoints/step-0/model.safetensors.index.json", "checkpoints/step-0/x/y", "checkpoints/step-0/a.bin"],
)
def test_a_file_in_a_checkpoints_folder_that_the_manifest_does_not_list(pack: Path, name: str):
    (pack / name).parent.mkdir(exist_ok=True)
    (pack / name).write_text("{}")
    refuse(pack, f"the pack holds '{name}' in a folder of the declaration, and the manifest does not list")


def test_a_config_beside_a_single_file_of_weights_that_the_manifest_does_not_list(run: Path, tmp_path: Path):
    weights = run.parent / "flat"
    weights.mkdir()
    shutil.move(run.parent / "checkpoints/step-0/model.safetensors", weights / "zero.safetensors")
    run.write_text(run.read_text().replace("checkpoints/step-0", "flat/zero.safetensors"))
    pack = write_pack(run, tmp_path / "pack").folder
    (pack / "flat" / "config.json").write_text("{}")
    refuse(pack, "holds 'flat/config.json' in a folder of the declaration")


def test_what_lies_beside_the_record_is_no_part_of_it(pack: Path):
    (pack / "README.md").write_text("about")
    (pack / "data" / "notes.txt").write_text("about")
    assert "README.md" not in open_pack(pack).files


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    [
        "name",
        "steps",
        "model",
        "optimizer",
        "schedule",
        "batch",
        "log",
        "checkpoint",
        "event",
        "data",
        "environment",
    ]
)


@settings(max_examples=200)
@given(st.dictionaries(FIELDS, JSON, max_size=4), JSON)
def test_any_json_is_read_or_refused_as_a_manifest(declaration: Any, files: Any):
    document = {"schema": "jokbo.record/1", "jokbo": "1", "declaration": declaration, "files": files}
    try:
        data = canonical_bytes(document)
    except UnicodeEncodeError:  # half a surrogate pair is no JSON text
        return
    with contextlib.suppress(FormatError):
        parse_manifest(data)


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_as_a_manifest(data: bytes):
    with pytest.raises(FormatError):
        parse_manifest(data)
