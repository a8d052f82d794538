"""Statements signed elsewhere: from the command line to the log, and everything that a hostile host or author tries."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.cli.hearing import command
from jokbo.errors import JokboError
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.chain import sign_entry, verify_log
from jokbo.hearing.case.entry import Author, payload_digest
from jokbo.hearing.case.log import read_log

ROOT = Path(__file__).resolve().parents[2]
EVIDENCE = ROOT / "tests/compat/evidence/0.3.0-base0-base1.json"

Run = Callable[..., Any]


def call(*words: Any) -> Any:
    return command.main([str(word) for word in words], standalone_mode=False)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cases, each with two claims and two panelists with keys, and the archive of one."""
    folder = tmp_path_factory.mktemp("prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("host", "kim", "ahn", "thief"):
            call("key", f"{name}.key")
        for case in ("case", "other"):
            call("new", case, "--key", "host.key", "--chair", "chair", "--title", case, "--summary", "s")
            for account, role in (("lab", "claimant"), ("kim", "panel"), ("ahn", "panel")):
                enter(call, case, "role", "chair", f"account={account}", f"role={role}")
            for account in ("kim", "ahn"):
                call("add", case, "key", "--as", "chair", "--key", "host.key", "--set", f"account={account}",
                     "--public-key", f"{account}.key.pub")  # fmt: skip
            for title in ("first", "second"):
                enter(call, case, "claim", "lab", f"title={title}", "text=x", "language=en")
        call("export", "case", "case-archive")
    return folder


@pytest.fixture
def run(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands, in a copy of the prepared folder."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return call


CLAIM, SECOND = 6, 7


def enter(call: Run, case: str, kind: str, account: str, *fields: str, about: int | None = None) -> None:
    given = [word for field in fields for word in ("--set", field)]
    given += [] if about is None else ["--about", about]
    call("add", case, kind, "--as", account, "--key", "host.key", *given)


def sign(call: Run, out: str = "signed.json", *, kind: str = "rebuttal", account: str = "kim",
         key: str = "kim", about: int = CLAIM, text: str = "No control was made.") -> None:  # fmt: skip
    call("sign", "case-archive", kind, "--as", account, "--author-key", f"{key}.key", "--about", about,
         "--set", f"text={text}", "--set", "language=en", "--out", out)  # fmt: skip


def hand_in(call: Run, out: str = "signed.json", *, case: str = "case", kind: str = "rebuttal",
            account: str = "kim") -> Any:  # fmt: skip
    return call("add", case, kind, "--as", account, "--key", "host.key", "--draft", out)


def edited(change: Callable[[dict[str, Any]], Any], out: str = "signed.json") -> None:
    document = json.loads(Path(out).read_text(encoding="utf-8"))
    change(document)
    Path(out).write_text(json.dumps(document), encoding="utf-8")


def refused(call: Run, match: str, **given: Any) -> None:
    """Refused with a sentence, and nothing entered."""
    with open_case(Path(given.get("case", "case"))) as case:
        before = case.head()
    with pytest.raises(JokboError, match=match):
        hand_in(call, **given)
    with open_case(Path(given.get("case", "case"))) as case:
        assert case.head() == before


def test_from_the_archive_to_the_log_and_back(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    sign(run)
    assert hand_in(run) == 0
    run("export", "case", "case-archive")
    with open_case(tmp_path / "case-archive") as case:
        item = case.state.items[8]
        assert item.author.key is not None
        assert item.payload == {"text": "No control was made.", "language": "en"}
    assert run("verify", "case-archive") == 0
    page = (tmp_path / "case-archive/en/claim-6.html").read_text(encoding="utf-8")
    assert f"signed with key {item.author.key[:16]}" in page


def test_a_reproduction_is_signed_with_its_evidence(run: Run, tmp_path: Path):
    run("add", "case", "exhibit", "--as", "lab", "--key", "host.key", "--about", CLAIM, "--evidence", EVIDENCE,
        "--set", "title=t", "--set", "command=jokbo compare a b")  # fmt: skip
    run("export", "case", "case-archive")
    run("sign", "case-archive", "reproduction", "--as", "kim", "--author-key", "kim.key", "--about", 8,
        "--evidence", EVIDENCE, "--out", "signed.json")  # fmt: skip
    edited(lambda d: d["payload"].update(machine="the host's"))
    with pytest.raises(JokboError, match="not one over this reproduction"):
        run("add", "case", "reproduction", "--as", "kim", "--key", "host.key", "--draft", "signed.json",
            "--evidence", EVIDENCE)  # fmt: skip
    edited(lambda d: d["payload"].pop("machine"))
    run("add", "case", "reproduction", "--as", "kim", "--key", "host.key", "--draft", "signed.json",
        "--evidence", EVIDENCE)  # fmt: skip
    run("export", "case", "case-archive")
    page = (tmp_path / "case-archive/en/exhibit-8.html").read_text(encoding="utf-8")
    assert "Reproduced by 1" in page


ALTERED: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("text", lambda d: d["payload"].update(text="A control was made.")),
    ("language", lambda d: d["payload"].update(language="ko")),
    ("translations", lambda d: d["payload"].update(translations={"ko": "대조군이 있었습니다."})),
    ("salt", lambda d: d.update(salt="0" * 32)),
    ("about another claim", lambda d: d.update(about=SECOND)),
    ("superseding", lambda d: d.update(supersedes=None, about=SECOND)),
    ("statement of noughts", lambda d: d.update(statement="A" * 86 + "==")),
]


@pytest.mark.parametrize("change", [each for _, each in ALTERED], ids=[name for name, _ in ALTERED])
def test_a_statement_that_was_altered_is_refused(run: Run, change: Callable[[dict[str, Any]], Any]):
    sign(run)
    edited(change)
    refused(run, "is not one over this rebuttal in this case")


def test_a_statement_for_another_hearing_is_refused_also_with_the_case_rewritten(run: Run):
    sign(run)
    refused(run, "is signed for case", case="other")
    with open_case(Path("other")) as other:
        name = other.head().case
    edited(lambda d: d.update(case=name))
    refused(run, "is not one over this rebuttal in this case", case="other")


def test_a_statement_is_entered_once(run: Run):
    sign(run)
    hand_in(run)
    refused(run, "nothing is entered twice")


@pytest.mark.parametrize(
    ("account", "key", "match"),
    [
        ("kim", "thief", "a key that is not this account's"),
        ("kim", "ahn", "a key that is not this account's"),
        ("lab", "kim", "a key that is not this account's"),
    ],
)
def test_a_statement_signed_with_another_key_is_refused(run: Run, account: str, key: str, match: str):
    sign(run, account=account, key=key)
    refused(run, match, account=account)


def test_a_key_that_is_named_and_did_not_sign_is_refused(run: Run):
    sign(run, key="thief")
    with open_case(Path("case")) as case:
        (kim,) = [keyid for keyid, key in case.state.keys.items() if key.account == "kim"]
    edited(lambda d: d["author"].update(key=kim))
    refused(run, "is not one over this rebuttal in this case")


def test_a_statement_of_another_account_kind_or_role_is_refused(run: Run):
    sign(run)
    refused(run, "is a rebuttal by 'kim', not a rebuttal by 'ahn'", account="ahn")
    refused(run, "is a rebuttal by 'kim', not a finding by 'kim'", kind="finding")
    edited(lambda d: d.update(kind="reply"))
    refused(run, "the role panel does not write this", kind="reply")
    sign(run)
    edited(lambda d: d["author"].update(role="chair"))
    refused(run, "has the role panel, not chair")


@pytest.mark.parametrize(("about", "match"), [(99, "nothing that can be spoken of"), (1, "is a role")])
def test_a_statement_about_the_wrong_entry_is_refused(run: Run, about: int, match: str):
    sign(run, about=about)
    refused(run, match)


def test_a_key_that_was_withdrawn_in_between_signs_nothing(run: Run):
    sign(run)
    run("add", "case", "key", "--as", "chair", "--key", "host.key", "--set", "account=kim", "--set", "valid=false",
        "--public-key", "kim.key.pub")  # fmt: skip
    refused(run, "a key that is not this account's")


def test_a_role_that_was_taken_in_between_is_refused(run: Run):
    sign(run)
    enter(run, "case", "role", "chair", "account=kim", "role=public")
    refused(run, "has the role public, not panel")


MALFORMED: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("no JSON", lambda data: b"signed", "is not JSON"),
    ("a field twice", lambda data: data.replace(b'{"about"', b'{"about":7,"about"', 1), "is not JSON"),
    ("a field too many", lambda data: data.replace(b'{"about"', b'{"a":1,"about"', 1), "Sign it again"),
    ("no salt", lambda data: data.replace(b'"salt"', b'"sale"', 1), "Sign it again"),
    ("nested deep", lambda data: b"[" * 100_000, "is not JSON"),
    ("large", lambda data: b" " * ((1 << 20) + 1), "larger than"),
    ("another schema", lambda data: data.replace(b"hearing-draft/1", b"hearing-draft/2"), "Sign it again"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "match"), [each[1:] for each in MALFORMED], ids=[each[0] for each in MALFORMED]
)
def test_a_file_that_is_no_statement_is_refused(run: Run, change: Callable[[bytes], bytes], match: str):
    sign(run)
    path = Path("signed.json")
    path.write_bytes(change(path.read_bytes()))
    refused(run, match)


def test_a_host_that_enters_other_words_under_a_signature_is_found(run: Run, tmp_path: Path):
    """The host's own key signs what it likes; the author's statement does not go with it."""
    from dataclasses import replace

    from jokbo.records.commit.keys import load_signer

    sign(run)
    hand_in(run)
    log = tmp_path / "case/log.jsonl"
    lines = read_log(log).lines
    last = lines[-1]
    assert not hasattr(last, "problem")
    host = load_signer("host.key")
    for change in (
        {"payload": {"text": "I agree.", "language": "en"}},
        {"about": SECOND},
        {"author": Author("ahn", "panel", last.author.key)},  # type: ignore[union-attr]
    ):
        made = replace(last, **change)  # type: ignore[type-var]
        made = replace(made, payload_sha256=payload_digest(made.payload, made.salt))  # type: ignore[type-var,union-attr,arg-type]
        found = verify_log([*lines[:-1], sign_entry(made, host)])  # type: ignore[arg-type]
        assert "statement_bad" in {each.code for each in found.problems}
