"""``jokbo record pack`` and ``jokbo record inspect``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from runs import Run

from jokbo.cli.record import COMMANDS
from jokbo.testing.packs import write_tiny_run


@pytest.fixture
def declaration(tmp_path: Path) -> Path:
    return write_tiny_run(tmp_path / "run")


def test_a_record_is_packed_and_shown(run: Run, declaration: Path, tmp_path: Path):
    packed = run("record", "pack", declaration, "-o", tmp_path / "pack", "--json")
    assert packed.status == 0, packed.err
    shown = run("record", "inspect", tmp_path / "pack", "--json")
    assert shown.status == 0
    assert json.loads(packed.out) == json.loads(shown.out)
    assert json.loads(shown.out)["schema"] == "jokbo.record-layout/1"


@pytest.mark.parametrize(("lang", "said"), [("en", "Not disclosed"), ("ko", "공개하지 않은 항목")])
def test_the_layout_is_printed_in_the_readers_language(
    run: Run, declaration: Path, tmp_path: Path, lang: str, said: str
):
    outcome = run("record", "pack", declaration, "-o", tmp_path / "pack", "--lang", lang)
    assert outcome.status == 0
    assert said in outcome.out


def test_options_reach_the_pack(run: Run, declaration: Path, tmp_path: Path):
    for name, options, form in (
        ("digests", ["--digest-only"], ["digest", "digest", "digest"]),
        ("rows", ["--sample-rows", 2, "--seed", 5], ["rows", "rows", "rows"]),
        (
            "some",
            ["--digest-only", "--whole", "step-0", "--whole", "step-4"],
            ["weights", "digest", "weights"],
        ),
        ("linked", ["--link"], ["weights", "weights", "weights"]),
    ):
        outcome = run("record", "pack", declaration, "-o", tmp_path / name, "--json", *options)
        assert outcome.status == 0, outcome.err
        assert [c["form"] for c in json.loads(outcome.out)["checkpoints"]] == form


def test_what_cannot_be_packed_is_one_sentence_and_status_2(run: Run, declaration: Path, tmp_path: Path):
    declaration.write_text(declaration.read_text().replace("steps = 4", "steps = -4"))
    outcome = run("record", "pack", declaration, "-o", tmp_path / "pack")
    assert outcome.status == 2
    assert "field steps: expected a number from 0 to 10,000,000, found -4" in outcome.err
    assert not (tmp_path / "pack").exists()


def test_a_changed_file_is_found_by_verify_and_status_2(run: Run, declaration: Path, tmp_path: Path):
    run("record", "pack", declaration, "-o", tmp_path / "pack", "--json")
    assert run("record", "inspect", tmp_path / "pack", "--verify", "--json").status == 0
    log = tmp_path / "pack" / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"loss": 2.1', b'"loss": 2.0'))
    outcome = run("record", "inspect", tmp_path / "pack", "--verify", "--json")
    assert outcome.status == 2
    assert "log.jsonl has the digest" in outcome.err
    assert "1 of" in outcome.err


def test_a_partial_pack_is_shown_where_that_was_said(run: Run, declaration: Path, tmp_path: Path):
    run("record", "pack", declaration, "-o", tmp_path / "pack", "--json")
    (tmp_path / "pack" / "log.jsonl").unlink()
    refused = run("record", "inspect", tmp_path / "pack")
    assert refused.status == 2
    assert "--partial" in refused.err
    shown = run("record", "inspect", tmp_path / "pack", "--partial", "--json")
    assert json.loads(shown.out)["disclosed"]["log"] is False


def test_the_groups_help_names_every_command_without_importing_it(run: Run):
    outcome = run("record", "--help")
    assert outcome.status == 0
    for name, line in COMMANDS.items():
        assert name in outcome.out
        assert line.split()[0] in outcome.out
    unknown = run("record", "unpack")
    assert unknown.status == 2
    assert "No such command 'unpack'" in unknown.err
