"""A host's key is replaced: by itself, or by the recovery key; and by nothing else."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import FormatError, UsageError
from jokbo.hearing.archive.export import export
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case import rotation
from jokbo.hearing.case.case import Case, new_case, open_case
from jokbo.hearing.case.chain import Checked, sign_entry, verify_log
from jokbo.hearing.case.entry import Author, Draft, Entry, payload_digest
from jokbo.hearing.case.log import read_log
from jokbo.hearing.case.rotation import make_rotation
from jokbo.hearing.terminal import render_verified, verified_document
from jokbo.report.texts import LANGUAGES
from jokbo.testing.hearings import fixed_signer, words

CASE = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 24}


def opened(folder: Path, *, recovery: bool = True) -> Case:
    key = fixed_signer("safe").public if recovery else None
    return new_case(folder, CASE, chair="chair", signer=fixed_signer("host"), recovery=key)


def say(case: Case, text: str = "What is it?") -> Entry:
    return case.add(Draft("question", words(text), Author("v", "public")))


def checked(folder: Path, **more: Any) -> Checked:
    return verify_log(read_log(folder / "log.jsonl").lines, **more)


def codes(found: Checked) -> list[tuple[str, int | str]]:
    return [(each.code, each.values["sequence"]) for each in found.problems]


def resigned(folder: Path, entries: list[Entry], signers: list[str]) -> None:
    """Write a log of entries, each chained to the one before and signed by a named key."""
    lines, previous = [], ""
    for k, (entry, name) in enumerate(zip(entries, signers, strict=True)):
        made = sign_entry(replace(entry, sequence=k, previous=previous), fixed_signer(name))
        lines.append(made.to_line() + b"\n")
        previous = made.digest
    (folder / "log.jsonl").write_bytes(b"".join(lines))


def test_a_new_key_takes_over_and_the_log_holds(tmp_path: Path):
    with opened(tmp_path / "case") as case:
        say(case)
        entry = case.rotate(fixed_signer("second"), account="chair", why="A new machine.")
        assert (entry.kind, entry.sequence) == ("key_rotated", 2)
        say(case, "And now?")
    found = checked(tmp_path / "case")
    assert found.problems == ()
    assert found.keepers == tuple(fixed_signer(name).public.keyid for name in ("host", "second"))
    assert found.keeper == found.keepers[-1]
    with pytest.raises(UsageError, match="or the one that took its place"):
        open_case(tmp_path / "case", fixed_signer("host"))
    with open_case(tmp_path / "case", fixed_signer("second")) as case:
        say(case, "Still?")
    assert checked(tmp_path / "case").problems == ()


def test_the_recovery_key_replaces_a_lost_one_and_signs_nothing_else(tmp_path: Path):
    with opened(tmp_path / "case") as case:
        say(case)
    with open_case(tmp_path / "case", fixed_signer("safe"), recovering=True) as case:
        with pytest.raises(UsageError, match="signs a rotation that names it, and nothing else"):
            say(case)
        case.rotate(fixed_signer("second"), account="chair")
        say(case, "With the new key.")
    found = checked(tmp_path / "case")
    assert found.problems == ()
    assert found.keeper == fixed_signer("second").public.keyid
    (act,) = [act for act in found.state.acts if act.kind == "key_rotated"]
    assert act.payload["signed_by"] == "recovery"
    # A key that a thief rotated to can be replaced by the same recovery key again.
    with open_case(tmp_path / "case", fixed_signer("safe"), recovering=True) as case:
        case.rotate(fixed_signer("third"), account="chair")
    assert checked(tmp_path / "case").keeper == fixed_signer("third").public.keyid


def test_without_a_recovery_key_a_lost_key_stays_lost(tmp_path: Path):
    opened(tmp_path / "case", recovery=False).close()
    with pytest.raises(UsageError, match="declared no recovery key"):
        open_case(tmp_path / "case", fixed_signer("safe"), recovering=True)
    host = fixed_signer("host")
    with pytest.raises(FormatError, match="another than the host's"):
        new_case(tmp_path / "other", CASE, chair="chair", signer=host, recovery=host.public)


@pytest.mark.parametrize("name", ["host", "safe", "second"])
def test_a_key_is_never_the_hosts_twice(name: str, tmp_path: Path):
    with opened(tmp_path / "case") as case:
        case.rotate(fixed_signer("second"), account="chair")
        with pytest.raises(UsageError, match="make a new one"):
            case.rotate(fixed_signer(name), account="chair")


def test_only_a_chair_rotates_and_also_once_the_case_is_closed(tmp_path: Path):
    with opened(tmp_path / "case") as case:
        with pytest.raises(UsageError, match="the role public does not write this"):
            case.rotate(fixed_signer("second"), account="v")
        case.add(Draft("close", words("done"), Author("chair", "chair")))
        case.rotate(fixed_signer("second"), account="chair")
    assert checked(tmp_path / "case").problems == ()


def test_a_countersignature_is_good_at_its_place_alone(tmp_path: Path):
    with opened(tmp_path / "case") as case, opened(tmp_path / "other") as other:
        draft = make_rotation(case.state, fixed_signer("second"), signed_by="keeper", account="chair")
        say(case)
        for each in (case, other):  # later in the same case, and in another
            with pytest.raises(UsageError, match="has not signed that it takes over"):
                each.add(draft)


def rotated(folder: Path) -> list[Entry]:
    with opened(folder) as case:
        say(case)
        case.rotate(fixed_signer("second"), account="chair")
        say(case, "later")
        return list(case.entries)


def test_what_the_old_key_signs_afterwards_does_not_hold(tmp_path: Path):
    entries = rotated(tmp_path / "case")
    resigned(tmp_path / "case", entries, ["host", "host", "host", "host"])
    assert codes(checked(tmp_path / "case")) == [("signature_bad", 3)]


def test_a_rotation_that_a_stranger_signed_hands_nothing_over(tmp_path: Path):
    entries = rotated(tmp_path / "case")
    resigned(tmp_path / "case", entries, ["host", "host", "second", "second"])
    assert codes(checked(tmp_path / "case")) == [("signature_bad", 2), ("signature_bad", 3)]


def test_nobody_is_made_host_without_agreeing(tmp_path: Path):
    """The host names somebody else's public key, with a countersignature of its own making."""
    entries = rotated(tmp_path / "case")
    payload = dict(entries[2].payload or {})
    payload["keeper"] = base64.b64encode(fixed_signer("victim").public.der).decode()
    entries[2] = replace(
        entries[2], payload=payload, payload_sha256=payload_digest(payload, entries[2].salt or "")
    )
    resigned(tmp_path / "case", entries, ["host", "host", "host", "victim"])
    assert codes(checked(tmp_path / "case")) == [("countersignature_bad", 2), ("signature_bad", 3)]


def test_a_recovery_that_nobody_declared_is_refused(tmp_path: Path):
    with opened(tmp_path / "case", recovery=False) as case:
        draft = make_rotation(case.state, fixed_signer("second"), signed_by="recovery", account="chair")
        with pytest.raises(UsageError, match="declared no recovery key"):
            case.add(draft)
        entries = list(case.entries)
    salt = "0" * 32
    forged = replace(
        entries[0], sequence=1, kind="key_rotated", payload=draft.payload, salt=salt,
        payload_sha256=payload_digest(draft.payload, salt),
    )  # fmt: skip
    resigned(tmp_path / "case", [entries[0], forged], ["host", "second"])
    found = codes(checked(tmp_path / "case"))
    assert ("signature_bad", 1) in found
    assert ("not_permitted", 1) in found


def test_each_key_of_the_line_is_one_that_the_host_is_known_by(tmp_path: Path):
    rotated(tmp_path / "case")
    for name in ("host", "second"):
        assert checked(tmp_path / "case", keeper=fixed_signer(name).public.keyid).problems == ()
    assert codes(checked(tmp_path / "case", keeper=fixed_signer("victim").public.keyid)) == [
        ("keeper_differs", 0)
    ]


def test_the_archive_and_the_words_tell_of_it(tmp_path: Path):
    with opened(tmp_path / "case") as case:
        case.rotate(fixed_signer("second"), account="chair", why="The old machine was sold.")
        export(case.entries, case.state, case.exhibits, tmp_path / "archive")
    found = verify_folder(tmp_path / "archive")
    assert (found.problems, found.unchecked) == ((), ())
    old, new = (fixed_signer(name).public.keyid for name in ("host", "second"))
    assert verified_document(found)["keepers"] == [old, new]
    for lang in LANGUAGES:
        said = render_verified(found, lang=lang)
        assert said.index(new) < said.index(old)
        page = (tmp_path / "archive" / lang / "entries.html").read_text(encoding="utf-8")
        assert new[:16] in page
        assert "The old machine was sold." in page


def test_the_command_rotates(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    from jokbo.cli.hearing import command

    def run(*args: object) -> Any:
        return command.main([str(each) for each in args], standalone_mode=False)

    for name in ("a", "b", "c", "safe"):
        run("key", tmp_path / name)
    case = tmp_path / "case"
    run("new", case, "--key", tmp_path / "a", "--recovery-key", tmp_path / "safe.pub", "--chair", "chair",
        "--title", "t", "--summary", "s")  # fmt: skip
    with pytest.raises(UsageError, match="give the key that signed until now"):
        run("rotate", case, "--new", tmp_path / "b", "--as", "chair")
    assert run("rotate", case, "--key", tmp_path / "a", "--new", tmp_path / "b", "--as", "chair") == 0
    capsys.readouterr()
    run("rotate", case, "--recovery-key", tmp_path / "safe", "--new", tmp_path / "c", "--as", "chair",
        "--lang", "ko")  # fmt: skip
    assert "항목 2" in capsys.readouterr().out
    with pytest.raises(UsageError, match="took its place"):
        run("add", case, "interest", "--key", tmp_path / "b", "--as", "chair", "--set", "none=true",
            "--set", "text=none", "--set", "language=en")  # fmt: skip
    assert run("verify", case, "--key", tmp_path / "c.pub") == 0
    assert run("verify", case, "--key", tmp_path / "safe.pub") == 10


def test_every_field_of_a_rotation_is_signed_by_the_new_key(tmp_path: Path):
    with opened(tmp_path / "case") as case:
        draft = make_rotation(case.state, fixed_signer("second"), signed_by="keeper", account="chair")
        assert case.state.facts is not None
        place = (case.state.facts.case, case.state.length, case.state.head)
    assert rotation.countersigned(*place, draft.payload)
    other = base64.b64encode(fixed_signer("third").public.der).decode()
    for field, value in (("keeper", other), ("signed_by", "recovery"), ("countersignature", "A" * 86 + "==")):
        assert not rotation.countersigned(*place, {**draft.payload, field: value})
    for k, value in enumerate(("0" * 64, 2, "0" * 64)):
        moved: list[Any] = [*place]
        moved[k] = value
        assert not rotation.countersigned(*moved, draft.payload)
