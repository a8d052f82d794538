"""``jokbo fingerprint``: writes what the library makes, and shows what a fingerprint says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Run

from jokbo.lineage.fingerprint import make_fingerprint
from jokbo.testing.registers import flipped, small_fingerprint, with_header
from jokbo.views.fingerprint import SUFFIX


def test_the_file_is_what_the_library_makes(run: Run, models: dict[str, Path], tmp_path: Path):
    file = tmp_path / f"m{SUFFIX}"
    outcome = run("fingerprint", models["reference"], "-o", file)
    assert outcome.status == 0
    expected = make_fingerprint(models["reference"])
    assert file.read_bytes() == expected.data
    assert expected.sha256 in outcome.out
    assert "Read for it:" in outcome.out


def test_a_salt_chooses_other_rows(run: Run, models: dict[str, Path], tmp_path: Path):
    file = tmp_path / f"m{SUFFIX}"
    outcome = run("fingerprint", models["reference"], "-o", file, "--salt", "mine", "--json")
    document = json.loads(outcome.out)
    assert (document["schema"], document["header"]["salt"]) == ("jokbo.fingerprint_shown/1", "mine")
    assert document["bytes"] == file.stat().st_size
    assert document["sha256"] == make_fingerprint(models["reference"], salt="mine").sha256


@pytest.mark.parametrize("lang", ["en", "ko"])
def test_show_says_what_the_file_says(run: Run, tmp_path: Path, lang: str):
    file = tmp_path / f"m{SUFFIX}"
    file.write_bytes(small_fingerprint(1).data)
    outcome = run("fingerprint", file, "--show", "--lang", lang)
    assert outcome.status == 0
    header = small_fingerprint(1).header
    assert header.name in outcome.out
    assert header.salt in outcome.out
    assert ("is a claim" in outcome.out) is (lang == "en")
    assert ("주장입니다" in outcome.out) is (lang == "ko")
    document = json.loads(run("fingerprint", file, "--show", "--json").out)
    assert document["header"]["digest"] == header.digest
    assert document["sketch_bytes"] > 0


def test_show_checks_the_file(run: Run, tmp_path: Path):
    file = tmp_path / f"m{SUFFIX}"
    data = small_fingerprint(1).data
    for changed, message in (
        (flipped(data, len(data) - 1), "damaged"),
        (with_header(data, version=99), "version 99"),
        (b"nothing", "m.fingerprint.safetensors"),
    ):
        file.write_bytes(changed)
        outcome = run("fingerprint", file, "--show")
        assert outcome.status == 2
        assert message in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a/b",), "name the file to write with -o NAME.fingerprint.safetensors"),
        (("a/b", "-o", "m.safetensors"), "does not end in .fingerprint.safetensors"),
        (("a/b", "-o", f"none/m{SUFFIX}"), "cannot write"),
        (("a/b", "--show", "--salt", "x"), "--show makes nothing"),
        (("none.safetensors", "--show"), "the fingerprint none.safetensors cannot be read"),
    ],
)
def test_bad_usage_of_fingerprint(run: Run, arguments: tuple[str, ...], message: str):
    outcome = run("fingerprint", *arguments)
    assert outcome.status == 2
    assert message in outcome.err


def test_a_fingerprint_has_no_fingerprint(run: Run, tmp_path: Path):
    file = tmp_path / f"m{SUFFIX}"
    file.write_bytes(small_fingerprint(1).data)
    outcome = run("fingerprint", file, "-o", tmp_path / f"n{SUFFIX}")
    assert outcome.status == 2
    assert "is a fingerprint already" in outcome.err
    assert not (tmp_path / f"n{SUFFIX}").exists()
