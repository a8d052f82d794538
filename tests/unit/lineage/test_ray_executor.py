"""Ray gives what the others give, byte for byte, and a worker of it that is killed loses only its task."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from task_faults import WORK, ray_token, task

from jokbo.errors import SourceError, UsageError
from jokbo.lineage.executors import run_tasks
from jokbo.lineage.executors.base import Settings
from jokbo.lineage.executors.ray import RayExecutor
from jokbo.sources.base import OpenOptions

pytestmark = pytest.mark.torch  # of the full environment
ray_token()
ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """One cluster for all tests here: starting one takes seconds."""
    with RayExecutor(Settings(workers=2, work=WORK)):
        yield


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*.json")}


def test_same_bytes_also_when_a_worker_is_killed(cluster, tmp_path: Path):
    tasks = [task(f"model{k}") for k in range(10)]
    tasks.insert(5, task(f"kill_once:{tmp_path / 'mark'}"))
    here = run_tasks(tasks, executor="ray", workers=2, results=tmp_path / "ray", work=WORK)
    assert (tmp_path / "mark").exists()
    run_tasks(tasks, executor="serial", results=tmp_path / "serial", work=WORK)
    assert here.failed == {}
    assert len(here.done) == 11
    assert files(tmp_path / "ray") == files(tmp_path / "serial")


def test_a_task_that_always_kills_its_worker_fails_and_the_rest_stands(cluster, tmp_path: Path):
    tasks = [task("a"), task("kill_always"), task("b"), task("missing:m")]
    found = run_tasks(tasks, executor="ray", workers=2, results=tmp_path, work=WORK)
    assert len(found.done) == 2
    assert "the worker died 2 times in the middle of this task (" in found.failed[tasks[1].key]
    assert found.failed[tasks[3].key] == "m: there is no such model."


def test_the_token_stays_here_and_workers_have_one_thread(cluster, tmp_path: Path):
    asked = task("environment:OMP_NUM_THREADS")
    options = OpenOptions(token="secret")
    found = run_tasks([asked], executor="ray", results=tmp_path, options=options, work=WORK)
    assert found.done[asked.key] == {"value": "1", "token": None}


def test_a_cluster_that_was_there_before_is_left_alone(cluster, tmp_path: Path):
    run_tasks([task("a")], executor="ray", results=tmp_path, work=WORK)
    assert ray.is_initialized()


def test_no_cluster_at_the_address(tmp_path: Path):
    if ray.is_initialized():
        ray.shutdown()
    with pytest.raises(SourceError, match=r"no Ray cluster answers at 127\.0\.0\.1:1 "):
        run_tasks([task("a")], executor="ray", ray_address="127.0.0.1:1", results=tmp_path, work=WORK)


@pytest.mark.parametrize("address", ["head", "ray://head:10001", "http://head:6379", ":6379", "head:x"])
def test_what_is_no_address_of_a_cluster(address: str, tmp_path: Path):
    with pytest.raises(UsageError, match="expected host:port"):
        run_tasks([task("a")], executor="ray", ray_address=address, results=tmp_path, work=WORK)
