"""A case under faults: kills, full disks, two writers, crashes between files."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("cryptography")

from jokbo.errors import FormatError, UsageError
from jokbo.hearing.archive import export as export_module
from jokbo.hearing.archive.export import Exporter, export
from jokbo.hearing.archive.verify import verify_folder
from jokbo.hearing.case import log as log_module
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.chain import verify_log
from jokbo.hearing.case.entry import Author, Draft
from jokbo.hearing.case.log import LOG, read_log
from jokbo.testing.hearings import fixed_signer, open_stage, words

WRITER = """
import sys
from pathlib import Path
from jokbo.hearing.case.case import open_case
from jokbo.hearing.case.entry import Author, Draft
from jokbo.testing.hearings import fixed_signer, words

case = open_case(Path(sys.argv[1]), fixed_signer("host"))
print("open", flush=True)
drafts = [Draft("question", words("why " * 200), Author(f"v{k}", "public")) for k in range(7)]
while True:
    made = case.add_many(drafts)
    print(made[-1].sequence, flush=True)
"""


def questions(count: int) -> list[Draft]:
    return [Draft("question", words(f"q{k}"), Author("v", "public")) for k in range(count)]


@pytest.mark.parametrize("acknowledged", [1, 4, 9])
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, acknowledged: int):
    open_stage(tmp_path / "case").case.close()
    script = tmp_path / "writer.py"
    script.write_text(WRITER)
    writer = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "case")], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == "open\n"
    seen = [int(writer.stdout.readline()) for _ in range(acknowledged)]
    writer.send_signal(signal.SIGKILL)
    seen += [int(line) for line in writer.stdout.read().split()]
    writer.wait()
    writer.stdout.close()
    with open_case(tmp_path / "case", fixed_signer("host")) as case:
        assert case.state.length > max(seen)
        assert [entry.sequence for entry in case.entries] == list(range(case.state.length))
        case.add(questions(1)[0])
    assert verify_folder(tmp_path / "case").problems == ()


@pytest.mark.parametrize("kept", [1, 40, -1])
def test_half_a_last_line_is_cut_off_by_the_next_writer_alone(tmp_path: Path, kept: int):
    stage = open_stage(tmp_path / "case")
    stage.case.add(questions(1)[0])
    stage.case.close()
    log = tmp_path / "case" / LOG
    whole = log.read_bytes()
    lines = whole.splitlines(keepends=True)
    torn = b"".join(lines[:-1]) + lines[-1][:kept]
    log.write_bytes(torn)
    with open_case(tmp_path / "case") as case:  # a reader leaves it
        assert case.state.length == len(lines) - 1
    assert log.read_bytes() == torn
    assert [p.code for p in verify_folder(tmp_path / "case").problems] == ["torn"]
    with open_case(tmp_path / "case", fixed_signer("host")) as case:
        assert case.repaired == len(lines[-1][:kept])
        case.add(questions(1)[0])
    assert verify_folder(tmp_path / "case").problems == ()


def test_what_no_crash_leaves_is_not_mended(tmp_path: Path):
    open_stage(tmp_path / "case").case.close()
    log = tmp_path / "case" / LOG
    whole = log.read_bytes()
    log.write_bytes(whole + b"x" * (log_module.MAX_LINE_BYTES + 10))
    with pytest.raises(FormatError, match="no crash leaves that"):
        open_case(tmp_path / "case", fixed_signer("host"))
    assert log.read_bytes().startswith(whole + b"x")
    log.write_bytes(whole + b'{"schema":1}\n')
    with pytest.raises(FormatError, match="does not hold"):
        open_case(tmp_path / "case", fixed_signer("host"))


@pytest.mark.parametrize("fault", ["write", "fsync", "short"])
def test_a_full_disk_is_an_error_and_leaves_the_log_valid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
):
    stage = open_stage(tmp_path / "case")
    before, state = (tmp_path / "case" / LOG).read_bytes(), stage.case.state
    write, calls = os.write, []

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def short(handle: int, data: Any) -> int:
        calls.append(1)
        return write(handle, data[: len(data) // 2]) if len(calls) == 1 else full()

    with monkeypatch.context() as patched:
        patched.setattr(
            log_module.os, "write" if fault != "fsync" else "fsync", short if fault == "short" else full
        )
        with pytest.raises(UsageError, match=r"No space left on device\. Nothing was entered"):
            stage.case.add_many(questions(3))
    assert stage.case.state == state
    if fault == "fsync":
        # The cut could not be made sure of either: nothing more is entered until the case is opened again.
        with pytest.raises(UsageError, match="Open the case again"):
            stage.case.add(questions(1)[0])
    else:
        assert (tmp_path / "case" / LOG).read_bytes() == before
        stage.case.add(questions(1)[0])
    stage.case.close()
    with open_case(tmp_path / "case", fixed_signer("host")) as case:
        case.add(questions(1)[0])
    assert verify_folder(tmp_path / "case").problems == ()


def test_a_real_limit_on_the_size_of_files(tmp_path: Path):
    """The kernel itself writes the first half of a batch and refuses the rest."""
    open_stage(tmp_path / "case").case.close()
    script = tmp_path / "limited.py"
    script.write_text(
        textwrap.dedent(
            """
            import resource, signal, sys
            from pathlib import Path
            from jokbo.errors import UsageError
            from jokbo.hearing.case.case import open_case
            from jokbo.hearing.case.entry import Author, Draft
            from jokbo.testing.hearings import fixed_signer, words

            folder = Path(sys.argv[1])
            case = open_case(folder, fixed_signer("host"))
            size = (folder / "log.jsonl").stat().st_size
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 1500, resource.RLIM_INFINITY))
            drafts = [Draft("question", words("why"), Author("v", "public")) for _ in range(5)]
            try:
                case.add_many(drafts)
            except UsageError as error:
                print(error)
            print((folder / "log.jsonl").stat().st_size == size)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            print(len(case.add_many(drafts)))
            """
        )
    )
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "case")], capture_output=True, text=True, check=True
    )
    said, same, entered = ended.stdout.splitlines()
    assert "File too large. Nothing was entered" in said
    assert (same, entered) == ("True", "5")
    assert verify_folder(tmp_path / "case").problems == ()


def test_a_log_has_one_writer(tmp_path: Path):
    stage = open_stage(tmp_path / "case")
    with pytest.raises(UsageError, match="A log has one writer"):
        open_case(tmp_path / "case", fixed_signer("host"), wait_seconds=0.1)
    with open_case(tmp_path / "case") as reader:  # reading goes on
        assert reader.state.length == stage.case.state.length
    stage.case.close()
    open_case(tmp_path / "case", fixed_signer("host"), wait_seconds=0).close()


def test_a_write_past_the_lock_stops_the_writer(tmp_path: Path):
    stage = open_stage(tmp_path / "case")
    with (tmp_path / "case" / LOG).open("ab") as stream:
        stream.write(b"foreign\n")
    with pytest.raises(UsageError, match="something else wrote"):
        stage.case.add(questions(1)[0])
    stage.case.close()


def test_links_are_not_followed(tmp_path: Path):
    open_stage(tmp_path / "case").case.close()
    log = tmp_path / "case" / LOG
    log.rename(tmp_path / "elsewhere")
    log.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="cannot write the log"):
        open_case(tmp_path / "case", fixed_signer("host"))


@pytest.mark.parametrize("after", [0, 1, 5, 15])
def test_an_export_that_is_cut_off_leaves_a_log_that_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
):
    stage = open_stage(tmp_path / "case")
    exporter = Exporter(tmp_path / "archive")
    exporter.export(stage.case.entries, stage.case.state, stage.case.exhibits)
    stage.case.add_many(questions(3))
    calls: list[int] = []
    fsync = os.fsync

    def failing(handle: int) -> None:
        calls.append(1)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    with monkeypatch.context() as patched:
        patched.setattr(export_module.os, "fsync", failing)
        if after < 10:
            with pytest.raises(UsageError, match="Make room and export again: the log is whole"):
                exporter.export(stage.case.entries, stage.case.state, stage.case.exhibits)
        else:
            exporter.export(stage.case.entries, stage.case.state, stage.case.exhibits)
    read = read_log(tmp_path / "archive" / LOG)
    assert verify_log(read.lines).problems == ()
    exporter.export(stage.case.entries, stage.case.state, stage.case.exhibits)
    stage.case.close()
    assert verify_folder(tmp_path / "archive").exit_status == 0
    export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "fresh")
    for path in (tmp_path / "fresh").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "archive" / path.relative_to(tmp_path / "fresh")).read_bytes()


def test_leftovers_of_a_crash_are_cleared(tmp_path: Path):
    stage = open_stage(tmp_path / "case")
    (tmp_path / "archive" / "en").mkdir(parents=True)
    (tmp_path / "archive" / "en" / "claim-9.html.unfinished").write_bytes(b"half")
    (tmp_path / "archive" / "en" / "claim-99.html").write_bytes(b"old")
    made = export(stage.case.entries, stage.case.state, stage.case.exhibits, tmp_path / "archive")
    stage.case.close()
    assert set(made.removed) == {"en/claim-9.html.unfinished", "en/claim-99.html"}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_bytes(b"")
    with pytest.raises(UsageError, match=r"'thesis\.tex', which no archive does"):
        Exporter(tmp_path / "other")
