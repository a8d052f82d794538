"""``jokbo record audit`` and ``jokbo report`` of an audit: files written, exit status, errors before the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from runs import Run

from jokbo.records.verdict import Outcome as Kind

AUDITS = Path(__file__).resolve().parents[2] / "golden" / "audits"
STATUS = {"consistent": 0, "inconsistent": 10, "cannot_tell": 11}


class Stub:
    """An audit that was made elsewhere, and what it was asked for."""

    def __init__(self, name: str) -> None:
        self.document = json.loads((AUDITS / f"{name}.json").read_bytes())
        self.verdict = type("Verdict", (), {"kind": Kind(name), "exit_status": STATUS[name]})
        self.asked: dict[str, Any] = {}

    def __call__(self, pack: object, **asked: Any) -> Stub:
        self.asked = {"pack": pack, **asked}
        return self


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> dict[str, Stub]:
    """Audits by outcome; the command is given the one named by its pack."""
    stubs = {name: Stub(name) for name in STATUS}
    monkeypatch.setattr("jokbo.records.audit.audit", lambda pack, **asked: stubs[str(pack)](pack, **asked))
    return stubs


@pytest.mark.parametrize(("name", "status"), STATUS.items())
def test_exit_status_is_the_verdict(run: Run, audited: dict[str, Stub], name: str, status: int) -> None:
    outcome = run("record", "audit", name, "--seed", 7)
    assert outcome.status == status
    assert "tiny-han-1" in outcome.out


def test_quiet_prints_nothing(run: Run, audited: dict[str, Stub]) -> None:
    outcome = run("record", "audit", "inconsistent", "-q")
    assert (outcome.status, outcome.out) == (10, "")


def test_options_reach_the_audit(run: Run, audited: dict[str, Stub]) -> None:
    run("record", "audit", "consistent", "-q", "--seed", 9, "--budget", "64MB", "--no-replay", "--flops", "1e9",
        "--against", "org/a", "--against", "org/b", "--check", "bytes")  # fmt: skip
    asked = audited["consistent"].asked
    assert (asked["seed"], asked["budget_bytes"], asked["replay"], asked["flops"]) == (
        9,
        64_000_000,
        False,
        1e9,
    )
    assert asked["against"] == ("org/a", "org/b")
    assert asked["checks"] == ("bytes",)


def test_without_a_seed_nobody_can_foresee_it(run: Run, audited: dict[str, Stub]) -> None:
    seeds = set()
    for _ in range(3):
        run("record", "audit", "consistent", "-q")
        seeds.add(audited["consistent"].asked["seed"])
    assert len(seeds) == 3


def test_files_are_written(
    run: Run, audited: dict[str, Stub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The pack is as made up as its audit is.
    monkeypatch.setattr("jokbo.records.pack.open_pack", lambda pack: None)
    names = {"--json": "a.json", "--html": "a.html", "--statement": "s.json", "--bom": "b.json"}
    options = [part for option, name in names.items() for part in (option, tmp_path / name)]
    outcome = run("record", "audit", "cannot_tell", "-q", "--lang", "ko", *options)
    assert outcome.status == 11
    assert json.loads((tmp_path / "a.json").read_bytes()) == audited["cannot_tell"].document
    assert '<html lang="ko">' in (tmp_path / "a.html").read_text(encoding="utf-8")
    statements = [json.loads(line) for line in (tmp_path / "s.json").read_bytes().splitlines()]
    assert [s["_type"] for s in statements] == ["https://in-toto.io/Statement/v1"] * 2
    assert json.loads((tmp_path / "b.json").read_bytes())["bomFormat"] == "CycloneDX"


def test_a_place_that_cannot_be_written_is_said_before_the_work(
    run: Run, audited: dict[str, Stub], tmp_path: Path
) -> None:
    outcome = run("record", "audit", "consistent", "--html", tmp_path / "no" / "a.html")
    assert outcome.status == 2
    assert "cannot write" in outcome.err
    assert audited["consistent"].asked == {}


@pytest.mark.parametrize("budget", ["2%", "full", "none"])
def test_a_budget_is_a_size(run: Run, audited: dict[str, Stub], budget: str) -> None:
    outcome = run("record", "audit", "consistent", "--budget", budget)
    assert outcome.status == 2
    assert "expected" in outcome.err


def test_a_folder_that_is_no_pack_exits_2(run: Run, tmp_path: Path) -> None:
    outcome = run("record", "audit", tmp_path)
    assert outcome.status == 2
    assert outcome.err.startswith("jokbo: ")


@pytest.mark.parametrize("name", STATUS)
def test_report_shows_an_audit_again(run: Run, name: str, tmp_path: Path) -> None:
    file = AUDITS / f"{name}.json"
    assert "tiny-han-1" in run("report", file).out
    assert run("report", file, "--json").out.encode() == file.read_bytes()
    page = tmp_path / "page.html"
    assert run("report", file, "--html", page, "--lang", "ko").status == 0
    assert '<html lang="ko">' in page.read_text(encoding="utf-8")


def test_report_of_an_edited_audit_exits_2(run: Run, tmp_path: Path) -> None:
    document = json.loads((AUDITS / "inconsistent.json").read_bytes())
    document["verdict"] |= {"kind": "consistent", "exit_status": 0}
    edited = tmp_path / "edited.json"
    edited.write_text(json.dumps(document))
    outcome = run("report", edited)
    assert outcome.status == 2
    assert "expected 'inconsistent', found 'consistent'" in outcome.err
