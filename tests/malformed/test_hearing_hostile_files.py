"""What a second hostile reading found in folders and logs: archives that somebody hands over, erasures, the board."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import NotFoundError, UsageError
from jokbo.hearing.archive.export import export
from jokbo.hearing.archive.verify import verify_folder
from jokbo.testing.hearings import Stage, open_stage, small_hearing, words

EVIDENCE = Path(__file__).parents[1] / "compat/evidence/0.3.0-base0-base1.json"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = small_hearing(tmp_path / "case", EVIDENCE.read_bytes())
    yield made
    made.case.close()


def test_the_words_come_with_the_question_and_the_log_verifies(tmp_path: Path):
    stage = open_stage(tmp_path / "case")
    question = stage.say("v1", "question", words("a question")).sequence
    taken = stage.say("v1", "withdrawal", words("my reason"), about=question).sequence
    export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    assert b"my reason" not in (tmp_path / "archive" / "log.jsonl").read_bytes()
    assert verify_folder(tmp_path / "archive").exit_status == 0
    stage.say("mod", "question_state", {"state": "published"}, about=question)
    assert stage.case.public.items[taken].payload is not None
    export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    assert verify_folder(tmp_path / "archive").exit_status == 0
    stage.case.close()


def test_an_archive_without_its_manifest_is_no_case(stage: Stage, tmp_path: Path):
    archive = tmp_path / "archive"
    stage.case.close()
    export(stage.case.entries, stage.case.state, stage.case.exhibits, archive)
    (archive / "manifest.json").unlink()
    (archive / "en" / "index.html").write_text("<h1>All is proven</h1>")
    with pytest.raises(NotFoundError, match=r"manifest\.json"):
        verify_folder(archive)
    shutil.rmtree(archive / "ko")
    (archive / "manifest.json").symlink_to("/nothing")
    with pytest.raises(NotFoundError, match=r"manifest\.json"):
        verify_folder(archive)


def test_links_in_an_archive_lead_nowhere(stage: Stage, tmp_path: Path):
    archive, secret = tmp_path / "archive", tmp_path / "secret"
    secret.write_bytes(b"mine")
    archive.mkdir()
    (archive / "log.jsonl.unfinished").symlink_to(secret)
    (archive / "index.html").symlink_to(secret)
    (archive / "files").mkdir()
    file = stage.case.state.items[stage.numbers["exhibit"]].payload["file"]["sha256"]
    (archive / "files" / f"{file}.bin.unfinished").symlink_to(secret)
    export(stage.case.entries, stage.case.state, stage.case.exhibits, archive)
    assert secret.read_bytes() == b"mine"
    assert verify_folder(archive).exit_status == 0
    (archive / "en").rename(tmp_path / "elsewhere")
    (archive / "en").symlink_to(tmp_path / "elsewhere")
    assert verify_folder(archive).exit_status == 10


def test_a_page_without_end_is_not_read_whole(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    archive = tmp_path / "archive"
    export(stage.case.entries, stage.case.state, stage.case.exhibits, archive)
    page = archive / "en" / "index.html"
    size = page.stat().st_size
    with page.open("r+b") as stream:
        stream.truncate(300 << 20)  # a hole: nothing on the disk, much in memory

    import tracemalloc

    tracemalloc.start()
    found = verify_folder(archive)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size < 1 << 20
    assert found.exit_status == 10
    assert most < 100 << 20


def test_the_board_counts_exhibits_under_rebuttals_and_replies(stage: Stage):
    from jokbo.hearing.intake import with_file
    from jokbo.hearing.live.links import links
    from jokbo.hearing.pages.contexts import Contexts

    def shown(claim: str) -> int:
        contexts = Contexts(stage.case.public, "en", links("en"))
        (row,) = [r for r in contexts.rows if r.claim.sequence == stage.numbers[claim]]
        return int(contexts.board_row(row)["exhibits"])

    before, other = shown("claim"), shown("second")
    with stage.case.exhibits.receive() as receiving:
        receiving.write(b"shuffles")
        stored = receiving.finish()
    payload = with_file({"title": "Shuffles", "command": "python3 s.py"}, stored, "s.csv")
    stage.say("maker", "exhibit", payload, about=stage.numbers["rebuttal"])
    assert (shown("claim"), shown("second")) == (before + 1, other)
    # A new version takes the place of the old one, and is counted once.
    newest = stage.say(
        "maker", "exhibit", {**payload, "title": "New"}, about=stage.numbers["rebuttal"],
        supersedes=stage.case.state.length - 1,
    )  # fmt: skip
    assert newest.sequence in stage.case.state.items
    assert shown("claim") == before + 1


def test_a_key_that_is_none_names_the_command_that_makes_one(tmp_path: Path):
    from jokbo.records.commit.keys import load_signer

    path = tmp_path / "key"
    path.touch(mode=0o600)
    path.write_bytes(b"none")
    with pytest.raises(UsageError, match="jokbo hearing key"):
        load_signer(path)


def test_votes_against_alone_do_not_lift_a_question():
    from jokbo.hearing.case.views import wilson_lower_bound

    assert {wilson_lower_bound(0, down) for down in range(3000)} == {0.0}


def test_an_erasure_that_finds_no_room_stands_and_is_finished_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    from jokbo.hearing.case.log import LogWriter

    def full(self: LogWriter, lines: object) -> None:
        raise UsageError("cannot rewrite the log: No space left on device.")

    number, log = stage.numbers["table"], stage.case.folder / "log.jsonl"
    erase = {"action": "erase", "reason": "privacy", "asked_by": "affected_party"}
    with monkeypatch.context() as patched:
        patched.setattr(LogWriter, "rewrite", full)
        entry = stage.say("mod", "moderation", erase, about=number)
        assert stage.case.state.length == entry.sequence + 1
        assert stage.case.public.items[number].payload is None
    assert b"table.py" in log.read_bytes()
    stage.say("v9", "question", words("and now?"))
    assert b"table.py" not in log.read_bytes()
    stage.say("v9", "question", words("and after?"))
    assert verify_folder(stage.case.folder).exit_status == 0


def test_a_log_that_was_rewritten_is_the_one_that_is_written_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
):
    """Even where the folder cannot be flushed: what is acknowledged next lies in the file of that name."""
    from jokbo.hearing.case import log as module

    def failing(folder: Path) -> None:
        raise OSError(5, "Input/output error")

    number = stage.numbers["table"]
    with monkeypatch.context() as patched:
        patched.setattr(module, "_sync_folder", failing)
        stage.say(
            "mod", "moderation", {"action": "erase", "reason": "privacy", "asked_by": "author"}, about=number
        )
    last = stage.say("v9", "question", words("and now?"))
    lines = (stage.case.folder / "log.jsonl").read_bytes().splitlines()
    assert last.to_line() == lines[-1]
    assert (stage.case.folder / "log.jsonl").stat().st_mode & 0o077 == 0
