"""A register survives writers that are killed at any moment, and several at once."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jokbo.lineage.register import Register, database, open_register
from jokbo.lineage.register.check import check_register
from jokbo.lineage.register.transfer import export_register, import_register
from jokbo.testing.registers import leftovers, small_fingerprint
from jokbo.views.fingerprint import SUFFIX

WRITER = """
import json, os, signal, sys, traceback
from pathlib import Path
from jokbo.lineage.register import Facts, database, files, open_register, store
from jokbo.lineage.register.transfer import import_register

POINTS = {
    "nothing staged": (files.Staging, "write", True),
    "staged": (files.Staging, "write"),
    "intended": (files.Staging, "intend"),
    "not renamed": (files.os, "replace", True),
    "renamed": (files.Staging, "place"),
    "second renamed": (files.Staging, "place", False, 2),
    "entered": (database, "write_entry"),
    "committed": (store.Register, "enter"),
    "row gone": (database, "delete_entry"),
    "file not gone": (store.Register, "drop_unentered", True),
}

def deadly(owner, name, before=False, among=1):
    real, calls = getattr(owner, name), []
    def run(*args, **kwargs):
        calls.append(1)
        if before and len(calls) == among:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*args, **kwargs)
        if len(calls) == among:
            os.kill(os.getpid(), signal.SIGKILL)
        return found
    setattr(owner, name, run)

def work(point, folder, paths):
    register = open_register(folder, create=True)
    if point:
        deadly(*POINTS[point])
    for path in paths:
        if path.endswith(".tar"):
            import_register(Path(path), Path(folder))
        elif path.startswith("-"):
            register.remove(path[1:])
        else:
            register.add_file(path, Facts())

for line in sys.stdin:
    job = json.loads(line)
    if "wait" in job:
        _, status = os.waitpid(job["wait"], 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        try:
            work(job["point"], job["folder"], job["paths"])
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    print(pid, flush=True)
"""


class Writers:
    """Starts processes that work on a register; each is a fork of one that has imported everything."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def _ask(self, **job: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def start(self, point: str, folder: Path, *paths: object) -> int:
        """Begin; `point` is where the process kills itself. Gives its id."""
        return self._ask(point=point, folder=str(folder), paths=list(map(str, paths)))

    def wait(self, process: int) -> int:
        """How it ended: a signal is negative."""
        return self._ask(wait=process)

    def run(self, point: str, folder: Path, *paths: object) -> int:
        """Begin and wait."""
        return self.wait(self.start(point, folder, *paths))


@pytest.fixture(scope="module")
def writers() -> Iterator[Writers]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    ) as process:
        yield Writers(process)
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def prints(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twelve fingerprint files."""
    folder = tmp_path_factory.mktemp("prints")
    paths = [folder / f"{seed}{SUFFIX}" for seed in range(12)]
    for seed, path in enumerate(paths):
        path.write_bytes(small_fingerprint(seed).data)
    return paths


@pytest.fixture
def register(tmp_path: Path) -> Register:
    made = open_register(tmp_path / "register", create=True)
    made.add(small_fingerprint(0))
    return made


def assert_whole(register: Register) -> None:
    for entry in register.entries():
        register.verified_path(entry)
    with sqlite3.connect(register.folder / database.FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.parametrize(
    ("point", "entered"),
    [
        ("nothing staged", False),
        ("staged", False),
        ("intended", False),
        ("not renamed", False),
        ("renamed", False),
        ("entered", False),
        ("committed", True),
    ],
)
def test_a_kill_in_add_leaves_nothing_half_written(
    register: Register, prints: list[Path], writers: Writers, point: str, entered: bool
):
    assert writers.run(point, register.folder, prints[1]) == -signal.SIGKILL
    assert [entry.name for entry in register.entries()].count("model-1") == entered
    assert_whole(register)
    assert leftovers(register), "the kill came too early to leave anything"
    found = check_register(register)
    assert {problem.code for problem in found.problems} <= {"leftover", "orphan"}
    assert not found.sound
    register.add(small_fingerprint(2))
    assert leftovers(register) == []
    assert check_register(register).problems == ()
    assert len(register) == 2 + entered


@pytest.mark.parametrize("point", ["row gone", "file not gone"])
def test_a_kill_in_remove_leaves_the_model_or_nothing(register: Register, writers: Writers, point: str):
    assert writers.run(point, register.folder, "-model-0") == -signal.SIGKILL
    assert len(register) == (point == "row gone")
    assert_whole(register)
    repaired = check_register(register, repair=True)
    assert repaired.sound
    assert any(problem.repaired for problem in repaired.problems)
    assert leftovers(register) == []
    assert check_register(register).problems == ()


def test_a_kill_in_import_enters_none(
    register: Register, prints: list[Path], writers: Writers, tmp_path: Path
):
    other = open_register(tmp_path / "other", create=True)
    for path in prints[1:5]:
        other.add_file(path)
    export_register(other, tmp_path / "archive.tar")
    assert writers.run("second renamed", register.folder, tmp_path / "archive.tar") == -signal.SIGKILL
    assert [entry.name for entry in register.entries()] == ["model-0"]
    assert import_register(tmp_path / "archive.tar", register.folder).added == 4
    assert leftovers(register) == []
    assert_whole(register)


def test_kills_at_random_moments(tmp_path: Path, prints: list[Path], writers: Writers):
    rng = random.Random(7)
    # How long a writer takes that nobody kills: on a fast machine it would end before a kill set by the clock alone.
    began = time.perf_counter()
    assert writers.wait(writers.start("", tmp_path / "undisturbed", *prints[:6])) == 0
    usual = time.perf_counter() - began
    register = open_register(tmp_path / "register", create=True)
    killed = tried = 0
    while tried < 8 or (killed < 4 and tried < 60):
        tried += 1
        before = {entry.key for entry in register.entries()}
        chosen = rng.sample(prints, 6)
        process = writers.start("", register.folder, *chosen)
        time.sleep(rng.uniform(0, usual))
        os.kill(process, signal.SIGKILL)
        killed += writers.wait(process) == -signal.SIGKILL
        assert before <= {entry.key for entry in register.entries()}
        assert_whole(register)
        for entry in list(register.entries())[::2]:
            register.remove(entry)
    assert killed >= 4
    assert check_register(register, repair=True).sound
    assert leftovers(register) == []


def test_two_writers_add_the_same_and_different_models(tmp_path: Path, prints: list[Path], writers: Writers):
    folder = tmp_path / "register"
    rng = random.Random(3)
    mine, theirs = prints[:8], prints[4:]
    rng.shuffle(mine)
    rng.shuffle(theirs)
    # Neither finds a register: they begin it at once, too.
    both = [writers.start("", folder, *paths) for paths in (mine, theirs)]
    assert [writers.wait(process) for process in both] == [0, 0]
    register = open_register(folder)
    assert sorted(entry.name for entry in register.entries()) == sorted(f"model-{k}" for k in range(12))
    assert leftovers(register) == []
    assert check_register(register).problems == ()
