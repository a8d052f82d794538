"""Entries, signatures, holds and erasures of a case."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import FormatError, JokboError, UsageError
from jokbo.hearing.case.case import new_case, open_case
from jokbo.hearing.case.chain import Unreadable, sign_draft, sign_entry, verify_log
from jokbo.hearing.case.drafts import draft_to_bytes, parse_draft
from jokbo.hearing.case.entry import Author, Draft, Entry, parse_entry
from jokbo.hearing.case.log import LOG, read_log
from jokbo.hearing.case.state import CaseState, fold
from jokbo.hearing.case.withheld import public_entries, public_state, withheld
from jokbo.hearing.case.witness import make_head, parse_digest, spelled
from jokbo.records.commit.keys import make_key
from jokbo.testing.hearings import Stage, fixed_signer, open_stage, small_hearing, words

EVIDENCE = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-base1.json"
OTHER = Path(__file__).parents[2] / "compat/evidence/0.3.0-base0-sft0.json"


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    folder = tmp_path_factory.mktemp("hearing") / "case"
    stage = small_hearing(folder, EVIDENCE.read_bytes(), differing=OTHER.read_bytes())
    stage.case.close()
    return stage


@pytest.fixture
def stage(tmp_path: Path):
    made = open_stage(tmp_path / "case")
    yield made
    made.case.close()


def entries_of(folder: Path) -> list[Entry]:
    lines = read_log(folder / LOG).lines
    assert not [line for line in lines if isinstance(line, Unreadable)]
    return [line for line in lines if isinstance(line, Entry)]


def test_the_log_is_the_truth(hearing: Stage):
    with open_case(hearing.case.folder) as again:
        assert again.state == hearing.case.state
        assert again.entries == hearing.case.entries
        assert fold(entries_of(hearing.case.folder)) == again.state


def test_lines_are_canonical_and_come_back(hearing: Stage):
    for entry in hearing.case.entries:
        assert parse_entry(entry.to_line(), "a line") == entry


def test_the_same_hearing_gives_the_same_bytes(hearing: Stage, tmp_path: Path):
    again = small_hearing(tmp_path / "case", EVIDENCE.read_bytes(), differing=OTHER.read_bytes())
    again.case.close()
    assert (tmp_path / "case" / LOG).read_bytes() == (hearing.case.folder / LOG).read_bytes()


def test_what_the_public_sees_is_what_the_public_log_gives(hearing: Stage):
    state = hearing.case.state
    public = list(public_entries(hearing.case.entries, state))
    assert fold(public) == public_state(state)
    assert verify_log(public).problems == ()
    causes = {number: each.cause for number, each in withheld(state).items()}
    numbers = hearing.numbers
    assert causes == {
        numbers["hidden"]: "hidden",
        numbers["pending"]: "pending",
        numbers["held"]: "held",
        numbers["erased"]: "erased",
    }


def test_an_erased_text_is_in_no_file(hearing: Stage):
    assert b"010-1234" not in (hearing.case.folder / LOG).read_bytes()
    # A held one is kept by the host, for it may have to be shown again.
    assert b"A person of the maker" in (hearing.case.folder / LOG).read_bytes()


def test_a_held_text_can_be_released(stage: Stage):
    claim = stage.say("lab", "claim", {"title": "t", **words("said")})
    hold = {
        "action": "hold",
        "reason": "defamation",
        "asked_by": "affected_party",
        "until": "2026-01-20T00:00:00.000Z",
    }
    stage.say("mod", "moderation", hold, about=claim.sequence)
    assert stage.case.public.items[claim.sequence].payload is None
    stage.say(
        "mod",
        "moderation",
        {"action": "release", "reason": "other", "asked_by": "moderator"},
        about=claim.sequence,
    )
    assert stage.case.public.items[claim.sequence].payload["text"] == "said"
    assert verify_log(stage.case.public_log()).problems == ()


def test_erasing_an_exhibit_takes_its_file_unless_another_names_it(stage: Stage):
    claim = stage.say("lab", "claim", {"title": "t", **words("x")})
    with stage.case.exhibits.receive() as receiving:
        receiving.write(b"table")
        kept = receiving.finish()
    file = {"name": "t.csv", "size": kept.size, "sha256": kept.sha256}
    payload = {"title": "T", "form": "file", "file": file, "command": "make"}
    first = stage.say("lab", "exhibit", payload, about=claim.sequence)
    second = stage.say("lab", "exhibit", payload, about=claim.sequence)
    erase = {"action": "erase", "reason": "copyright", "asked_by": "affected_party"}
    stage.say("mod", "moderation", erase, about=first.sequence)
    assert stage.case.exhibits.has(kept.sha256, kept.size)
    stage.say("mod", "moderation", erase, about=second.sequence)
    assert not stage.case.exhibits.has(kept.sha256, kept.size)


def test_an_erasure_that_a_crash_interrupted_is_finished(tmp_path: Path):
    stage = open_stage(tmp_path / "case")
    claim = stage.say("lab", "claim", {"title": "t", **words("secret words")})
    whole = stage.case.entries[claim.sequence].to_line()
    erase = {"action": "erase", "reason": "privacy", "asked_by": "author"}
    stage.say("mod", "moderation", erase, about=claim.sequence)
    stage.case.close()
    log = tmp_path / "case" / LOG
    lines = log.read_bytes().splitlines()
    lines[claim.sequence] = whole
    log.write_bytes(b"\n".join(lines) + b"\n")
    with open_case(tmp_path / "case", fixed_signer("host")) as case:
        assert case.entries[claim.sequence].payload is None
    assert b"secret words" not in log.read_bytes()


def test_many_at_once_are_one_commit_and_refusals_do_not_hold_up_the_rest(stage: Stage):
    question = stage.say("v", "question", words("why"))
    stage.say("mod", "question_state", {"state": "published"}, about=question.sequence)
    drafts = [
        Draft("vote", {"value": 1}, Author("a", "public"), about=question.sequence),
        Draft("vote", {"value": 1}, Author("mod", "moderator"), about=question.sequence),
        Draft("vote", {"value": 7}, Author("b", "public"), about=question.sequence),
        Draft("vote", {"value": -1}, Author("c", "public"), about=question.sequence),
    ]
    made = stage.case.add_many(drafts)
    assert [isinstance(each, JokboError) for each in made] == [False, True, True, False]
    tally = stage.case.state.tallies[question.sequence]["public"]
    assert (tally.up, tally.down) == (1, 1)
    assert made[3].sequence == made[0].sequence + 1


def test_a_vote_counts_once_an_account_and_can_be_taken_back(stage: Stage):
    question = stage.say("v", "question", words("why"))
    stage.say("mod", "question_state", {"state": "published"}, about=question.sequence)
    for value in (1, 1, -1):
        stage.say("w", "vote", {"value": value}, about=question.sequence)
    assert stage.case.state.tallies[question.sequence]["public"].down == 1
    assert stage.case.state.tallies[question.sequence]["public"].up == 0
    stage.say("w", "vote", {"value": 0}, about=question.sequence)
    assert stage.case.state.tallies[question.sequence]["public"].down == 0


def test_an_authors_signature_is_for_one_case_and_one_text(stage: Stage, tmp_path: Path):
    key = fixed_signer("lab")
    case = stage.case.head().case
    draft = sign_draft(Draft("claim", {"title": "t", **words("x")}, Author("lab", "claimant")), case, key)
    for wrong in (
        replace(draft, payload={"title": "t", **words("y")}),
        replace(draft, salt="0" * 32),
        sign_draft(replace(draft, salt="1" * 32), "ff" * 32, key),
        replace(draft, statement=base64.b64encode(bytes(64)).decode()),
    ):
        with pytest.raises(UsageError, match="is not one over this claim in this case"):
            stage.case.add(wrong)
    with pytest.raises(UsageError, match="key that is not this account's"):
        stage.case.add(sign_draft(replace(draft, salt="2" * 32), case, fixed_signer("maker")))
    with pytest.raises(UsageError, match="come together"):
        stage.case.add(replace(draft, statement=None))
    entry = stage.case.add(draft)
    assert verify_log(stage.case.entries).problems == ()
    with pytest.raises(UsageError, match="nothing is entered twice"):
        stage.case.add(draft)
    assert entry.author.key == key.public.keyid


def test_the_host_cannot_change_what_an_author_signed(hearing: Stage):
    """The host signs the changed entry with its own, good key, and every entry after it."""
    number = hearing.numbers["rebuttal"]
    forged, previous = [], ""
    for entry in hearing.case.entries:
        made = replace(entry, previous=previous)
        if entry.sequence == number:
            other = Draft(entry.kind, words("I admit everything."), entry.author).salted(lambda: "0" * 32)
            from jokbo.hearing.case.entry import payload_digest

            made = replace(
                made,
                payload=other.payload,
                salt=other.salt,
                payload_sha256=payload_digest(other.payload, other.salt),
            )
        made = sign_entry(made, fixed_signer("host"))
        previous = made.digest
        forged.append(made)
    problems = verify_log(forged).problems
    assert ("statement_bad", number) in {(p.code, p.values["sequence"]) for p in problems}


def test_a_log_signed_anew_is_seen_by_who_kept_its_head_or_its_key(hearing: Stage):
    stranger = fixed_signer("stranger")
    forged, previous = [], ""
    for entry in hearing.case.entries:
        made = replace(entry, previous=previous)
        made = sign_entry(made, stranger)
        previous = made.digest
        forged.append(made)
    assert {p.code for p in verify_log(forged).problems} == {"signature_bad"}
    # With the stranger's key in the first entry the log is a whole one, of another case.
    kept = hearing.case.head()
    whole = hearing.case.entries[:10]
    assert verify_log(whole).problems == ()
    assert [p.code for p in verify_log(whole, head=kept.digest).problems] == ["head_not_found"]
    assert [p.code for p in verify_log(whole, keeper="00" * 32).problems] == ["keeper_differs"]
    assert (
        verify_log(
            hearing.case.entries, head=kept.digest[:16], keeper=fixed_signer("host").public.keyid
        ).problems
        == ()
    )


def test_heads_are_read_out_and_typed_in(hearing: Stage):
    head = make_head(hearing.case.entries[0].digest, hearing.case.entries[-1])
    assert parse_digest(spelled(head.digest).upper()) == head.digest
    assert head.to_document()["sequence"] == len(hearing.case.entries) - 1
    with pytest.raises(UsageError, match="is no digest"):
        parse_digest("abc")


def test_signed_drafts_travel_as_files(stage: Stage):
    case = stage.case.head().case
    draft = sign_draft(
        Draft("claim", {"title": "t", **words("x")}, Author("lab", "claimant")), case, fixed_signer("lab")
    )
    data = draft_to_bytes(draft, case)
    assert parse_draft(data, case=case, where="draft.json") == draft
    with pytest.raises(FormatError, match="signed for case"):
        parse_draft(data, case="00" * 32, where="draft.json")
    with pytest.raises(FormatError, match="field 'about' is missing"):
        parse_draft(data.replace(b'"about"', b'"abuot"'), case=case, where="draft.json")


def test_a_case_is_made_once_with_an_ed25519_key(tmp_path: Path):
    payload = {"title": "t", "summary": "s", "language": "en", "queue_order": "panel", "reply_hours": 1}
    other = make_key(tmp_path / "p256", algorithm="ecdsa-p256")
    with pytest.raises(UsageError, match="signed with Ed25519 keys"):
        new_case(tmp_path / "case", payload, chair="c", signer=other)
    with pytest.raises(UsageError, match="cannot name an account"):
        new_case(tmp_path / "case", payload, chair="Kim Lee", signer=fixed_signer("host"))
    new_case(tmp_path / "case", payload, chair="c", signer=fixed_signer("host")).close()
    with pytest.raises(UsageError, match="there is a case"):
        new_case(tmp_path / "case", payload, chair="c", signer=fixed_signer("host"))
    with pytest.raises(UsageError, match="Give the key that the case was made with"):
        open_case(tmp_path / "case", fixed_signer("other"))
    with open_case(tmp_path / "case") as case, pytest.raises(UsageError, match="open for reading"):
        case.add(Draft("close", words("x"), Author("c", "chair")))


def test_a_log_that_does_not_hold_is_not_extended(hearing: Stage, tmp_path: Path):
    shutil.copytree(hearing.case.folder, tmp_path / "case")
    log = tmp_path / "case" / LOG
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:5] + lines[6:]))
    with pytest.raises(FormatError, match="entry 5, missing"):
        open_case(tmp_path / "case", fixed_signer("host"))


def test_an_empty_state_is_no_case():
    assert CaseState().role("anybody") == "public"
    assert [p.code for p in verify_log([]).problems] == ["no_entries"]
