"""What stands in a journal is a whole result of this very task, or it is named and done again."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from task_faults import WORK, task

from jokbo.errors import FormatError, UsageError
from jokbo.lineage.executors import run_tasks
from jokbo.lineage.journal import Journal
from jokbo.lineage.tasks import plan_fingerprints

RESULT = {"relation": "lineage", "log10_evalue": 12.345, "이름": "모델"}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "results")


def test_a_result_is_read_as_it_was_kept_and_is_the_same_bytes_each_time(journal: Journal):
    one = task("a")
    journal.keep(one, RESULT)
    before = journal.path(one).read_bytes()
    journal.keep(one, dict(reversed(RESULT.items())))
    assert journal.read(one) == RESULT
    assert journal.path(one).read_bytes() == before
    assert list((journal.folder / "tmp").iterdir()) == []


@pytest.mark.parametrize("kept", range(0, 270, 27))
def test_a_file_that_was_cut_anywhere_is_named(journal: Journal, kept: int):
    one = task("a")
    journal.keep(one, RESULT)
    path = journal.path(one)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FormatError, match=rf"result {path}: it is .*; it is done again"):
        journal.read(one)


def change(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"key": "0" * 64}, "its key is '0000"),
        ({"kind": "pair"}, "its kind is 'pair', expected 'confirm'"),
        ({"schema": "other/1"}, r"its schema is 'other/1', expected 'jokbo\.result/1'"),
        ({"jokbo": "0.0.1"}, r"Jokbo 0\.0\.1 made it"),
        ({"result": {"relation": "no_evidence"}}, "its digest does not hold"),
        ({"result": {"x": "\ud800"}}, "damaged|digest"),
        ({"result": {"x": float("nan")}}, "not canonical JSON"),
        ({"result": 5}, "it is no result"),
    ],
)
def test_a_foreign_or_edited_file_is_named(journal: Journal, fields: dict, said: str):
    one = task("a")
    journal.keep(one, RESULT)
    change(journal.path(one), **fields)
    with pytest.raises(FormatError, match=said):
        journal.read(one)


def test_damaged_files_are_told_of_and_their_tasks_done_again(tmp_path: Path):
    tasks = [task("a"), task("b"), task("c")]
    run_tasks(tasks, results=tmp_path, work=WORK)
    path = Journal(tmp_path).path(tasks[1])
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    found = run_tasks(tasks, results=tmp_path, work=WORK)
    assert found.resumed == 2
    assert len(found.damaged) == 1
    assert str(path) in found.damaged[0]
    assert path.read_bytes() == whole


def test_a_fingerprint_that_is_gone_or_changed_in_length_is_made_again(tmp_path: Path):
    (one,) = plan_fingerprints(["org/a"], out=tmp_path)
    journal = Journal(tmp_path / "results")
    journal.keep(one, {"bytes": 3})
    with pytest.raises(FormatError, match="is gone; it is done again"):
        journal.read(one)
    Path(one.spec["out"]).write_bytes(b"1234")
    with pytest.raises(FormatError, match="has 4 bytes now"):
        journal.read(one)
    Path(one.spec["out"]).write_bytes(b"123")
    assert journal.read(one) == {"bytes": 3}


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half_written(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
):
    def full(self: Path, target: Path) -> Path:
        assert self.stat().st_size > 0
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(
        UsageError, match=r"No space left on device\. Make room and run again: what was done is kept"
    ):
        journal.keep(task("a"), RESULT)
    assert journal.read(task("a")) is None
    assert list((journal.folder / "tmp").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_an_error_before_any_work(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot make the results folder"):
        Journal(tmp_path / "file" / "results")


def test_what_was_left_half_written_long_ago_is_swept_away(journal: Journal):
    old, new = (journal.folder / "tmp" / name for name in ("1-old", "2-new"))
    old.write_text("half")
    new.write_text("half")
    os.utime(old, (0, 0))
    Journal(journal.folder)
    assert (old.exists(), new.exists()) == (False, True)
