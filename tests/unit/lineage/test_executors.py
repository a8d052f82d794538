"""Every executor gives the same results byte for byte, and a worker that dies loses only its task.

The processes are real and so are their deaths: SIGKILL, as the system's killer sends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from task_faults import WORK, task

from jokbo.errors import MissingExtraError, UsageError
from jokbo.lineage.executors import EXECUTORS, TaskResults, load_executor, run_tasks
from jokbo.lineage.executors.base import Executor, Settings
from jokbo.lineage.journal import Journal
from jokbo.lineage.task_progress import Progress
from jokbo.lineage.tasks import Task
from jokbo.sources.base import OpenOptions

LOCAL = ("serial", "processes")


def run(tasks: list[Task], results: Path, executor: str = "processes", **options: object) -> TaskResults:
    options.setdefault("workers", 2)
    return run_tasks(tasks, executor=executor, results=results, work=WORK, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*.json")}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Task], dict[str, bytes]]:
    tasks = [task(f"model{k}") for k in range(12)]
    folder = tmp_path_factory.mktemp("serial")
    done = run(tasks, folder, "serial")
    assert list(done.done) == [t.key for t in tasks]
    return tasks, files(folder)


def test_processes_give_the_same_bytes(plain, tmp_path: Path):
    tasks, expected = plain
    found = run(tasks, tmp_path)
    assert list(found.done) == [t.key for t in tasks]
    assert files(tmp_path) == expected
    assert found.failed == {}


def test_a_killed_worker_loses_only_its_task_and_that_is_tried_again(plain, tmp_path: Path):
    tasks, expected = plain
    fatal = task(f"kill_once:{tmp_path / 'mark'}")
    found = run([*tasks[:5], fatal, *tasks[5:]], tmp_path / "results")
    assert found.failed == {}
    assert found.done[fatal.key]["spec"] == dict(fatal.spec)
    assert expected.items() <= files(tmp_path / "results").items()


def test_a_task_that_always_kills_its_worker_fails_and_the_rest_stands(plain, tmp_path: Path):
    tasks, expected = plain
    fatal = task("kill_always")
    found = run([*tasks[:3], fatal, *tasks[3:]], tmp_path)
    assert list(found.failed) == [fatal.key]
    assert "the worker died 2 times in the middle of this task (signal SIGKILL)" in found.failed[fatal.key]
    assert "fewer workers" in found.failed[fatal.key]
    assert files(tmp_path) == expected


def test_a_worker_killed_from_outside_is_replaced(tmp_path: Path):
    mark = tmp_path / "pid"
    slow, others = task(f"wait:{mark}"), [task(f"m{k}") for k in range(4)]

    def murder() -> None:
        for _ in range(2):
            while not (mark.exists() and mark.read_text()):
                time.sleep(0.01)
            victim = int(mark.read_text())
            mark.unlink()
            os.kill(victim, signal.SIGKILL)

    threading.Thread(target=murder, daemon=True).start()
    found = run([slow, *others], tmp_path / "results")
    assert list(found.failed) == [slow.key]
    assert len(found.done) == 4


@pytest.mark.parametrize("executor", LOCAL)
def test_failures_are_sentences_and_the_rest_stands(executor: str, tmp_path: Path):
    tasks = [task("missing:org/a"), task("broken"), task("out_of_memory"), task("fine")]
    found = run(tasks, tmp_path, executor)
    assert list(found.done) == [tasks[3].key]
    assert found.failed[tasks[0].key] == "org/a: there is no such model."
    assert "unexpected failure (ZeroDivisionError: a fault)" in found.failed[tasks[1].key]
    assert "too little memory" in found.failed[tasks[2].key]


def test_failures_are_tried_again_by_a_rerun_and_results_are_not(tmp_path: Path):
    good, bad = task("fine"), task(f"kill_once:{tmp_path / 'mark'}")
    missing = task("missing:x")
    first = run([good, missing], tmp_path / "r", "serial")
    before = files(tmp_path / "r")
    second = run([good, missing, bad], tmp_path / "r")
    assert (first.resumed, second.resumed) == (0, 1)
    assert set(second.failed) == {missing.key}
    assert before.items() <= files(tmp_path / "r").items()


def test_a_worker_has_one_blas_thread_and_the_token(tmp_path: Path):
    asked = task("environment:OPENBLAS_NUM_THREADS")
    found = run([asked], tmp_path, options=OpenOptions(token="secret"))
    assert found.done[asked.key] == {"value": "1", "token": "secret"}


def test_what_libraries_print_does_not_stand_among_the_results(tmp_path: Path, capfd: pytest.CaptureFixture):
    found = run([task("noisy"), task("large:200000")], tmp_path)
    assert found.failed == {}
    assert len(found.done) == 2
    assert "a child says something" in capfd.readouterr().err


def test_workers_that_cannot_start_are_an_error_and_not_an_endless_loop(tmp_path: Path):
    with pytest.raises(UsageError, match=r"3 worker processes in a row ended before their first task"):
        run_tasks([task("a")], executor="processes", results=tmp_path, work="no_such_module:run")


def test_no_worker_outlives_the_run(tmp_path: Path):
    run([task(f"m{k}") for k in range(3)], tmp_path)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
    assert not [c for c in commands if b"executors.worker" in c]


DRIVER = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that runs tests in the background ignores it
from pathlib import Path
from task_faults import WORK, task
from jokbo.lineage.executors import run_tasks
tasks = [task(f"m{k}") for k in range(4)] + [task("wait:" + sys.argv[2])]
run_tasks(tasks, executor="processes", workers=1, results=Path(sys.argv[1]), work=WORK)
"""


def start_driver(folder: Path) -> tuple[subprocess.Popen, int]:
    """A run whose last task waits; it is interrupted when that has begun."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    mark = folder / "pid"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder / "results"), str(mark)],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not (mark.exists() and mark.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return driver, int(mark.read_text())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_leaves_a_journal_that_the_next_goes_on_from(how: int, tmp_path: Path):
    driver, worker = start_driver(tmp_path)
    driver.send_signal(how)
    driver.wait(20)
    os.kill(worker, signal.SIGKILL) if how == signal.SIGKILL else None
    tasks = [task(f"m{k}") for k in range(4)]
    kept = Journal(tmp_path / "results").load([*tasks, task(f"wait:{tmp_path / 'pid'}")])
    assert kept.damaged == ()
    found = run(tasks, tmp_path / "results", "serial")
    assert found.resumed == len(kept.done) == len(set(kept.done) & {t.key for t in tasks})
    assert len(found.done) == 4


def test_ctrl_c_ends_the_workers(tmp_path: Path):
    driver, worker = start_driver(tmp_path)
    driver.send_signal(signal.SIGINT)
    driver.wait(20)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{worker}").exists()


def test_progress_counts_what_was_resumed_and_what_failed(tmp_path: Path):
    tasks = [task("a"), task("b"), task("missing:c")]
    run(tasks[:1], tmp_path, "serial")
    told: list[Progress] = []
    run(tasks, tmp_path, "serial", progress=told.append)
    assert [(p.done, p.failed) for p in (told[0], told[-1])] == [(1, 0), (2, 1)]
    assert told[0].tasks_per_second is None
    assert told[-1].seconds_left == 0
    assert {p.total for p in told} == {3}


def test_never_more_tasks_are_taken_than_workers_can_hold(tmp_path: Path):
    taken = 0
    tasks = [task(f"m{k}") for k in range(9)]

    def feed():
        nonlocal taken
        for each in tasks:
            taken += 1
            yield each

    ended = 0
    with load_executor("processes")(Settings(workers=2, work=WORK)) as pool:
        for _ in pool.run(feed()):
            ended += 1
            assert taken - ended <= 2
    assert ended == 9


def test_a_result_that_another_machine_wrote_meanwhile_is_taken(tmp_path: Path):
    first, second = task("a"), task("b")

    def progress(at: Progress) -> None:
        if at.done == 1 and at.resumed == 0:
            Journal(tmp_path).keep(second, {"from": "elsewhere"})

    found = run([first, second], tmp_path, "serial", progress=progress)
    assert found.resumed == 1
    assert found.done[second.key] == {"from": "elsewhere"}


def test_names_of_executors_and_numbers_of_workers_are_checked(tmp_path: Path):
    with pytest.raises(
        UsageError, match=r"executor 'spark' is not known; expected one of serial, processes, ray"
    ):
        run([task("a")], tmp_path, "spark")
    with pytest.raises(UsageError, match=r"0 workers; expected at least 1"):
        run([task("a")], tmp_path, workers=0)


def test_every_executor_of_the_table_is_one():
    pytest.importorskip("ray") if "ray" in sys.modules else None
    assert all(issubclass(load_executor(name), Executor) for name in EXECUTORS)


def test_a_missing_extra_names_the_command_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'jokbo\[ray\]'"):
        run([task("a")], tmp_path, "ray")


def test_a_cluster_of_its_own_asks_for_a_token_and_reports_no_usage(tmp_path: Path):
    """Ray reads both when it is imported; a fake one shows what it would see."""
    names = ("RAY_USAGE_STATS_ENABLED", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    (tmp_path / "ray.py").write_text(f"import os\nSEEN = [os.environ.get(name) for name in {names}]\n")
    code = "from jokbo.lineage.executors.ray import _import_ray; print(*_import_ray(alone={}).SEEN)"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    environment["PYTHONPATH"] = str(tmp_path)

    def seen(alone: bool) -> list[str]:
        command = [sys.executable, "-c", code.format(alone)]
        return subprocess.check_output(command, env=environment, text=True).split()

    usage, mode, token = seen(True)
    assert (usage, mode, len(token)) == ("0", "token", 64)
    assert seen(True)[2] != token
    assert seen(False) == ["0", "None", "None"]
