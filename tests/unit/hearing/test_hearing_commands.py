"""``jokbo hearing``: a whole small hearing from the command line."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.cli.hearing import COMMANDS, command
from jokbo.errors import JokboError
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.views import Threads, reproductions

EVIDENCE = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-base1.json"
OTHER = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-sft0.json"
CLAIM = Path(__file__).parents[3] / "src/jokbo/hearing/claims/templates/claim.en.yaml"

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*words: Any) -> tuple[int, str]:
        try:
            status = command.main([str(word) for word in words], standalone_mode=False)
        except JokboError as error:
            return 2, str(error)
        return status or 0, capsys.readouterr().out

    return call


@pytest.fixture
def opened(run: Run) -> Run:
    """A case with a claimant, a respondent and two keys."""
    for name in ("host", "kim"):
        assert run("key", f"{name}.key", "--lang", "en")[0] == 0
    new = (
        "new",
        "case",
        "--key",
        "host.key",
        "--chair",
        "chair",
        "--title",
        "T",
        "--summary",
        "S",
        "--lang",
        "en",
    )
    status, said = run(*new)
    assert (status, said.splitlines()[0]) == (0, "Case opened: case")
    for account, role in (("lab", "claimant"), ("maker", "respondent"), ("kim", "panel")):
        add(run, "role", "chair", "--set", f"account={account}", "--set", f"role={role}")
    add(run, "key", "chair", "--set", "account=kim", "--public-key", "kim.key.pub")
    return run


def add(run: Run, kind: str, account: str, *more: Any) -> str:
    status, said = run("add", "case", kind, "--as", account, "--key", "host.key", "--lang", "en", *more)
    assert status == 0, said
    return said


def test_keys_are_for_their_owner_alone(run: Run, tmp_path: Path):
    run("key", "a.key")
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600
    status, said = run("key", "a.key")
    assert (status, "no key is written over" in said) == (2, True)
    (tmp_path / "a.key").chmod(0o644)
    status, said = run("new", "case", "--key", "a.key", "--chair", "c", "--title", "T", "--summary", "S")
    assert (status, "others may read the private key" in said) == (2, True)


def test_a_hearing_from_claim_to_archive(opened: Run, tmp_path: Path):
    run = opened
    text = ("--set", "text=x", "--set", "language=en")
    assert add(run, "claim", "lab", "--set", "title=t", *text).startswith("Entry 5: claim, ")
    exhibit = ("--about", 5, "--evidence", EVIDENCE, "--set", "title=E", "--set", "command=jokbo compare a b")
    add(run, "exhibit", "maker", *exhibit)
    add(run, "rebuttal", "maker", "--about", 5, *text)
    assert run("export", "case", "archive")[0] == 0

    # Kim repeats it with the archive alone, and signs; the host enters what Kim signed.
    by_kim = ("--as", "kim", "--author-key", "kim.key", "--about", 6)
    status, said = run(
        "sign", "archive", "reproduction", *by_kim, "--evidence", EVIDENCE, "--out", "kim.json"
    )
    assert status == 0, said
    add(run, "reproduction", "kim", "--draft", "kim.json", "--evidence", EVIDENCE)
    add(run, "reproduction", "kim", "--about", 6, "--author-key", "kim.key", "--evidence", OTHER)
    with open_case(tmp_path / "case") as case:
        found = reproductions(Threads(case.state), 6)
        assert (found.agreeing, found.differing) == (1, 1)
    finding = ("--set", "outcome=not_proven", "--set", "would_settle=another test", *text)
    add(run, "finding", "kim", "--about", 5, *finding)
    add(run, "close", "chair", *text)
    status, said = run("export", "case", "archive", "--lang", "ko")
    assert status == 0
    assert "보관본: archive" in said
    head = json.loads(run("show", "case", "--head")[1])
    status, said = run("verify", "archive", "--head", head["digest"][:20], "--lang", "en")
    assert status == 0, said
    assert "It holds: 12 entries" in said
    assert "It contains the entry that was kept" in said


def test_verify_says_what_does_not_hold(opened: Run, tmp_path: Path):
    run = opened
    assert run("export", "case", "archive")[0] == 0
    assert json.loads(run("verify", "archive", "--json")[1])["exit_status"] == 0
    log = tmp_path / "archive/log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"role":"panel"', b'"role":"chair"', 1))
    for lang, said in (("en", "Entry 3 cannot be read"), ("ko", "3번 항목을 읽을 수 없습니다")):
        status, text = run("verify", "archive", "--lang", lang)
        assert (status, said in text) == (10, True)
    run("key", "other.key")
    assert run("verify", "case", "--key", "other.key.pub")[0] == 10
    assert run("verify", "case", "--key", "host.key.pub")[0] == 0
    assert run("verify", "case", "--head", "ab" * 32)[0] == 10
    assert run("verify", "case", "--head", "xyz")[0] == 2
    assert run("verify", tmp_path / "nothing")[0] == 2


def test_rerun_that_cannot_be_is_said(opened: Run, tmp_path: Path):
    run = opened
    add(run, "claim", "lab", "--set", "title=t", "--set", "text=x", "--set", "language=en")
    add(
        run,
        "exhibit",
        "maker",
        "--about",
        5,
        "--evidence",
        EVIDENCE,
        "--set",
        "title=E",
        "--set",
        "command=c",
    )
    status, said = run("verify", "case", "--rerun", "--lang", "en")
    assert (status, "The evidence of entry 6 was not run again" in said) == (11, True)


def test_rerun_repeats_evidence_on_the_models(opened: Run, tmp_path: Path, zoo: Path):
    """Evidence made now, of two really trained models, is found again number by number."""
    from jokbo.evidence.compare import compare

    run = opened
    found = compare(str(zoo / "base0"), str(zoo / "base1"), bounds=False, descriptive=False)
    (tmp_path / "evidence.json").write_bytes(found.evidence.to_json())
    add(run, "claim", "lab", "--set", "title=t", "--set", "text=x", "--set", "language=en")
    made = ("--about", 5, "--evidence", "evidence.json", "--set", "title=E", "--set", "command=c")
    add(run, "exhibit", "maker", *made)
    where = ("--model", f"base0={zoo / 'base0'}", "--model", f"base1={zoo / 'base1'}")
    status, said = run("verify", "case", "--rerun", *where, "--lang", "en")
    assert status == 0, said
    assert "Evidence run again: 1." in said


def test_a_claim_is_linted_when_it_is_entered(opened: Run, tmp_path: Path):
    from jokbo.cli.claim.new import command as new_claim

    new_claim.main([str(tmp_path / "c.yaml")], standalone_mode=False)
    add(opened, "claim", "lab", "--claim", "c.yaml")
    with open_case(tmp_path / "case") as case:
        payload = case.state.items[5].payload
    assert payload["lint"]["schema"] == "jokbo.claim-lint/1"
    assert payload["title"] == payload["lint"]["claim"]["title"]
    assert opened("export", "case", "archive")[0] == 0
    assert "claim lint" in (tmp_path / "archive/en/claim-5.html").read_text(encoding="utf-8")


def test_defaults_of_dates(opened: Run, tmp_path: Path):
    add(opened, "claim", "lab", "--set", "title=t", "--set", "text=x", "--set", "language=en")
    add(opened, "reply_timer", "chair", "--about", 5, "--set", "account=maker")
    hold = ("--set", "action=hold", "--set", "reason=privacy", "--set", "asked_by=affected_party")
    add(opened, "moderation", "chair", "--about", 5, *hold)
    with open_case(tmp_path / "case") as case:
        assert case.state.timers[0].payload["until"] > case.state.latest
        assert case.public.items[5].payload is None


def test_mistakes_are_one_sentence(opened: Run, tmp_path: Path):
    run = opened
    base = ("add", "case", "exhibit", "--as", "lab", "--key", "host.key")
    for words, said in (
        ((*base, "--evidence", EVIDENCE, "--exhibit", EVIDENCE), "one file at most"),
        ((*base, "--claim", EVIDENCE), "one file at most"),
        (("add", "case", "nonsense", "--as", "lab", "--key", "host.key"), "no kind of entry"),
        (("add", "nowhere", "claim", "--as", "lab", "--key", "host.key"), "there is no case in nowhere"),
        (("export", "case", "case/archive"), "lies inside case"),
        (("show", "case", "--entry", 99), "there is no entry 99"),
        (("show", "nowhere"), "there is no log"),
    ):
        assert run(*words)[0] == 2
        assert said in run(*words)[1]
    (tmp_path / "case" / "host.key").write_bytes((tmp_path / "host.key").read_bytes())
    inside = run("add", "case", "close", "--as", "chair", "--key", "case/host.key")
    assert (inside[0], "Keep it somewhere else" in inside[1]) == (2, True)


def test_show_in_both_languages(opened: Run):
    assert "남은 것이 없습니다." in opened("show", "case", "--lang", "ko")[1]
    assert "Nothing is open." in opened("show", "case", "--lang", "en")[1]
    assert json.loads(opened("show", "case", "--entry", 0)[1])["kind"] == "case"


def test_every_command_is_described():
    assert command.list_commands(None) == list(COMMANDS)
    for name in COMMANDS:
        assert command.get_command(None, name).help
