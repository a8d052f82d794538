"""What a verification cannot know it says, and what was taken away is nowhere in an archive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import UsageError
from jokbo.evidence.canonical import canonical_bytes
from jokbo.hearing.archive.export import export
from jokbo.hearing.archive.manifest import read_manifest
from jokbo.hearing.archive.verify import Verified, verify_folder
from jokbo.hearing.case.case import new_case
from jokbo.hearing.case.chain import sign_entry
from jokbo.hearing.case.entry import payload_digest
from jokbo.hearing.case.kinds import KINDS
from jokbo.hearing.case.rotation import make_rotation
from jokbo.hearing.claims.wording import finding_text
from jokbo.hearing.terminal import render_verified, verified_document
from jokbo.report.texts import LANGUAGES, Texts
from jokbo.sources.regular_files import file_facts
from jokbo.testing.hearings import Stage, fixed_signer, small_hearing, ticking

EVIDENCE = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-base1.json"
FRAME = {"title": "t", "summary": "s", "language": "en", "queue_order": "public", "reply_hours": 24}
BEFORE, AFTER = datetime(2026, 1, 3, tzinfo=UTC), datetime(2026, 2, 20, tzinfo=UTC)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = small_hearing(tmp_path / "case", EVIDENCE.read_bytes())
    yield made
    made.case.close()


def exported(stage: Stage, archive: Path) -> Path:
    export(stage.case.entries, stage.case.state, stage.case.exhibits, archive)
    return archive


def hold(stage: Stage, number: int) -> None:
    payload = {
        "action": "hold",
        "reason": "privacy",
        "asked_by": "authority",
        "until": "2026-01-20T00:00:00.000Z",
    }
    stage.say("mod", "moderation", payload, about=number)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)
    elif isinstance(value, str) and len(value) > 12:
        yield value


def test_what_is_held_is_nowhere_in_an_archive(stage: Stage, tmp_path: Path):
    """Every text of every kind, one after the other: in no page, in no line of the log, and in no file."""
    held: dict[int, list[str]] = {}
    for number, item in list(stage.case.state.items.items()):
        if item.payload is None or number in stage.case.state.held or not KINDS[item.kind].holdable:
            continue
        held[number] = [canonical_bytes(each).decode()[1:-1] for each in texts(item.payload)]
        hold(stage, number)
    archive = exported(stage, tmp_path / "archive")
    kept = [path.read_text(encoding="utf-8") for path in archive.rglob("*") if path.is_file()]
    # What acts of the chair and the frame of the hearing say themselves is no text that was held.
    public = canonical_bytes([dict(act.payload) for act in stage.case.state.acts]).decode()
    assert stage.case.state.facts is not None
    public += canonical_bytes(dict(stage.case.state.facts.payload)).decode()
    assert len(held) > 10
    for number, said in held.items():
        for each in said:
            assert each in public or not any(each in text for text in kept), (number, each)
    assert verify_folder(archive).exit_status == 0


def test_a_file_that_is_not_shown_is_named_whatever_version_drew_the_pages(stage: Stage, tmp_path: Path):
    """A manifest that claims another version is no way to hand out what is held."""
    number = stage.numbers["table"]
    file = (stage.case.state.items[number].payload or {})["file"]
    hold(stage, number)
    archive = exported(stage, tmp_path / "archive")
    path = f"files/{file['sha256']}.bin"
    (archive / path).write_bytes(stage.case.exhibits.read(file["sha256"]))
    manifest = read_manifest(archive)
    files = {**manifest.files, path: file_facts(archive / path)}
    for version in ("0.0.1", manifest.jokbo):
        (archive / "manifest.json").write_bytes(replace(manifest, files=files, jokbo=version).to_bytes())
        found = verify_folder(archive)
        assert [each.values["path"] for each in found.problems] == [path]
        assert found.exit_status == 10


def said(found: Verified) -> tuple[str, str]:
    english, korean = (render_verified(found, lang=lang) for lang in LANGUAGES)
    return english, korean


def test_a_hold_that_nobody_ended_is_told_by_the_readers_clock(stage: Stage, tmp_path: Path):
    """A host that falls silent after a hold: its own log never says that the time is over."""
    number = stage.numbers["table"]
    hold(stage, number)
    archive = exported(stage, tmp_path / "archive")
    assert number not in verify_folder(archive, now=BEFORE).overdue
    found = verify_folder(archive, now=AFTER)
    assert number in found.overdue
    assert found.exit_status == 0  # nothing was changed; what is right to do about it is no matter of bytes
    assert verified_document(found)["overdue_holds"] == list(found.overdue)
    assert "past the end" in said(found)[0]
    assert "기한이 지났으나" in said(found)[1]
    assert "past the end" not in said(verify_folder(archive, now=BEFORE))[0]
    assert verify_folder(archive).overdue == found.overdue  # the clock of this machine


def test_an_early_digest_vouches_for_nothing_that_came_later(stage: Stage, tmp_path: Path):
    archive = exported(stage, tmp_path / "archive")
    entries = stage.case.entries
    found = verify_folder(archive, head=entries[3].digest[:16])
    assert found.witnessed == 3
    assert f"Entries after it, of which it says nothing: {len(entries) - 4}." in said(found)[0]
    assert f"{len(entries) - 4}개" in said(found)[1]
    whole = verify_folder(archive, head=entries[-1].digest)
    assert whole.witnessed == len(entries) - 1
    assert "Entries after it" not in said(whole)[0]
    none = verify_folder(archive, head="0" * 16)
    assert (none.witnessed, none.exit_status) == (None, 10)
    assert "It contains" not in said(none)[0]


def test_a_key_says_less_than_a_digest_and_an_earlier_key_less_still(tmp_path: Path):
    case = new_case(tmp_path / "case", FRAME, chair="chair", signer=fixed_signer("host"), clock=ticking())
    with case:
        case.rotate(fixed_signer("second"), account="chair")
    for given, expected in (
        (None, ["Nothing from outside was given"]),
        ("second", ["The key that was given is the host's."]),
        ("host", ["The key that was given was replaced since.", "The key that was given is the host's."]),
        ("stranger", ["Nothing from outside was given"]),  # and it does not hold
    ):
        key = None if given is None else fixed_signer(given).public.keyid
        found = verify_folder(tmp_path / "case", keeper=key)
        known = ("Nothing from outside was given", "The key that was given was", "The key that was given is")
        lines = [line for line in said(found)[0].splitlines() if line.startswith(known)]
        assert [line[: len(each)] for line, each in zip(lines, expected, strict=True)] == expected
        assert verified_document(found)["against_key"] == key
        assert found.exit_status == (10 if given == "stranger" else 0)
    head = verify_folder(tmp_path / "case", keeper=fixed_signer("second").public.keyid, head=found.state.head)
    assert "The key that was given" not in said(head)[0]


@pytest.mark.parametrize("rules", [None, 1, 2])
def test_a_log_that_chose_the_first_rules_is_said_to_be_under_them(tmp_path: Path, rules: int | None):
    """Whoever opens a case today under rules 1 escapes the end of holds: that is permitted, and told."""
    host = fixed_signer("host")
    with new_case(tmp_path / "case", FRAME, chair="chair", signer=host, clock=ticking()) as case:
        first = case.entries[0]
    payload = {**(first.payload or {}), "rules": rules}
    if rules is None:
        del payload["rules"]
    first = replace(first, payload=payload, payload_sha256=payload_digest(payload, first.salt or ""))
    (tmp_path / "case" / "log.jsonl").write_bytes(sign_entry(first, host).to_line() + b"\n")
    found = verify_folder(tmp_path / "case")
    assert found.problems == ()
    assert ("under rules 1" in said(found)[0].lower()) is (rules != 2)
    assert ("규칙 1에서는" in said(found)[1]) is (rules != 2)
    assert verified_document(found)["rules"] == (rules or 1)


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("variant", ["", "resamples"])
def test_a_finding_of_an_earlier_version_is_shown_as_it_was_found(lang: str, variant: str):
    """Versions before this one gave the p-value of a claim by its logarithm, and not in the claim's own words."""
    numbers: dict[str, Any] = {"n": 6, "m": 4, "pairs": 1, "log10_pvalue": -9.2, "log10_floor": -2.3}
    if variant:
        numbers = {"resamples": 99, "log10_floor": -2.0}
    old = {
        "code": "pvalue_beyond_sample", "variant": variant, "severity": "fault",
        "places": [{"file": "claim.yaml", "line": 12}], "numbers": numbers | {"log10_stated": -40.0},
    }  # fmt: skip
    new = old | {"numbers": numbers | {"says": "p = 1e-40"}}
    before, after = (finding_text(each, Texts(lang)) for each in (old, new))
    assert "10⁻⁴⁰" in before.what
    assert "p = 1e-40" in after.what
    assert "{" not in before.what + after.what
    assert before.title == after.title


def test_a_rotation_enters_by_no_draft(stage: Stage):
    draft = make_rotation(
        stage.case.state, fixed_signer("b"), signed_by="keeper", account=stage.case.entries[0].author.account
    )
    length = stage.case.state.length
    with pytest.raises(UsageError, match="by no draft"):
        stage.case.add(draft)
    assert stage.case.state.length == length
